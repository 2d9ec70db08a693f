"""What a fencer's key pose says, in terms that can be read and edited.

Directions and offsets are (forward, left, up) along the fencer's heading; angles are degrees. Positive yaw turns left,
positive pitch bows forward, positive roll leans to the right.
"""

import dataclasses
from typing import Literal

Vector = tuple[float, float, float]

FPS = 60

# Columns of a key's row of numbers, and seconds by which each follows the pelvis: a blow runs from the hips through
# the chest and the arm to the wrist, and the eyes are there first.
DELAYS: dict[str, tuple[int, float]] = {
    "pelvis": (6, 0.0),
    "torso": (3, 0.03),
    "head": (3, 0.0),
    "right_upper_arm": (3, 0.05),
    "right_lower_arm": (1, 0.065),
    "right_hand": (3, 0.08),
    "left_upper_arm": (3, 0.03),
    "left_lower_arm": (1, 0.04),
}


@dataclasses.dataclass(frozen=True)
class Sword:
    """The right arm: ``hand`` is metres from the right shoulder, ``blade`` where the blade points, ``edge`` where the
    edge on the knuckles' side looks. Directions need not have length 1; ``edge`` gives way to the joints' limits.
    """

    hand: Vector
    blade: Vector
    edge: Vector


@dataclasses.dataclass(frozen=True)
class Shield:
    """The left arm: ``hand`` is metres from the left shoulder, ``facing`` where the shield's outside looks."""

    hand: Vector
    facing: Vector


@dataclasses.dataclass(frozen=True)
class Pose:
    """One key pose of the body above the feet."""

    pelvis: Vector  # metres: x and y in the world, height of the pelvis' origin above the ground
    heading: float  # where the opponent is; 0 is along the world's x
    hips: Vector  # yaw against the heading, pitch, roll of the pelvis
    chest: Vector  # the same of the chest, also against the heading
    look: Vector  # yaw against the heading, pitch, roll of the head, as far as the neck goes
    sword: Sword
    shield: Shield


@dataclasses.dataclass(frozen=True)
class Key:
    """A pose and when the pelvis has it; see `DELAYS` for the rest of the body."""

    time: float  # seconds
    pose: Pose


@dataclasses.dataclass(frozen=True)
class Placement:
    """A foot flat on the ground: where its ankle is, metres in the world, and where its toes point."""

    x: float
    y: float
    yaw: float


@dataclasses.dataclass(frozen=True)
class Step:
    """A foot leaves the ground at ``lift`` and is down at ``land`` (seconds), ``height`` metres up between.

    Its path bows ``bow`` metres to the left of the straight line (to the right when negative), around the other leg.
    """

    foot: Literal["left", "right"]
    lift: float
    land: float
    to: Placement
    height: float = 0.07
    bow: float = 0.0


@dataclasses.dataclass(frozen=True)
class Swing:
    """A clip: key poses in order of time, and the steps of either foot in order of time."""

    keys: tuple[Key, ...]
    left_foot: Placement
    right_foot: Placement
    steps: tuple[Step, ...] = ()
    wrap: bool = False
