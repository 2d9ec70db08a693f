"""How the humanlike characters' bodies correspond to each other: one row each, so that any can follow any."""

import dataclasses
import types
from collections.abc import Mapping

from mimickit.errors import InputError

SIDES = ("left", "right")
_LIMB_SEGMENTS = ("thigh", "shin", "foot", "upper_arm", "forearm", "hand")
SEGMENTS = ("pelvis", "chest", "head", *(f"{side}_{name}" for side in SIDES for name in _LIMB_SEGMENTS))

# the points that a limb segment runs between
LIMBS: Mapping[str, tuple[str, str]] = types.MappingProxyType(
    {
        f"{side}_{segment}": (f"{side}_{start}", f"{side}_{end}")
        for side in SIDES
        for segment, start, end in (
            ("thigh", "hip", "knee"),
            ("shin", "knee", "ankle"),
            ("upper_arm", "shoulder", "elbow"),
            ("forearm", "elbow", "wrist"),
        )
    }
)
# the way they point in the common rest pose: upright, facing x, arms held out sideways with the palms down
REST_DIRECTIONS: Mapping[str, tuple[float, float, float]] = types.MappingProxyType(
    {
        f"{side}_{segment}": direction
        for side, sideways in (("left", 1.0), ("right", -1.0))
        for segment, direction in (
            ("thigh", (0.0, 0.0, -1.0)),
            ("shin", (0.0, 0.0, -1.0)),
            ("upper_arm", (0.0, sideways, 0.0)),
            ("forearm", (0.0, sideways, 0.0)),
        )
    }
)

Point = tuple[str, tuple[float, float, float]]


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A character seen as a human body.

    Everything is named by the character's bodies. ``points`` places landmarks in a body's frame; ``rest`` holds the
    hinge angles (radians) of the common rest pose, other joints being at zero in it.
    """

    segments: Mapping[str, str]  # each of SEGMENTS: the body that moves it
    points: Mapping[str, Point]  # hip, knee, ankle, heel, toe, shoulder, elbow, wrist, hand of both sides
    sole_width: float  # metres from the line heel to toe to the edge of the sole
    hand_radius: float  # metres from the point ``hand`` to the skin
    rest: Mapping[str, float]
    limits: Mapping[str, tuple[float, float]]  # hinges that may bend one way only, tighter than the model's range
    stiff: Mapping[str, float]  # bodies that should move less than others: how strongly they are held at zero
    wrists: bool  # whether a hand can turn against its forearm


_ORIGIN = (0.0, 0.0, 0.0)
_SIDE_SIGNS = (("left", 1.0), ("right", -1.0))


def _mirrored(rows: Mapping[str, tuple[str, tuple[float, float, float]]], left: str, right: str) -> dict[str, Point]:
    """Points of both sides from those of the left one: ``{}`` in a body's name becomes ``left`` or ``right``."""
    return {
        f"{side}_{point}": (body.format(letter), (x, sign * y, z))
        for (side, sign), letter in zip(_SIDE_SIGNS, (left, right), strict=True)
        for point, (body, (x, y, z)) in rows.items()
    }


def _both(rows: Mapping[str, str], left: str, right: str) -> dict[str, str]:
    return {
        f"{side}_{segment}": body.format(letter)
        for side, letter in zip(SIDES, (left, right), strict=True)
        for segment, body in rows.items()
    }


def _humanoid() -> Skeleton:
    limbs = {
        "thigh": "{}_thigh",
        "shin": "{}_shin",
        "foot": "{}_foot",
        "upper_arm": "{}_upper_arm",
        "forearm": "{}_lower_arm",
        "hand": "{}_hand",
    }
    points = {
        "hip": ("{}_thigh", _ORIGIN),
        "knee": ("{}_shin", _ORIGIN),
        "ankle": ("{}_foot", _ORIGIN),
        "heel": ("{}_foot", (-0.0435, 0.0, -0.05)),
        "toe": ("{}_foot", (0.1335, 0.0, -0.05)),
        "shoulder": ("{}_upper_arm", _ORIGIN),
        "elbow": ("{}_lower_arm", _ORIGIN),
        "wrist": ("{}_hand", _ORIGIN),
        "hand": ("{}_hand", _ORIGIN),
    }
    return Skeleton(
        segments={"pelvis": "pelvis", "chest": "torso", "head": "head", **_both(limbs, "left", "right")},
        points=_mirrored(points, "left", "right"),
        sole_width=0.045,
        hand_radius=0.04,
        rest={},
        limits={},
        stiff={},
        wrists=False,
    )


