"""The agent without a policy: it acts in the middle, counts samples, and its model file can be read back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimickit.config.agent_config import PolicyFreeConfig
from mimickit.errors import InputError
from mimickit.learning.agents import build_agent
from mimickit.learning.checkpoint import load_model, load_state, save_model
from mimickit.learning.policy_free import PolicyFreeAgent
from mimickit.learning.processes import Processes
from mimickit.learning.train_loop import train


@pytest.fixture
def agent(make_agent: Any) -> PolicyFreeAgent:
    env = make_agent(num_envs=4).env
    made = build_agent(PolicyFreeConfig(steps_per_iter=5), env, Processes(0, 1, torch.device("cpu")), 0)
    assert isinstance(made, PolicyFreeAgent)
    return made


def test_it_acts_in_the_middle_of_the_range(agent: PolicyFreeAgent) -> None:
    assert agent.best_action(torch.zeros(3, 2)).tolist() == [[1.0, 1.0]] * 3  # the range is -2 to 4


def test_training_gathers_what_was_seen(agent: PolicyFreeAgent) -> None:
    agent.begin_training()
    seen = [agent.env.obs.clone()]
    step = agent.env.step
    agent.env.step = lambda action: seen.append(step(action).clone()) or seen[-1]
    metrics = agent.iterate()
    assert agent.samples == agent.samples_per_iteration == 20
    observed = torch.stack(seen[:5]).flatten(0, 1).double().numpy()
    assert agent._obs_norm.count == 20
    np.testing.assert_allclose(agent._obs_norm._mean, observed.mean(0), rtol=1e-5)
    np.testing.assert_allclose(agent._obs_norm._std, observed.std(0), rtol=1e-5)
    rewards = torch.exp(-torch.stack(seen[1:]).square().sum(-1))
    assert float(metrics["Reward_Mean"]) == pytest.approx(float(rewards.mean()))


def test_a_training_run_writes_a_model_that_loads(agent: PolicyFreeAgent, tmp_path: Path) -> None:
    result = train(agent, None, 50, None, None, test_episodes=4, save_int_models=False)
    assert (result.samples, result.iterations, result.test.episodes.episodes) == (60, 3, 4)
    save_model(agent, tmp_path / "model.pt")
    assert sorted(load_state(tmp_path / "model.pt")) == [
        f"{norm}.{name}" for norm in ("_a_norm", "_obs_norm") for name in ("_count", "_mean", "_std")
    ]
    before = agent._obs_norm._mean.clone()
    agent._obs_norm._mean.zero_()
    load_model(agent, tmp_path / "model.pt")
    assert torch.equal(agent._obs_norm._mean, before)


def test_a_policy_s_model_does_not_fit(agent: PolicyFreeAgent, make_agent: Any, tmp_path: Path) -> None:
    save_model(make_agent(num_envs=4), tmp_path / "model.pt")
    with pytest.raises(InputError, match="has the unknown '_model"):
        load_model(agent, tmp_path / "model.pt")
