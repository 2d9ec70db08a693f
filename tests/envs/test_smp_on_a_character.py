"""SMP with the humanoid: the prior's windows are the environment's, and episodes start in windows it draws."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mimickit.config.agent_config import AGENT_CONFIGS, SMPConfig
from mimickit.config.prior_config import load_prior_config
from mimickit.config.schema import build_kind, read_yaml
from mimickit.envs.amp_env import AMPEnv
from mimickit.errors import InputError
from mimickit.learning.agents import build_agent
from mimickit.learning.ppo import PPOAgent
from mimickit.learning.processes import Processes
from mimickit.learning.smp import RENEW_EVERY, SMPAgent
from mimickit.learning.smp_prior import training
from mimickit.learning.smp_prior.prior import MotionPrior, WindowSpec
from mimickit.learning.smp_prior.training import WindowSource, train_prior

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
PRIOR = dataclasses.replace(
    load_prior_config(ROOT / "data/priors/prior_single_clip.yaml"),
    num_layers=1,
    num_heads=2,
    batch_size=64,
    learning_rate=3e-3,
    iterations=200,
)
MakeEnv = Callable[..., AMPEnv]


@pytest.fixture(autouse=True)
def few_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The channels' statistics from 500 windows, which takes less time than 20,000."""
    monkeypatch.setattr(training, "STATISTICS_WINDOWS", 500)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(env: AMPEnv, iterations: int, seed: int = 0) -> MotionPrior:
    return train_prior(WindowSource(env.config, 1 / 30, CPU), PRIOR, iterations, seed, lambda report: None)


def smp_agent(env: AMPEnv, prior: Path, **changes: Any) -> SMPAgent:
    """The committed agent with another prior."""
    config = build_kind(AGENT_CONFIGS, "agent_name", read_yaml(ROOT / "data" / "agents" / "smp_humanoid_agent.yaml"))
    assert isinstance(config, SMPConfig)
    config = dataclasses.replace(config, smp_prior_model=prior, **changes)
    agent = build_agent(config, env, Processes(0, 1, CPU), 1)
    assert isinstance(agent, SMPAgent)
    return agent


@pytest.mark.parametrize(
    "changes",
    [{}, {"disc_dof_vel_obs": True, "num_disc_obs_steps": 4}, {"enable_tar_obs": True, "tar_obs_steps": (1,)}],
    ids=["published", "with joint velocities", "tracked"],
)
def test_a_prior_is_trained_on_what_the_environment_shows(make_style_env: MakeEnv, changes: dict[str, Any]) -> None:
    env = make_style_env("smp", **changes)
    source = WindowSource(env.config, env.control_dt, CPU)
    env.generator.manual_seed(7)
    assert torch.equal(source.draw(6, generator(7)), env.sample_demo(6))
    assert source.spec == WindowSpec.of(env.config, env.char_model, env.control_dt)
    assert source.spec.num_frames * source.spec.num_channels == env.disc_obs_size
    assert source.spec.track_root == env.track_root
    assert changes or env.disc_obs_size == 1140


def test_an_unknown_key_body_is_named(make_style_env: MakeEnv) -> None:
    config = dataclasses.replace(make_style_env("smp").config, key_bodies=("head", "tail"))
    with pytest.raises(InputError, match=r"key_bodies: 'tail' is not a body of .*humanoid\.xml; it has pelvis, "):
        WindowSource(config, 1 / 30, CPU)


def test_a_prior_prefers_its_clip_to_other_motion(make_style_env: MakeEnv) -> None:
    env = make_style_env("smp")
    prior = trained(env, 200)
    clip = env.sample_demo(128)
    frames = clip.view(128, 10, -1)
    others = {
        "backwards": frames.flip(1),
        "held still": frames[:, -1:].expand(-1, 10, -1),
        "trembling": frames + 0.1 * torch.randn(frames.shape, generator=generator(1)),
        "noise": prior.unnormalize(torch.randn(frames.shape, generator=generator(2))),
    }

    def errors(windows: torch.Tensor) -> torch.Tensor:
        return torch.stack([prior.noise_errors(windows.flatten(1), step, generator(3)) for step in (22, 15, 8)], dim=1)

    # The published reward, with the clip's own errors as the running means. Measured with seeds 0 to 4: 0.0038 to
    # 0.0042 for the clip, of which other motion has 0.03 to 0.07 and what trembles or is noise nothing (3 s).
    usual = errors(clip).mean(dim=0)
    own, *rewards = (
        torch.exp(-6.0 * (errors(windows) / usual).mean(dim=1)).mean().item() for windows in (clip, *others.values())
    )
    assert 0.002 < own < 0.006
    assert all(reward < 0.2 * own for reward in rewards), dict(zip(others, rewards, strict=True))


@pytest.fixture
def prior_file(make_style_env: MakeEnv, tmp_path: Path) -> Path:
    """Of a prior that is hardly trained: what it draws is far from a clip."""
    path = tmp_path / "prior.pt"
    trained(make_style_env("smp"), 20).save(path)
    return path


