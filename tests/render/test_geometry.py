"""Shapes and their poses against MuJoCo's own kinematics."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.errors import InputError
from mimickit.render.geometry import _coarse, _facets, load_figure, match_bodies
from mimickit.render.stage import multiply, rotate

OCTAHEDRON = """
o octahedron
v 1 0 0\nv -1 0 0\nv 0 1 0\nv 0 -1 0\nv 0 0 1\nv 0 0 -1
f 1 3 5\nf 3 2 5\nf 2 4 5\nf 4 1 5\nf 3 1 6\nf 2 3 6\nf 4 2 6\nf 1 4 6
"""


def write(path: Path, bodies: str, assets: str = "") -> Path:
    text = f"<mujoco><asset>{assets}</asset><worldbody>{bodies}</worldbody></mujoco>"
    path.write_text(text, encoding="utf-8")
    return path


def test_world_poses_of_shapes_are_mujocos(figure_file: Path) -> None:
    figure = load_figure(figure_file)
    model = mujoco.MjModel.from_xml_path(str(figure_file))
    data = mujoco.MjData(model)
    rng = np.random.default_rng(3)
    data.qpos[:] = rng.normal(size=model.nq)
    mujoco.mj_normalizeQuat(model, data.qpos)
    mujoco.mj_kinematics(model, data)
    assert len(figure.shapes) == model.ngeom == 5
    for geom, shape in enumerate(figure.shapes):
        body = model.body(shape.body).id
        turn = np.roll(data.xquat[body], -1)[None]
        place = data.xpos[body] + rotate(turn, shape.position[None])[0]
        np.testing.assert_allclose(place, data.geom_xpos[geom], atol=1e-9)
        matrix = Rotation.from_quat(multiply(turn, shape.rotation[None])[0]).as_matrix()
        np.testing.assert_allclose(matrix, data.geom_xmat[geom].reshape(3, 3), atol=1e-9)


def test_quaternions_are_scipys() -> None:
    rng = np.random.default_rng(5)
    a, b = Rotation.random(20, random_state=1), Rotation.random(20, random_state=2)
    v = rng.normal(size=(20, 3))
    np.testing.assert_allclose(rotate(a.as_quat(), v), a.apply(v), atol=1e-12)
    product = multiply(a.as_quat(), b.as_quat())
    expected = (a * b).as_quat()
    np.testing.assert_allclose(np.abs(np.sum(product * expected, axis=1)), 1.0, atol=1e-12)


def test_kinds_sizes_and_reach(figure_file: Path) -> None:
    figure = load_figure(figure_file)
    assert [shape.kind for shape in figure.shapes] == ["box", "sphere", "capsule", "cylinder", "sphere"]
    assert figure.shapes[0].scale == (0.12, 0.2, 0.3)
    assert figure.shapes[1].scale == (0.12, 0.12, 0.12)
    half = np.hypot(0.1, 0.45) / 2  # of the segment from (0, 0.05) to (0.1, 0.5)
    np.testing.assert_allclose(figure.shapes[2].scale, (0.06, 0.06, half), rtol=1e-6)
    np.testing.assert_allclose(figure.shapes[3].scale, (0.07, 0.07, 0.1))
    assert figure.shapes[4].scale == (0.1, 0.18, 0.3)
    assert figure.radius >= np.linalg.norm([0.1, 0.75, 0.2])  # the cylinder's centre, from the trunk
    assert figure.radius < 1.1


def test_right_side_by_default_pose(tmp_path: Path) -> None:
    path = write(
        tmp_path / "sides.xml",
        '<body name="b"><geom size="0.1"/><geom pos="0 0.3 0" size="0.1"/><geom pos="0 -0.3 0" size="0.1"/></body>',
    )
    assert [shape.right_side for shape in load_figure(path).shapes] == [False, False, True]


def test_visual_meshes_replace_collision_shapes_body_by_body(tmp_path: Path) -> None:
    (tmp_path / "part.obj").write_text(OCTAHEDRON, encoding="utf-8")
    path = write(
        tmp_path / "meshes.xml",
        '<geom name="floor" type="plane" size="1 1 1"/>'
        '<body name="a"><geom type="box" size="1 1 1"/>'
        '<geom type="mesh" mesh="part" pos="0 0 2" contype="0" conaffinity="0"/>'
        '<body name="b" pos="1 0 0"><geom size="0.2"/></body></body>',
        '<mesh name="part" file="part.obj"/>',
    )
    figure = load_figure(path)
    assert [(shape.body, shape.kind) for shape in figure.shapes] == [("a", "mesh"), ("b", "sphere")]
    points, normals = figure.meshes[figure.shapes[0].mesh]
    shape = figure.shapes[0]
    world = rotate(np.tile(shape.rotation, (len(points), 1)), points) + shape.position
    assert len(points) == 3 * 8  # eight faces
    np.testing.assert_allclose(world.max(axis=0), (1, 1, 3), atol=1e-6)
    np.testing.assert_allclose(world.min(axis=0), (-1, -1, 1), atol=1e-6)
    np.testing.assert_allclose(np.abs(normals), 1 / np.sqrt(3), atol=1e-6)
    centres = points.reshape(-1, 3, 3).mean(axis=1)
    assert (np.sum(centres * normals[::3], axis=1) > 0).all()  # they point outwards


def test_coarsening_keeps_the_form_and_drops_flat_triangles() -> None:
    side = np.linspace(0.0, 1.0, 41)
    x, y = np.meshgrid(side, side, indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    corner = (np.arange(40)[:, None] * 41 + np.arange(40)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 41, corner + 1], 1), np.stack([corner + 1, corner + 41, corner + 42], 1)]
    )
    few_points, few_faces = _coarse(points, faces, cell=0.1001)
    assert len(few_points) == 100
    corners, normals = _facets(few_points, few_faces)
    assert len(few_faces) < len(faces) / 10
    np.testing.assert_allclose(normals[:, 2], 1.0)  # none turned over
    triangles = corners.reshape(-1, 3, 3).astype(np.float64)
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1) / 2
    assert 0.8 < area.sum() <= 1.0


def test_body_names_may_be_paths_and_come_in_any_order(figure_file: Path) -> None:
    figure = load_figure(figure_file)
    names = ("figure/worldbody/trunk/legs", "head", "trunk/left_arm", "figure/worldbody/trunk")
    assert match_bodies(figure, names, figure_file) == {"legs": 0, "head": 1, "left_arm": 2, "trunk": 3}


def test_wrong_body_names_are_told(figure_file: Path) -> None:
    figure = load_figure(figure_file)
    with pytest.raises(InputError, match="'heat'; did you mean 'head'"):
        match_bodies(figure, ("trunk", "heat", "left_arm", "legs"), figure_file)
    with pytest.raises(InputError, match="drawn bodies legs"):
        match_bodies(figure, ("trunk", "head", "left_arm"), figure_file)


def test_bad_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_figure(tmp_path / "none.xml")
    broken = tmp_path / "broken.xml"
    broken.write_text("<mujoco><worldbody><body></worldbody></mujoco>", encoding="utf-8")
    with pytest.raises(InputError, match="cannot compile"):
        load_figure(broken)
    with pytest.raises(InputError, match="to draw"):
        load_figure(write(tmp_path / "empty.xml", '<body name="a"/>'))
