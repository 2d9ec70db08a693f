"""How an episode ends."""

from enum import IntEnum

import torch
from torch import Tensor

# A body is on the ground when a component of the ground's force on it exceeds this, N.
CONTACT_FORCE_THRESHOLD = 0.1


class Done(IntEnum):
    """Why an episode ended; NULL goes on."""

    NULL = 0
    FAIL = 1
    SUCC = 2
    TIME = 3


def has_fallen(ground_force: Tensor, watched_bodies: Tensor) -> Tensor:
    """Whether any watched body touches the ground.

    Args:
        ground_force: ``(N, B, 3)`` N; watched_bodies: indices of the bodies that must not touch the ground.

    Returns:
        bool ``(N,)``.
    """
    return (ground_force[:, watched_bodies].abs() > CONTACT_FORCE_THRESHOLD).flatten(1).any(dim=-1)


def has_strayed(body_pos: Tensor, ref_body_pos: Tensor, distance: float, track_root: bool) -> Tensor:
    """Whether any body is farther than ``distance`` metres from the reference.

    Bodies are compared in the world when the root is tracked (the root among them), else relative to the root.

    Args:
        body_pos, ref_body_pos: ``(N, B, 3)`` with the root first.

    Returns:
        bool ``(N,)``.
    """
    difference = ref_body_pos - body_pos
    if not track_root:
        difference = difference - difference[:, :1]
    return (difference.square().sum(dim=-1) > distance * distance).any(dim=-1)


def done_flags(failed: Tensor, succeeded: Tensor, timed_out: Tensor) -> Tensor:
    """Conditions ``(N,)`` as Done values, int64; failing outranks succeeding, which outranks the time limit."""
    done = torch.where(timed_out, Done.TIME, Done.NULL)
    done = torch.where(succeeded, Done.SUCC, done)
    return torch.where(failed, Done.FAIL, done)
