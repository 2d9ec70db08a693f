"""The BVH format: a tree of joints with constant offsets, and their channels frame by frame."""

import dataclasses
import math

import numpy as np

from mimickit.data.quaternions import from_exponential_map, multiply, rotate
from mimickit.errors import InputError

_AXES = {"X": 0, "Y": 1, "Z": 2}
_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")


@dataclasses.dataclass(frozen=True)
class BvhJoint:
    """A joint, or the end of a chain, which has no channels and is called after its parent with ``_end``."""

    name: str
    parent: int  # -1 for the root
    offset: tuple[float, float, float]
    channels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Bvh:
    """A file's content. Lengths are in its own unit."""

    joints: tuple[BvhJoint, ...]  # parents before their children
    frame_time: float  # seconds
    frames: np.ndarray  # (N, channels), degrees and lengths


class _Words:
    """The words of the hierarchy one after the other, each with its line for errors."""

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        self._words = [(word, line) for line, row in enumerate(text.splitlines(), start=1) for word in row.split()]
        self._next = 0

    def line(self) -> int:
        """Line of the word read last."""
        return self._words[max(0, self._next - 1)][1] if self._words else 1

    def wrong(self, expected: str) -> InputError:
        """An error about the word read last."""
        found = repr(self._words[self._next - 1][0]) if self._next else "nothing"
        return InputError(f"{self._source}: line {self.line()}: expected {expected}, found {found}")

    def take(self, expected: str) -> str:
        """The next word; ``expected`` says in errors what it should be."""
        if self._next == len(self._words):
            raise InputError(f"{self._source}: the file ends where {expected} should be (after line {self.line()})")
        self._next += 1
        return self._words[self._next - 1][0]

    def expect(self, *allowed: str) -> str:
        """The next word, which must be one of ``allowed``."""
        expected = " or ".join(allowed)
        word = self.take(expected)
        if word not in allowed:
            raise self.wrong(expected)
        return word

    def number(self, expected: str) -> float:
        """The next word as a finite number."""
        word = self.take(expected)
        try:
            value = float(word)
        except ValueError:
            raise self.wrong(expected) from None
        if not math.isfinite(value):
            raise self.wrong(expected)
        return value

    def count(self, expected: str) -> int:
        """The next word as a number of things: digits and nothing else."""
        word = self.take(expected)
        if not (word.isascii() and word.isdigit()):
            raise self.wrong(expected)
        return int(word)


def _offset(words: _Words) -> tuple[float, float, float]:
    words.expect("OFFSET")
    return words.number("an offset"), words.number("an offset"), words.number("an offset")


def _hierarchy(words: _Words) -> tuple[BvhJoint, ...]:
    words.expect("HIERARCHY")
    words.expect("ROOT")
    joints: list[BvhJoint] = []
    open_joints: list[int] = []  # from the root to the joint whose block is being read
    keyword = "ROOT"
    while True:
        parent = open_joints[-1] if open_joints else -1
        if keyword == "End":
            words.expect("Site")
            words.expect("{")
            joints.append(BvhJoint(f"{joints[parent].name}_end", parent, _offset(words), ()))
            words.expect("}")
        elif keyword == "}":
            open_joints.pop()
            if not open_joints:
                return tuple(joints)
        else:
            name = words.take("the name of a joint")
            words.expect("{")
            offset = _offset(words)
            words.expect("CHANNELS")
            count = words.count("the number of channels")
            channels = tuple(words.expect(*_CHANNELS) for _ in range(count))
            joints.append(BvhJoint(name, parent, offset, channels))
            open_joints.append(len(joints) - 1)
        keyword = words.expect("JOINT", "End", "}")


def parse(data: bytes, source: str) -> Bvh:
    """Read a BVH file. Raises `InputError` naming ``source`` and the line that is not as it should be."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: not a text file, so not BVH ({error})") from error
    words = _Words(text, source)
    joints = _hierarchy(words)
    words.expect("MOTION")
    words.expect("Frames:")
    count = words.count("the number of frames")
    if not count:
        raise InputError(f"{source}: line {words.line()}: the file says it has no frames")
    words.expect("Frame")
    words.expect("Time:")
    frame_time = words.number("the time of a frame")
    if not frame_time > 0.0:
        raise InputError(f"{source}: line {words.line()}: the frame time is {frame_time}, expected seconds above 0")
    width = sum(len(joint.channels) for joint in joints)
    first = words.line()
    rows = [(line, row.split()) for line, row in enumerate(text.splitlines()[first:], start=first + 1) if row.strip()]
    if len(rows) != count:
        raise InputError(f"{source}: the file says it has {count} frames, but {len(rows)} follow")
    frames = np.empty((count, width))
    for index, (line, row) in enumerate(rows):
        if len(row) != width:
            raise InputError(f"{source}: line {line} has {len(row)} numbers, the joints have {width} channels")
        try:
            frames[index] = np.array(row, dtype=float)
        except ValueError as error:
            raise InputError(f"{source}: line {line} is not a row of numbers ({error})") from None
        if not np.isfinite(frames[index]).all():
            raise InputError(f"{source}: line {line} (frame {index}) has a number that is not finite")
    return Bvh(joints, frame_time, frames)


def joint_positions(bvh: Bvh) -> np.ndarray:
    """Positions (N, J, 3) of the joints in the file's own frame and unit.

    Rotations apply in the order of their channels, each about the axes that the ones before have turned. A joint with
    position channels lies there, instead of at its offset.
    """
    count = len(bvh.frames)
    positions, rotations, column = [], [], 0
    for joint in bvh.joints:
        place = np.tile(np.array(joint.offset), (count, 1))
        turn = np.tile([0.0, 0.0, 0.0, 1.0], (count, 1))
        for channel in joint.channels:
            axis, values = _AXES[channel[0]], bvh.frames[:, column]
            if channel.endswith("position"):
                place[:, axis] = values
            else:
                turn = multiply(turn, from_exponential_map(np.radians(values)[:, None] * np.eye(3)[axis]))
            column += 1
        if joint.parent < 0:
            positions.append(place)
            rotations.append(turn)
        else:
            positions.append(positions[joint.parent] + rotate(rotations[joint.parent], place))
            rotations.append(multiply(rotations[joint.parent], turn))
    return np.stack(positions, axis=1)
