"""Optimizers by hand, and updates that go the right way."""

import pytest
import torch
from torch import nn

from mimickit.config.agent_config import OptimizerConfig
from mimickit.learning.actor_critic import PolicySamples, build_optimizer


def descend(config: OptimizerConfig, gradients: list[float], start: float = 1.0) -> float:
    parameter = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimizer = build_optimizer(config, [parameter])
    for gradient in gradients:
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    return parameter.item()


def test_sgd_has_momentum_0_9():
    # velocity 1, then 0.9 * 1 + 2 = 2.9, then 0.9 * 2.9 - 1 = 1.61
    value = descend(OptimizerConfig(type="SGD", learning_rate=0.1), [1.0, 2.0, -1.0])
    assert value == pytest.approx(1.0 - 0.1 * (1.0 + 2.9 + 1.61))


def test_adam_is_adamw():
    # The first step of Adam has the length of the rate whatever the gradient; AdamW first shrinks the parameter by
    # rate * decay, where decay as a penalty (plain Adam) would vanish in the normalisation.
    config = OptimizerConfig(type="Adam", learning_rate=0.1, weight_decay=0.5)
    assert descend(config, [3.0]) == pytest.approx(1.0 - 0.1 * 0.5 - 0.1, abs=1e-6)
    assert descend(config, [-7e-3]) == pytest.approx(1.0 - 0.1 * 0.5 + 0.1, abs=1e-4)


def test_sgd_weight_decay_adds_to_the_gradient():
    assert descend(OptimizerConfig(type="SGD", learning_rate=0.1, weight_decay=0.5), [1.0]) == pytest.approx(0.85)


def test_good_actions_become_likelier_and_bad_ones_less(make_agent):
    agent = make_agent(actor_epochs=1, actor_batch_size=16, action_bound_weight=0.0)
    agent.actor_optimizer.param_groups[0]["lr"] = 1e-4
    obs = torch.ones(128, 2)
    with torch.no_grad():
        before = agent._model.actor(obs)
        action = before.mean.clone()
        action[:64, 0] += 0.1
        action[64:, 0] -= 0.1
    advantage = torch.cat((torch.ones(64), -torch.ones(64)))
    agent.update_actor(PolicySamples(obs, action, before.log_prob(action), advantage))
    with torch.no_grad():
        after = agent._model.actor(obs)
    assert (after.log_prob(action) > before.log_prob(action))[:64].all()
    assert (after.log_prob(action) < before.log_prob(action))[64:].all()
    assert (after.mean[:, 0] > before.mean[:, 0]).all()


def test_the_critic_moves_towards_the_returns(make_agent):
    agent = make_agent(critic_epochs=20, critic_batch_size=16)
    obs = torch.randn(128, 2, generator=torch.Generator().manual_seed(0))
    returns = 3.0 + obs[:, 0]
    with torch.no_grad():
        before = (agent._model.critic(obs) - returns).square().mean().item()
    metrics = agent.update_critic(obs, returns)
    with torch.no_grad():
        after = (agent._model.critic(obs) - returns).square().mean().item()
    assert before > 5.0
    assert after < 0.1 * before
    assert after < metrics["Critic_Loss"].item() < before


def test_actor_and_critic_updates_leave_each_other_alone(make_agent):
    agent = make_agent()
    obs, action = torch.randn(128, 2), torch.randn(128, 2)

    def snapshot(parameters):
        return [parameter.detach().clone() for parameter in parameters]

    def same(first, second):
        return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))

    actor, critic = snapshot(agent._model.actor_parameters()), snapshot(agent._model.critic_parameters())
    agent.update_critic(obs, torch.ones(128))
    assert same(actor, snapshot(agent._model.actor_parameters()))
    assert not same(critic, snapshot(agent._model.critic_parameters()))
    critic = snapshot(agent._model.critic_parameters())
    with torch.no_grad():
        log_prob = agent._model.actor(obs).log_prob(action)
    agent.update_actor(PolicySamples(obs, action, log_prob, torch.randn(128)))
    assert same(critic, snapshot(agent._model.critic_parameters()))
    assert not same(actor, snapshot(agent._model.actor_parameters()))
