"""What torchrun tells a process that it started; without torch, which takes seconds to import."""

from collections.abc import Mapping
from dataclasses import dataclass

from mimickit.errors import InputError

_NUMBERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """A process's place in a run of ``size`` processes, ``local_size`` of them on this host, and the store's address.

    ``attempt`` counts torchrun's restarts, which have the store in common.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int
    attempt: int = 0


def torchrun_place(environment: Mapping[str, str]) -> Place | None:
    """The place that torchrun gave this process; None if another program started it.

    Raises:
        InputError: the environment has a part of torchrun's variables.
    """
    if "LOCAL_RANK" not in environment:  # which clusters do not set, as they may set RANK and WORLD_SIZE
        return None
    missing = [name for name in (*_NUMBERS, "MASTER_ADDR") if not environment.get(name)]
    bad = [name for name in _NUMBERS if name not in missing and not environment[name].isdecimal()]
    if missing or bad:
        raise InputError(
            f"the environment has LOCAL_RANK, as of a process that torchrun started, but no usable "
            f"{', '.join(missing + bad)}; start with torchrun, or without LOCAL_RANK"
        )
    rank, local_rank, size, local_size, port = (int(environment[name]) for name in _NUMBERS)
    if size > 1 and environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise InputError(
            "the environment has LOCAL_RANK, but no torchrun that keeps a store for its processes "
            "(TORCHELASTIC_USE_AGENT_STORE is not True): start with torchrun and its default or c10d rendezvous, "
            "without TORCH_DISABLE_SHARE_RDZV_TCP_STORE; or without LOCAL_RANK"
        )
    attempt = int(environment.get("TORCHELASTIC_RESTART_COUNT", "0"))
    return Place(rank, size, local_rank, local_size, environment["MASTER_ADDR"], port, attempt)
