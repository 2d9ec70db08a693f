"""What this machine has and which code is checked out."""

import importlib.metadata
import shutil
import subprocess
from collections.abc import Sequence
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


def gpu_names() -> tuple[str, ...]:
    """The NVIDIA GPUs that the driver answers for, by name; () on a machine without ``nvidia-smi`` and NVIDIA device.

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
    query = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=QUERY_SECONDS, check=False)
        reason = (answer.stderr or answer.stdout).strip()
        names = tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())
        if answer.returncode == 0 and names:
            return names
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    raise UsageError(
        f"nvidia-smi is installed but lists no GPU ({reason or 'no output'}). Repair the driver, or choose by hand: "
        "--engine-config data/engines/mujoco_engine.yaml --devices-train cpu"
    )


def checked_out_commit(repository: Path) -> str:
    """The commit's hash, with '-dirty' when tracked files differ from it; 'unknown' outside a git checkout."""
    try:
        commit = _git(repository, "rev-parse", "HEAD")
        changed = _git(repository, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


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
    answer = subprocess.run(command, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True)
    return answer.stdout.strip()
