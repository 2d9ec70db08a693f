"""A character as the converters need it: its tree of bodies, the order of its joints, and where its lowest point is."""

import dataclasses
from pathlib import Path

import mujoco
import numpy as np

from mimickit.data.motion import Motion
from mimickit.data.quaternions import from_exponential_map, inverse, multiply, rotate, to_exponential_map
from mimickit.errors import InputError


@dataclasses.dataclass(frozen=True)
class Joint:
    """How a body moves against its parent: ``axis`` for a hinge, None for a ball joint.

    A ball joint's three coordinates are an exponential map; its names and limits are those of the three hinges (about
    x, y and z) that the MJCF file spells it with.
    """

    axis: np.ndarray | None
    names: tuple[str, ...]  # of its hinges
    limits: np.ndarray  # (dofs, 2) lowest and highest coordinate, radians; infinite where the file sets none

    @property
    def dofs(self) -> int:
        """Coordinates the joint takes in a clip's frame."""
        return 3 if self.axis is None else 1


@dataclasses.dataclass(frozen=True)
class Body:
    """A body of the tree, placed in its parent's frame."""

    name: str
    parent: int  # index of the parent body; -1 for the root
    pos: np.ndarray  # (3,)
    rot: np.ndarray  # (4,) xyzw
    joint: Joint | None  # None for the root and for a body fixed to its parent


@dataclasses.dataclass(frozen=True)
class Shape:
    """A colliding geom, placed in its body's frame."""

    body: int
    pos: np.ndarray  # (3,)
    rot: np.ndarray  # (4,) xyzw
    size: np.ndarray  # (3,) as MuJoCo means it for this type
    type: mujoco.mjtGeom
    vertices: np.ndarray  # (V, 3) of a mesh, in the shape's own frame; (0, 3) for any other type


@dataclasses.dataclass(frozen=True)
class Character:
    """Bodies in depth-first order, the root first, and the shapes that can touch the ground."""

    source: str
    bodies: tuple[Body, ...]
    shapes: tuple[Shape, ...]


def _round_edge(down: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 3) across the z axis towards ``down``; zero where it points along the axis."""
    across = down * np.array([1.0, 1.0, 0.0])
    length = np.linalg.norm(across, axis=-1, keepdims=True)
    return across / np.where(length < 1e-9, 1.0, length)


# the point (N, 3) of a shape that lies furthest along `down` (N, 3), both in the shape's own frame
_FURTHEST = {
    mujoco.mjtGeom.mjGEOM_SPHERE: lambda shape, down: shape.size[0] * down,
    mujoco.mjtGeom.mjGEOM_CAPSULE: lambda shape, down: (
        shape.size[0] * down + shape.size[1] * np.sign(down) * np.array([0.0, 0.0, 1.0])
    ),
    mujoco.mjtGeom.mjGEOM_BOX: lambda shape, down: shape.size * np.sign(down),
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: lambda shape, down: (
        shape.size**2 * down / np.linalg.norm(shape.size * down, axis=-1, keepdims=True)
    ),
    mujoco.mjtGeom.mjGEOM_CYLINDER: lambda shape, down: (
        shape.size[0] * _round_edge(down) + shape.size[1] * np.sign(down) * np.array([0.0, 0.0, 1.0])
    ),
    mujoco.mjtGeom.mjGEOM_MESH: lambda shape, down: shape.vertices[np.argmax(down @ shape.vertices.T, axis=-1)],
}


def _xyzw(wxyz: np.ndarray) -> np.ndarray:
    return np.asarray(wxyz, dtype=float)[[1, 2, 3, 0]]


def _joint(model: mujoco.MjModel, index: int, where: str) -> Joint | None:
    first, count = model.body_jntadr[index], model.body_jntnum[index]
    joints = range(first, first + count)
    if any(model.jnt_type[j] != mujoco.mjtJoint.mjJNT_HINGE for j in joints):
        raise InputError(f"{where}: only hinges are understood below the root")
    if any(np.any(model.jnt_pos[j] != 0.0) for j in joints):
        raise InputError(f"{where}: a joint away from its body's origin is not understood")
    if count == 0:
        return None
    names = tuple(model.joint(j).name for j in joints)
    limited = np.array([bool(model.jnt_limited[j]) for j in joints])
    limits = np.where(limited[:, None], model.jnt_range[first : first + count], [-np.inf, np.inf])
    if count == 1:
        return Joint(np.array(model.jnt_axis[first]), names, limits)
    if count == 3 and np.allclose(model.jnt_axis[first : first + 3], np.eye(3)):
        return Joint(None, names, limits)
    raise InputError(f"{where}: expected one hinge, or three about x, y and z in this order, found {count}")


def _vertices(model: mujoco.MjModel, geom: int) -> np.ndarray:
    if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_MESH:
        return np.zeros((0, 3))
    mesh = model.geom_dataid[geom]
    first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    return np.unique(model.mesh_vert[first : first + count].astype(float), axis=0)


def read_model(path: Path) -> mujoco.MjModel:
    """A character's MJCF file. Raises `InputError` when it is not there, or MuJoCo cannot read it."""
    if not path.is_file():
        raise InputError(f"there is no character file {path}; run this from the repository's root, or pass --assets")
    try:
        return mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        raise InputError(f"{path}: MuJoCo cannot read this file: {error}") from error


