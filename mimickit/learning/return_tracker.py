"""Returns and lengths of episodes as they end, without reading anything back from the device."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class EpisodeStatistics:
    """Mean undiscounted return and mean length (control steps) of ``episodes`` ended episodes; zero of none."""

    mean_return: float
    mean_length: float
    episodes: int


class ReturnTracker:
    """Follows N environments.

    Args:
        max_episodes_per_env: count only each environment's first so many episodes. A test needs this: taking whichever
            episodes end first would favour short ones.
    """

    def __init__(self, num_envs: int, device: torch.device, max_episodes_per_env: int | None = None):
        self._limit = max_episodes_per_env
        self._return = torch.zeros(num_envs, device=device)
        self._length = torch.zeros(num_envs, device=device)
        self._episodes = torch.zeros(num_envs, dtype=torch.long, device=device)
        self._totals = torch.zeros(3, dtype=torch.float64, device=device)  # return, length, episodes

    def add(self, reward: Tensor, ended: Tensor) -> None:
        """One step: ``reward (N,)`` and whether each episode ended ``(N,)``."""
        self._return += reward
        self._length += 1.0
        counted = ended if self._limit is None else ended & (self._episodes < self._limit)
        counted = counted.to(self._totals.dtype)
        self._totals[0] += (self._return * counted).sum()
        self._totals[1] += (self._length * counted).sum()
        self._totals[2] += counted.sum()
        self._episodes += ended
        self._return.masked_fill_(ended, 0.0)
        self._length.masked_fill_(ended, 0.0)

    def restart(self) -> None:
        """Forget the episodes under way (the environments were reset from outside)."""
        self._return.zero_()
        self._length.zero_()

    def all_counted(self) -> bool:
        """Every environment has ended its share of episodes (reads back from the device)."""
        assert self._limit is not None
        return bool((self._episodes >= self._limit).all())

    @property
    def totals(self) -> Tensor:
        """``[return, length, episodes]`` sums, float64, to be added up over processes."""
        return self._totals

    def clear_totals(self) -> None:
        """Start new means; episodes under way go on."""
        self._totals.zero_()


def statistics(totals: Tensor) -> EpisodeStatistics:
    """Means from ``[return, length, episodes]`` sums (reads back from the device)."""
    total_return, total_length, episodes = totals.tolist()
    count = max(episodes, 1.0)
    return EpisodeStatistics(total_return / count, total_length / count, int(episodes))
