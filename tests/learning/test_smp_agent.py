"""SMP: rewards and running means by hand, and learning to rest where the prior's motion does."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimickit.config.agent_config import OptimizerConfig, PPOConfig, SMPConfig
from mimickit.config.prior_config import load_prior_config
from mimickit.errors import InputError
from mimickit.learning.agents import build_agent
from mimickit.learning.processes import Processes
from mimickit.learning.smp import PriorJudge, SMPAgent
from mimickit.learning.smp_prior.prior import MotionPrior, WindowSpec
from mimickit.learning.smp_prior.training import train_prior
from mimickit.learning.test_loop import run_test

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
# The last three places of a point in the plane.
SPEC = WindowSpec("point", ("point",), (), 3, 2, True, False, 0.1)
PRIOR = dataclasses.replace(
    load_prior_config(ROOT / "data/priors/prior_single_clip.yaml"),
    num_layers=1,
    num_heads=2,
    head_size=8,
    batch_size=64,
    learning_rate=3e-3,
    iterations=500,
    ema_decay=0.9,
    ema_start=200,
)
SMP_VALUES: dict[str, Any] = {
    "smp_prior_cfg": Path("prior.yaml"),
    "smp_eval_batch_size": 50,
    "sds_loss_scale": 6.0,
    "diffusion_steps": (22, 15, 8),
    "sds_normalizer_samples": 1_000_000,
    "enable_gsi": False,
    "task_reward_weight": 0.0,
    "smp_reward_weight": 1.0,
    "critic_loss_weight": 1.0,
}


class RestingPlaces:
    """Windows of points that rest at (1, -0.5), as the points' environment demonstrates them."""

    spec, device = SPEC, CPU

    def __init__(self, env: Any):
        self._env = env

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        return self._env.sample_demo(count)


@pytest.fixture
def make_smp(
    make_style_agent: Any, config: PPOConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SMPAgent]:
    """An SMP agent on points that see their last three places, with a prior trained for ``prior_iterations``."""
    monkeypatch.setattr(WindowSpec, "of", lambda *arguments: SPEC)

    def make(prior_iterations: int = 1, processes: Processes | None = None, **changes: Any) -> SMPAgent:
        points = {key: changes.pop(key) for key in ("num_envs", "seed", "lengths") if key in changes}
        env: Any = make_style_agent("AMP", **points).env
        env.char_model = None
        source: Any = RestingPlaces(env)
        seed = points.get("seed", 0)
        train_prior(source, PRIOR, prior_iterations, seed, lambda report: None).save(tmp_path / "prior.pt")
        values = vars(config) | SMP_VALUES | {"smp_prior_model": tmp_path / "prior.pt"} | changes
        torch.manual_seed(seed)
        smp = SMPConfig(**values | {"agent_name": "SMP"})
        agent = build_agent(smp, env, processes or Processes(0, 1, CPU), seed + 1)
        assert isinstance(agent, SMPAgent)
        return agent

    return make


def judged(agent: SMPAgent, errors: list[list[float]], task_reward: float = 0.5) -> tuple[np.ndarray, dict[str, float]]:
    """Rewards of a rollout of one step in which the prior's errors are ``errors``, and what is logged."""
    judge: Any = type("Judge", (), {"errors": lambda self, windows: torch.tensor(errors), "prior": agent.judge.prior})()
    agent.judge = judge
    assert agent.rollout is not None
    agent.rollout.reward.fill_(task_reward)
    metrics = agent.shape_rewards(agent.rollout)
    return agent.rollout.reward.numpy().copy(), {name: value.item() for name, value in metrics.items()}


