"""What is measured on: the GPUs that programs here see, their driver, the packages, and the code."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ci.errors import UsageError
from ci.host import DIRTY, checkout
from mimickit.errors import InputError

QUERY_SECONDS = 120.0  # torch's first import on a cold disk
USED_BY_OTHERS_GB = 1.0  # 1e9 bytes; more on a GPU before anything was started, and timings would be of two programs
PACKAGES = ("torch", "newton", "warp-lang", "mujoco-warp", "mujoco")

# In a process of its own: one that has looked at a GPU keeps some of its memory.
PROBE = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
found = [torch.cuda.get_device_properties(number) for number in range(count)]
print(json.dumps([{"name": each.name, "uuid": str(each.uuid), "memory_gb": each.total_memory / 1e9} for each in found]))
"""
QUERY = ("nvidia-smi", "--query-gpu=uuid,memory.used,driver_version", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """One GPU as CUDA sees it: ``cuda:N`` is the N-th of a list of them. Memory in 1e9 bytes."""

    name: str
    memory_gb: float
    used_gb: float  # before anything was started
    driver: str


@dataclass(frozen=True)
class Machine:
    """What a record needs to be comparable later."""

    gpus: tuple[Gpu, ...]
    versions: dict[str, str]
    commit: str
    dirty: bool  # the code differed from the commit

    @property
    def devices(self) -> tuple[str, ...]:
        """``cuda:0`` and on."""
        return tuple(f"cuda:{number}" for number in range(len(self.gpus)))

    @property
    def revision(self) -> str:
        """The commit as an image names it (`ci.host.checkout`)."""
        return self.commit + (DIRTY if self.dirty else "")


def look(repository: Path, shared: bool) -> Machine:
    """This machine.

    Args:
        shared: measure although others use its GPUs.

    Raises:
        InputError: there is no CUDA device, or another program has more than a gigabyte of one.
    """
    gpus = gpus_of(_answer([sys.executable, "-c", PROBE]), lambda: _answer(QUERY))
    require_gpus(gpus, shared)
    try:
        code = checkout(repository)
    except UsageError as error:
        raise InputError(str(error)) from None
    return Machine(gpus, package_versions(), code.commit, code.dirty)


def require_gpus(gpus: Sequence[Gpu], shared: bool) -> None:
    """InputError when there is no GPU, or when one is in use and ``shared`` does not allow that."""
    if not gpus:
        raise InputError("--gpu: this machine has no CUDA device that torch can use; without --gpu the CPU is measured")
    busy = [f"cuda:{number} ({gpu.used_gb:.1f} GB)" for number, gpu in enumerate(gpus) if _busy(gpu)]
    if busy and not shared:
        raise InputError(
            f"--gpu: other programs use {', '.join(busy)}, so timings would be of theirs too; end them, choose others "
            "with CUDA_VISIBLE_DEVICES, or measure all the same with --shared-gpu, which the record then says"
        )


def _busy(gpu: Gpu) -> bool:
    return gpu.used_gb > USED_BY_OTHERS_GB


def gpus_of(probe: str, query: Callable[[], str]) -> tuple[Gpu, ...]:
    """The GPUs of ``PROBE``'s output, with what ``QUERY``'s says of each; ``query`` is asked for that if there are any.

    Raises InputError when the driver's program does not know one of them.
    """
    found = json.loads(probe.strip().splitlines()[-1])
    if not found:
        return ()
    rows = csv.reader(query().strip().splitlines(), skipinitialspace=True)
    known = {uuid.removeprefix("GPU-"): (float(used) * 2**20 / 1e9, driver) for uuid, used, driver in rows}
    gpus = []
    for each in found:
        uuid = each["uuid"].removeprefix("GPU-")
        if uuid not in known:
            raise InputError(f"--gpu: nvidia-smi does not list {each['name']} ({uuid}), which torch uses")
        gpus.append(Gpu(each["name"], each["memory_gb"], *known[uuid]))
    return tuple(gpus)


def _answer(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise InputError(f"--gpu: {command[0]} does not say which GPUs there are: {said}") from None


def package_versions() -> dict[str, str]:
    """Of the packages that decide speed; InputError when one is not installed."""
    try:
        return {package: metadata.version(package) for package in PACKAGES}
    except metadata.PackageNotFoundError as error:
        raise InputError(f"not installed: {error.name}; pip install -c constraints.txt -e .") from None


def date() -> str:
    """Now, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M")


def short_name(gpu: str) -> str:
    """``h100`` of ``NVIDIA H100 80GB HBM3``: the first word after the maker's name, for a file's name."""
    words = gpu.lower().replace("nvidia", "").split()
    return "".join(letter for letter in (words[0] if words else "gpu") if letter.isalnum())


def as_json(machine: Machine) -> Mapping[str, object]:
    """What a part's record says of the machine."""
    return {
        "gpus": [vars(gpu) for gpu in machine.gpus],
        "versions": machine.versions,
        "commit": machine.commit,
        "dirty": machine.dirty,
    }
