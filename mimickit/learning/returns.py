"""TD(lambda) returns over a rollout (Sutton and Barto, 2nd edition, chapter 12; GAE, Schulman 2016)."""

import torch
from torch import Tensor

from mimickit.envs.terminations import Done


def bootstrap_values(next_values: Tensor, done: Tensor, fail_value: float = 0.0, succ_value: float = 0.0) -> Tensor:
    """Value after each step: the critic's, or a constant where the episode failed or succeeded.

    A time limit is not an end of the task, so TIME keeps the critic's value of the observation before the reset.

    Args:
        next_values, done: ``(T, N)``; fail_value, succ_value: ``r / (1 - discount)`` of the terminal rewards.
    """
    values = torch.where(done == Done.FAIL, fail_value, next_values)
    return torch.where(done == Done.SUCC, succ_value, values)


def td_lambda_returns(rewards: Tensor, next_values: Tensor, done: Tensor, discount: float, td_lambda: float) -> Tensor:
    """``R_t = r_t + discount * ((1 - lambda) V_{t+1} + lambda R_{t+1})``, with ``R_{t+1} = V_{t+1}`` at an episode's
    end and at the end of the rollout.

    Args:
        rewards, done: ``(T, N)``; next_values: ``(T, N)`` values after each step, see :func:`bootstrap_values`.

    Returns:
        ``(T, N)``.
    """
    returns = torch.empty_like(rewards)
    following = next_values[-1]
    for t in range(len(rewards) - 1, -1, -1):
        ended = done[t] != Done.NULL
        mixed = torch.lerp(next_values[t], following, td_lambda)
        following = rewards[t] + discount * torch.where(ended, next_values[t], mixed)
        returns[t] = following
    return returns
