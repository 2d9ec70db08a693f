"""Bounds of actions, per DoF; policies work on actions normalised to [-1, 1] by them."""

import math
from collections.abc import Callable

from mimickit.anim.char_model import CharModel, Joint, JointKind
from mimickit.errors import InputError

SPHERICAL_RANGE = 1.2  # times the largest limit of the three hinges
HINGE_RANGE = 1.4  # times the largest distance from the centre to a limit
MAX_SPEED = 2.0 * math.pi  # rad/s


def _position_bounds(joint: Joint, zero_center: bool) -> list[tuple[float, float]]:
    if joint.kind is JointKind.SPHERICAL:
        reach = SPHERICAL_RANGE * max(abs(limit) for limit in (*joint.lower, *joint.upper))
        return [(-reach, reach)] * 3
    lower, upper = joint.lower[0], joint.upper[0]
    center = 0.0 if zero_center else 0.5 * (lower + upper)
    reach = HINGE_RANGE * max(abs(lower - center), abs(upper - center))
    return [(center - reach, center + reach)]


def _velocity_bounds(joint: Joint, zero_center: bool) -> list[tuple[float, float]]:
    return [(-MAX_SPEED, MAX_SPEED)] * joint.dof_dim


def _torque_bounds(joint: Joint, zero_center: bool) -> list[tuple[float, float]]:
    if not all(math.isfinite(limit) for limit in joint.torque_limit):
        raise InputError(
            f"joint '{joint.name}' has no torque limit: control_mode torque needs actuatorfrcrange on every joint"
        )
    return [(-limit, limit) for limit in joint.torque_limit]


_BOUNDS: dict[str, Callable[[Joint, bool], list[tuple[float, float]]]] = {
    "none": _position_bounds,
    "pos": _position_bounds,
    "pd_explicit": _position_bounds,
    "vel": _velocity_bounds,
    "torque": _torque_bounds,
}


def action_bounds(model: CharModel, control_mode: str, zero_center: bool) -> tuple[list[float], list[float]]:
    """Lower and upper bounds in DoF order: radians, rad/s or N m as ``control_mode`` says."""
    pairs = [pair for joint in model.joints if joint.dof_dim for pair in _BOUNDS[control_mode](joint, zero_center)]
    return [low for low, _ in pairs], [high for _, high in pairs]
