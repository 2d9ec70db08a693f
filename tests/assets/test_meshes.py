"""Fetched meshes: where they sit, that they are only drawn, and what a rerun or the user's own files change."""

import dataclasses
import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
from rich.console import Console

from mimickit.data import meshes
from mimickit.data.fetch.download import read_member
from mimickit.data.files import default_cache
from mimickit.data.meshes import MESH_FOLDER, SOURCES, MeshSource, add_meshes
from mimickit.data.recipes.packages import Package
from mimickit.errors import InputError
from mimickit.render.geometry import load_figure

CHARACTER = """
<mujoco model="robot">
  <compiler angle="degree"/>
  <default><default class="robot">
    <default class="cover"><geom contype="0" conaffinity="0"/><default class="small_cover"><geom size="0.01"/></default></default>
  </default></default>
  <worldbody><body name="trunk" childclass="robot">
    <freejoint/>
    <!-- the waist is higher than in the package's model, and the head a body -->
    <geom name="trunk" type="box" size="0.1 0.1 0.1"/><geom class="small_cover"/>
    <body name="arm" pos="0.1 0 0.3" quat="0.8 0 0.6 0">
      <inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>
      <joint name="arm" axis="0 1 0" range="-90 90"/>
      <geom name="arm" size="0.05"/>
      <body name="head" pos="0 0 0.2"><geom name="head" size="0.06"/></body>
    </body>
    <body name="leg" pos="0 0 -0.3"><joint name="leg" axis="0 1 0" range="-90 90"/><geom name="leg" size="0.05"/></body>
  </body></worldbody>
</mujoco>
"""  # noqa: E501
MODEL = """
<mujoco>
  <compiler angle="radian" meshdir="assets"/>
  <asset>
    <material name="black" rgba="0.1 0.1 0.1 1"/>
    <mesh name="hull" file="hull.obj"/><mesh file="arm.obj"/><mesh name="head" file="head.obj"/>
  </asset>
  <worldbody><body name="trunk" pos="0 0 0.8">
    <freejoint/><inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>
    <geom type="mesh" mesh="hull" contype="0" conaffinity="0" material="black"/>
    <body name="arm" pos="0.1 0 0.25" euler="0.3 0 0">
      <joint axis="0 1 0" range="-1 1"/><inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>
      <geom type="mesh" mesh="arm" contype="0" conaffinity="0" pos="0 0.01 0.02" quat="0.5 0.5 -0.5 0.5"/>
      <geom type="mesh" mesh="head" contype="0" conaffinity="0" pos="0 0 0.3"/>
      <geom type="mesh" mesh="arm"/>
    </body>
  </body></worldbody>
</mujoco>
"""
FACES = "f 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"


def _tetrahedron(size: float) -> str:
    return f"v 0 0 0\nv {size} 0 0\nv 0 {2 * size} 0\nv 0 0 {3 * size}\n{FACES}"


@dataclasses.dataclass(frozen=True)
class Workshop:
    """A character in ``assets`` and the archive in ``cache`` that holds its meshes."""

    assets: Path
    cache: Path
    source: MeshSource

    @property
    def folder(self) -> Path:
        return self.assets / "g1"

    def add(self) -> None:
        add_meshes(self.assets, self.cache, Console())

    def stamps(self) -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in self.folder.rglob("*") if p.is_file()}


@pytest.fixture
def make_workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Workshop]:
    """A workshop with the small robot of this file; ``model`` is what its package says."""

    def make(model: str = MODEL) -> Workshop:
        wheel = tmp_path / "cache" / "wheels" / "robot-1.0-py3-none-any.whl"
        wheel.parent.mkdir(parents=True)
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("robot/model.xml", model)
            for name, size in (("hull", 0.1), ("arm", 0.05), ("head", 0.04)):
                archive.writestr(f"robot/assets/{name}.obj", _tetrahedron(size))
            archive.writestr("robot-1.0.dist-info/LICENSE", "Do what you like.\n")
        content = wheel.read_bytes()
        package = Package("robot", "1.0", wheel.name, len(content), hashlib.sha256(content).hexdigest(), "CC0-1.0")
        source = MeshSource("g1", package, "robot/model.xml", "robot-1.0.dist-info/LICENSE")
        monkeypatch.setattr(meshes, "SOURCES", (source,))
        character = tmp_path / "assets" / "g1" / "g1.xml"
        character.parent.mkdir(parents=True)
        character.write_text(CHARACTER, encoding="utf-8")
        return Workshop(tmp_path / "assets", tmp_path / "cache", source)

    return make


