"""A recorded motion between its source's format and a clip: rotations over time, by body name."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mimickit.data.quaternions import slerp, unit_and_continuous
from mimickit.errors import InputError


@dataclasses.dataclass(frozen=True)
class Motion:
    """A motion of one character over N frames, z up, in metres and radians, quaternions ``xyzw``.

    ``joints`` holds, by the name of the body a joint moves, that body's rotation relative to its parent: (N, 4)
    quaternions of a ball joint, or (N,) angles of a hinge.
    """

    times: np.ndarray  # (N,) seconds, from 0, increasing
    root_pos: np.ndarray  # (N, 3)
    root_rot: np.ndarray  # (N, 4)
    joints: Mapping[str, np.ndarray]
    wrap: bool  # it repeats: the last frame continues as the first

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return float(self.times[-1])


def checked_motion(motion: Motion, source: str) -> Motion:
    """``motion`` with unit, sign-continuous quaternions. Raises `InputError` naming ``source`` for bad numbers."""
    tracks = {"times": motion.times, "root position": motion.root_pos, "root rotation": motion.root_rot}
    tracks |= {f"joint {name}": track for name, track in motion.joints.items()}
    count = len(motion.times)
    if count < 2:
        raise InputError(f"{source}: a motion needs at least 2 frames, this one has {count}")
    for name, track in tracks.items():
        if len(track) != count:
            raise InputError(f"{source}: {name} has {len(track)} frames, the times have {count}")
        bad = np.flatnonzero(~np.isfinite(track.reshape(count, -1)).all(axis=1))
        if bad.size:
            raise InputError(f"{source}: {name} is not a finite number in frame {bad[0]}")
    late = np.flatnonzero(np.diff(motion.times) <= 0.0)
    if motion.times[0] != 0.0 or late.size:
        frame = late[0] + 1 if late.size else 0
        raise InputError(f"{source}: frame times must start at 0 and increase; frame {frame} breaks that")
    joints = {
        name: unit_and_continuous(track, f"{source}: joint {name}") if track.ndim == 2 else track
        for name, track in motion.joints.items()
    }
    root_rot = unit_and_continuous(motion.root_rot, f"{source}: root rotation")
    return dataclasses.replace(motion, root_rot=root_rot, joints=joints)


def first_frames(motion: Motion, count: int | None) -> Motion:
    """The first ``count`` frames (all of them for None). Raises `InputError` when there are not as many."""
    if count is None:
        return motion
    if count > len(motion.times):
        raise InputError(f"the recipe keeps {count} frames of a recording that has {len(motion.times)}")
    joints = {name: track[:count] for name, track in motion.joints.items()}
    return Motion(motion.times[:count], motion.root_pos[:count], motion.root_rot[:count], joints, motion.wrap)


def resampled(motion: Motion, fps: int) -> Motion:
    """``motion`` at evenly spaced frames: positions and hinge angles linear, rotations by slerp.

    First and last frame are the recording's own, so that a loop still closes where it did. The time between frames is
    the nearest to 1/fps that allows it, and the frames are then taken to be 1/fps apart: the speed changes by at most
    half a frame over the clip.
    """
    steps = max(1, round(motion.duration * fps))
    sample = np.linspace(0.0, motion.duration, steps + 1)
    lower = np.clip(np.searchsorted(motion.times, sample, side="right") - 1, 0, len(motion.times) - 2)
    weight = (sample - motion.times[lower]) / (motion.times[lower + 1] - motion.times[lower])

    def linear(track: np.ndarray) -> np.ndarray:
        w = weight.reshape(-1, *[1] * (track.ndim - 1))
        return (1.0 - w) * track[lower] + w * track[lower + 1]

    def rotation(track: np.ndarray) -> np.ndarray:
        return unit_and_continuous(slerp(track[lower], track[lower + 1], weight), "resampled rotation")

    joints = {name: rotation(track) if track.ndim == 2 else linear(track) for name, track in motion.joints.items()}
    times = np.arange(steps + 1) / fps
    return Motion(times, linear(motion.root_pos), rotation(motion.root_rot), joints, motion.wrap)


def lifted(motion: Motion, height: float) -> Motion:
    """``motion`` moved up by ``height`` metres."""
    return dataclasses.replace(motion, root_pos=motion.root_pos + np.array([0.0, 0.0, height]))
