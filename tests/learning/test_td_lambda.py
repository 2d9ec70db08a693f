"""TD(lambda) returns by hand, and against the definition by n-step returns."""

import numpy as np
import pytest
import torch

from mimickit.envs.terminations import Done
from mimickit.learning.returns import bootstrap_values, td_lambda_returns
from mimickit.learning.rollout import Rollout

NULL, FAIL, SUCC, TIME = Done.NULL, Done.FAIL, Done.SUCC, Done.TIME


# discount 0.5, lambda 0.5, rewards 1, 2, 3, values after each step 10, 20, 30.
@pytest.mark.parametrize(
    ("done", "expected"),
    [
        # 3 + 0.5*30 = 18; 2 + 0.5*(0.5*20 + 0.5*18) = 11.5; 1 + 0.5*(0.5*10 + 0.5*11.5) = 6.375
        ((NULL, NULL, NULL), (6.375, 11.5, 18.0)),
        # 2 + 0.5*0 = 2; 1 + 0.5*(0.5*10 + 0.5*2) = 4
        ((NULL, FAIL, NULL), (4.0, 2.0, 18.0)),
        ((NULL, SUCC, NULL), (4.0, 2.0, 18.0)),
        # 2 + 0.5*20 = 12; 1 + 0.5*(0.5*10 + 0.5*12) = 6.5
        ((NULL, TIME, NULL), (6.5, 12.0, 18.0)),
        # 1 + 0.5*10 = 6: nothing of the next episode is seen
        ((TIME, NULL, FAIL), (6.0, 2 + 0.5 * (0.5 * 20 + 0.5 * 3), 3.0)),
        ((FAIL, FAIL, FAIL), (1.0, 2.0, 3.0)),
    ],
)
def test_three_steps_by_hand(done, expected):
    rewards = torch.tensor([[1.0], [2.0], [3.0]])
    flags = torch.tensor(done).view(3, 1)
    values = bootstrap_values(torch.tensor([[10.0], [20.0], [30.0]]), flags)
    returns = td_lambda_returns(rewards, values, flags, discount=0.5, td_lambda=0.5)
    torch.testing.assert_close(returns.flatten(), torch.tensor(expected))


def test_each_end_has_its_bootstrap_value():
    done = torch.tensor([[NULL, FAIL, SUCC, TIME]])
    values = bootstrap_values(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), done, fail_value=-7.0, succ_value=9.0)
    assert values.tolist() == [[1.0, -7.0, 9.0, 4.0]]


def lambda_return(rewards, values, done, discount, td_lambda, t):
    """Weighted mean of the n-step returns from ``t`` to the end of the episode or of the data."""
    end = next((k for k in range(t, len(rewards)) if done[k] != NULL), len(rewards) - 1)
    longest = end - t + 1

    def n_step(n):
        return sum(discount**k * rewards[t + k] for k in range(n)) + discount**n * values[t + n - 1]

    shorter = sum((1 - td_lambda) * td_lambda ** (n - 1) * n_step(n) for n in range(1, longest))
    return shorter + td_lambda ** (longest - 1) * n_step(longest)


@pytest.mark.parametrize(("discount", "td_lambda"), [(0.99, 0.95), (0.9, 0.0), (0.9, 1.0), (0.5, 0.3)])
def test_random_episodes_match_the_definition_by_n_step_returns(discount, td_lambda):
    rng = np.random.default_rng(3)
    steps, envs = 12, 6
    rewards, values = rng.normal(size=(2, steps, envs))
    done = rng.choice([NULL, FAIL, SUCC, TIME], size=(steps, envs), p=[0.7, 0.1, 0.1, 0.1])
    assert {int(flag) for flag in done[1:-1].flatten()} == {NULL, FAIL, SUCC, TIME}
    after = np.where((done == FAIL) | (done == SUCC), 0.0, values)
    expected = [
        [lambda_return(rewards[:, i], after[:, i], done[:, i], discount, td_lambda, t) for i in range(envs)]
        for t in range(steps)
    ]
    flags = torch.tensor(done)
    returns = td_lambda_returns(
        torch.tensor(rewards), bootstrap_values(torch.tensor(values), flags), flags, discount, td_lambda
    )
    np.testing.assert_allclose(returns.numpy(), expected, atol=1e-12)


def critic_by_hand(agent, obs):
    """The value function in numpy, from the model file's tensors."""
    state = {name: tensor.double().numpy() for name, tensor in agent.state_dict().items()}
    x = np.clip((obs - state["_obs_norm._mean"]) / state["_obs_norm._std"], -10, 10)
    for layer in (0, 2):
        weight, bias = (state[f"_model._critic_layers.{layer}.{name}"] for name in ("weight", "bias"))
        x = np.maximum(x @ weight.T + bias, 0.0)
    return (x @ state["_model._critic_out.weight"].T + state["_model._critic_out.bias"])[..., 0]


def test_a_time_limit_bootstraps_from_the_observation_before_the_reset(make_agent):
    agent = make_agent(num_envs=2, discount=0.5, td_lambda=0.5)
    rollout = Rollout(3, 2, 2, 2, torch.device("cpu"))
    rng = np.random.default_rng(0)
    obs, next_obs = rng.normal(size=(2, 3, 2, 2))
    rewards = rng.normal(size=(3, 2))
    done = np.array([[NULL, NULL], [TIME, FAIL], [NULL, SUCC]])
    for name, value in (("obs", obs), ("next_obs", next_obs), ("reward", rewards), ("done", done)):
        getattr(rollout, name).copy_(torch.tensor(value))
    returns, advantage = agent.returns_and_advantages(rollout, *agent.policy_inputs(rollout))
    after = np.where((done == FAIL) | (done == SUCC), 0.0, critic_by_hand(agent, next_obs))
    expected = np.array(
        [[lambda_return(rewards[:, i], after[:, i], done[:, i], 0.5, 0.5, t) for i in range(2)] for t in range(3)]
    )
    np.testing.assert_allclose(returns.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(advantage.numpy(), expected - critic_by_hand(agent, obs), atol=1e-5)