def test_episodes_start_in_drawn_windows(make_style_env: MakeEnv, prior_file: Path) -> None:
    env = make_style_env("smp", num_envs=5)
    agent = smp_agent(env, prior_file, enable_gsi=True)
    assert env.start_source is agent.starts
    assert len(env.start_source) == 5 * 16
    assert not env.has_reference
    obs = env.reset()
    assert torch.isfinite(obs).all()
    newest = env.frame_of_character(env.layout, env.key_body_ids)
    assert torch.allclose(env.history[:, -1], newest, atol=1e-4)
    # The window that the prior first judges is one of those drawn, put right; places differ from start to start.
    seen = env.observe_window().view(5, 10, -1)
    assert (seen[:, -1, :2]).abs().max() < 1e-5
    assert (env.engine.root_pos[:, :2]).abs().max() < 1e-5
    assert len(env.engine.root_pos[:, 2].unique()) == 5
    assert (env.history[:, 0] - env.history[:, -1]).abs().max() > 0.01
    # Only ended episodes start anew.
    before = env.history.clone()
    env.done = torch.tensor([0, 1, 0, 0, 3])
    env.reset_done()
    changed = (env.history != before).flatten(1).any(dim=1)
    assert changed.tolist() == [False, True, False, False, True]


def test_without_gsi_episodes_start_in_clips(make_style_env: MakeEnv, prior_file: Path) -> None:
    env = make_style_env("smp", num_envs=2)
    agent = smp_agent(env, prior_file)
    assert env.start_source is None
    agent.begin_training()
    assert agent.windows.shape == (32, 2, 1140)


def test_a_buffer_is_never_larger_than_the_published_one(
    make_style_env: MakeEnv, prior_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_style_env("smp")
    env.num_envs = 4096
    asked: list[int] = []

    def draw(self: MotionPrior, count: int, generator: torch.Generator) -> torch.Tensor:
        asked.append(count)
        return torch.zeros(8, 1140)

    monkeypatch.setattr(MotionPrior, "draw_windows", draw)
    smp_agent(env, prior_file, enable_gsi=True)
    assert asked == [4096]


def test_a_quarter_of_the_starts_is_renewed_every_50_iterations(
    make_style_env: MakeEnv, prior_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = smp_agent(make_style_env("smp"), prior_file, enable_gsi=True)
    assert agent.starts is not None
    monkeypatch.setattr(PPOAgent, "iterate", lambda self: {"Value_Mean": torch.tensor(1.0)})
    states, changed = agent.starts._states, []
    for iteration in range(1, 2 * RENEW_EVERY + 1):
        before = states.root_pos.clone()
        assert list(agent.iterate()) == ["Value_Mean"]
        rows = (states.root_pos != before).flatten(1).any(dim=1).nonzero().squeeze(1).tolist()
        changed += [(iteration, rows)] if rows else []
    assert changed == [(50, [0, 1, 2, 3]), (100, [4, 5, 6, 7])]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"root_height_obs": False}, "root_height_obs true"),
        ({"num_disc_obs_steps": 1}, "num_disc_obs_steps of at least 2"),
        ({"enable_tar_obs": True, "tar_obs_steps": (1,), "global_obs": False}, "enable_tar_obs false"),
        ({"enable_phase_obs": True}, "enable_phase_obs false"),
        ({"pose_termination": True, "pose_termination_dist": 1.0}, "pose_termination false"),
        ({"log_tracking_error": True}, "log_tracking_error false"),
    ],
)
def test_starts_without_a_clip_need_an_environment_that_does_without(
    make_style_env: MakeEnv, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    env = make_style_env("smp", **changes)
    trained(env, 1).save(tmp_path / "prior.pt")
    with pytest.raises(InputError, match=f"enable_gsi starts episodes .* {words}"):
        smp_agent(env, tmp_path / "prior.pt", enable_gsi=True)
    smp_agent(env, tmp_path / "prior.pt", enable_gsi=False)


def test_the_prior_of_another_window_is_refused(make_style_env: MakeEnv, prior_file: Path) -> None:
    with pytest.raises(InputError, match="num_frames 10 instead of 5"):
        smp_agent(make_style_env("smp", num_disc_obs_steps=5), prior_file)


def test_the_reward_and_its_log(make_style_env: MakeEnv, prior_file: Path) -> None:
    agent = smp_agent(make_style_env("smp", num_envs=2), prior_file, steps_per_iter=4)
    agent.begin_training()
    metrics = agent.iterate()
    assert {"SMP_Reward_Mean", "SMP_Reward_Std", "SDS_Loss_Mean", "Task_Reward_Mean", "Critic_Loss"} <= set(metrics)
    assert metrics["Task_Reward_Mean"].item() == 0.0
    assert 0.0 < metrics["SMP_Reward_Mean"].item() < 0.2  # about exp(-6)
    assert metrics["Reward_Mean"].item() == pytest.approx(metrics["SMP_Reward_Mean"].item())
    assert agent._sds_norm.count == 8