def test_the_reward_by_hand(make_smp: Any) -> None:
    agent = make_smp(
        num_envs=2,
        steps_per_iter=1,
        diffusion_steps=(22, 8),
        sds_loss_scale=3.0,
        task_reward_weight=0.25,
        smp_reward_weight=2.0,
    )
    agent.begin_training()
    # Means of the two levels are 2 and 5: relative to them the errors are 0.5, 0.4 and 1.5, 1.6.
    reward, metrics = judged(agent, [[1.0, 2.0], [3.0, 8.0]])
    smp = np.exp(-3.0 * np.array([0.45, 1.55]))
    np.testing.assert_allclose(reward, [0.25 * 0.5 + 2.0 * smp], rtol=1e-5)
    assert metrics == pytest.approx(
        {
            "Task_Reward_Mean": 0.5,
            "SMP_Reward_Mean": smp.mean(),
            "SMP_Reward_Std": smp.std(),
            "SDS_Loss_Mean": 3.5,
        },
        rel=1e-5,
    )
    # The next errors are compared with the mean of all four: (1 + 3 + 6 + 2) / 4 = 3 and (2 + 8 + 1 + 1) / 4 = 3.
    reward, _ = judged(agent, [[6.0, 1.0], [2.0, 1.0]])
    smp = np.exp(-3.0 * np.array([(2.0 + 1.0 / 3.0) / 2.0, 0.5]))
    np.testing.assert_allclose(reward, [0.25 * 0.5 + 2.0 * smp], rtol=1e-5)


def test_the_means_are_frozen_after_enough_windows(make_smp: Any) -> None:
    agent = make_smp(num_envs=2, steps_per_iter=1, diffusion_steps=(8,), sds_normalizer_samples=4)
    agent.begin_training()
    for errors in ([[1.0], [3.0]], [[6.0], [2.0]], [[900.0], [100.0]]):
        judged(agent, errors)
    assert (agent._sds_norm.count, agent._sds_norm._mean_abs.tolist()) == (4, [3.0])
    # A trained agent that trains on goes on with the count in its file.
    other = make_smp(num_envs=2, steps_per_iter=1, diffusion_steps=(8,), sds_normalizer_samples=4)
    other.load_state_dict(agent.state_dict())
    other.begin_training()
    judged(other, [[900.0], [100.0]])
    assert other._sds_norm._mean_abs.tolist() == [3.0]


