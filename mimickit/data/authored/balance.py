"""Shifts of the pelvis that leave the ground able to carry a motion.

A standing foot can only push where it is. The point the ground must push from (the zero-moment point) is, for a body
of centre c at height h, c - h / (g + h'') c''. Key poses alone ask for points far outside the feet whenever the body
starts, stops or lifts a foot; a fencer prepares for those by shifting weight. The shift found here is that one.
"""

import numpy as np
from scipy.spatial import ConvexHull

from mimickit.data.authored.fencer import Fencer
from mimickit.data.authored.legs import FootTrack
from mimickit.data.character import Character, body_poses
from mimickit.data.motion import Motion
from mimickit.data.quaternions import rotate

_GRAVITY = 9.81
_INSET = 0.8  # share of the soles, about their middle, that is to carry
_STAY = 0.15  # weight of staying where the keys put the body, against 1 for standing on the feet
_EVEN = 1e-6  # weight of an even shift (its third derivative, in metres a cubed second)


def centre_of_mass(fencer: Fencer, character: Character, motion: Motion) -> np.ndarray:
    """World positions (N, 3) of the centre of mass."""
    positions, rotations = body_poses(character, motion)
    total, moment = 0.0, np.zeros((len(motion.times), 3))
    for i, body in enumerate(character.bodies):
        mass, centre = fencer.masses[body.name]
        moment += mass * (positions[:, i] + rotate(rotations[:, i], centre))
        total += mass
    return moment / total


def _nearest(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The point (2,) of the convex hull of ``corners`` (K, 2) nearest to ``point`` (2,)."""
    hull = ConvexHull(corners)
    if np.all(hull.equations[:, :2] @ point + hull.equations[:, 2] <= 0.0):
        return point
    a, b = corners[hull.simplices[:, 0]], corners[hull.simplices[:, 1]]
    along = np.clip(np.sum((point - a) * (b - a), axis=1) / np.sum((b - a) ** 2, axis=1), 0.0, 1.0)
    candidates = a + along[:, None] * (b - a)
    return candidates[np.argmin(np.linalg.norm(candidates - point, axis=1))]


def _second_derivative(count: int, step: float) -> np.ndarray:
    """Matrix (N, N) of central differences; a body at rest before the first frame and after the last."""
    matrix = (
        np.diag(np.full(count, -2.0)) + np.diag(np.ones(count - 1), 1) + np.diag(np.ones(count - 1), -1)
    ) / step**2
    matrix[0, 0] = matrix[-1, -1] = -1.0 / step**2
    return matrix


def weight_shift(centre: np.ndarray, feet: tuple[FootTrack, ...], fencer: Fencer, times: np.ndarray) -> np.ndarray:
    """How far (N, 2) the centre of mass (N, 3) should move so that the standing ``feet`` carry it; 0 at both ends.

    Least squares over the clip: the zero-moment point in the standing soles, the body near its place, an even shift.
    """
    count, step = len(times), times[1] - times[0]
    second = _second_derivative(count, step)
    height, rising = centre[:, 2], second @ centre[:, 2]
    push = np.eye(count) - (height / (_GRAVITY + rising))[:, None] * second
    point = push @ centre[:, :2]
    target = point.copy()
    for frame in range(count):
        soles = [foot.sole_corners(fencer, frame, _INSET) for foot in feet if foot.stands[frame]]
        if soles:
            target[frame] = _nearest(point[frame], np.concatenate(soles))
    third = np.diff(second, axis=0) / step
    rows = np.concatenate([push, _STAY * np.eye(count), np.sqrt(_EVEN) * third])[:, 1:-1]
    wanted = np.concatenate([target - point, np.zeros((count + len(third), 2))])
    shift = np.zeros((count, 2))
    shift[1:-1] = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return shift
