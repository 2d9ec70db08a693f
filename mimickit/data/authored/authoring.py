"""From key poses to a motion: arms solved at the keys, joints splined between them, legs solved in every frame."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mimickit.data.authored.arms import shield_arm, sword_arm
from mimickit.data.authored.balance import centre_of_mass, weight_shift
from mimickit.data.authored.fencer import Fencer, load_fencer
from mimickit.data.authored.keys import DELAYS, FPS, Pose, Swing, Vector
from mimickit.data.authored.legs import foot_track, leg_angles
from mimickit.data.authored.splines import through_keys
from mimickit.data.character import load_character
from mimickit.data.motion import Motion, checked_motion
from mimickit.data.quaternions import from_exponential_map, to_exponential_map
from mimickit.errors import InputError

LAG = max(delay for _, delay in DELAYS.values())
"""Seconds a clip goes on after its last key, until the wrist has arrived."""

_SHIFTS = 4  # passes of `weight_shift`: the legs' own masses move less than the pelvis
_NECK = 0.95  # share of the neck's range that is used


def _turn(angles: Vector, heading: float = 0.0) -> Rotation:
    """Yaw, pitch and roll in degrees, against a heading."""
    yaw, pitch, roll = angles
    return Rotation.from_euler("ZYX", [heading + yaw, pitch, roll], degrees=True)


def _check_limits(fencer: Fencer, joints: Mapping[str, np.ndarray], times: np.ndarray, name: str) -> None:
    for body, track in joints.items():
        angles = to_exponential_map(track) if track.ndim == 2 else track[:, None]
        low, high = fencer.limits[body].T
        beyond = np.maximum(low - angles, angles - high)
        frame, axis = np.unravel_index(np.argmax(beyond), beyond.shape)
        if beyond[frame, axis] > 0.0:
            raise InputError(
                f"{name}, {body} at {times[frame]:.2f} s: {np.degrees(angles[frame, axis]):.1f} degrees about axis "
                f"{axis}, outside {np.degrees(low[axis]):.0f} to {np.degrees(high[axis]):.0f}; change the keys there"
            )


def _row(fencer: Fencer, pose: Pose, where: str) -> np.ndarray:
    """The numbers of a key's pose, in the order of `DELAYS`: pelvis x, y, z, yaw, pitch, roll, then joint angles."""
    hips, chest, head = (_turn(angles) for angles in (pose.hips, pose.chest, pose.look))
    to_chest = chest.inv().as_quat()
    torso = (hips.inv() * chest).as_rotvec()
    neck = np.clip((chest.inv() * head).as_rotvec(), *_NECK * fencer.limits["head"].T)  # the eyes do the rest
    yaw, pitch, roll = np.radians([pose.heading + pose.hips[0], pose.hips[1], pose.hips[2]])
    sword = sword_arm(fencer, pose.sword, to_chest, where)
    shield = shield_arm(fencer, pose.shield, to_chest, where)
    return np.concatenate([pose.pelvis, [yaw, pitch, roll], torso, neck, sword, shield])


def perform(name: str, swing: Swing, path: Path) -> Motion:
    """The motion of ``swing`` for the character in the MJCF ``path``, at `FPS` frames per second.

    Ball joints follow the exponential map between their keys, component by component, so a joint stays within limits
    that its keys keep. Raises `InputError` naming the clip, and the key or the frame, for what the body cannot do.
    """
    fencer, character = load_fencer(path), load_character(path)
    key_times = np.array([key.time for key in swing.keys])
    solved: dict[Pose, np.ndarray] = {}
    for key in swing.keys:
        if key.pose not in solved:
            solved[key.pose] = _row(fencer, key.pose, f"{name}, key at {key.time:g} s")
    values = np.array([solved[key.pose] for key in swing.keys])
    duration = key_times[-1] + (0.0 if swing.wrap else LAG)
    times = np.arange(round(duration * FPS) + 1) / FPS
    tracks: dict[str, np.ndarray] = {}
    column = 0
    for body, (count, delay) in DELAYS.items():
        part = values[:, column : column + count]
        tracks[body] = through_keys(key_times, part, times - delay, swing.wrap)
        column += count
    pelvis = tracks.pop("pelvis")
    upper = {body: from_exponential_map(t) if t.shape[1] == 3 else t[:, 0] for body, t in tracks.items()}
    feet = {
        side: foot_track(fencer, start, tuple(step for step in swing.steps if step.foot == side), times)
        for side, start in (("left", swing.left_foot), ("right", swing.right_foot))
    }
    root_rot = Rotation.from_euler("ZYX", pelvis[:, 3:]).as_quat()

    def motion(root_pos: np.ndarray) -> Motion:
        legs = {}
        for side, foot in feet.items():
            legs |= leg_angles(fencer, side, (root_pos, root_rot, pelvis[:, 3]), foot, name)
        return Motion(times, root_pos, root_rot, upper | legs, swing.wrap)

    root_pos = pelvis[:, :3].copy()
    for _ in range(_SHIFTS):
        centre = centre_of_mass(fencer, character, motion(root_pos))
        root_pos[:, :2] += weight_shift(centre, tuple(feet.values()), fencer, times)
    result = motion(root_pos)
    _check_limits(fencer, result.joints, times, name)
    return checked_motion(result, name)