@pytest.fixture
def workshop(make_workshop: Callable[..., Workshop]) -> Workshop:
    return make_workshop()


def _corners(model: mujoco.MjModel) -> list[tuple[str, np.ndarray]]:
    """Mesh name and corners (V, 3) against the root, of every drawn mesh, all joints at 0, in order of the names."""
    data = mujoco.MjData(model)
    data.qpos[:] = 0.0
    data.qpos[3] = 1.0
    mujoco.mj_kinematics(model, data)
    found = []
    for g in range(model.ngeom):
        if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_MESH and not model.geom_contype[g]:
            mesh = model.geom_dataid[g]
            first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
            turn = data.geom_xmat[g].reshape(3, 3)
            corners = model.mesh_vert[first : first + count] @ turn.T + data.geom_xpos[g]
            found.append((Path(model.mesh(mesh).name).stem.removesuffix("_rev_1_0"), corners))
    return sorted(found, key=lambda one: (one[0], *one[1].mean(axis=0).round(4)))


def _assert_same_corners(ours: mujoco.MjModel, theirs: mujoco.MjModel, atol: float) -> None:
    found, expected = _corners(ours), _corners(theirs)
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (name, corners), (_, wanted) in zip(found, expected, strict=True):
        np.testing.assert_allclose(corners, wanted, atol=atol, err_msg=name)


def test_meshes_sit_where_the_packages_model_has_them(workshop: Workshop) -> None:
    workshop.add()
    files = {f"assets/{p.name}": p.read_bytes() for p in (workshop.folder / MESH_FOLDER).glob("*.obj")}
    theirs = mujoco.MjModel.from_xml_string(MODEL, files)
    ours = mujoco.MjModel.from_xml_path(str(workshop.folder / "g1_mesh.xml"))
    assert len(_corners(ours)) == 3
    _assert_same_corners(ours, theirs, atol=2e-6)


def test_a_mesh_goes_to_the_body_of_its_own_name_and_keeps_its_colour(workshop: Workshop) -> None:
    workshop.add()
    model = mujoco.MjModel.from_xml_path(str(workshop.folder / "g1_mesh.xml"))
    placed = {
        model.mesh(model.geom_dataid[g]).name: (model.body(model.geom_bodyid[g]).name, model.geom_rgba[g].tolist())
        for g in range(model.ngeom)
        if model.geom_dataid[g] >= 0
    }
    assert {mesh: body for mesh, (body, _) in placed.items()} == {"hull": "trunk", "arm": "arm", "head": "head"}
    np.testing.assert_allclose(placed["hull"][1], [0.1, 0.1, 0.1, 1.0], atol=1e-6)


def test_meshes_are_drawn_and_do_not_collide_or_weigh(workshop: Workshop) -> None:
    workshop.add()
    plain, meshed = (mujoco.MjModel.from_xml_path(str(workshop.folder / name)) for name in ("g1.xml", "g1_mesh.xml"))
    for field in ("body_pos", "body_quat", "jnt_range", "body_ipos"):
        np.testing.assert_array_equal(getattr(meshed, field), getattr(plain, field), err_msg=field)
    solid = [model.geom_contype != 0 for model in (plain, meshed)]
    for field in ("geom_size", "geom_pos", "geom_type", "geom_bodyid"):
        np.testing.assert_array_equal(getattr(meshed, field)[solid[1]], getattr(plain, field)[solid[0]])
    assert [meshed.body(b).mass[0] for b in (2, 3, 4)] == [plain.body(b).mass[0] for b in (2, 3, 4)]
    # The cover of the trunk had a mass here; what is drawn in its place has none.
    assert meshed.body("trunk").mass[0] == pytest.approx(0.2**3 * 1000)

    shapes = load_figure(workshop.folder / "g1_mesh.xml").shapes
    assert [(shape.body, shape.kind) for shape in shapes] == [
        ("trunk", "mesh"),
        ("arm", "mesh"),
        ("head", "mesh"),
        ("leg", "sphere"),
    ]


def test_the_licence_lies_beside_the_meshes(workshop: Workshop) -> None:
    workshop.add()
    names = {path.name for path in (workshop.folder / MESH_FOLDER).iterdir()}
    assert names == {"hull.obj", "arm.obj", "head.obj", "LICENSE"}
    assert (workshop.folder / MESH_FOLDER / "LICENSE").read_text() == "Do what you like.\n"


