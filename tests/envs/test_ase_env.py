"""The ASE environment on MuJoCo: how often episodes start in the default pose, and with which past."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimickit.anim.clip import LoopMode
from mimickit.config.case import load_env
from mimickit.envs.ase_env import ASEEnv
from mimickit.envs.terminations import Done
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]
MakeEnv = Callable[..., ASEEnv]
ByHand = Callable[[ASEEnv], Any]

TRACKED = {"enable_tar_obs": True, "tar_obs_steps": (1,), "global_obs": True}
LOCAL = {"global_obs": False}


def at_default(env: ASEEnv) -> torch.Tensor:
    """Characters at the default height, ``(N,)``; the clip never comes within 0.4 m of it."""
    return (env.engine.root_pos[:, 2] - env.config.init_pose[2]).abs() < 0.1


def default_window(env: ASEEnv, truth: Any) -> np.ndarray:
    """Ten frames of the default pose at rest."""
    return truth.window([truth.at_rest(env.config.init_pose)] * 10, env.track_root, env.config.key_bodies)


def clip_window(env: ASEEnv, truth: Any, index: int) -> np.ndarray:
    return truth.window(truth.before_start(index, 10), env.track_root, env.config.key_bodies)


def test_the_humanoid_s_sizes(make_style_env: MakeEnv) -> None:
    env = make_style_env("ase", num_envs=2)
    assert isinstance(env, ASEEnv)
    assert (env.obs_size, env.action_size, env.disc_obs_size) == (140, 28, 1420)
    assert env.reset().shape == (2, 140)
    assert not env.has_reference


@pytest.mark.parametrize("chance", [0.2, 0.5])
def test_the_share_of_default_starts(make_style_env: MakeEnv, chance: float) -> None:
    env = make_style_env("ase", num_envs=100, default_reset_prob=chance)
    counts = []
    for _ in range(10):
        env.reset()
        counts.append(int(at_default(env).sum()))
    bound = 4 * math.sqrt(1000 * chance * (1 - chance))  # four standard deviations
    assert abs(sum(counts) - 1000 * chance) < bound
    assert np.std(counts) > 1.0  # drawn for every environment and reset: binomial, 4 or 5


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_never_and_always(make_style_env: MakeEnv, chance: float) -> None:
    env = make_style_env("ase", num_envs=20, default_reset_prob=chance)
    env.reset()
    assert at_default(env).tolist() == [bool(chance)] * 20


@pytest.mark.parametrize("changes", [LOCAL, TRACKED], ids=["local", "tracked"])
@pytest.mark.parametrize("loop_mode", [LoopMode.WRAP, LoopMode.CLAMP])
def test_each_start_has_its_own_past(
    make_style_env: MakeEnv, by_hand: ByHand, loop_mode: LoopMode, changes: dict
) -> None:
    """The default pose at rest all the time, or what led to the start in the clip."""
    env = make_style_env("ase", num_envs=10, loop_mode=loop_mode, default_reset_prob=0.5, **changes)
    truth = by_hand(env)
    env.reset()
    default = at_default(env)
    assert 0 < default.sum() < 10
    seen = env.observe_window()
    for index in range(10):
        expected = default_window(env, truth) if default[index] else clip_window(env, truth, index)
        np.testing.assert_allclose(seen[index], expected, atol=1e-4, err_msg=f"environment {index}")
    frames = seen[default].reshape(-1, 10, 142)
    assert torch.equal(frames, frames[:, -1:].expand_as(frames))


def test_a_default_start_is_at_rest_and_observed_so(make_style_env: MakeEnv) -> None:
    env = make_style_env("ase", num_envs=3, default_reset_prob=1.0)
    obs = env.reset()
    pose = torch.tensor(env.config.init_pose)
    torch.testing.assert_close(env.engine.root_pos, pose[:3].expand(3, -1))
    torch.testing.assert_close(env.engine.dof_pos, pose[6:].expand(3, -1))
    for name in ("root_vel", "root_ang_vel", "dof_vel"):
        assert (getattr(env.engine, name) == 0).all(), name
    upright = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    np.testing.assert_allclose(obs[1, :13], [pose[2], *upright, *[0.0] * 6], atol=1e-6)
    np.testing.assert_allclose(obs[1, 97:125], np.zeros(28), atol=1e-6)


def test_the_past_of_a_default_start_fades(make_style_env: MakeEnv, by_hand: ByHand) -> None:
    env = make_style_env("ase", default_reset_prob=1.0, enable_early_termination=False, **TRACKED)
    truth = by_hand(env)
    env.reset()
    rest = default_window(env, truth)[:142]
    past = []
    for _ in range(3):
        env.step(torch.full((1, 28), 0.2))
        past.append(truth.window([truth.of_character(0)], True, env.config.key_bodies))
    expected = np.concatenate([rest] * 7 + past)
    np.testing.assert_allclose(env.observe_window()[0], expected, atol=1e-4)


@pytest.mark.parametrize("all_rows", [False, True], ids=["chosen rows", "all rows"])
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_reset_changes_only_the_environments_that_ended(
    make_style_env: MakeEnv, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch, chance: float, all_rows: bool
) -> None:
    """Also where choosing rows is avoided, as on a GPU."""
    env = make_style_env("ase", num_envs=4, default_reset_prob=chance, enable_early_termination=False)
    truth = by_hand(env)
    env.reset()
    if all_rows:
        monkeypatch.setattr(env, "rows_of", lambda mask: slice(None))
    for _ in range(2):
        env.step(torch.full((4, 28), 0.2))
    before, root_pos = env.observe_window(), env.engine.root_pos.clone()
    env.done = torch.tensor([Done.NULL, Done.FAIL, Done.NULL, Done.TIME])
    env.reset_done()
    after = env.observe_window()
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert torch.equal(env.engine.root_pos[[0, 2]], root_pos[[0, 2]])
    for index in (1, 3):
        expected = default_window(env, truth) if chance else clip_window(env, truth, index)
        np.testing.assert_allclose(after[index], expected, atol=1e-4)


def rollout(env: ASEEnv) -> torch.Tensor:
    env.reset()
    rows = [env.observe_window(), env.sample_demo(env.num_envs)]
    for _ in range(3):
        env.step(torch.full((env.num_envs, 28), 0.2))
        env.done[::2] = Done.TIME
        env.reset_done()
        rows += [env.observe_window(), env.sample_demo(env.num_envs)]
    return torch.stack(rows)


def test_the_seed_decides(make_style_env: MakeEnv) -> None:
    first, again, other = (rollout(make_style_env("ase", num_envs=8, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.isclose(first[1], other[1]).all(dim=-1).any()  # demos
    assert not torch.equal(first[0], other[0])


def test_choosing_rows_changes_nothing(make_style_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = rollout(make_style_env("ase", num_envs=8))
    env = make_style_env("ase", num_envs=8)
    monkeypatch.setattr(env, "rows_of", lambda mask: slice(None))
    torch.testing.assert_close(rollout(env), chosen, atol=1e-5, rtol=0)


def test_a_clip_s_end_is_not_the_episode_s(make_style_env: MakeEnv) -> None:
    env = make_style_env("ase", num_envs=4, length=0.1, loop_mode=LoopMode.CLAMP, enable_early_termination=False)
    env.reset()
    for _ in range(20):
        env.step(torch.zeros(4, 28))
        assert env.done.tolist() == [Done.NULL] * 4
        assert env.reward.tolist() == [0.0] * 4


def test_a_probability_is_between_nothing_and_one(tmp_path: Path) -> None:
    text = (ROOT / "data" / "envs" / "ase_humanoid_env.yaml").read_text()
    file = tmp_path / "env.yaml"
    file.write_text(text.replace("default_reset_prob: 0.5", "default_reset_prob: 1.5"))
    with pytest.raises(InputError, match="default_reset_prob.* between 0 and 1"):
        load_env(file)
