"""What several cases at once share: slots with cores of their own, and the memory of the devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MEMORY_SHARE = 0.9  # of a device's memory that is given out
CUDA_CONTEXT_GB = 1.0  # what CUDA keeps for a process and its kernels, beside the memory that the process asks for


@dataclass(frozen=True)
class Share:
    """What one running case has to itself: its slot with that slot's cores, and memory on its devices."""

    slot: int
    cores: tuple[int, ...]  # () for all of them
    devices: tuple[str, ...]
    memory_gb: float  # of each device


class Pool:
    """Gives out shares, and takes them back.

    A case gets a share when a slot is free and each of its devices has the memory left; alone on a device, it always
    does: the ladder finds out what fits. The cores of a slot never change, so that a case computes with the same number
    of threads whatever runs beside it. There must be a core for each slot.
    """

    def __init__(self, jobs: int, cores: Sequence[int], memory_gb: Mapping[str, float]) -> None:
        each = len(cores) // jobs
        self._cores = [tuple(cores[slot * each : (slot + 1) * each]) for slot in range(jobs)] if jobs > 1 else [()]
        self._free_slots = list(range(jobs))
        self._capacity = {device: MEMORY_SHARE * size for device, size in memory_gb.items()}
        self._used: dict[str, list[float]] = {device: [] for device in memory_gb}

    def take(self, devices: Sequence[str], memory_gb: float, one_device: bool = False) -> Share | None:
        """A share of all ``devices``, or with ``one_device`` of the emptiest of them; None when there is none now."""
        if not self._free_slots:
            return None
        fitting = [device for device in devices if self._fits(device, memory_gb)]
        if one_device:
            fitting = sorted(fitting, key=lambda device: (len(self._used[device]), -self._left(device)))[:1]
        if len(fitting) < (1 if one_device else len(devices)):
            return None
        slot = self._free_slots.pop(0)
        for device in fitting:
            self._used[device].append(memory_gb)
        return Share(slot, self._cores[slot], tuple(fitting), memory_gb)

    def give_back(self, share: Share) -> None:
        """The case of ``share`` is over."""
        self._free_slots = sorted([*self._free_slots, share.slot])
        for device in share.devices:
            self._used[device].remove(share.memory_gb)

    def _left(self, device: str) -> float:
        return self._capacity[device] - sum(self._used[device])

    def _fits(self, device: str, memory_gb: float) -> bool:
        return not self._used[device] or memory_gb <= self._left(device)


def default_jobs(cores: int, cores_per_case: int, room: float, case_memory_gb: float) -> int:
    """As many cases at once as have cores, and memory in the ``room`` (1e9 bytes) that there is; at least one."""
    return max(1, min(cores // cores_per_case, int(MEMORY_SHARE * room // case_memory_gb)))