def test_a_rerun_changes_nothing_and_needs_no_package(workshop: Workshop) -> None:
    workshop.add()
    before = workshop.stamps()
    shutil.rmtree(workshop.cache)
    workshop.add()
    assert workshop.stamps() == before


def test_two_builds_give_the_same_bytes(workshop: Workshop) -> None:
    workshop.add()
    first = (workshop.folder / "g1_mesh.xml").read_bytes()
    (workshop.folder / "g1_mesh.xml").unlink()
    workshop.add()
    assert (workshop.folder / "g1_mesh.xml").read_bytes() == first


def test_an_interrupted_run_leaves_no_character_and_the_next_one_completes_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(archive: Path, member: str) -> bytes:
        if member.endswith("arm.obj"):
            raise KeyboardInterrupt
        return read_member(archive, member)

    with monkeypatch.context() as patched:
        patched.setattr(meshes, "read_member", stops)
        with pytest.raises(KeyboardInterrupt):
            workshop.add()
    assert not (workshop.folder / "g1_mesh.xml").exists()
    workshop.add()
    mujoco.MjModel.from_xml_path(str(workshop.folder / "g1_mesh.xml"))


def test_a_lost_mesh_comes_back(workshop: Workshop) -> None:
    workshop.add()
    lost = workshop.folder / MESH_FOLDER / "arm.obj"
    lost.unlink()
    workshop.add()
    assert lost.read_text() == _tetrahedron(0.05)


def test_a_changed_character_is_given_its_meshes_anew(workshop: Workshop) -> None:
    workshop.add()
    character = workshop.folder / "g1.xml"
    character.write_text(CHARACTER.replace('name="leg" size="0.05"', 'name="leg" size="0.07"'), encoding="utf-8")
    workshop.add()
    model = mujoco.MjModel.from_xml_path(str(workshop.folder / "g1_mesh.xml"))
    assert model.geom("leg").size[0] == 0.07


def test_the_users_own_files_stay(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    own = workshop.folder / MESH_FOLDER / "arm.obj"
    own.parent.mkdir()
    own.write_text(_tetrahedron(0.5))
    workshop.add()
    assert own.read_text() == _tetrahedron(0.5)

    character = workshop.folder / "g1_mesh.xml"
    character.write_text("<mujoco/>")
    workshop.add()
    assert character.read_text() == "<mujoco/>"
    assert "your own file" in capsys.readouterr().out


def test_a_character_with_meshes_of_its_own_is_left_alone(workshop: Workshop) -> None:
    asset = '<asset><mesh name="own" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset>'
    text = CHARACTER.replace("<worldbody>", f"{asset}<worldbody>")
    (workshop.folder / "g1.xml").write_text(text, encoding="utf-8")
    workshop.add()
    assert [path.name for path in workshop.folder.iterdir()] == ["g1.xml"]


def test_what_does_not_fit_is_told(make_workshop: Callable[..., Workshop]) -> None:
    workshop = make_workshop(MODEL.replace('body name="trunk"', 'body name="ship"'))
    with pytest.raises(InputError, match="'hull' sits on the body 'ship'"):
        workshop.add()
    (workshop.folder / "g1.xml").unlink()
    with pytest.raises(InputError, match="no character"):
        workshop.add()
    assert not list(workshop.folder.rglob("*"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.character)
def test_the_robots_own_meshes(source: MeshSource, assets: Path, tmp_path: Path) -> None:
    wheel = default_cache() / "wheels" / source.package.filename
    if not wheel.is_file():
        pytest.skip(f"{source.package.filename} is not in the cache ({wheel.parent})")
    shutil.copytree(assets / source.character, tmp_path / source.character)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(meshes, "SOURCES", (source,))
        add_meshes(tmp_path, default_cache(), Console())
    ours = mujoco.MjModel.from_xml_path(str(tmp_path / source.character / f"{source.character}_mesh.xml"))
    with zipfile.ZipFile(wheel) as archive:
        folder = f"{Path(source.model).parent}/assets/"
        files = {f"assets/{n.removeprefix(folder)}": archive.read(n) for n in archive.namelist() if folder in n}
        theirs = mujoco.MjModel.from_xml_string(archive.read(source.model).decode(), files)
    assert len(_corners(ours)) > 30
    _assert_same_corners(ours, theirs, atol=1e-4)
    plain = mujoco.MjModel.from_xml_path(str(assets / source.character / f"{source.character}.xml"))
    np.testing.assert_array_equal(ours.body_mass, plain.body_mass)
    np.testing.assert_array_equal(ours.body_inertia, plain.body_inertia)
