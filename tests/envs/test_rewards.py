"""Energies and rewards of small states, worked out by hand."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.envs.rewards import TrackingState, imitation_reward, tracking_energies

JOINT_W = torch.tensor([2.0, 0.5], dtype=torch.float64)
DOF_W = torch.tensor([2.0, 2.0, 2.0, 0.5], dtype=torch.float64)


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def turned(*rotvec: float) -> list[float]:
    return Rotation.from_rotvec(rotvec).as_quat().tolist()


def state(**changes: Any) -> TrackingState:
    """One environment: a root at (1, 2, 3) facing x, a spherical joint and a hinge, two key bodies."""
    values: dict[str, Any] = {
        "root_pos": [1.0, 2.0, 3.0],
        "root_rot": turned(0.0, 0.0, 0.0),
        "root_vel": [0.4, 0.5, 0.6],
        "root_ang_vel": [0.1, 0.2, 0.3],
        "joint_rot": [turned(0.3, 0.0, 0.0), turned(0.0, 0.6, 0.0)],
        "dof_vel": [1.0, 2.0, 3.0, 4.0],
        "key_pos": [[1.5, 2.0, 3.0], [1.0, 2.0, 4.0]],
    }
    return TrackingState(**{key: tensor(value).unsqueeze(0) for key, value in {**values, **changes}.items()})


def energies(char: TrackingState, ref: TrackingState, track_root: bool = True) -> list[float]:
    return tracking_energies(char, ref, JOINT_W, DOF_W, track_root)[0].tolist()


SHIFTED_KEYS = [[1.5 + 0.3, 2.0 - 0.1, 3.0 + 0.2], [1.0 + 0.3, 2.0 - 0.1, 4.0 + 0.2]]
FURTHER = (Rotation.from_rotvec([0.0, 0.0, 0.5]) * Rotation.from_rotvec([0.3, 0.0, 0.0])).as_quat().tolist()

# What differs, and the five energies E_p, E_v, E_rp, E_rv, E_k with the root tracked and not.
CASES: dict[str, tuple[dict[str, Any], list[float], list[float]]] = {
    "nothing": ({}, [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
    "the first joint by 0.5 rad, about another axis": (
        {"joint_rot": [FURTHER, turned(0, 0.6, 0)]},
        [2 * 0.25, 0, 0, 0, 0],
        [2 * 0.25, 0, 0, 0, 0],
    ),
    "the hinge by 0.4 rad": (
        {"joint_rot": [turned(0.3, 0, 0), turned(0, 1.0, 0)]},
        [0.5 * 0.16, 0, 0, 0, 0],
        [0.5 * 0.16, 0, 0, 0, 0],
    ),
    "DoF velocities": (
        {"dof_vel": [1.5, 2.0, 2.0, 7.0]},
        [0, 2 * 0.25 + 2 * 1.0 + 0.5 * 9.0, 0, 0, 0],
        [0, 2 * 0.25 + 2 * 1.0 + 0.5 * 9.0, 0, 0, 0],
    ),
    "root and keys moved together": (
        {"root_pos": [1.3, 1.9, 3.2], "key_pos": SHIFTED_KEYS},
        [0, 0, 0.09 + 0.01 + 0.04, 0, 0],
        [0, 0, 0.04, 0, 0],  # only the height counts
    ),
    "the root pitched by 0.2 rad": (
        {"root_rot": turned(0, 0.2, 0)},
        [0, 0, 0.1 * 0.04, 0, 0],
        [0, 0, 0.1 * 0.04, 0, 0],
    ),
    "root velocities": (
        {"root_vel": [0.4, 0.0, 1.6], "root_ang_vel": [0.1, 0.2, 2.3]},
        [0, 0, 0, 0.25 + 1.0 + 0.1 * 4.0, 0],
        [0, 0, 0, 0.25 + 1.0 + 0.1 * 4.0, 0],
    ),
    "one key body": (
        {"key_pos": [[1.5, 2.0, 3.0], [1.0, 2.3, 4.4]]},
        [0, 0, 0, 0, 0.09 + 0.16],
        [0, 0, 0, 0, 0.09 + 0.16],
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_energies(case: str) -> None:
    changes, tracked, untracked = CASES[case]
    for char, ref in ((state(**changes), state()), (state(), state(**changes))):
        assert energies(char, ref, True) == pytest.approx(tracked, abs=1e-9)
        assert energies(char, ref, False) == pytest.approx(untracked, abs=1e-9)


def rotated_about_z(original: TrackingState, yaw: float) -> TrackingState:
    """The same state seen after turning the world by ``yaw`` about the origin."""
    turn = Rotation.from_euler("z", yaw)

    def vectors(values: torch.Tensor) -> torch.Tensor:
        return tensor(turn.apply(values.reshape(-1, 3).numpy())).reshape(values.shape)

    return dataclasses.replace(
        original,
        root_pos=vectors(original.root_pos),
        root_rot=tensor((turn * Rotation.from_quat(original.root_rot.numpy())).as_quat()),
        root_vel=vectors(original.root_vel),
        root_ang_vel=vectors(original.root_ang_vel),
        key_pos=vectors(original.key_pos),
    )


@pytest.mark.parametrize("yaw", [0.4, 1.7, math.pi, -2.5])
def test_an_untracked_root_may_face_anywhere(yaw: float) -> None:
    char = state(root_rot=turned(0.1, 0.2, 0.3), root_vel=[1.0, -1.0, 0.2], key_pos=[[1.2, 2.5, 3.1], [0.7, 2.0, 3.9]])
    plain = energies(char, state(), False)
    assert all(value > 0 for value in plain[2:])
    assert energies(rotated_about_z(char, yaw), state(), False) == pytest.approx(plain, abs=1e-9)
    assert energies(char, rotated_about_z(state(), yaw), False) == pytest.approx(plain, abs=1e-9)
    assert energies(rotated_about_z(char, yaw), rotated_about_z(state(), yaw), True) == pytest.approx(
        energies(char, state(), True), abs=1e-9
    )
    assert energies(rotated_about_z(char, yaw), state(), True)[2] > energies(char, state(), True)[2]


def test_local_velocities_by_hand() -> None:
    """Both run 2 m/s straight ahead, the reference facing y: local velocities agree, world ones differ by (2, -2)."""
    ahead_x = state(root_vel=[2.0, 0.0, 0.0])
    ahead_y = rotated_about_z(ahead_x, math.pi / 2)
    assert energies(ahead_x, ahead_y, False)[3] == pytest.approx(0.0, abs=1e-12)
    # Angular velocity (0.1, 0.2) seen as (-0.2, 0.1): 0.1 * (0.3^2 + 0.1^2).
    assert energies(ahead_x, ahead_y, True)[3] == pytest.approx(8.0 + 0.1 * 0.10, abs=1e-9)


def test_the_reward_is_a_weighted_sum_of_exponentials() -> None:
    weights, scales = tensor([0.5, 0.1, 0.15, 0.1, 0.15]), tensor([0.25, 0.01, 5.0, 1.0, 10.0])
    rows = tensor([[0.0] * 5, [4.0, 100.0, 0.2, 1.0, 0.1], [8.0, 0.0, 0.0, 0.0, 0.0]])
    expected = [1.0, 1.0 / math.e, 0.5 * math.exp(-2.0) + 0.5]
    assert imitation_reward(rows, weights, scales).tolist() == pytest.approx(expected)
    for term in range(5):  # each has its own weight and scale
        row = torch.full((1, 5), math.inf, dtype=torch.float64)
        row[0, term] = 0.3
        expected_term = weights[term] * torch.exp(-0.3 * scales[term])
        assert imitation_reward(row, weights, scales).item() == pytest.approx(expected_term.item())


def test_environments_do_not_mix() -> None:
    pairs = [CASES["the hinge by 0.4 rad"], CASES["one key body"], CASES["nothing"]]
    chars = [state(**changes) for changes, _, _ in pairs]
    names = [field.name for field in dataclasses.fields(TrackingState)]
    batch = TrackingState(*(torch.cat([getattr(char, name) for char in chars]) for name in names))
    refs = TrackingState(*(getattr(state(), name).expand_as(getattr(batch, name)) for name in names))
    for track_root, column in ((True, 1), (False, 2)):
        actual = tracking_energies(batch, refs, JOINT_W, DOF_W, track_root)
        expected = tensor([pair[column] for pair in pairs])
        torch.testing.assert_close(actual, expected, atol=1e-9, rtol=0)
