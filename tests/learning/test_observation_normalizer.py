"""The running mean and deviation against numpy's."""

import numpy as np
import pytest
import torch

from mimickit.learning.normalizer import MIN_STD, Normalizer


@pytest.mark.parametrize(
    ("mean", "std", "mean_tolerance", "std_tolerance"),
    [
        (0.0, 1.0, 1e-6, 1e-5),
        (-30.0, 5.0, 1e-5, 1e-5),
        # Neighbouring float32 numbers near 1e4 are 1e-3 apart, so the stored mean is off by half of that at most.
        (1e4, 1e-2, 5e-4, 1e-2),
    ],
)
def test_unequal_batches_give_numpys_mean_and_deviation(mean, std, mean_tolerance, std_tolerance):
    rng = np.random.default_rng(5)
    normalizer = Normalizer(3)
    seen = []
    for round_sizes in ((7, 1), (500,), (3, 64, 20)):
        for size in round_sizes:
            batch = rng.normal(mean, std, size=(size, 3)).astype(np.float32) + np.float32([0, 0, 2 * std])
            seen.append(batch)
            normalizer.record(torch.tensor(batch))
        normalizer.update()
        values = np.concatenate(seen).astype(np.float64)
        np.testing.assert_allclose(normalizer._mean, values.mean(0), atol=mean_tolerance)
        np.testing.assert_allclose(normalizer._std, values.std(0), rtol=std_tolerance)
        assert normalizer.count == len(values)


def test_recording_changes_nothing_until_update():
    normalizer = Normalizer(2)
    normalizer.record(torch.full((4, 2), 8.0))
    assert normalizer.normalize(torch.full((2,), 3.0)).tolist() == [3.0, 3.0]
    normalizer.record(torch.full((4, 2), 10.0))
    normalizer.update()
    assert normalizer.normalize(torch.full((2,), 11.0)).tolist() == [2.0, 2.0]


def test_a_constant_has_the_least_deviation():
    normalizer = Normalizer(1)
    normalizer.record(torch.full((10, 1), 3.0))
    normalizer.update()
    assert normalizer._std.item() == pytest.approx(MIN_STD)


def test_values_are_clipped_at_ten_deviations_and_back():
    normalizer = Normalizer(2)
    normalizer.set_range(torch.tensor([1.0, -4.0]), torch.tensor([5.0, 0.0]))  # mean 3 and -2, half range 2
    assert normalizer.normalize(torch.tensor([5.0, -4.0])).tolist() == [1.0, -1.0]
    assert normalizer.normalize(torch.tensor([22.9, -21.9])).tolist() == pytest.approx([9.95, -9.95])
    assert normalizer.normalize(torch.tensor([24.0, -1000.0])).tolist() == [10.0, -10.0]
    assert normalizer.unnormalize(torch.tensor([-1.0, 20.0])).tolist() == [1.0, 38.0]


def test_actions_of_one_are_the_bounds(make_agent):
    agent = make_agent()
    assert agent._a_norm.unnormalize(torch.tensor([[-1.0, 1.0]])).tolist() == [[-2.0, 4.0]]


def test_the_agent_s_statistics_are_those_of_what_the_policy_saw_and_freeze(make_agent):
    # 8 environments and 16 steps are 128 samples an iteration; 200 are reached in the second.
    agent = make_agent(normalizer_samples=200)
    agent.begin_training()
    seen, states = [], []
    for _ in range(4):
        agent.iterate()
        seen.append(agent.rollout.obs.flatten(0, 1).double().numpy())
        states.append([agent._obs_norm.count, *agent._obs_norm._mean.tolist(), *agent._obs_norm._std.tolist()])
    first, second = seen[0], np.concatenate(seen[:2])
    np.testing.assert_allclose(states[0], [128, *first.mean(0), *first.std(0)], rtol=1e-5)
    np.testing.assert_allclose(states[1], [256, *second.mean(0), *second.std(0)], rtol=1e-5)
    assert states[2] == states[1]
    assert states[3] == states[1]


def test_a_loaded_model_continues_the_count(make_agent):
    agent = make_agent(normalizer_samples=200)
    agent._obs_norm._count.fill_(200)
    agent.begin_training()
    agent.iterate()
    assert agent._obs_norm.count == 200
    assert agent._obs_norm._mean.tolist() == [0.0, 0.0]


def test_rollout_and_update_see_one_normalisation(make_agent):
    """Were the statistics renewed between the two, the first gradient step's ratios would not be one."""
    agent = make_agent(actor_epochs=1, actor_batch_size=16, action_bound_weight=0.0)
    agent.begin_training()
    agent.iterate()
    before = agent._obs_norm._mean.clone()
    metrics = agent.iterate()
    assert not torch.equal(before, agent._obs_norm._mean)
    assert metrics["Clip_Frac"].item() == 0.0
    assert metrics["Actor_Loss"].item() == pytest.approx(0.0, abs=0.02)  # minus the mean of normalised advantages
