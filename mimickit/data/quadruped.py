"""Closed-form leg kinematics of the Unitree Go2: from where the feet are to joint angles, and back.

A leg is a hip that turns about the body's x axis, then a thigh and a calf that turn about the y axis; the knee points
backwards. In metres and radians, in the body's frame: x forward, y left, z up, the origin between the hips.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mimickit.data.quaternions import inverse, rotate
from mimickit.errors import InputError

LINK = 0.213  # length of the thigh, and of the calf
_PARTS = ("hip", "thigh", "calf")


@dataclasses.dataclass(frozen=True)
class Leg:
    """One leg: where its hip joint is, how far beside it the thigh moves, and its limits."""

    name: str
    hip: tuple[float, float, float]
    side: float  # signed distance along y from the hip joint to the plane of thigh and calf
    limits: tuple[tuple[float, float], ...]  # of hip, thigh and calf


def _leg(name: str) -> Leg:
    forward, left = (1.0 if name[0] == "F" else -1.0), (1.0 if name[1] == "L" else -1.0)
    thigh = (-1.5708, 3.4907) if name[0] == "F" else (-0.5236, 4.5379)
    limits = ((-1.0472, 1.0472), thigh, (-2.7227, -0.83776))
    return Leg(name, (0.1934 * forward, 0.0465 * left, 0.0), 0.0955 * left, limits)


LEGS = tuple(_leg(name) for name in ("FL", "FR", "RL", "RR"))


def leg_angles(leg: Leg, foot: np.ndarray) -> np.ndarray:
    """Angles (N, 3) of hip, thigh and calf that put the foot at ``foot`` (N, 3) in the body's frame.

    NaN where it is out of reach: further than both links, or nearer to the hip's axis than the leg's own plane.
    """
    x, y, z = (foot - np.asarray(leg.hip)).T
    with np.errstate(invalid="ignore"):
        drop = np.sqrt(y**2 + z**2 - leg.side**2)  # below the hip, within the leg's plane
        hip = np.arctan2(z, y) - np.arctan2(-drop, leg.side)
        calf = -np.arccos((x**2 + drop**2) / (2.0 * LINK**2) - 1.0)
    thigh = np.arctan2(-x, drop) - 0.5 * calf
    hip = (hip + np.pi) % (2.0 * np.pi) - np.pi
    return np.stack([hip, thigh, calf], axis=-1)


def leg_joints(root_pos: np.ndarray, root_rot: np.ndarray, feet: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Joint angles (N,) by body name (``FL_hip`` ...) for ``feet``, world positions (N, 3) by the names of `LEGS`.

    ``root_pos`` (N, 3) and ``root_rot`` (N, 4) place the body. NaN where a foot is out of reach, see `leg_angles`.
    """
    to_root = inverse(root_rot)
    return {
        f"{leg.name}_{part}": track
        for leg in LEGS
        for part, track in zip(_PARTS, leg_angles(leg, rotate(to_root, feet[leg.name] - root_pos)).T, strict=True)
    }


def _beyond_limits(joints: Mapping[str, np.ndarray]) -> list[tuple[int, str, tuple[float, float]]]:
    """First frame, joint and its limits, of the joints that leave their limits (NaN does)."""
    limits = {f"{leg.name}_{part}": pair for leg in LEGS for part, pair in zip(_PARTS, leg.limits, strict=True)}
    outside = {name: ~((track >= limits[name][0]) & (track <= limits[name][1])) for name, track in joints.items()}
    return [(int(np.argmax(bad)), name, limits[name]) for name, bad in outside.items() if bad.any()]


def within_limits(joints: Mapping[str, np.ndarray]) -> bool:
    """Whether the Go2 can take every one of these poses; ``joints`` as from `leg_joints`."""
    return not _beyond_limits(joints)


def check_limits(joints: Mapping[str, np.ndarray], source: str) -> None:
    """Raise `InputError` naming ``source``, frame and joint unless the poses are `within_limits`."""
    beyond = _beyond_limits(joints)
    if beyond:
        frame, name, (lower, upper) = min(beyond)
        raise InputError(
            f"{source}: frame {frame} asks the Go2's joint {name} for {joints[name][frame]:.3f} rad (nan: the foot is "
            f"out of reach), its limits are {lower} and {upper}"
        )