def test_the_means_are_those_of_all_processes(make_smp: Any) -> None:
    class Two(Processes):
        """This process and one that saw errors of 5 and 7."""

        def sum(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor + torch.tensor([12.0, 2.0], dtype=tensor.dtype)

    agent = make_smp(processes=Two(0, 1, CPU), num_envs=2, steps_per_iter=1, diffusion_steps=(8,))
    agent.begin_training()
    reward, _ = judged(agent, [[1.0], [3.0]])
    np.testing.assert_allclose(reward, np.exp([[-6.0 * 1.0 / 4.0, -6.0 * 3.0 / 4.0]]), rtol=1e-5)


def test_windows_are_judged_in_parts_each_at_every_level() -> None:
    class Prior:
        sizes: list[int] = []

        def noise_errors(self, windows: torch.Tensor, step: int, generator: torch.Generator) -> torch.Tensor:
            self.sizes.append(len(windows))
            return 100.0 * step + windows[:, 0]

    prior: Any = Prior()
    errors = PriorJudge(prior, (22, 8), 3, torch.Generator()).errors(torch.arange(7.0).view(7, 1))
    assert errors.tolist() == [[2200.0 + i, 800.0 + i] for i in range(7)]
    assert prior.sizes == [3, 3, 3, 3, 1, 1]


def test_the_window_is_that_of_the_step_before_any_reset(make_smp: Any) -> None:
    agent = make_smp(num_envs=2, lengths=[3, 4], steps_per_iter=6)
    agent.begin_training()
    rollout = agent.collect()
    window = agent.windows.view(6, 2, 3, 2)
    assert torch.equal(window[:, :, 2], rollout.next_obs)
    assert torch.equal(window[:, :, 1], rollout.obs)


def test_every_step_s_reward_is_that_of_its_own_window(make_smp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_smp(num_envs=3, steps_per_iter=4, diffusion_steps=(8,))
    agent.begin_training()
    rollout = agent.collect()

    def first_number(self: MotionPrior, windows: torch.Tensor, step: int, generator: torch.Generator) -> torch.Tensor:
        return windows[:, 0].abs()

    monkeypatch.setattr(MotionPrior, "noise_errors", first_number)
    agent.shape_rewards(rollout)
    errors = agent.windows[..., 0].abs().numpy()
    np.testing.assert_allclose(rollout.reward, np.exp(-6.0 * errors / errors.mean()), rtol=1e-4)


def test_the_model_file_has_the_means_and_not_the_prior(make_smp: Any, make_agent: Any) -> None:
    own = set(make_smp().state_dict()) - set(make_agent().state_dict())
    assert own == {"_sds_norm._count", "_sds_norm._mean_abs"}


def test_the_value_loss_has_its_weight(make_smp: Any) -> None:
    def step(weight: float) -> torch.Tensor:
        agent = make_smp(critic_loss_weight=weight, critic_epochs=1, critic_batch_size=16)
        agent.begin_training()
        before = agent._model._critic_out.bias.detach().clone()
        agent.update_critic(torch.ones(128, 2), torch.full((128,), 3.0))
        return agent._model._critic_out.bias.detach() - before

    assert step(0.5).item() == pytest.approx(0.5 * step(1.0).item(), rel=1e-4)
    assert step(1.0).item() > 0.0


def test_a_prior_that_has_not_been_trained_to_the_end_is_noted_once(
    make_smp: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = make_smp(prior_iterations=2, num_envs=2, steps_per_iter=2)
    run_test(agent, 2)
    assert capsys.readouterr().out == ""
    agent.begin_training()
    agent.iterate()
    agent.iterate()
    told = capsys.readouterr().out
    assert "prior trained for 2 of 500 iterations" in told
    assert told.count("prior trained") == 1
    make_smp(prior_iterations=2, processes=Processes(1, 1, CPU)).begin_training()
    agent.judge.prior.iterations = 500
    agent.begin_training()
    assert capsys.readouterr().out == ""


def test_an_environment_without_windows_is_refused(make_agent: Any, config: PPOConfig) -> None:
    env: Any = make_agent().env
    env.config = type("Config", (), {"env_name": "deepmimic"})
    smp = SMPConfig(**vars(config) | SMP_VALUES | {"smp_prior_model": Path("none.pt"), "agent_name": "SMP"})
    with pytest.raises(InputError) as caught:
        build_agent(smp, env, Processes(0, 1, CPU), 1)
    told = str(caught.value)
    assert "'deepmimic'" in told
    assert told.endswith("amp, ase, smp, task_dodgeball, task_location, task_steering")


def test_a_noise_level_that_the_prior_lacks_is_refused(make_smp: Any) -> None:
    with pytest.raises(InputError, match=r"there is no step 50; .*prior\.pt has 50, numbered from 0"):
        make_smp(diffusion_steps=(49, 50))
    make_smp(diffusion_steps=(49, 0))


def distance(agent: SMPAgent) -> float:
    """Mean distance to the resting place after 15 steps."""
    obs = agent.env.reset()
    for _ in range(15):
        obs = agent.env.step(agent.best_action(obs))
    return (obs - torch.tensor([1.0, -0.5])).norm(dim=-1).mean().item()


def test_points_learn_to_rest_where_the_prior_s_motion_does(make_smp: Any) -> None:
    # The environment's own reward, being near the origin, has no weight. Measured with seeds 0 to 4: a distance of 1.14
    # to 1.29 before and 0.014 to 0.037 after 40 iterations, a reward of 0.060 to 0.100 in the first and of 0.55 to 0.66
    # in the last (4 s).
    optimizer = OptimizerConfig(type="Adam", learning_rate=3e-3)
    agent = make_smp(
        prior_iterations=500,
        num_envs=32,
        actor_optimizer=optimizer,
        critic_optimizer=optimizer,
        actor_epochs=5,
    )
    before = distance(agent)
    agent.begin_training()
    rewards = [agent.iterate()["SMP_Reward_Mean"].item() for _ in range(40)]
    assert before > 1.0
    assert distance(agent) < 0.15
    assert rewards[0] < 0.15
    assert rewards[-1] > 0.4
