"""Joint angles of the two arms for a key pose: where the hand is, and where the sword or the shield points."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares

from mimickit.data.authored.fencer import Fencer
from mimickit.data.authored.keys import Shield, Sword
from mimickit.data.quaternions import from_exponential_map, multiply, rotate
from mimickit.errors import InputError

_MARGIN = np.radians(4.0)  # kept from the joints' limits
# pull to the relaxed posture, which decides what a pose leaves open; strongest at the wrist, to stay off its limits
_POSTURE_RIGHT = np.array([0.12, 0.12, 0.12, 0.12, 0.5, 0.6, 0.7])
_POSTURE_LEFT = 0.12

# upper arm, elbow, and the right wrist, in degrees: arms hanging a little forward, elbows bent
_RELAXED_RIGHT = np.radians([65.0, 15.0, 20.0, 75.0, 10.0, -30.0, -30.0])
_RELAXED_LEFT = np.radians([-60.0, 20.0, -35.0, -85.0])

_EXACT = {"ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12}

# what an error of 1 weighs: metres of the hand, and unit vectors
_SWORD_HAND, _BLADE, _EDGE = 60.0, 8.0, 0.7
_SHIELD_HAND, _FACING = 12.0, 5.0
_MAX_HAND_ERROR = 0.03  # metres
_MAX_BLADE_ERROR = np.radians(10.0)
_MAX_SHIELD_HAND_ERROR = 0.12
_MAX_FACING_ERROR = np.radians(30.0)


def _unit(v: tuple[float, float, float]) -> np.ndarray:
    return np.array(v) / np.linalg.norm(v)


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))


def _arm(fencer: Fencer, side: str, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hand (3,) from the shoulder and rotation (4,) of the lower arm, in the chest's frame."""
    upper = from_exponential_map(angles[:3])
    lower = multiply(upper, from_exponential_map(np.array([0.0, 0.0, angles[3]])))
    hand = rotate(upper, fencer.offsets[f"{side}_lower_arm"]) + rotate(lower, fencer.offsets[f"{side}_hand"])
    return hand, lower


def _solve(residuals: Callable[[np.ndarray], np.ndarray], relaxed: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The angles within ``limits`` (dofs, 2) with the least residuals, found from the relaxed posture and two more."""
    low, high = limits[:, 0] + _MARGIN, limits[:, 1] - _MARGIN
    starts = (relaxed, 0.5 * (low + high), np.clip(-relaxed, low, high))
    fits = [least_squares(residuals, np.clip(start, low, high), bounds=(low, high), **_EXACT) for start in starts]
    return np.round(min(fits, key=lambda fit: fit.cost).x, 5)  # the same on every machine


def sword_arm(fencer: Fencer, sword: Sword, to_chest: np.ndarray, where: str) -> np.ndarray:
    """Angles (7,) of the right upper arm, elbow and hand; ``to_chest`` (4,) turns the heading's axes into the chest's.

    Raises `InputError` naming ``where`` for a pose that the arm cannot take.
    """
    hand = rotate(to_chest, np.array(sword.hand))
    blade, edge = rotate(to_chest, _unit(sword.blade)), rotate(to_chest, _unit(sword.edge))
    knuckles = fencer.offsets["right_hand"] / np.linalg.norm(fencer.offsets["right_hand"])

    def pose(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        position, lower = _arm(fencer, "right", angles)
        grip = multiply(lower, from_exponential_map(angles[4:]))
        return position, rotate(grip, fencer.blade), rotate(grip, knuckles)

    def residuals(angles: np.ndarray) -> np.ndarray:
        position, pointing, leading = pose(angles)
        wanted = (_SWORD_HAND * (position - hand), _BLADE * (pointing - blade), _EDGE * (leading - edge))
        return np.concatenate([*wanted, _POSTURE_RIGHT * (angles - _RELAXED_RIGHT)])

    limits = np.concatenate([fencer.limits[f"right_{part}"] for part in ("upper_arm", "lower_arm", "hand")])
    angles = _solve(residuals, _RELAXED_RIGHT, limits)
    position, pointing, _ = pose(angles)
    _check(
        where, "sword hand", np.linalg.norm(position - hand), _MAX_HAND_ERROR, _angle(pointing, blade), _MAX_BLADE_ERROR
    )
    return angles


def shield_arm(fencer: Fencer, shield: Shield, to_chest: np.ndarray, where: str) -> np.ndarray:
    """Angles (4,) of the left upper arm and elbow. With no wrist, the hand's place and the facing are a compromise.

    Raises `InputError` naming ``where`` for a pose that the arm is far from.
    """
    hand, facing = rotate(to_chest, np.array(shield.hand)), rotate(to_chest, _unit(shield.facing))

    def pose(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        position, lower = _arm(fencer, "left", angles)
        return position, rotate(lower, fencer.facing)

    def residuals(angles: np.ndarray) -> np.ndarray:
        position, looking = pose(angles)
        wanted = (_SHIELD_HAND * (position - hand), _FACING * (looking - facing))
        return np.concatenate([*wanted, _POSTURE_LEFT * (angles - _RELAXED_LEFT)])

    limits = np.concatenate([fencer.limits["left_upper_arm"], fencer.limits["left_lower_arm"]])
    angles = _solve(residuals, _RELAXED_LEFT, limits)
    position, looking = pose(angles)
    off = np.linalg.norm(position - hand)
    _check(where, "shield hand", off, _MAX_SHIELD_HAND_ERROR, _angle(looking, facing), _MAX_FACING_ERROR)
    return angles


def _check(where: str, what: str, off: float, most: float, turned: float, most_turned: float) -> None:
    if off > most or turned > most_turned:
        raise InputError(
            f"{where}: the {what} ends {100 * off:.0f} cm and {np.degrees(turned):.0f} degrees from what is asked, "
            f"more than {100 * most:.0f} cm and {np.degrees(most_turned):.0f} degrees; ask for less"
        )
