"""Keeping a character's shapes out of boxes, as a limit of the inverse kinematics."""

from collections.abc import Sequence

import mink
import mujoco
import numpy as np

from mimickit.data.boxes import Box
from mimickit.data.character import Character, Shape
from mimickit.data.quaternions import from_exponential_map, inverse, rotate
from mimickit.errors import InputError

_MARGIN = 0.003  # metres that shapes stay away from boxes
_SEEN = 0.1  # metres: what is further from a box is not looked at
_LONGEST = 0.02  # metres that a shape is moved out in one step
_APART = 0.025  # metres between neighbouring points of a shape


def _spaced(half: float) -> np.ndarray:
    """Numbers from -half to half, evenly spaced."""
    return np.linspace(-half, half, 1 + int(np.ceil(2.0 * half / _APART)))


def _on_axis(shape: Shape) -> tuple[np.ndarray, float]:
    z = _spaced(shape.size[1])
    return np.stack([0.0 * z, 0.0 * z, z], axis=1), float(shape.size[0])


def _throughout(shape: Shape) -> tuple[np.ndarray, float]:
    grid = np.meshgrid(*(_spaced(half) for half in shape.size), indexing="ij")
    return np.stack([axis.ravel() for axis in grid], axis=1), 0.0


# balls that fill a shape: their centres (P, 3) in the shape's own frame, and their radius
_BALLS = {
    mujoco.mjtGeom.mjGEOM_SPHERE: lambda shape: (np.zeros((1, 3)), float(shape.size[0])),
    mujoco.mjtGeom.mjGEOM_CAPSULE: _on_axis,
    mujoco.mjtGeom.mjGEOM_BOX: _throughout,
    mujoco.mjtGeom.mjGEOM_MESH: lambda shape: (shape.vertices, 0.0),
}


def signed_distances(box: Box, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of points (P, 3): how far each is outside of the box, negative inside, and the shortest way out (P, 3).

    The box stands on something, so that nothing gets out below.
    """
    turn = from_exponential_map(np.array([0.0, 0.0, box.yaw]))
    own = rotate(inverse(turn), points - np.array(box.center))
    sides = np.where(own < 0.0, -1.0, 1.0) * [1.0, 1.0, 0.0] + [0.0, 0.0, 1.0]
    beyond = sides * own - 0.5 * np.array(box.size)
    inside = np.all(beyond < 0.0, axis=1)
    nearest_face = np.eye(3)[np.argmax(beyond, axis=1)]
    away = np.where(inside[:, None], nearest_face, np.maximum(beyond, 0.0))
    length = np.linalg.norm(away, axis=1)
    direction = sides * away / np.maximum(length, 1e-9)[:, None]
    return np.where(inside, beyond.max(axis=1), length), rotate(turn, direction)


class OutsideLimit(mink.Limit):
    """Lets no colliding shape come into a box, and moves those that are in one out of it, the shortest way.

    Raises `InputError` for a character with shapes of a type that no balls are known for.
    """

    def __init__(self, model: mujoco.MjModel, character: Character, boxes: Sequence[Box]) -> None:
        strange = sorted({shape.type.name for shape in character.shapes if shape.type not in _BALLS})
        if strange:
            raise InputError(f"{character.source}: cannot keep these geoms out of boxes: {', '.join(strange)}")
        self._boxes = boxes
        bodies, centers, radii = [], [], []
        for shape in character.shapes:
            points, radius = _BALLS[shape.type](shape)
            centers.append(shape.pos + rotate(shape.rot, points))
            bodies.extend([model.body(character.bodies[shape.body].name).id] * len(points))
            radii.extend([radius] * len(points))
        self._bodies, self._centers, self._radii = np.array(bodies), np.concatenate(centers), np.array(radii)

    def compute_qp_inequalities(self, configuration: mink.Configuration, dt: float) -> mink.Constraint:
        """How far what is near a box may come nearer in the next step, to first order."""
        model, data = configuration.model, configuration.data
        turns = data.xmat[self._bodies].reshape(-1, 3, 3)
        points = data.xpos[self._bodies] + np.einsum("pij,pj->pi", turns, self._centers)
        change = np.zeros((3, model.nv))
        rows, room = [], []
        for box in self._boxes:
            distance, outwards = signed_distances(box, points)
            distance -= self._radii
            for i in np.flatnonzero(distance < _SEEN):
                mujoco.mj_jac(model, data, change, None, points[i], self._bodies[i])
                rows.append(-outwards[i] @ change)
                room.append(max(distance[i] - _MARGIN, -_LONGEST))
        if not rows:
            return mink.Constraint()
        return mink.Constraint(G=np.array(rows), h=np.array(room))
