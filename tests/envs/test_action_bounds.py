"""Action bounds: the humanoid's published numbers, and small joints by hand."""

import math
from pathlib import Path

import pytest

from mimickit.anim import load_character
from mimickit.anim.char_model import CharModel, Joint, JointKind
from mimickit.config.engine_config import ControlMode
from mimickit.envs.action_bounds import action_bounds
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]
# Published for the humanoid's 28 actions, rounded to four places.
LOW = [
    *[-1.885] * 3,  # abdomen: 1.2 * 90 degrees
    *[-1.2566] * 3,  # neck: 1.2 * 60
    *[-3.351] * 3,  # right shoulder: 1.2 * 160
    -0.5585,  # right elbow: 80 - 1.4 * 80
    *[-3.351] * 3,
    -3.351,  # left elbow, mirrored
    *[-2.9322] * 3,  # right hip: 1.2 * 140
    -0.5585,  # right knee
    *[-1.1519] * 3,  # right ankle: 1.2 * 55
    *[-2.9322] * 3,
    -0.5585,
    *[-1.1519] * 3,
]
HIGH = [
    *[1.885] * 3,
    *[1.2566] * 3,
    *[3.351] * 3,
    3.351,
    *[3.351] * 3,
    0.5585,
    *[2.9322] * 3,
    3.351,
    *[1.1519] * 3,
    *[2.9322] * 3,
    3.351,
    *[1.1519] * 3,
]


def test_the_humanoids_bounds_are_the_published_ones() -> None:
    model = load_character(ROOT / "data" / "assets" / "humanoid" / "humanoid.xml")
    low, high = action_bounds(model, "pos", zero_center=False)
    assert low == pytest.approx(LOW, abs=5e-5)
    assert high == pytest.approx(HIGH, abs=5e-5)
    assert action_bounds(model, "pd_explicit", zero_center=False) == (low, high)


def small(*joints: Joint) -> CharModel:
    """Only the joints matter here."""
    count = len(joints) + 1
    root = Joint("root", JointKind.ROOT)
    names = tuple(f"body {i}" for i in range(count))
    rotations = ((0.0, 0.0, 0.0, 1.0),) * count
    return CharModel("small.xml", names, (-1, *range(count - 1)), ((0.0,) * 3,) * count, rotations, (root, *joints))


SPHERICAL = Joint("ball", JointKind.SPHERICAL, lower=(-0.5, -2.0, -0.1), upper=(1.0, 0.3, 0.2), torque_limit=(5, 6, 7))
HINGE = Joint("hinge", JointKind.HINGE, lower=(-0.5,), upper=(1.5,), torque_limit=(8,))
FIXED = Joint("fixed", JointKind.FIXED)


@pytest.mark.parametrize(
    ("mode", "zero_center", "low", "high"),
    [
        # Ball: 1.2 * 2.0. Hinge: 0.5 -+ 1.4 * 1.0, or 0 -+ 1.4 * 1.5.
        ("pos", False, [-2.4, -2.4, -2.4, -0.9], [2.4, 2.4, 2.4, 1.9]),
        ("pos", True, [-2.4, -2.4, -2.4, -2.1], [2.4, 2.4, 2.4, 2.1]),
        ("vel", False, [-2 * math.pi] * 4, [2 * math.pi] * 4),
        ("torque", True, [-5, -6, -7, -8], [5, 6, 7, 8]),
    ],
)
def test_bounds_by_hand(mode: ControlMode, zero_center: bool, low: list[float], high: list[float]) -> None:
    actual = action_bounds(small(SPHERICAL, FIXED, HINGE), mode, zero_center)
    assert actual[0] == pytest.approx(low)
    assert actual[1] == pytest.approx(high)


def test_torque_control_needs_torque_limits() -> None:
    loose = Joint("loose", JointKind.HINGE, lower=(-1.0,), upper=(1.0,), torque_limit=(math.inf,))
    with pytest.raises(InputError, match="joint 'loose' has no torque limit.*actuatorfrcrange on every joint"):
        action_bounds(small(HINGE, loose), "torque", False)
