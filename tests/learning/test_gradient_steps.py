"""Optimizers by hand, and updates that go the right way."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from mimickit.config.agent_config import OptimizerConfig
from mimickit.learning.actor_critic import PolicySamples, build_optimizer
from mimickit.learning.gradient_steps import GradientSteps
from mimickit.learning.processes import Processes


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


class PlayedGraph:
    """What a CUDA graph does, by Python: at a replay the function runs on what lies where it lay at the capture."""

    def __init__(self, function, generators, memory):
        self.replay = function
        self.captures.append(self)

    captures: ClassVar[list["PlayedGraph"]] = []


@pytest.fixture
def played_graphs(monkeypatch):
    monkeypatch.setattr("mimickit.learning.gradient_steps.captured", PlayedGraph)
    PlayedGraph.captures = []
    return PlayedGraph.captures


def descending(memory):
    """A weight drawn to the mean of a minibatch, and the steps that draw it."""
    weight = nn.Parameter(torch.zeros(1))

    def loss(rows):
        error = (rows - weight).square().mean()
        return error, {"Error": error}

    optimizer = torch.optim.SGD([weight], lr=0.1)
    alone = Processes(0, 1, torch.device("cpu"))
    return weight, optimizer, GradientSteps(loss, optimizer, [weight], alone, memory=memory)


def test_replayed_steps_take_each_rollouts_data_and_a_smaller_last_minibatch(played_graphs):
    """By hand: w <- w + 0.2 (mean of the rows - w)."""
    weight, _, steps = descending(memory="on a GPU")
    expected = 0.0
    batches = [torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5]), torch.tensor([6, 7])]
    for rollout in range(4):
        data = torch.arange(8.0) + 10.0 * rollout
        terms = steps((data,), batches)
        errors = []
        for rows in ((0.0, 1.0, 2.0), (3.0, 4.0, 5.0), (6.0, 7.0)):
            values = [row + 10.0 * rollout for row in rows]
            errors.append(sum((value - expected) ** 2 for value in values) / len(values))
            expected += 0.2 * (sum(values) / len(values) - expected)
        assert weight.item() == pytest.approx(expected, rel=1e-5)
        assert terms["Error"].item() == pytest.approx(sum(errors) / 3, rel=1e-5)
    assert len(played_graphs) == 1


def test_another_learning_rate_is_another_graph(played_graphs):
    _, optimizer, steps = descending(memory="on a GPU")
    for rate in (0.1, 0.1, 0.1, 0.05, 0.05):
        optimizer.param_groups[0]["lr"] = rate
        steps((torch.ones(2),), [torch.tensor([0, 1])])
    assert len(played_graphs) == 2


def test_a_training_that_begins_anew_forgets_the_graphs_of_the_last(make_agent):
    agent = make_agent()
    agent.begin_training()
    agent.iterate()
    assert agent._gradient_steps
    agent.begin_training()
    assert not agent._gradient_steps


def test_an_optimizers_state_from_a_gpu_goes_on_here(make_agent):
    adam = OptimizerConfig(type="Adam", learning_rate=0.01)
    agents = [make_agent(actor_optimizer=adam, critic_optimizer=adam) for _ in range(2)]
    for agent in agents:
        agent.begin_training()
    agents[0].iterate()
    state = agents[0].training_state()
    for optimizer in state["optimizers"].values():
        for group in optimizer["param_groups"]:
            group["capturable"] = True  # as CUDA graphs ask for
    agents[1].load_training_state(state)
    for optimizer in agents[1].optimizers().values():
        assert [group["capturable"] for group in optimizer.param_groups] == [False]
    agents[1].iterate()
