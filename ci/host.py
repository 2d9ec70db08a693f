"""What this machine has and which code is checked out."""

import csv
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.errors import UsageError

QUERY_SECONDS = 30.0

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MEMORY = Path("/proc/meminfo")

IMAGE_REVISION = "MIMICKIT_REVISION"  # docker/Dockerfile
DIRTY = "-dirty"  # what git describe --dirty puts after a commit
# Where a new file that nobody has committed changes what runs.
CODE = ("args", "ci", "data", "mimickit")
# What is written there while it runs: in an image, volumes.
WRITTEN = ("data/models", "data/motions")

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
    """Which code this is.

    ``changes`` is a fingerprint of what differs from the commit, '' when nothing does. Where that cannot be told from
    the rest, in an image that was made from a changed tree, it is one of all the code. So two of different code differ.
    """

    commit: str
    dirty: bool
    changes: str


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that programs here see, in the order they see them; () on a machine without any.

    That is what the driver lists, and of it what CUDA_VISIBLE_DEVICES names. A driver that is installed and does not
    answer raises UsageError: a broken GPU machine must not pass as a CPU one.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        if any(Path("/dev").glob("nvidia[0-9]*")):
            raise UsageError(
                "there is an NVIDIA device in /dev but no nvidia-smi to ask about it. Install it, or choose by hand: "
                "--engine-config data/engines/newton_engine.yaml --devices-train cuda:0"
            )
        return ()
    query = [program, "--query-gpu=uuid,name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=QUERY_SECONDS, check=False)
        reason = (answer.stderr or answer.stdout).strip()
        if answer.returncode == 0 and answer.stdout.strip():
            rows = csv.reader(answer.stdout.strip().splitlines(), skipinitialspace=True)
            found = {uuid: Gpu(name, _gpu_memory(memory), driver) for uuid, name, memory, driver in rows}
            return _visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        reason = str(error)
    raise UsageError(
        f"nvidia-smi is installed but lists no GPU ({reason or 'no output'}). Repair the driver, or choose by hand: "
        "--engine-config data/engines/mujoco_engine.yaml --devices-train cpu"
    )


def _visible(found: Mapping[str, Gpu], chosen: str | None) -> tuple[Gpu, ...]:
    """The GPUs, by uuid, that CUDA_VISIBLE_DEVICES leaves: numbers or beginnings of uuids, up to the first unknown."""
    if chosen is None:
        return tuple(found.values())
    left = []
    for word in chosen.split(","):
        word = word.strip()
        if word.isdigit():
            matching = list(found.values())[int(word) : int(word) + 1]
        else:
            matching = [gpu for uuid, gpu in found.items() if word and uuid.startswith(word)]
        if len(matching) != 1:
            break
        left += matching
    return tuple(left)


def _gpu_memory(mebibytes: str) -> float:
    """In 1e9 bytes; a GPU that shares the host's memory names none of its own."""
    return host_memory_gb() if mebibytes == "[N/A]" else float(mebibytes) * 2**20 / 1e9


def host_memory_gb(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float:
    """The memory of this machine, or of the container or the cluster's job where that is less, in 1e9 bytes."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [limit for _, limit in _memory_limits(cgroups, membership)]
    return min([machine, *limits]) / 1e9


def free_memory_gb(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP, memory: Path = MEMORY) -> float | None:
    """What of ``host_memory_gb`` nobody uses now, in 1e9 bytes; None where the system does not say."""
    try:
        machine = re.search(r"^MemAvailable:\s+(\d+) kB$", memory.read_text(), re.MULTILINE)
    except OSError:
        return None
    if machine is None:
        return None
    limits = _memory_limits(cgroups, membership)
    frees = [limit - int((group / "memory.current").read_text()) for group, limit in limits]
    return min([int(machine[1]) * 1024, *frees]) / 1e9


def usable_cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> tuple[int, ...]:
    """The cores this process may run on; as many of them as the container or the cluster's job may keep busy."""
    cores = tuple(sorted(os.sched_getaffinity(0))) if sys.platform == "linux" else tuple(range(os.cpu_count() or 1))
    limits = [words for _, words in _limits("cpu.max", cgroups, membership)]
    shares = [int(quota) // int(period) for quota, period in limits if quota.isdigit()]
    return cores[: max(1, min(shares, default=len(cores)))]


def _memory_limits(cgroups: Path, membership: Path) -> list[tuple[Path, int]]:
    """The groups that have a limit of memory, and the bytes."""
    limits = _limits("memory.max", cgroups, membership)
    return [(group, int(limit)) for group, (limit, *_) in limits if limit.isdigit()]


def _limits(name: str, cgroups: Path, membership: Path) -> list[tuple[Path, list[str]]]:
    """The control group of this process and all above it, with the words of a limit; without those that have none.

    Control groups of version 2 only: https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    try:
        (own,) = (line[3:] for line in membership.read_text().splitlines() if line.startswith("0::"))
    except (OSError, ValueError):
        own = "/"
    place = Path(own.strip("/"))
    if ".." in place.parts:  # of a process that came from outside this container
        place = Path()
    groups = [cgroups / folder for folder in (place, *place.parents)]
    return [(group, (group / name).read_text().split()) for group in groups if (group / name).is_file()]


def checkout(repository: Path) -> Checkout:
    """The commit, and a fingerprint of what differs from it: tracked files, and new ones where code and data are.

    For a copy that is no git checkout, the commit that an image says it was made from, or 'unknown'; with a fingerprint
    of all its code where the image says that the tree was changed. UsageError when it is a checkout and git does not
    answer: two machines that both do not know would agree.
    """
    if not (repository / ".git").exists():
        revision = os.environ.get(IMAGE_REVISION, "")
        dirty = revision.endswith(DIRTY)
        return Checkout(revision.removesuffix(DIRTY) or "unknown", dirty, _contents(repository) if dirty else "")
    try:
        commit = _git(repository, "rev-parse", "HEAD").decode().strip()
        digest = hashlib.sha256(_git(repository, "diff", "HEAD", "--no-ext-diff", "--binary"))
        clean = hashlib.sha256(b"").digest() == digest.digest()
        for name in _git(repository, "ls-files", "--others", "--exclude-standard", "-z", "--", *CODE).split(b"\0"):
            path = repository / os.fsdecode(name)
            if name and path.is_file():
                clean = False
                digest.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    except (OSError, subprocess.SubprocessError) as error:
        said = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else error
        raise UsageError(
            f"git cannot say which code this is: {' '.join(str(said).split())}. A checkout of another user needs: "
            f"git config --global --add safe.directory {repository}"
        ) from error
    return Checkout(commit, not clean, "" if clean else digest.hexdigest()[:16])


def _contents(repository: Path) -> str:
    """A fingerprint of every file where code and data are, but for what runs write there."""
    written = [repository / folder for folder in WRITTEN]
    digest = hashlib.sha256()
    for path in sorted(path for folder in CODE for path in (repository / folder).rglob("*")):
        its_own = path.is_file() and "__pycache__" not in path.parts and not set(written) & set(path.parents)
        if its_own:
            name = path.relative_to(repository).as_posix().encode()
            digest.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


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


def _git(repository: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, capture_output=True, timeout=QUERY_SECONDS, check=True).stdout
