"""Shoulders and hips made of three hinges in a row: which of the two ways to reach a rotation to take, over time.

Followed from pose to pose, such a joint may pass where two of its hinges line up, come out on the wrong side, and wind
itself up against its limits. Seen over the whole motion, the better way is known from the start.
"""

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from mimickit.data.quaternions import inverse, multiply, rotate
from mimickit.data.retarget.rig import Rig
from mimickit.data.retarget.rotations import IDENTITY
from mimickit.data.retarget.skeletons import SIDES

_TURN = 2.0 * np.pi
_BEYOND, _BENT = 4.0, 0.01  # costs of a squared radian: beyond a limit, and away from zero
_PARENTS = {"thigh": "pelvis", "upper_arm": "chest"}
_JOINTS = [(f"{side}_{segment}", parent) for side in SIDES for segment, parent in _PARENTS.items()]


@dataclasses.dataclass(frozen=True)
class _Row:
    """Three hinges between a segment and the one it hangs on, the middle one at right angles to both others."""

    bodies: tuple[str, ...]
    axes: np.ndarray  # (3, 3), a row each, in the upper body's frame at zero
    zero: np.ndarray  # (4,) the lower body's rotation at zero
    limits: np.ndarray  # (3, 2)


def _row(rig: Rig, segment: str, parent: str) -> _Row | None:
    """The hinges of the joint between two segments; None for one of another kind."""
    bodies = rig.character.bodies
    top = rig.body_index(rig.skeleton.segments[parent])
    path = [rig.body_index(rig.skeleton.segments[segment])]
    while bodies[path[0]].parent != top:
        path.insert(0, bodies[path[0]].parent)
    rotation, names, axes, limits = IDENTITY, [], [], []
    for body in (bodies[i] for i in path):
        rotation = multiply(rotation, body.rot)
        if body.joint is not None:
            if body.joint.axis is None:
                return None
            names.append(body.name)
            axes.append(rotate(rotation, body.joint.axis))
            limits.append(rig.skeleton.limits.get(body.name, body.joint.limits[0]))
    if len(names) != 3 or abs(np.dot(axes[0], axes[1])) > 1e-3 or abs(np.dot(axes[1], axes[2])) > 1e-3:
        return None
    return _Row(tuple(names), np.array(axes), rotation, np.array(limits))


def hinge_rows(rig: Rig) -> list[str]:
    """The bodies moved by hinges in such rows."""
    rows = (_row(rig, segment, parent) for segment, parent in _JOINTS)
    return [body for row in rows if row is not None for body in row.bodies]


def best_angles(rig: Rig, rotations: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Angles (N,) by body, within limits, of all hinges in such rows, for segments turned by ``rotations`` (N, 4)."""
    angles: dict[str, np.ndarray] = {}
    for segment, parent in _JOINTS:
        row = _row(rig, segment, parent)
        if row is not None:
            upper, lower = (multiply(rotations[name], inverse(rig.frames[name])) for name in (parent, segment))
            wanted = multiply(multiply(inverse(upper), lower), inverse(row.zero))
            course = _cheapest(_ways(row, wanted), row.limits)
            angles.update(zip(row.bodies, np.clip(course, *row.limits.T).T, strict=True))
    return angles


def _ways(row: _Row, wanted: np.ndarray) -> np.ndarray:
    """All angles (N, W, 3) with which the hinges make the rotations ``wanted`` (N, 4), give or take whole turns."""
    first = Rotation.from_quat(wanted).as_davenport(row.axes, "intrinsic", suppress_warnings=True)
    between = np.arctan2(np.dot(np.cross(row.axes[2], row.axes[0]), row.axes[1]), np.dot(row.axes[2], row.axes[0]))
    second = np.stack([first[:, 0] + np.pi, 2.0 * between - first[:, 1], first[:, 2] + np.pi], axis=1)
    centre = row.limits.mean(axis=1)
    ways = [way - _TURN * np.round((way - centre) / _TURN) for way in (first, second)]
    shifts = np.array(list(itertools.product((-_TURN, 0.0, _TURN), (0.0,), (-_TURN, 0.0, _TURN))))
    return np.concatenate([way[:, None] + shifts for way in ways], axis=1)


def _cheapest(ways: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The course (N, 3) through the ``ways`` (N, W, 3) that turns and breaks limits least."""
    beyond = np.maximum(0.0, np.maximum(limits[:, 0] - ways, ways - limits[:, 1]))
    own = _BEYOND * np.sum(beyond**2, axis=2) + _BENT * np.sum(ways**2, axis=2)
    inside = np.clip(ways, *limits.T)
    total, came_from = own[0], []
    for frame in range(1, len(ways)):
        change = np.sum((inside[frame][:, None] - inside[frame - 1]) ** 2, axis=2)
        reached = total + change
        came_from.append(np.argmin(reached, axis=1))
        total = reached.min(axis=1) + own[frame]
    way = int(np.argmin(total))
    chosen = [way]
    for previous in reversed(came_from):
        way = int(previous[way])
        chosen.append(way)
    return ways[np.arange(len(ways)), chosen[::-1]]
