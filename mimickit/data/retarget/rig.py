"""A character with its landmarks and the frames of its segments, measured in the common rest pose."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mimickit.data.character import Character, body_poses, load_character
from mimickit.data.characters import model_path
from mimickit.data.motion import Motion
from mimickit.data.quaternions import inverse, multiply, rotate
from mimickit.data.retarget.rotations import IDENTITY, shortest_arc, unit
from mimickit.data.retarget.skeletons import LIMBS, REST_DIRECTIONS, SEGMENTS, SIDES, Skeleton, find_skeleton
from mimickit.errors import InputError


@dataclasses.dataclass(frozen=True)
class Rig:
    """A character, and what has to be known of it to move like another.

    A segment's frame is the world's frame in the common rest pose, but for limbs, whose frame is turned by the little
    that their direction there differs from that of the ideal pose. So equal frames mean equal directions of limbs.
    """

    name: str
    skeleton: Skeleton
    character: Character
    frames: Mapping[str, np.ndarray]  # per segment: rotation (4,) from the segment's frame to its body's frame
    rest_points: Mapping[str, np.ndarray]  # per landmark: position (3,) in the rest pose, the root at the origin

    @property
    def leg_length(self) -> float:
        """Height of the hips above the soles, standing straight, in metres."""
        return float(np.mean([self.rest_points[f"{s}_hip"][2] - self.rest_points[f"{s}_heel"][2] for s in SIDES]))

    def rest_offset(self, start: str, end: str) -> np.ndarray:
        """From landmark ``start`` to landmark ``end`` in the rest pose, (3,)."""
        return self.rest_points[end] - self.rest_points[start]

    def body_index(self, name: str) -> int:
        """Where the body called ``name`` is among the character's bodies. Raises `InputError` when there is none."""
        for i, body in enumerate(self.character.bodies):
            if body.name == name:
                return i
        raise InputError(f"{self.character.source}: the character {self.name} needs a body named {name!r}")

    def point_track(self, name: str, positions: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Positions (N, 3) of a landmark, from those of the bodies, (N, B, 3) and (N, B, 4)."""
        body, offset = self.skeleton.points[name]
        index = self.body_index(body)
        return positions[:, index] + rotate(rotations[:, index], np.array(offset))


def load_rig(name: str, assets: Path) -> Rig:
    """Read the character ``name`` below the folder ``assets``. Raises `InputError` if it is not built like a human."""
    skeleton = find_skeleton(name)
    character = load_character(model_path(name, assets))
    unmeasured = Rig(name, skeleton, character, {}, {})
    pose = _rest_pose(character, skeleton)
    positions, rotations = body_poses(character, pose)
    points = {point: unmeasured.point_track(point, positions, rotations)[0] for point in skeleton.points}
    frames = {}
    for segment in SEGMENTS:
        frame = IDENTITY
        if segment in LIMBS:
            start, end = LIMBS[segment]
            frame = shortest_arc(np.array(REST_DIRECTIONS[segment]), unit(points[end] - points[start]))
        body = unmeasured.body_index(skeleton.segments[segment])
        frames[segment] = multiply(inverse(rotations[0, body]), frame)
    return dataclasses.replace(unmeasured, frames=frames, rest_points=points)


def _rest_pose(character: Character, skeleton: Skeleton) -> Motion:
    joints = {}
    for body in character.bodies:
        if body.joint is not None:
            joints[body.name] = (
                IDENTITY[None] if body.joint.axis is None else np.array([skeleton.rest.get(body.name, 0.0)])
            )
    return Motion(np.zeros(1), np.zeros((1, 3)), IDENTITY[None], joints, False)
