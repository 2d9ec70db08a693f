"""The ADD environment on MuJoCo: the difference its discriminator sees against reference minus character by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mimickit.anim.clip import LoopMode
from mimickit.envs.add_env import ADDEnv
from mimickit.envs.deepmimic_env import DeepMimicEnv
from mimickit.envs.terminations import Done

MakeEnv = Callable[..., ADDEnv]
ByHand = Callable[[ADDEnv], Any]

UNTRACKED = {"enable_tar_obs": False}


def zeros(env: ADDEnv) -> torch.Tensor:
    return torch.zeros(env.num_envs, env.action_size)


def run(env: ADDEnv, truth: Any, steps: int) -> list[list[tuple[Any, Any]]]:
    """Per environment the states of reference and character, at the start and after each step of zero actions."""
    pairs: list[list[tuple[Any, Any]]] = [[] for _ in range(env.num_envs)]
    for step in range(steps + 1):
        if step:
            env.step(zeros(env))
        for index in range(env.num_envs):
            time = float(env.motion_start[index]) + step / 30
            pairs[index].append((truth.of_clip(index, time), truth.of_character(index)))
    return pairs


def difference(env: ADDEnv, truth: Any, pairs: list[tuple[Any, Any]]) -> np.ndarray:
    """Reference minus character over pairs, oldest first, as their windows are seen; all bodies."""
    dof_vel = env.config.disc_dof_vel_obs
    reference, character = (truth.window(states, env.track_root, None, dof_vel) for states in zip(*pairs, strict=True))
    return reference - character


def test_the_humanoid_s_sizes(make_style_env: MakeEnv) -> None:
    env = make_style_env("add", num_envs=2)
    assert isinstance(env, ADDEnv)
    assert (env.obs_size, env.action_size, env.disc_obs_size) == (464, 28, 172)
    assert env.reset().shape == (2, 464)
    assert env.observe_difference().shape == (2, 172)
    assert env.has_reference


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"num_disc_obs_steps": 2}, 344),
        ({"disc_dof_vel_obs": False}, 144),
        ({"num_disc_obs_steps": 2, "disc_dof_vel_obs": False}, 288),
        ({"key_bodies": ("head",)}, 172),  # it sees all bodies in any case
    ],
)
def test_other_sizes(make_style_env: MakeEnv, changes: dict, size: int) -> None:
    env = make_style_env("add", **changes)
    env.reset()
    assert env.disc_obs_size == size
    assert env.observe_difference().shape == (1, size)


@pytest.mark.parametrize("changes", [{}, UNTRACKED, {"num_disc_obs_steps": 2}, {"num_disc_obs_steps": 3, **UNTRACKED}])
@pytest.mark.parametrize("loop_mode", [LoopMode.WRAP, LoopMode.CLAMP])
def test_at_the_start_there_is_no_difference(make_style_env: MakeEnv, loop_mode: LoopMode, changes: dict) -> None:
    env = make_style_env("add", num_envs=6, loop_mode=loop_mode, **changes)
    env.reset()
    torch.testing.assert_close(env.observe_difference(), torch.zeros(6, env.disc_obs_size), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "changes", [{}, UNTRACKED, {"root_height_obs": False, **UNTRACKED}], ids=["tracked", "local", "no height"]
)
@pytest.mark.parametrize("disc_steps", [1, 2])
def test_the_difference_is_the_reference_minus_the_character(
    make_style_env: MakeEnv, by_hand: ByHand, disc_steps: int, changes: dict
) -> None:
    """After 1, 2 and 5 steps in which the character falls instead of following."""
    env = make_style_env(
        "add", num_envs=3, num_disc_obs_steps=disc_steps, enable_early_termination=False, seed=1, **changes
    )
    truth = by_hand(env)
    for steps in (1, 2, 5):
        env.reset()
        pairs = run(env, truth, steps)
        for index in range(3):
            expected = difference(env, truth, pairs[index][-disc_steps:])
            assert np.abs(expected).max() > 0.1
            np.testing.assert_allclose(env.observe_difference()[index], expected, atol=1e-4, err_msg=f"{steps} steps")


def test_before_the_start_both_stood_as_at_the_start(make_style_env: MakeEnv, by_hand: ByHand) -> None:
    """With four steps seen after the first one: three of the start, which are alike, and the new one."""
    env = make_style_env("add", num_disc_obs_steps=4, enable_early_termination=False)
    truth = by_hand(env)
    env.reset()
    (pairs,) = run(env, truth, 1)
    seen = env.observe_difference()[0]
    torch.testing.assert_close(seen[: 3 * 172], torch.zeros(3 * 172), atol=1e-4, rtol=0)
    np.testing.assert_allclose(seen[3 * 172 :], difference(env, truth, pairs[-1:]), atol=1e-4)


@pytest.mark.parametrize(
    ("tensor", "index", "place"),
    [
        # 3 root position, 6 root rotation, 14 * 6 joints, 15 * 3 bodies, 3 + 3 root velocities, 28 DoF velocities.
        ("root_pos", 1, 1),
        ("body_pos", (2, 0), 93 + 2 * 3),
        ("body_pos", (14, 2), 93 + 14 * 3 + 2),
        ("root_vel", 2, 138 + 2),
        ("root_ang_vel", 0, 141),
        ("dof_vel", 27, 171),
    ],
)
def test_a_character_ahead_of_its_reference_gives_a_negative_difference(
    make_style_env: MakeEnv, tensor: str, index: int | tuple[int, ...], place: int
) -> None:
    env = make_style_env("add", num_envs=2)
    env.reset()
    own = (1, *index) if isinstance(index, tuple) else (1, index)
    getattr(env.engine, tensor)[own] += 0.25
    env.record_step()
    seen = env.observe_difference()
    assert seen[1, place].item() == pytest.approx(-0.25, abs=1e-4)
    assert seen[0].abs().max() < 1e-4
    others = seen[1].clone()
    others[place] = 0.0
    if tensor == "root_pos":
        others[93 + index : 138 : 3] -= 0.25  # bodies are relative to the root
    assert others.abs().max() < 1e-4


@pytest.mark.parametrize("changes", [{}, UNTRACKED], ids=["tracked", "local"])
@pytest.mark.parametrize("loop_mode", [LoopMode.WRAP, LoopMode.CLAMP])
def test_a_character_that_moves_as_the_clip_makes_no_difference(
    make_style_env: MakeEnv, monkeypatch: pytest.MonkeyPatch, loop_mode: LoopMode, changes: dict
) -> None:
    env = make_style_env("add", num_envs=4, loop_mode=loop_mode, num_disc_obs_steps=3, **changes)
    env.reset()
    everywhere = torch.ones(4, dtype=torch.bool)
    monkeypatch.setattr(env, "simulate", lambda: env.take_pose(everywhere, env.motion_time + 1 / 30))
    for _ in range(12):
        env.step(zeros(env))
        torch.testing.assert_close(env.observe_difference(), torch.zeros(4, 516), atol=1e-4, rtol=0)
    assert (env.motion_time > 1.0).any()


@pytest.mark.parametrize("all_rows", [False, True], ids=["chosen rows", "all rows"])
def test_a_reset_changes_only_the_differences_of_the_environments_that_ended(
    make_style_env: MakeEnv, monkeypatch: pytest.MonkeyPatch, all_rows: bool
) -> None:
    """Also where choosing rows is avoided, as on a GPU."""
    env = make_style_env("add", num_envs=4, num_disc_obs_steps=2, enable_early_termination=False)
    env.reset()
    if all_rows:
        monkeypatch.setattr(env, "rows_of", lambda mask: slice(None))
    for _ in range(3):
        env.step(zeros(env))
    before = env.observe_difference()
    kept = before.clone()
    env.done = torch.tensor([Done.NULL, Done.FAIL, Done.SUCC, Done.NULL])
    env.reset_done()
    after = env.observe_difference()
    assert torch.equal(before, kept)
    assert torch.equal(after[[0, 3]], before[[0, 3]])
    assert (before.abs().amax(dim=-1) > 0.1).all()
    assert after[[1, 2]].abs().max() < 1e-4


@pytest.mark.parametrize(("loop_mode", "end"), [(LoopMode.CLAMP, Done.SUCC), (LoopMode.WRAP, Done.NULL)])
def test_a_clip_that_does_not_wrap_ends_the_episode(make_style_env: MakeEnv, loop_mode: LoopMode, end: Done) -> None:
    env = make_style_env("add", length=0.25, loop_mode=loop_mode, rand_reset=False, enable_early_termination=False)
    env.reset()
    flags = []
    for _ in range(8):
        env.step(zeros(env))
        flags.append(env.done.item())
    assert flags == [Done.NULL] * 7 + [end]  # 7 / 30 < 0.25 <= 8 / 30


def rollout(env: DeepMimicEnv) -> list[torch.Tensor]:
    rows = [env.reset().clone()]
    for _ in range(4):
        rows.append(env.step(torch.full((env.num_envs, 28), 0.1)).clone())
        rows += [env.reward.clone(), env.done.clone()]
        rows.append(env.reset_done().clone())
    return rows


def test_all_else_is_deepmimic_s(make_style_env: MakeEnv) -> None:
    """Observations, rewards and ends are those of its environment with the same settings."""
    add = make_style_env("add", num_envs=3, pose_termination_dist=0.3)
    deepmimic = make_style_env("deepmimic", num_envs=3, pose_termination_dist=0.3, joint_err_w=None)
    assert type(deepmimic) is DeepMimicEnv
    own, theirs = rollout(add), rollout(deepmimic)
    for mine, other in zip(own, theirs, strict=True):
        assert torch.equal(mine, other)
    assert any((row == Done.FAIL).any() for row in own[3::4])


def differences(env: ADDEnv) -> torch.Tensor:
    env.reset()
    rows = []
    for _ in range(3):
        env.step(zeros(env))
        rows.append(env.observe_difference())
        env.done[0] = Done.TIME
        env.reset_done()
        rows.append(env.observe_difference())
    return torch.stack(rows)


def test_the_seed_decides(make_style_env: MakeEnv) -> None:
    first, again, other = (differences(make_style_env("add", num_envs=3, seed=seed)) for seed in (2, 2, 5))
    assert torch.equal(first, again)
    assert not torch.isclose(first[4], other[4], atol=1e-3).all(dim=-1).any()


def test_choosing_rows_changes_nothing(make_style_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = differences(make_style_env("add", num_envs=3))
    env = make_style_env("add", num_envs=3)
    monkeypatch.setattr(env, "rows_of", lambda mask: slice(None))
    torch.testing.assert_close(differences(env), chosen, atol=1e-5, rtol=0)
