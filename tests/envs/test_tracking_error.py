"""Tracking errors of a small state, by hand."""

from typing import Any

import pytest
import torch

from mimickit.envs.rewards import TrackingState
from mimickit.envs.tracking_error import ERROR_NAMES, ErrorMeter, tracking_errors

UPRIGHT = [0.0, 0.0, 0.0, 1.0]
PITCHED = [0.0, 0.09983341664682815, 0.0, 0.9950041652780258]  # 0.2 rad about y: sin and cos of 0.1
BODY_POS = [[1.0, 2.0, 3.0], [1.0, 2.0, 4.0], [1.0, 2.0, 5.0]]


def errors(track_root: bool, body_pos: Any = BODY_POS, body_rot: Any = (UPRIGHT,) * 3, **changes: Any) -> list[float]:
    values: dict[str, Any] = {
        "root_pos": [1.0, 2.0, 3.0],
        "root_rot": UPRIGHT,
        "root_vel": [0.0, 0.0, 0.0],
        "root_ang_vel": [0.0, 0.0, 0.0],
        "joint_rot": [UPRIGHT, UPRIGHT],
        "dof_vel": [1.0, 2.0, 3.0, 4.0],
        "key_pos": [[0.0, 0.0, 0.0]],
    }

    def tensor(value: Any) -> torch.Tensor:
        return torch.tensor(value, dtype=torch.float64).unsqueeze(0)

    ref = TrackingState(**{key: tensor(value) for key, value in values.items()})
    char = TrackingState(**{key: tensor(value) for key, value in {**values, **changes}.items()})
    rotations = tensor([UPRIGHT] * 3)
    return tracking_errors(char, ref, tensor(body_pos), tensor(BODY_POS), tensor(body_rot), rotations, track_root)[
        0
    ].tolist()


@pytest.mark.parametrize(
    ("changes", "tracked", "untracked"),
    [
        ({}, [0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]),
        (
            {"root_pos": [1.3, 2.4, 3.0], "body_pos": [[1.3, 2.4, 3.0], [1.3, 2.4, 4.0], [1.3, 2.4, 5.0]]},
            [0.5, 0, 0.5, 0, 0, 0, 0],
            [0.5, 0, 0, 0, 0, 0, 0],  # relative to the root nothing moved
        ),
        ({"body_pos": [*BODY_POS[:2], [1.0, 2.6, 5.8]]}, [0, 0, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0, 0, 0, 0]),
        ({"root_rot": PITCHED}, [0, 0.2, 0, 0, 0, 0, 0], [0, 0.2, 0, 0, 0, 0, 0]),
        ({"body_rot": [UPRIGHT, UPRIGHT, PITCHED]}, [0, 0, 0, 0.1, 0, 0, 0], [0, 0, 0, 0.1, 0, 0, 0]),
        ({"dof_vel": [0.0, 2.0, 6.0, 4.0]}, [0, 0, 0, 0, 1.0, 0, 0], [0, 0, 0, 0, 1.0, 0, 0]),
        ({"root_vel": [0.0, 3.0, 4.0]}, [0, 0, 0, 0, 0, 5.0, 0], [0, 0, 0, 0, 0, 5.0, 0]),
        ({"root_ang_vel": [0.6, 0.0, 0.8]}, [0, 0, 0, 0, 0, 0, 1.0], [0, 0, 0, 0, 0, 0, 1.0]),
    ],
)
def test_errors(changes: dict[str, Any], tracked: list[float], untracked: list[float]) -> None:
    assert errors(True, **changes) == pytest.approx(tracked, abs=1e-9)
    assert errors(False, **changes) == pytest.approx(untracked, abs=1e-9)


def test_the_published_names() -> None:
    assert ERROR_NAMES == (
        "Root_Pos_Err",
        "Root_Rot_Err",
        "Body_Pos_Err",
        "Body_Rot_Err",
        "Dof_Vel_Err",
        "Root_Vel_Err",
        "Root_Ang_Vel_Err",
    )


def test_the_meter_sums_and_starts_again() -> None:
    meter = ErrorMeter(7, torch.device("cpu"))
    meter.add(torch.ones(3, 7))
    meter.add(torch.full((2, 7), 4.0))
    total, count = meter.totals()
    assert total.tolist() == [11.0] * 7
    assert count == 5
    assert total.dtype == torch.float64
    assert meter.totals()[1] == 0
    assert total.tolist() == [11.0] * 7  # what was handed out does not change
