"""A recorded motion between its source's format and a clip: rotations over time, by body name."""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

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

    def section(self, first: int, end: int) -> "Motion":
        """Frames ``first`` to before ``end``, with times from 0; what is cut out does not wrap."""
        joints = {name: track[first:end] for name, track in self.joints.items()}
        times = self.times[first:end] - self.times[first]
        whole = len(times) == len(self.times)
        return Motion(times, self.root_pos[first:end], self.root_rot[first:end], joints, self.wrap and whole)

    def without(self, first: int, end: int) -> "Motion":
        """All frames but ``first`` to before ``end``; the later ones follow one frame's time after the earlier ones."""

        def cut(track: np.ndarray) -> np.ndarray:
            return np.concatenate([track[:first], track[end:]])

        gap = self.times[end] - self.times[first]
        times = np.concatenate([self.times[:first], self.times[end:] - gap])
        joints = {name: cut(track) for name, track in self.joints.items()}
        return Motion(times, cut(self.root_pos), cut(self.root_rot), joints, wrap=False)


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """Named points of a body over N frames, in the world's frame: z up, metres.

    ``positions`` holds (N, 3) arrays by name; a recording gives those of `LANDMARK_NAMES` that it has.
    """

    times: np.ndarray  # (N,) seconds, from 0, increasing
    positions: Mapping[str, np.ndarray]
    wrap: bool  # it repeats: the last frame continues as the first

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return float(self.times[-1])

    def section(self, first: int, end: int) -> "Landmarks":
        """Frames ``first`` to before ``end``, with times from 0; what is cut out does not wrap."""
        positions = {name: track[first:end] for name, track in self.positions.items()}
        times = self.times[first:end] - self.times[first]
        return Landmarks(times, positions, self.wrap and len(times) == len(self.times))

    def without(self, first: int, end: int) -> "Landmarks":
        """All frames but ``first`` to before ``end``; the later ones follow one frame's time after the earlier ones."""
        gap = self.times[end] - self.times[first]
        times = np.concatenate([self.times[:first], self.times[end:] - gap])
        positions = {name: np.concatenate([track[:first], track[end:]]) for name, track in self.positions.items()}
        return Landmarks(times, positions, wrap=False)


Recorded = TypeVar("Recorded", Motion, Landmarks)

_LIMB_LANDMARKS = ("hip", "knee", "ankle", "heel", "toe", "shoulder", "elbow", "wrist", "hand")
LANDMARK_NAMES = (
    *("pelvis", "chest", "neck", "head"),
    *(f"{side}_{name}" for side in ("left", "right") for name in _LIMB_LANDMARKS),
)


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


def resampled(recorded: Recorded, fps: int) -> Recorded:
    """``recorded`` at evenly spaced frames: positions and hinge angles linear, rotations by slerp.

    First and last frame are the recording's own, so that a loop still closes where it did. The time between frames is
    the nearest to 1/fps that allows it, and the frames are then taken to be 1/fps apart: the speed changes by at most
    half a frame over the clip.
    """
    steps = max(1, round(recorded.duration * fps))
    sample = np.linspace(0.0, recorded.duration, steps + 1)
    lower = np.clip(np.searchsorted(recorded.times, sample, side="right") - 1, 0, len(recorded.times) - 2)
    weight = (sample - recorded.times[lower]) / (recorded.times[lower + 1] - recorded.times[lower])
    times = np.arange(steps + 1) / fps

    def linear(track: np.ndarray) -> np.ndarray:
        w = weight.reshape(-1, *[1] * (track.ndim - 1))
        return (1.0 - w) * track[lower] + w * track[lower + 1]

    def rotation(track: np.ndarray) -> np.ndarray:
        return unit_and_continuous(slerp(track[lower], track[lower + 1], weight), "resampled rotation")

    if isinstance(recorded, Landmarks):
        return Landmarks(times, {name: linear(track) for name, track in recorded.positions.items()}, recorded.wrap)
    joints = {name: rotation(track) if track.ndim == 2 else linear(track) for name, track in recorded.joints.items()}
    return Motion(times, linear(recorded.root_pos), rotation(recorded.root_rot), joints, recorded.wrap)


def lifted(motion: Motion, height: float) -> Motion:
    """``motion`` moved up by ``height`` metres."""
    return dataclasses.replace(motion, root_pos=motion.root_pos + np.array([0.0, 0.0, height]))
