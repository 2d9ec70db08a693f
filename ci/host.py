"""What this machine has and which code is checked out."""

import csv
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.errors import UsageError

QUERY_SECONDS = 30.0

# Distributions an engine cannot run without, by the engine_name of its file.
ENGINE_PACKAGES = {
    "newton": ("torch", "newton", "warp-lang", "mujoco-warp"),
    "mujoco": ("torch", "mujoco"),
    "isaac_lab": ("torch", "isaaclab"),
    "isaac_gym": ("torch", "isaacgym"),
}


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as its driver describes it."""

    name: str
    memory_gb: float  # 1e9 bytes
    driver: str


@dataclass(frozen=True)
class Checkout:
    """Which code this is. ``changes`` is a fingerprint of what differs from the commit, '' when nothing does."""

    commit: str
    dirty: bool
    changes: str


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that the driver answers for; () on a machine without ``nvidia-smi`` and NVIDIA device.

    A driver that is installed and does not answer raises UsageError: a broken GPU machine must not pass as a CPU one.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        if any(Path("/dev").glob("nvidia[0-9]*")):
            raise UsageError(
                "there is an NVIDIA device in /dev but no nvidia-smi to ask about it. Install it, or choose by hand: "
                "--engine-config data/engines/newton_engine.yaml --devices-train cuda:0"
            )
        return ()
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=QUERY_SECONDS, check=False)
        reason = (answer.stderr or answer.stdout).strip()
        if answer.returncode == 0 and answer.stdout.strip():
            rows = csv.reader(answer.stdout.strip().splitlines(), skipinitialspace=True)
            return tuple(Gpu(name, _gpu_memory(mebibytes), driver) for name, mebibytes, driver in rows)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        reason = str(error)
    raise UsageError(
        f"nvidia-smi is installed but lists no GPU ({reason or 'no output'}). Repair the driver, or choose by hand: "
        "--engine-config data/engines/mujoco_engine.yaml --devices-train cpu"
    )


def _gpu_memory(mebibytes: str) -> float:
    """In 1e9 bytes; a GPU that shares the host's memory names none of its own."""
    return host_memory_gb() if mebibytes == "[N/A]" else float(mebibytes) * 2**20 / 1e9


def host_memory_gb() -> float:
    """The memory of this machine, in 1e9 bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def checkout(repository: Path) -> Checkout:
    """The commit, and whether tracked files differ from it; commit 'unknown' outside a git checkout."""
    try:
        commit = _git(repository, "rev-parse", "HEAD")
        changes = _git(repository, "diff", "HEAD", "--no-ext-diff", "--binary")
    except (OSError, subprocess.SubprocessError):
        return Checkout("unknown", False, "")
    return Checkout(commit, bool(changes), hashlib.sha256(changes.encode()).hexdigest()[:16] if changes else "")


def require_packages(names: Sequence[str]) -> None:
    """UsageError that names every distribution in ``names`` that is not installed; nothing is imported."""
    missing = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise UsageError(
            f"not installed: {', '.join(missing)}. Install with: python -m pip install -c constraints.txt -e ."
        )


def _git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    answer = subprocess.run(command, capture_output=True, timeout=QUERY_SECONDS, check=True)
    return answer.stdout.decode("utf-8", errors="replace").strip()
