"""Observation layouts against vectors put together by hand, with scipy's rotations."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.envs.observations import (
    char_observation,
    char_observation_size,
    phase_observation,
    target_observation,
    target_observation_size,
)

JOINTS, DOFS, KEYS, STEPS = 3, 5, 2, 2


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64).unsqueeze(0)


def tan_norm(rotation: Rotation) -> np.ndarray:
    """(..., 6): the turned x axis, then the turned z axis."""
    return np.concatenate([rotation.apply([1, 0, 0]), rotation.apply([0, 0, 1])], axis=-1)


def inverse_heading(rotation: Rotation) -> Rotation:
    x, y, _ = rotation.apply([1, 0, 0])
    return Rotation.from_euler("z", -math.atan2(y, x))


class Body:
    """A state of one environment, the world turned by ``yaw`` about the origin."""

    def __init__(self, yaw: float = 0.0):
        random = np.random.default_rng(6)
        turn = Rotation.from_euler("z", yaw)
        self.root_pos = turn.apply([1.0, 2.0, 0.9])
        self.root_rot = turn * Rotation.from_euler("xyz", [0.2, -0.3, 1.1])
        self.root_vel = turn.apply([3.0, 4.0, 5.0])
        self.root_ang_vel = turn.apply([6.0, 7.0, 8.0])
        self.joint_rot = Rotation.random(JOINTS, rng=random)
        self.dof_vel = np.arange(10.0, 10.0 + DOFS)
        self.key_pos = turn.apply(random.normal(size=(KEYS, 3)))

    def observe(self, global_obs: bool, root_height_obs: bool) -> np.ndarray:
        return char_observation(
            tensor(self.root_pos),
            tensor(self.root_rot.as_quat()),
            tensor(self.root_vel),
            tensor(self.root_ang_vel),
            tensor(self.joint_rot.as_quat()),
            tensor(self.dof_vel),
            tensor(self.key_pos),
            global_obs,
            root_height_obs,
        )[0].numpy()


@pytest.mark.parametrize("root_height_obs", [True, False])
@pytest.mark.parametrize("global_obs", [True, False])
def test_the_parts_of_a_characters_observation(global_obs: bool, root_height_obs: bool) -> None:
    body = Body()
    frame = Rotation.identity() if global_obs else inverse_heading(body.root_rot)
    expected = [
        [0.9] if root_height_obs else [],
        tan_norm(frame * body.root_rot),
        frame.apply(body.root_vel),
        frame.apply(body.root_ang_vel),
        tan_norm(body.joint_rot).ravel(),
        body.dof_vel,
        frame.apply(body.key_pos - body.root_pos).ravel(),
    ]
    actual = body.observe(global_obs, root_height_obs)
    start = 0
    for part, values in enumerate(expected):
        own = actual[start : start + len(values)]
        np.testing.assert_allclose(own, values, atol=1e-9, err_msg=f"part {part}")
        start += len(values)
    assert start == len(actual) == char_observation_size(JOINTS, DOFS, KEYS, root_height_obs)


def test_known_numbers_stay_where_they_are_put() -> None:
    """A root turned a quarter about z, moving along its own x axis, one key body 2 m to its left."""
    quarter = Rotation.from_euler("z", 90, degrees=True).as_quat()
    velocities = [0.0, 3.0, 0.0], [0.0, 0.0, 4.0]
    state = [[1.0, 1.0, 0.5], quarter, *velocities, [[0.0, 0.0, 0.0, 1.0]], [7.0], [[-1.0, 1.0, 0.5]]]
    upright = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    local = char_observation(*(tensor(value) for value in state), False, True)[0]
    np.testing.assert_allclose(local, [0.5, *upright, 3, 0, 0, 0, 0, 4, *upright, 7, 0, 2, 0], atol=1e-9)
    world = char_observation(*(tensor(value) for value in state), True, False)[0]
    np.testing.assert_allclose(world, [0, 1, 0, 0, 0, 1, 0, 3, 0, 0, 0, 4, *upright, 7, -2, 0, 0], atol=1e-9)


def test_a_local_observation_does_not_know_the_heading() -> None:
    for yaw in (0.5, 2.0, -3.0):
        np.testing.assert_allclose(Body(yaw).observe(False, True), Body().observe(False, True), atol=1e-9)
        assert np.abs(Body(yaw).observe(True, True) - Body().observe(True, True)).max() > 0.1


def test_phase() -> None:
    half = math.sqrt(0.5)
    actual = phase_observation(torch.tensor([0.125, 0.5]), 3)
    expected = [[0.125, half, 1.0, 0.0, half, 0.0, -1.0], [0.5, 0.0, 0.0, 0.0, -1.0, 1.0, 1.0]]
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert phase_observation(torch.tensor([0.3]), 0).tolist() == [[pytest.approx(0.3)]]


class Targets:
    """A character at ``root_pos`` and a reference at STEPS future times, the world turned by ``yaw``."""

    def __init__(self, yaw: float = 0.0, away: float = 0.0):
        random = np.random.default_rng(9)
        turn = Rotation.from_euler("z", yaw)
        self.root_pos = turn.apply([1.0 + away, 2.0, 0.9])
        self.tar_pos = turn.apply(random.normal(size=(STEPS, 3)))
        self.tar_rot = turn * Rotation.random(STEPS, rng=random)
        self.tar_joints = Rotation.random(STEPS * JOINTS, rng=random)
        self.tar_keys = turn.apply(random.normal(size=(STEPS * KEYS, 3))).reshape(STEPS, KEYS, 3)

    def observe(self, global_obs: bool, root_height_obs: bool) -> np.ndarray:
        return target_observation(
            tensor(self.root_pos),
            tensor(self.tar_pos),
            tensor(self.tar_rot.as_quat()),
            tensor(self.tar_joints.as_quat().reshape(STEPS, JOINTS, 4)),
            tensor(self.tar_keys),
            global_obs,
            root_height_obs,
        )[0].numpy()


@pytest.mark.parametrize("root_height_obs", [True, False])
@pytest.mark.parametrize("global_obs", [True, False])
def test_the_parts_of_the_targets(global_obs: bool, root_height_obs: bool) -> None:
    targets = Targets()
    frame = Rotation.identity() if global_obs else inverse_heading(targets.tar_rot[0])
    reference = targets.root_pos if global_obs else targets.tar_pos[0]
    joints = tan_norm(targets.tar_joints).reshape(STEPS, -1)
    expected = []
    for step in range(STEPS):
        offset = frame.apply(targets.tar_pos[step] - reference)
        height = [targets.tar_pos[step, 2]] if root_height_obs else []
        keys = frame.apply(targets.tar_keys[step] - targets.tar_pos[step])
        expected += [offset[:2], height, tan_norm(frame * targets.tar_rot[step]), joints[step], keys.ravel()]
    actual = targets.observe(global_obs, root_height_obs)
    start = 0
    for part, values in enumerate(expected):
        np.testing.assert_allclose(actual[start : start + len(values)], values, atol=1e-9, err_msg=f"part {part}")
        start += len(values)
    assert start == len(actual) == target_observation_size(JOINTS, KEYS, range(STEPS), root_height_obs)


def test_local_targets_know_neither_heading_nor_the_character() -> None:
    plain = Targets().observe(False, True)
    np.testing.assert_allclose(Targets(yaw=1.3).observe(False, True), plain, atol=1e-9)
    np.testing.assert_allclose(Targets(away=5.0).observe(False, True), plain, atol=1e-12)
    np.testing.assert_allclose(plain[:2], 0.0, atol=1e-12)  # the first target is its own reference
    moved = Targets(away=5.0).observe(True, True) - Targets().observe(True, True)
    size = len(moved) // STEPS
    expected = np.zeros(len(moved))
    expected[::size] = -5.0
    np.testing.assert_allclose(moved, expected, atol=1e-9)
