"""Means over episodes."""

import pytest
import torch

from mimickit.learning.return_tracker import EpisodeStatistics, ReturnTracker, statistics

CPU = torch.device("cpu")


def run(tracker: ReturnTracker, lengths: list[int], steps: int) -> None:
    """Environment i ends an episode every ``lengths[i]`` steps, and every step is worth ``i + 1``."""
    reward = torch.arange(1.0, len(lengths) + 1)
    for step in range(1, steps + 1):
        tracker.add(reward, torch.tensor([step % length == 0 for length in lengths]))


def test_returns_and_lengths_of_ended_episodes():
    tracker = ReturnTracker(2, CPU)
    # Rewards 1, 2, 3 and 10, 20, 30; the first ends after two steps, the second after three.
    for reward, ended in [((1.0, 10.0), (0, 0)), ((2.0, 20.0), (1, 0)), ((3.0, 30.0), (0, 1))]:
        tracker.add(torch.tensor(reward), torch.tensor(ended).bool())
    assert statistics(tracker.totals) == EpisodeStatistics(mean_return=(3.0 + 60.0) / 2, mean_length=2.5, episodes=2)
    # The first environment's 3 belongs to its next episode.
    tracker.clear_totals()
    tracker.add(torch.tensor([4.0, 0.0]), torch.tensor([True, False]))
    assert statistics(tracker.totals) == EpisodeStatistics(7.0, 2.0, 1)


def test_no_episode_is_zero():
    assert statistics(ReturnTracker(3, CPU).totals) == EpisodeStatistics(0.0, 0.0, 0)


def test_short_episodes_are_not_favoured():
    # Episodes of 1 step worth 1, and of 10 steps worth 20: one of each is 10.5; whichever end first in ten steps
    # are ten of the short and one of the long.
    limited, unlimited = ReturnTracker(2, CPU, max_episodes_per_env=1), ReturnTracker(2, CPU)
    run(limited, [1, 10], 9)
    assert not limited.all_counted()
    run(unlimited, [1, 10], 10)
    limited = ReturnTracker(2, CPU, max_episodes_per_env=1)
    run(limited, [1, 10], 10)
    assert limited.all_counted()
    assert statistics(limited.totals) == EpisodeStatistics(10.5, 5.5, 2)
    assert statistics(unlimited.totals) == EpisodeStatistics(pytest.approx(30 / 11), pytest.approx(20 / 11), 11)


def test_each_environment_counts_its_first_episodes():
    tracker = ReturnTracker(2, CPU, max_episodes_per_env=2)
    for reward in (1.0, 2.0, 100.0):
        tracker.add(torch.tensor([reward, reward]), torch.tensor([True, True]))
    assert statistics(tracker.totals) == EpisodeStatistics(1.5, 1.0, 4)


def test_restart_forgets_the_episodes_under_way_only():
    tracker = ReturnTracker(2, CPU)
    tracker.add(torch.tensor([5.0, 7.0]), torch.tensor([True, False]))
    tracker.restart()
    tracker.add(torch.tensor([1.0, 2.0]), torch.tensor([False, True]))
    assert statistics(tracker.totals) == EpisodeStatistics(3.5, 1.0, 2)
