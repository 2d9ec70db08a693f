"""The legs in every frame: where the feet are, and the angles that put them there."""

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from mimickit.data.authored.fencer import Fencer
from mimickit.data.authored.keys import Placement, Step
from mimickit.data.authored.splines import minimum_jerk
from mimickit.data.quaternions import inverse, multiply, rotate
from mimickit.errors import InputError

_KNEE_FOLLOWS_FOOT = 0.52  # the rest of the way the knee points where the hips do
_RISE = 0.1  # share of a step in which the foot only rises, and only comes down
_SWING_PITCH = np.radians(14.0)  # heel first off the ground, toes up before it lands


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations (N, 4) by ``angle`` (N,) about x, y or z (0, 1 or 2)."""
    q = np.zeros((len(angle), 4))
    q[:, axis], q[:, 3] = np.sin(0.5 * angle), np.cos(0.5 * angle)
    return q


def _left_of(x: float, y: float) -> np.ndarray:
    """Unit vector (2,) a quarter turn to the left of (x, y); zero for zero."""
    length = np.hypot(x, y)
    return np.array([-y, x]) / length if length > 0.0 else np.zeros(2)


@dataclasses.dataclass(frozen=True)
class FootTrack:
    """A foot over N frames."""

    ankle: np.ndarray  # (N, 3) metres, world
    yaw: np.ndarray  # (N,) radians, where the toes point
    pitch: np.ndarray  # (N,) radians, positive with the toes down
    stands: np.ndarray  # (N,) whether the sole is flat on the ground

    def sole_corners(self, fencer: Fencer, frame: int, share: float) -> np.ndarray:
        """Ground positions (4, 2) of the corners of the sole in ``frame``, scaled about its middle by ``share``."""
        cosine, sine = np.cos(self.yaw[frame]), np.sin(self.yaw[frame])
        corners = share * fencer.sole_half * [(1, 1), (1, -1), (-1, -1), (-1, 1)] + [fencer.sole_middle, 0.0]
        return self.ankle[frame, :2] + corners @ np.array([(cosine, sine), (-sine, cosine)])


def foot_track(fencer: Fencer, start: Placement, steps: tuple[Step, ...], times: np.ndarray) -> FootTrack:
    """A foot that rests on the ground at ``start``, and from each of its ``steps`` to the next where that put it."""
    place = np.tile([start.x, start.y, start.yaw], (len(times), 1))
    height, pitch = np.zeros(len(times)), np.zeros(len(times))
    stands = start
    for step in steps:
        phase = np.clip((times - step.lift) / (step.land - step.lift), 0.0, 1.0)
        way = [step.to.x - stands.x, step.to.y - stands.y, step.to.yaw - stands.yaw]
        place += minimum_jerk((phase - _RISE) / (1.0 - 2.0 * _RISE))[:, None] * way
        bump = 64.0 * (phase * (1.0 - phase)) ** 3
        height += step.height * bump
        place[:, :2] += step.bow * bump[:, None] * _left_of(way[0], way[1])
        pitch += _SWING_PITCH * bump * (1.0 - 2.0 * phase) * 2.0
        stands = step.to
    front = fencer.sole_middle + fencer.sole_half[0]
    clearance = front * np.abs(np.sin(pitch))  # the sole turns about the ankle: keep its lower edge up
    ankle = np.stack([place[:, 0], place[:, 1], fencer.sole + height + clearance], axis=1)
    return FootTrack(ankle, np.radians(place[:, 2]), pitch, height == 0.0)


def leg_angles(
    fencer: Fencer,
    side: str,
    pelvis: tuple[np.ndarray, np.ndarray, np.ndarray],
    foot: FootTrack,
    where: str,
) -> dict[str, np.ndarray]:
    """Thigh (N, 4), shin (N,) and foot (N, 4) joints of one leg.

    ``pelvis`` is its position (N, 3), rotation (N, 4) and yaw (N,); Raises `InputError` naming
    ``where`` when the leg is too short.
    """
    position, rotation, hips_yaw = pelvis
    thigh, shin = (-fencer.offsets[f"{side}_{part}"][2] for part in ("shin", "foot"))
    hip = position + rotate(rotation, fencer.offsets[f"{side}_thigh"])
    reach = np.linalg.norm(foot.ankle - hip, axis=1)
    short = np.flatnonzero(reach > 0.998 * (thigh + shin))
    if short.size:
        frame = short[np.argmax(reach[short])]
        raise InputError(
            f"{where}: in frame {frame} the {side} ankle is {reach[frame]:.3f} m from its hip, and the leg is "
            f"{thigh + shin:.3f} m long; lower the pelvis or bring the foot nearer"
        )
    knee = np.pi - np.arccos((thigh**2 + shin**2 - reach**2) / (2.0 * thigh * shin))
    forward_of_line = np.arcsin(shin * np.sin(knee) / reach)  # between the thigh and the line from hip to ankle
    away = foot.yaw - hips_yaw
    knee_yaw = hips_yaw + _KNEE_FOLLOWS_FOOT * np.arctan2(np.sin(away), np.cos(away))
    up = (hip - foot.ankle) / reach[:, None]
    toward = np.stack([np.cos(knee_yaw), np.sin(knee_yaw), np.zeros_like(knee_yaw)], axis=1)
    side_axis = np.cross(up, toward)
    side_axis /= np.linalg.norm(side_axis, axis=1, keepdims=True)
    line = _from_axes(np.cross(side_axis, up), side_axis, up)  # its z runs from ankle to hip, its y is the knee's
    thigh_world = multiply(line, _about(1, -forward_of_line))
    shin_world = multiply(thigh_world, _about(1, knee))
    foot_world = multiply(_about(2, foot.yaw), _about(1, foot.pitch))
    return {
        f"{side}_thigh": multiply(inverse(rotation), thigh_world),
        f"{side}_shin": knee,
        f"{side}_foot": multiply(inverse(shin_world), foot_world),
    }


def _from_axes(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rotations (N, 4) whose columns are the unit axes (N, 3)."""
    return Rotation.from_matrix(np.stack([x, y, z], axis=-1)).as_quat()
