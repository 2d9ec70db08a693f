"""Minibatches cover an iteration's samples."""

import math

import pytest
import torch

from mimickit.learning.rollout import Rollout, minibatches


@pytest.mark.parametrize(("samples", "batch", "epochs"), [(10, 4, 3), (12, 4, 2), (3, 8, 2), (7, 1, 1)])
def test_every_sample_once_an_epoch(samples, batch, epochs):
    batches = minibatches(samples, batch, epochs, torch.Generator().manual_seed(0))
    per_epoch = math.ceil(samples / batch)
    assert len(batches) == per_epoch * epochs
    assert max(len(indices) for indices in batches) <= batch
    for epoch in range(epochs):
        part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(torch.cat(part).tolist()) == list(range(samples))


def test_each_epoch_is_shuffled_anew():
    first, second = minibatches(100, 100, 2, torch.Generator().manual_seed(0))
    assert first.tolist() != list(range(100))
    assert first.tolist() != second.tolist()


def test_flat_keeps_steps_and_environments_in_order():
    rollout = Rollout(3, 2, 1, 1, torch.device("cpu"))
    rollout.reward.copy_(torch.arange(6.0).view(3, 2))
    assert rollout.flat(rollout.reward).tolist() == [0, 1, 2, 3, 4, 5]
    assert rollout.num_samples == 6


def test_a_batch_size_is_for_each_environment(make_agent):
    # 16 steps of 8 environments: 128 samples; the actor takes ceil(128 / (5*8)) = 4 batches, 3 times.
    agent = make_agent(num_envs=8, actor_batch_size=5, actor_epochs=3, critic_batch_size=2, critic_epochs=2)
    steps = {"actor": 0, "critic": 0}
    for name in steps:

        def count(optimizer, args, kwargs, name=name):
            steps[name] += 1

        getattr(agent, f"{name}_optimizer").register_step_post_hook(count)
    agent.begin_training()
    agent.iterate()
    assert steps == {"actor": 12, "critic": 16}
    assert agent.samples == 128
