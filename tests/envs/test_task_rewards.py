"""Rewards of the location and steering tasks for small states, worked out by hand."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.config.case import load_env
from mimickit.config.env_config import TaskLocationEnvConfig, TaskSteeringEnvConfig
from mimickit.envs.task_rewards import location_reward, steering_reward

ENVS = Path(__file__).parents[2] / "data" / "envs"
FORWARD = (0.0, 0.0, 0.0)


def rows(values: Any) -> torch.Tensor:
    return torch.tensor(np.atleast_2d(values), dtype=torch.float64)


def facing(*rotvec: float) -> torch.Tensor:
    return rows(Rotation.from_rotvec(rotvec).as_quat())


@pytest.fixture(scope="module")
def location() -> TaskLocationEnvConfig:
    """1 m/s; near 0.5 with scale 0.5, speed 0.4 with scale 4, facing 0.1; arrived below 0.5 m^2."""
    config = load_env(ENVS / "amp_location_humanoid_env.yaml")
    assert isinstance(config, TaskLocationEnvConfig)
    return config


@pytest.fixture(scope="module")
def steering() -> TaskSteeringEnvConfig:
    """Travel 0.7 with scale 0.5, facing 0.3."""
    config = load_env(ENVS / "amp_steering_humanoid_env.yaml")
    assert isinstance(config, TaskSteeringEnvConfig)
    return config


NEAR_3 = 0.5 * math.exp(-0.5 * 9.0)
# Where the target is seen from a root at (1, -2), the root's velocity and rotation vector; the reward.
LOCATION_CASES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float, float], float]] = {
    "straight ahead, too slow": ((3, 0), (0.6, 0), FORWARD, NEAR_3 + 0.4 * math.exp(-4.0 * 0.16) + 0.1),
    "as fast as wanted": ((3, 0), (1.0, 0), FORWARD, NEAR_3 + 0.5),
    "faster than wanted": ((3, 0), (2.5, 0), FORWARD, NEAR_3 + 0.5),
    "only the speed towards it counts": ((3, 0), (0.6, 5.0), FORWARD, NEAR_3 + 0.4 * math.exp(-4.0 * 0.16) + 0.1),
    "standing": ((3, 0), (0, 0), FORWARD, NEAR_3 + 0.1),
    "sideways": ((3, 0), (0, 1.0), FORWARD, NEAR_3 + 0.1),
    "moving away": ((3, 0), (-0.1, 0), FORWARD, NEAR_3 + 0.1),
    "facing 60 degrees off": ((3, 0), (1.0, 0), (0, 0, math.pi / 3), NEAR_3 + 0.4 + 0.05),
    "facing away": ((3, 0), (1.0, 0), (0, 0, 2.5), NEAR_3 + 0.4),
    "stooping": ((3, 0), (1.0, 0), (0, 1.2, 0), NEAR_3 + 0.5),  # still heads there
    "leaning to the side": ((3, 0), (1.0, 0), (0.8, 0, 0), NEAR_3 + 0.5),
    "3-4-5": ((-3, 4), (-0.3, 0.4), (0, 0, math.pi / 2), 0.5 * math.exp(-12.5) + 0.4 * math.exp(-1.0) + 0.08),
    "arrived, but turned away and leaving": ((0.7, 0), (-3.0, 0), (0, 0, math.pi), 0.5 * math.exp(-0.245) + 0.5),
    "not quite there": ((0.71, 0), (-3.0, 0), (0, 0, math.pi), 0.5 * math.exp(-0.5 * 0.71**2)),
    "upon it": ((0, 0), (0, 0), (0, 0, 1.0), 1.0),
}


@pytest.mark.parametrize("case", LOCATION_CASES)
def test_going_to_a_place(location: TaskLocationEnvConfig, case: str) -> None:
    target, velocity, rotvec, reward = LOCATION_CASES[case]
    root = np.array([1.0, -2.0])
    actual = location_reward(rows(root), facing(*rotvec), rows(velocity), rows(root + target), location)
    assert actual.tolist() == pytest.approx([reward], abs=1e-9)


def test_every_key_of_the_location_reward(location: TaskLocationEnvConfig) -> None:
    config = dataclasses.replace(
        location,
        tar_speed=2.0,
        dist_threshold=0.0,
        pos_err_scale=0.3,
        vel_err_scale=1.5,
        pos_reward_w=0.2,
        vel_reward_w=0.3,
        face_reward_w=0.9,
    )
    actual = location_reward(rows([0, 0]), facing(0, 0, 0.4), rows([1.2, 0]), rows([2, 0]), config).item()
    expected = 0.2 * math.exp(-0.3 * 4.0) + 0.3 * math.exp(-1.5 * 0.64) + 0.9 * math.cos(0.4)
    assert actual == pytest.approx(expected, abs=1e-9)


DEGREES_30 = math.pi / 6
# The root's velocity and rotation vector; the reward for 2 m/s along y while facing x.
STEERING_CASES: dict[str, tuple[tuple[float, float], tuple[float, float, float], float]] = {
    "just as wanted": ((0, 2), FORWARD, 1.0),
    "too slow": ((0, 1), FORWARD, 0.7 * math.exp(-0.5) + 0.3),
    "too fast": ((0, 3), FORWARD, 0.7 * math.exp(-0.5) + 0.3),
    "drifting": ((0.5, 1.5), FORWARD, 0.7 * math.exp(-0.25) + 0.3),
    "standing": ((0, 0), FORWARD, 0.3),
    "sideways": ((2, 0), FORWARD, 0.3),
    "the wrong way": ((0, -0.1), FORWARD, 0.3),
    "facing 30 degrees off": ((0, 2), (0, 0, DEGREES_30), 0.7 + 0.3 * math.cos(DEGREES_30)),
    "facing where it goes": ((0, 2), (0, 0, math.pi / 2), 0.7),
    "facing away": ((0, 2), (0, 0, math.pi), 0.7),
    "stooping": ((0, 2), (0, 1.0, 0), 1.0),
}


@pytest.mark.parametrize("case", STEERING_CASES)
def test_moving_in_a_direction(steering: TaskSteeringEnvConfig, case: str) -> None:
    velocity, rotvec, reward = STEERING_CASES[case]
    speed = torch.tensor([2.0], dtype=torch.float64)
    actual = steering_reward(facing(*rotvec), rows(velocity), rows([0, 1]), speed, rows([1, 0]), steering)
    assert actual.tolist() == pytest.approx([reward], abs=1e-9)


def test_every_key_of_the_steering_reward(steering: TaskSteeringEnvConfig) -> None:
    config = dataclasses.replace(
        steering, reward_steering_tar_w=0.2, reward_steering_face_w=0.6, reward_steering_vel_scale=2.0
    )
    speed = torch.tensor([1.5], dtype=torch.float64)
    actual = steering_reward(facing(0, 0, 0.5), rows([1.2, 0.1]), rows([1, 0]), speed, rows([1, 0]), config)
    assert actual.item() == pytest.approx(0.2 * math.exp(-2.0 * (0.09 + 0.01)) + 0.6 * math.cos(0.5), abs=1e-9)


def test_tasks_of_different_environments_do_not_mix(
    location: TaskLocationEnvConfig, steering: TaskSteeringEnvConfig
) -> None:
    places = list(LOCATION_CASES.values())
    together = location_reward(
        torch.zeros(len(places), 2, dtype=torch.float64),
        torch.cat([facing(*rotvec) for _, _, rotvec, _ in places]),
        rows([velocity for _, velocity, _, _ in places]),
        rows([target for target, _, _, _ in places]),
        location,
    )
    assert together.tolist() == pytest.approx([reward for *_, reward in places], abs=1e-9)
    ways = list(STEERING_CASES.values())
    together = steering_reward(
        torch.cat([facing(*rotvec) for _, rotvec, _ in ways]),
        rows([velocity for velocity, _, _ in ways]),
        rows([[0, 1]] * len(ways)),
        torch.full((len(ways),), 2.0, dtype=torch.float64),
        rows([[1, 0]] * len(ways)),
        steering,
    )
    assert together.tolist() == pytest.approx([reward for *_, reward in ways], abs=1e-9)
