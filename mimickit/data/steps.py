"""What a recipe may do to a motion, one after the other. A step is a frozen dataclass of a few numbers.

Recipes are tables that every command reads, so what needs MuJoCo or mink is imported where a step is applied.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mimickit.data.boxes import Box
from mimickit.data.characters import model_path
from mimickit.data.motion import Landmarks, Motion, resampled
from mimickit.data.quaternions import from_exponential_map, heading, inverse, multiply, rotate, slerp
from mimickit.errors import InputError

_RETARGETING_FPS = 60


@dataclasses.dataclass(frozen=True)
class Take:
    """A motion on its way to a clip: of a character, or the landmarks of somebody."""

    motion: Motion | Landmarks
    character: str | None  # None for landmarks
    name: str  # of the recording, for errors

    def require_motion(self) -> Motion:
        """The motion of a character. Raises `InputError` for landmarks, which must be retargeted first."""
        if isinstance(self.motion, Landmarks):
            raise InputError(f"{self.name}: landmarks have no joints yet; Retarget comes first")
        return self.motion


class Step(Protocol):
    """One thing done to a motion. ``version`` is raised when its numbers change."""

    version: ClassVar[int]

    def apply(self, take: Take, assets: Path) -> Take:
        """The take after this step; ``assets`` holds the characters."""
        ...


@dataclasses.dataclass(frozen=True)
class Section:
    """The frames from ``first`` to before ``end`` of the recording, counted in its own frame rate."""

    first: int
    end: int
    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        if self.end > len(take.motion.times):
            raise InputError(
                f"{take.name}: the recipe keeps frames {self.first} to {self.end} of a recording that has "
                f"{len(take.motion.times)}"
            )
        return dataclasses.replace(take, motion=take.motion.section(self.first, self.end))


@dataclasses.dataclass(frozen=True)
class Without:
    """Leaves out the frames from ``first`` to before ``end``: a pause, with much the same pose before and after it."""

    first: int
    end: int
    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        count = len(take.motion.times)
        if not 0 <= self.first < self.end < count:
            raise InputError(
                f"{take.name}: the recipe leaves out frames {self.first} to {self.end}, but none after them, of a "
                f"recording that has {count}"
            )
        return dataclasses.replace(take, motion=take.motion.without(self.first, self.end))


@dataclasses.dataclass(frozen=True)
class Retarget:
    """To another character, with feet and hands where they were, scaled to its size.

    ``boxes`` are those of the recording, in its world: hands and feet rest on them, and nothing enters them.
    """

    character: str
    boxes: tuple[Box, ...] = ()
    version: ClassVar[int] = 2

    def apply(self, take: Take, assets: Path) -> Take:
        from mimickit.data.retarget import retarget_landmarks, retarget_motion

        source = resampled(take.motion, _RETARGETING_FPS)
        if isinstance(source, Landmarks):
            motion = retarget_landmarks(source, self.character, assets, boxes=self.boxes)
        else:
            motion = retarget_motion(source, take.character, self.character, assets, boxes=self.boxes)
        return dataclasses.replace(take, motion=motion, character=self.character)


@dataclasses.dataclass(frozen=True)
class Mirror:
    """Left becomes right."""

    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        from mimickit.data.character import load_character
        from mimickit.data.mirror import mirrored

        motion = take.require_motion()
        return dataclasses.replace(take, motion=mirrored(motion, load_character(model_path(take.character, assets))))


@dataclasses.dataclass(frozen=True)
class Speed:
    """Played ``factor`` times as fast."""

    factor: float
    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        motion = dataclasses.replace(take.motion, times=take.motion.times / self.factor)
        return dataclasses.replace(take, motion=motion)


@dataclasses.dataclass(frozen=True)
class Homed:
    """Moved and turned about the vertical so that the first frame stands at the origin and heads along x."""

    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        motion = take.require_motion()
        yaw = -float(heading(motion.root_rot[:1])[0])
        return dataclasses.replace(take, motion=_placed(motion, yaw, -motion.root_pos[0, :2]))


@dataclasses.dataclass(frozen=True)
class Placed:
    """Turned by ``yaw`` radians about the vertical through the origin, then moved by ``x`` and ``y`` metres."""

    yaw: float
    x: float = 0.0
    y: float = 0.0
    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        turned = _placed(take.require_motion(), self.yaw, np.zeros(2))
        moved = turned.root_pos + np.array([self.x, self.y, 0.0])
        return dataclasses.replace(take, motion=dataclasses.replace(turned, root_pos=moved))


def _placed(motion: Motion, yaw: float, shift: np.ndarray) -> Motion:
    """Moved by ``shift`` (2,), then turned by ``yaw`` about the vertical through the origin."""
    turn = from_exponential_map(np.array([0.0, 0.0, yaw]))
    root_pos = rotate(np.broadcast_to(turn, (len(motion.times), 4)), motion.root_pos + [*shift, 0.0])
    return dataclasses.replace(motion, root_pos=root_pos, root_rot=multiply(turn, motion.root_rot))


@dataclasses.dataclass(frozen=True)
class CloseLoop:
    """A clip that repeats: over its last ``seconds`` it turns into its own first frame.

    The difference between first and last frame is faded in smoothly: joints, heading, tilt and height. What is left to
    repeat is the way travelled, which the clip's player adds.
    """

    seconds: float
    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        motion = take.require_motion()
        if not 0.0 < self.seconds <= motion.duration:
            raise InputError(
                f"{take.name}: the recipe closes a loop over {self.seconds:g} s of a motion of {motion.duration:.2f} s"
            )
        fade = np.clip(1.0 - (motion.duration - motion.times) / self.seconds, 0.0, 1.0)
        fade = fade * fade * (3.0 - 2.0 * fade)
        root_pos = motion.root_pos.copy()
        root_pos[:, 2] += fade * (root_pos[0, 2] - root_pos[-1, 2])
        joints = {
            name: _towards_first(track, fade) if track.ndim == 2 else track + fade * (track[0] - track[-1])
            for name, track in motion.joints.items()
        }
        root_rot = _towards_first(motion.root_rot, fade)
        return dataclasses.replace(take, motion=Motion(motion.times, root_pos, root_rot, joints, wrap=True))


def _towards_first(rotations: np.ndarray, fade: np.ndarray) -> np.ndarray:
    """(N, 4), each turned by the share ``fade`` (N,) of the rotation that takes the last to the first."""
    seam = np.broadcast_to(multiply(rotations[0], inverse(rotations[-1])), rotations.shape)
    identity = np.broadcast_to([0.0, 0.0, 0.0, 1.0], rotations.shape)
    return multiply(slerp(identity, seam, fade), rotations)


@dataclasses.dataclass(frozen=True)
class LevelGround:
    """The height of the ground under the feet, where a recording lets it wander or feet dip, made zero.

    The character's lowest point over ``seconds`` around each frame counts as the ground there, so the window must be
    longer than the longest flight. Only the root's height changes, and smoothly.
    """

    seconds: float
    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        motion = take.require_motion()
        from mimickit.data.character import load_character, lowest_points

        lowest = lowest_points(load_character(model_path(take.character, assets)), motion)
        half = max(1, round(0.5 * self.seconds * (len(lowest) - 1) / motion.duration))
        if motion.wrap:  # the last frame is the first one; the window may be longer than the cycle
            before, after = np.arange(-2 * half, 0), np.arange(1, 2 * half + 1)
            padded = np.concatenate([lowest[before % (len(lowest) - 1)], lowest, lowest[after % (len(lowest) - 1)]])
        else:
            padded = np.pad(lowest, 2 * half, mode="edge")
        ground = sliding_window_view(padded, 2 * half + 1).min(axis=1)
        ground = sliding_window_view(ground, 2 * half + 1).mean(axis=1)
        root_pos = motion.root_pos - ground[:, None] * np.array([0.0, 0.0, 1.0])
        return dataclasses.replace(take, motion=dataclasses.replace(motion, root_pos=root_pos))


@dataclasses.dataclass(frozen=True)
class Once:
    """A clip that ends: its recording may say that it repeats."""

    version: ClassVar[int] = 1

    def apply(self, take: Take, assets: Path) -> Take:
        return dataclasses.replace(take, motion=dataclasses.replace(take.motion, wrap=False))
