"""The drawable shapes of an MJCF or URDF file, as MuJoCo's compiler sees them."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from mimickit.errors import InputError, MissingDataError

# MuJoCo geometry type -> what it is drawn as, and how its size vector becomes the scale of a unit shape.
# A capsule's scale is (radius, radius, half height), which the viewer's capsule batch expects.
UNIT_SHAPES = {
    mujoco.mjtGeom.mjGEOM_SPHERE: ("sphere", lambda size: (size[0], size[0], size[0])),
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: ("sphere", lambda size: tuple(size)),
    mujoco.mjtGeom.mjGEOM_CAPSULE: ("capsule", lambda size: (size[0], size[0], size[1])),
    mujoco.mjtGeom.mjGEOM_CYLINDER: ("cylinder", lambda size: (size[0], size[0], size[1])),
    mujoco.mjtGeom.mjGEOM_BOX: ("box", lambda size: tuple(size)),
    mujoco.mjtGeom.mjGEOM_MESH: ("mesh", lambda size: (1.0, 1.0, 1.0)),
}


@dataclass(frozen=True)
class Shape:
    """One piece of geometry fixed to a body.

    Attributes:
        kind: ``sphere``, ``capsule``, ``cylinder``, ``box`` or ``mesh``.
        mesh: index into :attr:`Figure.meshes`, or -1.
        scale: size of the unit shape, (3,), metres.
        body: name of the body it is fixed to.
        position: in the body's frame, (3,), metres.
        rotation: in the body's frame, quaternion xyzw, (4,).
        right_side: its centre is on the character's right (y < 0) in the file's default pose.
    """

    kind: str
    mesh: int
    scale: tuple[float, ...]
    body: str
    position: np.ndarray
    rotation: np.ndarray
    right_side: bool


@dataclass(frozen=True)
class Figure:
    """All shapes of one file.

    Attributes:
        shapes: in file order.
        meshes: (triangle corners (3 n, 3) in metres, their normals (3 n, 3)) per mesh.
        body_names: every body of the file but the world, in file order.
        radius: distance from the root to the farthest point in the default pose, metres.
    """

    shapes: tuple[Shape, ...]
    meshes: tuple[tuple[np.ndarray, np.ndarray], ...]
    body_names: tuple[str, ...]
    radius: float


def load_figure(path: Path) -> Figure:
    """Reads the shapes of an MJCF or URDF file.

    A body with visual geometry (neither ``contype`` nor ``conaffinity``) is drawn with it, another with its collision
    geometry. Geometry of the world body is left out. Fine meshes are coarsened: a character is a few hundred pixels
    tall, and a software renderer draws every triangle.

    Raises:
        InputError: the file is missing, does not compile, or holds nothing that can be drawn.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; a character or prop file (MJCF or URDF) is needed to draw it")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        spec.compiler.fusestatic = False
        spec.compiler.discardvisual = False
        model = spec.compile()
    except ValueError as error:
        raise InputError(f"{path}: MuJoCo cannot compile it: {error}") from error
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)

    drawn = [geom for geom in _chosen_geoms(model) if int(model.geom_type[geom]) in UNIT_SHAPES]
    if not drawn:
        raise InputError(f"{path}: no body carries a sphere, capsule, cylinder, box, ellipsoid or mesh to draw")
    root = data.xpos[model.geom_bodyid[drawn[0]]] if model.nbody < 2 else data.xpos[1]
    radius = max(float(np.linalg.norm(data.geom_xpos[g] - root) + model.geom_rbound[g]) for g in drawn)

    used = sorted({int(model.geom_dataid[g]) for g in drawn if model.geom_dataid[g] >= 0})
    meshes = tuple(_facets(*_coarse(*_mesh_arrays(model, mesh), cell=radius / 90.0)) for mesh in used)
    shapes = []
    for geom in drawn:
        kind, scale = UNIT_SHAPES[int(model.geom_type[geom])]
        w, x, y, z = model.geom_quat[geom]
        shapes.append(
            Shape(
                kind=kind,
                mesh=used.index(int(model.geom_dataid[geom])) if kind == "mesh" else -1,
                scale=tuple(float(value) for value in scale(model.geom_size[geom])),
                body=model.body(int(model.geom_bodyid[geom])).name,
                position=np.array(model.geom_pos[geom]),
                rotation=np.array([x, y, z, w]),
                right_side=bool(data.geom_xpos[geom][1] - root[1] < -0.01),
            )
        )
    names = tuple(model.body(i).name for i in range(1, model.nbody))
    return Figure(tuple(shapes), meshes, names, radius)


def match_bodies(figure: Figure, body_names: Sequence[str], path: Path) -> dict[str, int]:
    """Maps each drawn body of the file to its row in the poses, by name.

    Raises:
        InputError: a drawn body has no pose, or a pose belongs to no body of the file.
    """
    rows: dict[str, int] = {}
    for row, name in enumerate(body_names):
        body = name if name in figure.body_names else name.rsplit("/", 1)[-1]
        if body not in figure.body_names:
            near = difflib.get_close_matches(body, figure.body_names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(figure.body_names)}"
            raise InputError(f"{path}: no body is named {name!r}{hint}")
        rows[body] = row
    missing = sorted({shape.body for shape in figure.shapes} - set(rows))
    if missing:
        raise InputError(f"{path}: no pose is given for the drawn bodies {', '.join(missing)}")
    return rows


def _chosen_geoms(model: mujoco.MjModel) -> list[int]:
    chosen = []
    for body in range(1, model.nbody):
        geoms = [g for g in range(model.ngeom) if model.geom_bodyid[g] == body]
        visual = [g for g in geoms if model.geom_contype[g] == 0 and model.geom_conaffinity[g] == 0]
        chosen += visual or geoms
    return chosen


def _mesh_arrays(model: mujoco.MjModel, mesh: int) -> tuple[np.ndarray, np.ndarray]:
    vertex = model.mesh_vertadr[mesh]
    face = model.mesh_faceadr[mesh]
    points = model.mesh_vert[vertex : vertex + model.mesh_vertnum[mesh]]
    return np.array(points, dtype=np.float64), np.array(model.mesh_face[face : face + model.mesh_facenum[mesh]])


def _coarse(points: np.ndarray, faces: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Merges the vertices that share a cubic cell (at their mean) and drops the triangles this flattens.

    After J. Rossignac and P. Borrel, "Multi-resolution 3D approximations for rendering complex scenes", 1993.
    """
    _, owner, count = np.unique(np.floor(points / cell), axis=0, return_inverse=True, return_counts=True)
    owner = owner.reshape(-1)
    merged = np.zeros((len(count), 3))
    np.add.at(merged, owner, points)
    merged /= count[:, None]
    corners = owner[faces]
    kept = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    corners = corners[kept]
    _, first = np.unique(np.sort(corners, axis=1), axis=0, return_index=True)
    return merged, corners[np.sort(first)]


def _facets(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return corners.reshape(-1, 3).astype(np.float32), np.repeat(normals, 3, axis=0).astype(np.float32)
