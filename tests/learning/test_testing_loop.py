"""Testing a policy."""

import math

import pytest
import torch

from mimickit.errors import DivergenceError
from mimickit.learning.test_loop import run_test


@pytest.mark.parametrize(("asked", "counted"), [(1, 4), (4, 4), (5, 8), (32, 32)])
def test_at_least_the_asked_episodes_are_counted_evenly(make_agent, asked, counted):
    agent = make_agent(num_envs=4, lengths=[1, 2, 7, 30])
    result = run_test(agent, asked)
    assert result.episodes.episodes == counted
    assert result.episodes.mean_length == (1 + 2 + 7 + 30) / 4
    assert result.samples == len(agent.env.actions) * 4
    assert result.samples >= 30 * 4 * counted // 4


def test_the_return_is_that_of_the_policy_s_mean_actions(make_agent):
    agent = make_agent(num_envs=2, lengths=[3, 3])
    start = agent.env.generator.get_state()
    result = run_test(agent, 2)
    # Again, with the mean actions in numbers: mean and std of the action range [-2, 4] are 1 and 3.
    agent.env.generator.set_state(start)
    position, total = 2.0 * torch.rand(2, 2, generator=agent.env.generator) - 1.0, torch.zeros(2)
    with torch.no_grad():
        for _ in range(3):
            position = position + 0.25 * (1.0 + 3.0 * agent._model.actor(position).mean).clamp(-2, 4)
            total += torch.exp(-position.square().sum(-1))
    assert result.episodes.mean_return == pytest.approx(total.mean().item(), rel=1e-5)


def test_callbacks_see_every_step_before_the_reset(make_agent):
    agent = make_agent(num_envs=2, lengths=[2, 3])
    drawn, checks = [], []
    result = run_test(
        agent,
        2,
        on_step=lambda: drawn.append(agent.env.done.tolist()),
        on_check=lambda samples, so_far: checks.append((samples, so_far.episodes)),
    )
    assert drawn == [[0, 0], [3, 0], [0, 3]]
    assert checks == [(2, 0), (4, 1), (6, 2)]
    assert result.samples == 6


def test_a_return_that_is_not_finite_is_a_failure(make_agent):
    agent = make_agent(num_envs=2, lengths=[2, 3])
    agent.env.reset = lambda: torch.full((2, 2), math.nan)
    with pytest.raises(DivergenceError, match="not finite"):
        run_test(agent, 2)
