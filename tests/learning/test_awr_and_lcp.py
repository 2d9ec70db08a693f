"""Advantage-weighted regression and Lipschitz-constrained policies: losses by hand, and learning on the point mass."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from mimickit.config.agent_config import AWRConfig, LCPConfig, OptimizerConfig, PPOConfig
from mimickit.learning.actor_critic import PolicySamples
from mimickit.learning.agents import build_agent
from mimickit.learning.awr import AWRAgent
from mimickit.learning.lcp import LCPAgent, obs_gradient_penalty
from mimickit.learning.networks import DiagonalGaussian
from mimickit.learning.processes import Processes
from mimickit.learning.test_loop import run_test

ALONE = Processes(0, 1, torch.device("cpu"))


def like(config: PPOConfig, kind: type, **more: Any) -> Any:
    """A config of another method with the values of ``config`` that both have."""
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{key: value for key, value in vars(config).items() if key in names}, **more)


@pytest.fixture
def awr(make_agent: Any, config: PPOConfig) -> AWRAgent:
    changed = like(dataclasses.replace(config, agent_name="AWR"), AWRConfig, awr_temp=0.5, a_weight_clip=3.0)
    made = build_agent(changed, make_agent().env, ALONE, 1)
    assert isinstance(made, AWRAgent)
    return made


@pytest.fixture
def lcp(make_agent: Any, config: PPOConfig) -> LCPAgent:
    changed = like(dataclasses.replace(config, agent_name="LCP"), LCPConfig, lcp_weight=0.3)
    made = build_agent(changed, make_agent().env, ALONE, 1)
    assert isinstance(made, LCPAgent)
    return made


def test_awr_weights_are_exponential_and_capped(awr: AWRAgent) -> None:
    weights = awr.scale_advantages(torch.tensor([-1.0, 0.0, 0.5, 4.0]))
    np.testing.assert_allclose(weights, [np.exp(-2.0), 1.0, np.exp(1.0), 3.0], rtol=1e-6)


def test_awr_s_loss_is_the_weighted_log_density(awr: AWRAgent) -> None:
    mean, deviation = np.array([[0.2, -0.1], [0.0, 0.4]]), np.array([0.1, 0.3])
    action, weight = np.array([[0.3, -0.5], [0.1, 0.2]]), np.array([0.5, 2.0])
    log_prob = scipy.stats.norm(mean, deviation).logpdf(action).sum(axis=1)
    samples = PolicySamples(torch.zeros(2, 2), torch.tensor(action), torch.zeros(2), torch.tensor(weight))
    distribution = DiagonalGaussian(torch.tensor(mean), torch.tensor(np.log(deviation)))
    loss, terms = awr.policy_loss(samples, distribution)
    assert float(loss) == pytest.approx(-(weight * log_prob).mean())
    assert float(terms["Adv_Weight_Mean"]) == pytest.approx(1.25)


def test_lcp_s_penalty_is_that_of_finite_differences(lcp: LCPAgent) -> None:
    generator = torch.Generator().manual_seed(3)
    model = lcp._model.double()
    for parameter in model.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    model._action_dist._logstd_net.data.fill_(-0.7)
    obs = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    action = torch.randn(5, 2, generator=generator, dtype=torch.float64)

    def log_prob(at: torch.Tensor) -> torch.Tensor:
        return model.actor(at).log_prob(action)

    step, squares = 1e-6, torch.zeros(5, dtype=torch.float64)
    for column in range(2):
        shift = torch.zeros(2, dtype=torch.float64)
        shift[column] = step
        squares += ((log_prob(obs + shift) - log_prob(obs - shift)) / (2 * step)).square()
    watched = obs.clone().requires_grad_(True)
    penalty = obs_gradient_penalty(watched, log_prob(watched))
    assert penalty.item() == pytest.approx(float(squares.mean()), rel=1e-6)
    assert penalty.item() > 0.1
    penalty.backward()  # it reaches the parameters
    assert model._action_dist._mean_net.weight.grad.abs().max() > 0.0


def test_lcp_adds_its_penalty_to_ppo_s_loss(lcp: LCPAgent) -> None:
    generator = torch.Generator().manual_seed(5)
    obs = torch.randn(6, 2, generator=generator).requires_grad_(True)
    samples = PolicySamples(obs, torch.randn(6, 2, generator=generator), torch.zeros(6), torch.ones(6))
    distribution = lcp._model.actor(obs)
    loss, terms = lcp.policy_loss(samples, distribution)
    assert float(loss) == pytest.approx(float(terms["Actor_Loss"]) + 0.3 * float(terms["LCP_Loss"]), rel=1e-5)


def trained(make_agent: Any, config: PPOConfig, kind: type, name: str, seed: int, iterations: int, **more: Any) -> Any:
    """An agent after so many iterations on 32 point masses, with Adam."""
    optimizer = OptimizerConfig(type="Adam", learning_rate=3e-3)
    model = dataclasses.replace(config.model, action_std=0.2)
    changed = dataclasses.replace(
        config, agent_name=name, model=model, actor_optimizer=optimizer, critic_optimizer=optimizer, actor_epochs=5
    )
    torch.manual_seed(seed)
    agent = build_agent(like(changed, kind, **more), make_agent(num_envs=32, seed=seed).env, ALONE, seed + 1)
    agent.begin_training()
    for _ in range(iterations):
        agent.iterate()
    return agent


def test_awr_and_ppo_drive_points_to_the_origin_alike(make_agent: Any, config: PPOConfig) -> None:
    # Of at most 20, after 60 iterations with seeds 0 to 4: AWR 19.86 to 19.93; PPO after 30 iterations 18.76 to 19.77.
    awr = trained(make_agent, config, AWRConfig, "AWR", 0, 60, awr_temp=1.0, a_weight_clip=20.0)
    ppo = trained(make_agent, config, PPOConfig, "PPO", 0, 30)
    returns = [run_test(agent, 64).episodes.mean_return for agent in (awr, ppo)]
    assert min(returns) > 18.5


def test_lcp_makes_a_policy_smoother_that_still_learns(make_agent: Any, config: PPOConfig) -> None:
    # Seeds 0 to 4: the mean's slope is 0.31 to 0.58 against PPO's 0.48 to 0.87, the return 18.49 to 19.52.
    slopes = {}
    for weight in (0.0, 0.005):
        agents = [trained(make_agent, config, LCPConfig, "LCP", seed, 30, lcp_weight=weight) for seed in (0, 1)]
        obs = torch.randn(64, 2, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
        gradients = [torch.autograd.grad(agent._model.actor(obs).mean.sum(), obs)[0] for agent in agents]
        slopes[weight] = sum(float(gradient.norm(dim=1).mean()) for gradient in gradients)
        assert run_test(agents[0], 64).episodes.mean_return > 18.0
    assert slopes[0.005] < 0.7 * slopes[0.0]