def _smpl() -> Skeleton:
    limbs = {
        "thigh": "{}_Hip",
        "shin": "{}_Knee",
        "foot": "{}_Ankle",
        "upper_arm": "{}_Shoulder",
        "forearm": "{}_Elbow",
        "hand": "{}_Wrist",
    }
    points = {
        "hip": ("{}_Hip", _ORIGIN),
        "knee": ("{}_Knee", _ORIGIN),
        "ankle": ("{}_Ankle", _ORIGIN),
        "heel": ("{}_Ankle", (-0.045, 0.0, -0.053)),
        "toe": ("{}_Ankle", (0.165, 0.0, -0.053)),
        "shoulder": ("{}_Shoulder", _ORIGIN),
        "elbow": ("{}_Elbow", _ORIGIN),
        "wrist": ("{}_Wrist", _ORIGIN),
        "hand": ("{}_Hand", _ORIGIN),
    }
    stiff = {"Thorax": 1.0, "Toe": 1.0, "Hand": 1.0, "Wrist": 0.3}
    spine = dict.fromkeys(("Torso", "Spine", "Chest", "Neck", "Head"), 0.1)
    return Skeleton(
        segments={"pelvis": "Pelvis", "chest": "Chest", "head": "Head", **_both(limbs, "L", "R")},
        points=_mirrored(points, "L", "R"),
        sole_width=0.045,
        hand_radius=0.034,
        rest={},
        limits={},
        stiff={f"{side}_{body}": cost for side in "LR" for body, cost in stiff.items()} | spine,
        wrists=True,
    )


def _g1() -> Skeleton:
    limbs = {
        "thigh": "{}_hip_yaw_link",
        "shin": "{}_knee_link",
        "foot": "{}_ankle_roll_link",
        "upper_arm": "{}_shoulder_yaw_link",
        "forearm": "{}_elbow_link",
        "hand": "{}_wrist_yaw_link",
    }
    points = {
        "hip": ("{}_hip_roll_link", _ORIGIN),
        "knee": ("{}_knee_link", _ORIGIN),
        "ankle": ("{}_ankle_roll_link", _ORIGIN),
        "heel": ("{}_ankle_roll_link", (-0.046, 0.0, -0.035)),
        "toe": ("{}_ankle_roll_link", (0.126, 0.0, -0.035)),
        "shoulder": ("{}_shoulder_roll_link", _ORIGIN),
        "elbow": ("{}_elbow_link", _ORIGIN),
        "wrist": ("{}_wrist_yaw_link", _ORIGIN),
        "hand": ("{}_wrist_yaw_link", (0.1, -0.005, 0.0)),
    }
    straight = 1.5707963267948966  # an elbow at zero is bent by a right angle
    return Skeleton(
        segments={"pelvis": "pelvis", "chest": "torso_link", "head": "head_link", **_both(limbs, "left", "right")},
        points=_mirrored(points, "left", "right"),
        sole_width=0.037,
        hand_radius=0.035,
        rest={
            f"{side}_{joint}": angle
            for side, sign in _SIDE_SIGNS
            for joint, angle in (("shoulder_roll_link", sign * straight), ("elbow_link", straight))
        },
        limits={f"{side}_elbow_link": (-1.0472, straight) for side in SIDES},
        stiff={f"{side}_wrist_{axis}_link": 0.1 for side in SIDES for axis in ("pitch", "yaw")},
        wrists=True,
    )


def _pi_plus() -> Skeleton:
    limbs = {
        "thigh": "{}_thigh_link",
        "shin": "{}_calf_link",
        "foot": "{}_ankle_roll_link",
        "upper_arm": "{}_upper_arm_link",
        "forearm": "{}_elbow_link",
        "hand": "{}_wrist_link",
    }
    points = {
        "hip": ("{}_hip_roll_link", _ORIGIN),
        "knee": ("{}_calf_link", _ORIGIN),
        "ankle": ("{}_ankle_pitch_link", _ORIGIN),
        "heel": ("{}_ankle_roll_link", (-0.111, 0.0, -0.05)),
        "toe": ("{}_ankle_roll_link", (0.085, 0.0, -0.05)),
        "shoulder": ("{}_shoulder_roll_link", _ORIGIN),
        "elbow": ("{}_elbow_link", _ORIGIN),
        "wrist": ("{}_wrist_link", _ORIGIN),
        "hand": ("{}_wrist_link", (0.0, 0.0, -0.05)),
    }
    letters = dict(zip("lr", (1.0, -1.0), strict=True))
    return Skeleton(
        segments={"pelvis": "base_link", "chest": "base_link", "head": "head", **_both(limbs, "l", "r")},
        points=_mirrored(points, "l", "r"),
        sole_width=0.036,
        hand_radius=0.02,
        rest={f"{letter}_shoulder_roll_link": sign * 1.5707963267948966 for letter, sign in letters.items()},
        limits={
            f"{letter}_{body}": span
            for letter in letters
            for body, span in (("calf_link", (0.0, 2.49)), ("elbow_link", (-1.91, 0.0)))
        },
        stiff={},
        wrists=True,
    )


SKELETONS: Mapping[str, Skeleton] = types.MappingProxyType(
    {"humanoid": _humanoid(), "sword_shield": _humanoid(), "smpl": _smpl(), "g1": _g1(), "pi_plus": _pi_plus()}
)


def find_skeleton(name: str) -> Skeleton:
    """The row of the character ``name``. Raises `InputError` for one that is not built like a human."""
    if name not in SKELETONS:
        raise InputError(f"{name!r} is not a character that human motion fits; those are {', '.join(SKELETONS)}")
    return SKELETONS[name]