def load_character(path: Path) -> Character:
    """Read an MJCF file whose root body has a free joint. Raises `InputError` for one that a clip cannot drive."""
    model = read_model(path)
    if model.nbody < 2 or model.body_jntnum[1] != 1 or model.jnt_type[0] != mujoco.mjtJoint.mjJNT_FREE:
        raise InputError(f"{path}: the first body needs a free joint, and no other joint")
    bodies = tuple(
        Body(
            name=model.body(i).name,
            parent=int(model.body_parentid[i]) - 1,
            pos=np.array(model.body_pos[i]),
            rot=_xyzw(model.body_quat[i]),
            joint=None if i == 1 else _joint(model, i, f"{path}, body {model.body(i).name!r}"),
        )
        for i in range(1, model.nbody)
    )
    shapes = tuple(
        Shape(
            body=int(model.geom_bodyid[i]) - 1,
            pos=np.array(model.geom_pos[i]),
            rot=_xyzw(model.geom_quat[i]),
            size=np.array(model.geom_size[i]),
            type=mujoco.mjtGeom(model.geom_type[i]),
            vertices=_vertices(model, i),
        )
        for i in range(model.ngeom)
        if model.geom_bodyid[i] > 0 and (model.geom_contype[i] or model.geom_conaffinity[i])
    )
    strange = sorted({shape.type.name for shape in shapes if shape.type not in _FURTHEST})
    if strange:
        raise InputError(f"{path}: the lowest point of these geoms is not known: {', '.join(strange)}")
    return Character(str(path), bodies, shapes)


def check_joints(character: Character, motion: Motion, source: str) -> None:
    """Raise `InputError` unless ``motion`` moves exactly the joints of ``character``."""
    wanted = {body.name: 2 if body.joint.dofs == 3 else 1 for body in character.bodies if body.joint}
    given = {name: track.ndim for name, track in motion.joints.items()}
    if wanted != given:
        wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        raise InputError(f"{source}: the recording and {character.source} disagree about the joints {', '.join(wrong)}")


def body_poses(character: Character, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """World positions (N, B, 3) and rotations (N, B, 4) of the bodies, in the character's order."""
    positions = [motion.root_pos]
    rotations = [motion.root_rot]
    for body in character.bodies[1:]:
        local = np.broadcast_to(body.rot, motion.root_rot.shape)
        if body.joint is not None:
            track = motion.joints[body.name]
            turn = track if body.joint.axis is None else from_exponential_map(track[:, None] * body.joint.axis)
            local = multiply(local, turn)
        positions.append(positions[body.parent] + rotate(rotations[body.parent], body.pos))
        rotations.append(multiply(rotations[body.parent], local))
    return np.stack(positions, axis=1), np.stack(rotations, axis=1)


def shape_lows(character: Character, poses: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest point of each colliding shape: heights (N, S), and where it lies in its body's own frame (N, S, 3).

    ``poses`` are the world positions (N, B, 3) and rotations (N, B, 4) of the bodies, from `body_poses`.
    """
    positions, rotations = poses
    heights, points = [], []
    for shape in character.shapes:
        rotation = rotations[:, shape.body]
        down = rotate(inverse(multiply(rotation, shape.rot)), np.array([0.0, 0.0, -1.0]))
        point = shape.pos + rotate(shape.rot, _FURTHEST[shape.type](shape, down))
        points.append(point)
        heights.append(positions[:, shape.body, 2] + rotate(rotation, point)[:, 2])
    return np.stack(heights, axis=1), np.stack(points, axis=1)


def lowest_points(character: Character, motion: Motion) -> np.ndarray:
    """Height (N,) of the lowest point of any colliding shape, in each frame."""
    heights, _ = shape_lows(character, body_poses(character, motion))
    return heights.min(axis=1)


def to_frames(character: Character, motion: Motion) -> np.ndarray:
    """A clip's frames (N, 6 + dofs): root position, root exponential map, then the joints in depth-first order."""
    columns = [motion.root_pos, to_exponential_map(motion.root_rot)]
    for body in character.bodies:
        if body.joint is not None:
            track = motion.joints[body.name]
            columns.append(to_exponential_map(track) if body.joint.axis is None else track[:, None])
    return np.concatenate(columns, axis=1)


def num_dofs(character: Character) -> int:
    """Coordinates of all joints, the root's left out."""
    return sum(body.joint.dofs for body in character.bodies if body.joint)


def joints_of_dofs(character: Character, dofs: np.ndarray) -> dict[str, np.ndarray]:
    """The tracks of a `Motion`'s joints, from the columns (N, D) that follow the root's in a clip's frames."""
    joints, column = {}, 0
    for body in character.bodies:
        if body.joint is not None:
            track = dofs[:, column : column + body.joint.dofs]
            joints[body.name] = from_exponential_map(track) if body.joint.axis is None else track[:, 0]
            column += body.joint.dofs
    return joints
