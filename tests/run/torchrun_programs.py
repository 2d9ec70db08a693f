"""Runs that torchrun starts: one group of processes for each host there would be, all of them on this machine."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.run.programs import REPOSITORY, TIMEOUT


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_groups(
    arguments: list[list[str]], folders: list[Path], processes: int = 1, port: int = 0
) -> list[subprocess.Popen[str]]:
    """A torchrun for each list of run.py's ``arguments``, in its folder, with so many processes each.

    All run on one core, where arithmetic is that of one thread.
    """
    core = min(os.sched_getaffinity(0))
    port = port or free_port()
    groups = []
    for number, words in enumerate(arguments):
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(arguments))]
        command += ["--node_rank", str(number), "--nproc_per_node", str(processes), "--master_addr", "127.0.0.1"]
        command += ["--master_port", str(port), str(REPOSITORY / "mimickit" / "run.py"), *words]
        groups.append(
            subprocess.Popen(
                command,
                cwd=folders[number],
                env=os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        )
    return groups


def finish_groups(groups: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each torchrun."""
    try:
        return [(group.returncode, *out) for group in groups for out in [group.communicate(timeout=TIMEOUT)]]
    finally:
        for group in groups:
            group.kill()


def ranks_of(run: subprocess.Popen[str]) -> list[int]:
    """Process ids of the training processes that ``run``, a torchrun or our own launcher, has started; by rank."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [int(pid) for pid, line in words.items() if b"spawn_main" in line or b"run.py" in line]


def wait_for(path: Path, runs: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not path.exists():
        assert all(run.poll() is None for run in runs), [run.communicate() for run in runs]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_there(pid: int) -> bool:
    """The process lives, or waits to be collected by a parent that does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
