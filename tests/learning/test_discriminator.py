"""The discriminator's loss, reward, memory and scale of differences, by hand and by finite differences."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mimickit.config.agent_config import DiscriminatorModelConfig
from mimickit.learning.discriminator import ReplayBuffer, discriminator_loss, discriminator_reward
from mimickit.learning.networks import DISC_INIT_OUTPUT_SCALE, DiscriminatorModel
from mimickit.learning.normalizer import MIN_STD, DifferenceNormalizer

NO_WEIGHT = torch.zeros(1, 1)


def squares(obs: Tensor) -> Tensor:
    """Logits whose slope differs from sample to sample: ``x^2 + 3 y``, with the gradient ``(2 x, 3)``."""
    return obs[:, 0].square() + 3.0 * obs[:, 1]


# Logits 7, 6 and -2 of the policy and 0 and -8 of the demos; squared slopes 13, 9, 25 and 45, 13.
AGENT = torch.tensor([[1.0, 2.0], [0.0, 2.0], [-2.0, -2.0]])
DEMO = torch.tensor([[3.0, -3.0], [-1.0, -3.0]])


def test_the_logistic_part_by_hand() -> None:
    loss, terms = discriminator_loss(squares, NO_WEIGHT, AGENT, DEMO, 0.0, 0.0)
    on_agent = (math.log1p(math.exp(7)) + math.log1p(math.exp(6)) + math.log1p(math.exp(-2))) / 3
    on_demo = (math.log1p(math.exp(0)) + math.log1p(math.exp(8))) / 2
    assert loss.item() == pytest.approx(0.5 * (on_agent + on_demo), rel=1e-6)
    assert terms["Disc_Loss"].item() == loss.item()
    assert terms["Disc_Agent_Logit"].item() == pytest.approx((7 + 6 - 2) / 3)
    assert terms["Disc_Demo_Logit"].item() == pytest.approx(-4)


def test_the_right_side_costs_nothing_and_the_wrong_side_its_distance() -> None:
    right, _ = discriminator_loss(lambda obs: obs[:, 0], NO_WEIGHT, -30 * torch.ones(4, 1), 30 * torch.ones(2, 1), 0, 0)
    wrong, _ = discriminator_loss(lambda obs: obs[:, 0], NO_WEIGHT, 30 * torch.ones(4, 1), -20 * torch.ones(2, 1), 0, 0)
    assert right.item() == pytest.approx(0.0, abs=1e-6)
    assert wrong.item() == pytest.approx((30 + 20) / 2)


def test_the_gradient_penalty_by_hand_is_on_both_sides() -> None:
    plain, _ = discriminator_loss(squares, NO_WEIGHT, AGENT, DEMO, 0.0, 0.0)
    loss, terms = discriminator_loss(squares, NO_WEIGHT, AGENT, DEMO, 0.0, 10.0)
    penalty = 0.5 * ((13 + 9 + 25) / 3 + (45 + 13) / 2)
    assert terms["Disc_Grad_Penalty"].item() == pytest.approx(penalty, rel=1e-6)
    assert (loss - plain).item() == pytest.approx(10 * penalty, rel=1e-6)


def test_the_logit_weights_by_hand() -> None:
    plain, _ = discriminator_loss(squares, NO_WEIGHT, AGENT, DEMO, 0.5, 1.0)
    loss, terms = discriminator_loss(squares, torch.tensor([[1.0, -2.0, 3.0]]), AGENT, DEMO, 0.5, 1.0)
    assert terms["Disc_Logit_Loss"].item() == pytest.approx(14)
    assert (loss - plain).item() == pytest.approx(7)


def test_accuracies_are_shares_on_the_right_side_of_zero() -> None:
    def identity(obs: Tensor) -> Tensor:
        return obs[:, 0]

    agent = torch.tensor([-2.0, -1.0, -1e-3, 0.0, 1e-3]).unsqueeze(-1)
    demo = torch.tensor([-1.0, 0.0, 2.0, 3.0]).unsqueeze(-1)
    _, terms = discriminator_loss(identity, NO_WEIGHT, agent, demo, 0.0, 0.0)
    assert terms["Disc_Agent_Acc"].item() == pytest.approx(3 / 5)
    assert terms["Disc_Demo_Acc"].item() == pytest.approx(2 / 4)


def logits_by_hand(weights: list[np.ndarray], obs: np.ndarray) -> np.ndarray:
    """Two ReLU layers and a linear one; ``weights`` are matrices and biases in turn."""
    hidden = np.maximum(obs @ weights[0].T + weights[1], 0.0)
    hidden = np.maximum(hidden @ weights[2].T + weights[3], 0.0)
    return (hidden @ weights[4].T + weights[5])[:, 0]


def loss_by_hand(weights: list[np.ndarray], agent: np.ndarray, demo: np.ndarray) -> float:
    """The loss with the weights 0.3 and 2, its slopes from central differences."""

    def slope(obs: np.ndarray) -> float:
        total, step = 0.0, 1e-6
        for column in np.eye(obs.shape[1]) * step:
            total = (
                total + ((logits_by_hand(weights, obs + column) - logits_by_hand(weights, obs - column)) / step) ** 2
            )
        return float(np.mean(total / 4))

    right = (
        np.logaddexp(0, logits_by_hand(weights, agent)).mean() + np.logaddexp(0, -logits_by_hand(weights, demo)).mean()
    )
    return 0.5 * right + 0.3 * (weights[4] ** 2).sum() + 2.0 * 0.5 * (slope(agent) + slope(demo))


def test_the_loss_of_a_network_and_its_gradient_are_those_of_finite_differences(config: Any) -> None:
    sizes = DiscriminatorModelConfig(**vars(config.model), disc_net="fc_2layers_128units")
    torch.manual_seed(0)
    model = DiscriminatorModel(sizes, 2, 2, 4).double()
    rng = np.random.default_rng(1)
    parameters = model.discriminator_parameters()
    for parameter in parameters[1::2]:
        parameter.data = torch.tensor(0.3 * rng.normal(size=parameter.shape))
    agent, demo = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)) + 0.5
    loss, _ = discriminator_loss(
        model.discriminator, model.logit_weight, torch.tensor(agent), torch.tensor(demo), 0.3, 2.0
    )
    weights = [parameter.detach().numpy().copy() for parameter in parameters]
    assert loss.item() == pytest.approx(loss_by_hand(weights, agent, demo), rel=1e-6)
    loss.backward()
    for place, parameter in enumerate(parameters):  # along one random direction of each
        direction = rng.normal(size=parameter.shape)
        direction /= np.linalg.norm(direction)
        changed = []
        for step in (1e-5, -1e-5):
            moved = [value + step * direction if place == i else value for i, value in enumerate(weights)]
            changed.append(loss_by_hand(moved, agent, demo))
        expected = (changed[0] - changed[1]) / 2e-5
        assert (parameter.grad.numpy() * direction).sum() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_discriminator_s_output_starts_within_its_scale(config: Any) -> None:
    sizes = DiscriminatorModelConfig(**vars(config.model), disc_net="fc_3layers_1024units")
    model = DiscriminatorModel(sizes, 2, 2, 4)
    assert 0.98 * DISC_INIT_OUTPUT_SCALE < model.logit_weight.abs().max().item() <= DISC_INIT_OUTPUT_SCALE
    assert model.logit_weight.shape == (1, 512)
    assert not model._disc_logits.bias.any()
    assert model.discriminator(torch.zeros(3, 2, 4)).tolist() == [[0.0, 0.0]] * 3


def test_rewards_by_hand() -> None:
    # -log(1 - sigmoid(x)) is log(1 + e^x), 9.21 = -log(1e-4) at most.
    reward = discriminator_reward(torch.tensor([[-20.0, 0.0], [3.0, 50.0]]), 2.0)
    np.testing.assert_allclose(reward, [[0.0, 2 * 0.693147], [2 * 3.048587, 2 * 9.210340]], rtol=1e-5, atol=1e-6)
    capped = discriminator_reward(torch.tensor([9.0, 9.21, 9.22, 1e4, -1e4]), 1.0)
    np.testing.assert_allclose(capped, [9.000123, 9.21, 9.210340, 9.210340, 0.0], rtol=1e-4)


# Samples are told apart by their number; (count, 2) holds it and its double.
def numbered(*numbers: int) -> Tensor:
    values = torch.tensor(numbers, dtype=torch.float32).unsqueeze(-1)
    return torch.cat((values, 2 * values), dim=-1)


@pytest.fixture
def drawn() -> Callable[[ReplayBuffer], list[int]]:
    """The numbers that a buffer of whole samples gives in 400 draws. Each of 5 comes but for a chance of 1e-38."""

    def draw(buffer: ReplayBuffer) -> list[int]:
        samples = buffer.draw(400, torch.Generator().manual_seed(7))
        assert samples.shape == (400, 2)
        assert torch.equal(samples[:, 1], 2 * samples[:, 0])
        return sorted({int(number) for number in samples[:, 0]})

    return draw


def test_a_replay_buffer_gives_only_what_it_was_given(drawn: Any) -> None:
    buffer = ReplayBuffer(5, 2, torch.device("cpu"))
    assert buffer.count == 0
    buffer.add(numbered(11, 12, 13))
    assert buffer.count == 3
    assert drawn(buffer) == [11, 12, 13]
    buffer.add(numbered(14))
    assert drawn(buffer) == [11, 12, 13, 14]


@pytest.mark.parametrize(
    ("batches", "kept"),
    [
        ([3, 4], [2, 3, 4, 5, 6]),  # wraps around
        ([5, 1], [1, 2, 3, 4, 5]),
        ([5, 5], [5, 6, 7, 8, 9]),
        ([3, 2, 2], [2, 3, 4, 5, 6]),
        ([3, 4, 4, 4], [10, 11, 12, 13, 14]),
        ([12], [7, 8, 9, 10, 11]),  # more than it holds
        ([2, 12], [9, 10, 11, 12, 13]),
        ([2, 12, 1], [10, 11, 12, 13, 14]),  # and the oldest goes first afterwards
        ([4, 0], [0, 1, 2, 3]),
    ],
)
def test_a_replay_buffer_holds_the_last_samples(drawn: Any, batches: list[int], kept: list[int]) -> None:
    buffer, start = ReplayBuffer(5, 2, torch.device("cpu")), 0
    for size in batches:
        buffer.add(numbered(*range(start, start + size)).view(size, 2))
        start += size
    assert buffer.count == len(kept)
    assert drawn(buffer) == kept


def test_a_replay_buffer_keeps_copies_and_draws_evenly() -> None:
    buffer, given = ReplayBuffer(4, 2, torch.device("cpu")), numbered(0, 1, 2, 3)
    buffer.add(given)
    given.fill_(9.0)
    counts = torch.bincount(buffer.draw(4000, torch.Generator().manual_seed(3))[:, 0].long(), minlength=4)
    assert len(counts) == 4
    assert (counts - 1000).abs().max() < 4 * math.sqrt(4000 * 3 / 16)  # four standard deviations


def test_differences_are_scaled_by_their_running_mean_size() -> None:
    normalizer = DifferenceNormalizer(3)
    values = torch.tensor([[1.0, -4.0, 0.0], [-3.0, 0.0, 0.0]])
    assert torch.equal(normalizer.normalize(values), values)  # nothing seen yet: as they are
    normalizer.record(values[:1])
    normalizer.record(values[1:])
    assert torch.equal(normalizer.normalize(values), values)  # until the update
    normalizer.update(normalizer.new_statistics())
    assert normalizer.count == 2
    assert normalizer._mean_abs.tolist() == [2.0, 2.0, 0.0]
    normalizer.record(torch.tensor([[5.0, 0.5, 0.0]]))
    normalizer.update(normalizer.new_statistics())
    assert normalizer.count == 3
    assert normalizer._mean_abs.tolist() == [3.0, 1.5, 0.0]  # (1 + 3 + 5) / 3, (4 + 0 + 0.5) / 3
    assert normalizer.normalize(torch.tensor([-6.0, 0.75, 0.0])).tolist() == [-2.0, 0.5, 0.0]


def test_no_difference_stays_none_and_large_ones_are_clipped() -> None:
    normalizer = DifferenceNormalizer(2)
    normalizer.record(torch.tensor([[0.5, 0.0]]))
    normalizer.update(normalizer.new_statistics())
    assert normalizer.normalize(torch.zeros(4, 3, 2)).tolist() == torch.zeros(4, 3, 2).tolist()
    assert normalizer.normalize(torch.tensor([4.9, 5 * MIN_STD])).tolist() == pytest.approx([9.8, 5.0])
    assert normalizer.normalize(torch.tensor([5.1, 1.0])).tolist() == [10.0, 10.0]
    assert normalizer.normalize(torch.tensor([-7.0, -1.0])).tolist() == [-10.0, -10.0]


def test_the_scale_of_differences_is_the_model_file_s_and_adds_up_over_processes() -> None:
    one, other = DifferenceNormalizer(2), DifferenceNormalizer(2)
    assert {name: tuple(tensor.shape) for name, tensor in one.state_dict().items()} == {
        "_count": (1,),
        "_mean_abs": (2,),
    }
    assert one._count.dtype == torch.int64
    one.record(torch.tensor([[1.0, 2.0]]))
    other.record(torch.tensor([[-4.0, 0.0], [1.0, -1.0]]))
    total = one.new_statistics() + other.new_statistics()
    for normalizer in (one, other):
        normalizer.update(total)
        assert (normalizer.count, normalizer._mean_abs.tolist()) == (3, [2.0, 1.0])
        assert not normalizer.new_statistics().any()  # counted once
