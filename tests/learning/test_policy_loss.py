"""The policy's losses and its distribution, by hand and against scipy."""

import numpy as np
import pytest
import scipy.stats
import torch

from mimickit.learning.actor_critic import PolicySamples, action_bound_loss, normalized_advantages
from mimickit.learning.networks import DiagonalGaussian
from mimickit.learning.ppo import clipped_surrogate_loss
from mimickit.learning.processes import Processes

ALONE = Processes(0, 1, torch.device("cpu"))


# loss = -min(ratio * A, clip(ratio, 0.8, 1.2) * A); d loss / d log_prob = -ratio * A where the first is the smaller.
@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient", "clipped"),
    [
        (1.1, 2.0, -2.2, -2.2, 0.0),
        (1.5, 2.0, -2.4, 0.0, 1.0),
        (0.5, 2.0, -1.0, -1.0, 1.0),
        (1.1, -2.0, 2.2, 2.2, 0.0),
        (1.5, -2.0, 3.0, 3.0, 1.0),
        (0.5, -2.0, 1.6, 0.0, 1.0),
    ],
)
def test_clipped_surrogate_of_one_sample(ratio, advantage, loss, gradient, clipped):
    old = torch.tensor([-1.3], dtype=torch.float64)
    log_prob = (old + np.log(ratio)).requires_grad_()
    value, fraction = clipped_surrogate_loss(log_prob, old, torch.tensor([advantage]), clip_ratio=0.2)
    value.backward()
    assert value.item() == pytest.approx(loss)
    assert log_prob.grad.item() == pytest.approx(gradient, abs=1e-12)
    assert fraction.item() == clipped


def test_clipped_surrogate_is_a_mean_over_samples():
    ratio = torch.tensor([1.1, 1.5, 0.5, 1.1, 1.5, 0.5])
    advantage = torch.tensor([2.0, 2.0, 2.0, -2.0, -2.0, -2.0])
    loss, fraction = clipped_surrogate_loss(ratio.log(), torch.zeros(6), advantage, clip_ratio=0.2)
    assert loss.item() == pytest.approx((-2.2 - 2.4 - 1.0 + 2.2 + 3.0 + 1.6) / 6, abs=1e-6)
    assert fraction.item() == pytest.approx(4 / 6)


def test_bound_loss_is_the_squared_excess_summed_over_dofs_and_averaged_over_samples():
    mean = torch.tensor([[1.5, -2.0, 0.3], [1.0, -1.0, 0.0]])
    assert action_bound_loss(DiagonalGaussian(mean, torch.zeros(3))).item() == pytest.approx((0.25 + 1.0) / 2)


def test_log_density_and_entropy_match_scipy():
    rng = np.random.default_rng(1)
    mean, log_std, value = rng.normal(size=(3, 5, 4))
    distribution = DiagonalGaussian(torch.tensor(mean), torch.tensor(log_std))
    expected = scipy.stats.norm(mean, np.exp(log_std))
    np.testing.assert_allclose(distribution.log_prob(torch.tensor(value)), expected.logpdf(value).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(distribution.entropy(), expected.entropy().sum(-1), rtol=1e-12)


def test_entropy_counts_every_sample_when_the_deviation_is_shared():
    distribution = DiagonalGaussian(torch.zeros(3, 2), torch.log(torch.tensor([0.5, 2.0])))
    expected = scipy.stats.norm(0, [0.5, 2.0]).entropy().sum()
    np.testing.assert_allclose(distribution.entropy(), np.full(3, expected), rtol=1e-6)


def test_samples_have_the_mean_and_deviation():
    mean, std = torch.tensor([1.0, -2.0]), torch.tensor([0.1, 3.0])
    distribution = DiagonalGaussian(mean.expand(20_000, 2), std.log())
    sample = distribution.sample(torch.Generator().manual_seed(0))
    # Four standard errors of 20,000 samples.
    assert (abs(sample.mean(0) - mean) < 4 * std / 20_000**0.5).all()
    assert (abs(sample.std(0) / std - 1) < 4 / 40_000**0.5).all()


def test_advantages_are_normalised_and_clipped_as_numpy_does_it(make_agent):
    values = np.random.default_rng(2).normal(3.0, 0.2, size=(50, 8)).astype(np.float32)
    values[0, 0] = 9.0
    normalized, mean, std = normalized_advantages(torch.tensor(values), ALONE)
    expected = (values - values.mean(dtype=np.float64)) / values.std(dtype=np.float64)
    assert expected.max() > 4.0
    np.testing.assert_allclose(normalized, expected, atol=1e-5)
    agent = make_agent(norm_adv_clip=4.0)
    np.testing.assert_allclose(agent.scale_advantages(normalized), np.clip(expected, -4.0, 4.0), atol=1e-5)
    assert mean.item() == pytest.approx(values.mean(dtype=np.float64))
    assert std.item() == pytest.approx(values.std(dtype=np.float64))
    assert agent.scale_advantages(-normalized).min().item() == -4.0


def test_equal_advantages_become_zero():
    normalized, _, std = normalized_advantages(torch.full((4, 4), 2.5), ALONE)
    assert not normalized.any()
    assert std.item() == 0.0


ONE_STEP = {"actor_epochs": 1, "actor_batch_size": 16, "critic_epochs": 1, "critic_batch_size": 16}


def test_entropy_weight_raises_a_learned_deviation_by_its_gradient(make_agent):
    # With zero advantage only the entropy acts; its derivative by each log deviation is 1, the first SGD step lr * w.
    agent = make_agent(
        model={"actor_std_type": "CONSTANT"}, action_bound_weight=0.0, action_entropy_weight=0.5, **ONE_STEP
    )
    before = agent._model._action_dist._logstd_net.detach().clone()
    obs = torch.randn(128, 2)
    action = agent._model.actor(obs).sample().detach()
    log_prob = agent._model.actor(obs).log_prob(action).detach()
    agent.update_actor(PolicySamples(obs, action, log_prob, torch.zeros(128)))
    torch.testing.assert_close(agent._model._action_dist._logstd_net.detach(), before + 0.01 * 0.5)


@pytest.mark.parametrize(
    ("weights", "smaller"),
    [
        ({"action_bound_weight": 10.0}, lambda mean: (mean.abs() - 1).clamp(min=0).square().sum()),
        ({"action_bound_weight": 0.0, "action_reg_weight": 1.0}, lambda mean: mean.square().sum()),
    ],
)
def test_extra_losses_pull_the_mean_back(make_agent, weights, smaller):
    agent = make_agent(model={"actor_init_output_scale": 2.0}, **ONE_STEP, **weights)
    obs = 3 * torch.randn(128, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = agent._model.actor(obs)
        log_prob = before.log_prob(before.mean)
    agent.actor_optimizer.param_groups[0]["lr"] = 1e-6
    agent.update_actor(PolicySamples(obs, before.mean, log_prob, torch.zeros(128)))
    with torch.no_grad():
        after = agent._model.actor(obs)
    assert smaller(before.mean) > 0
    assert smaller(after.mean) < smaller(before.mean)


def test_without_extra_weights_and_advantage_nothing_moves(make_agent):
    agent = make_agent(action_bound_weight=0.0, **ONE_STEP)
    before = [parameter.detach().clone() for parameter in agent._model.actor_parameters()]
    obs = torch.randn(128, 2)
    action = agent._model.actor(obs).sample().detach()
    agent.update_actor(PolicySamples(obs, action, agent._model.actor(obs).log_prob(action).detach(), torch.zeros(128)))
    assert all(torch.equal(a, b) for a, b in zip(before, agent._model.actor_parameters(), strict=True))
