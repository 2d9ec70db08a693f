"""``ci e2e`` inside a job of a test: the framework is a stub, and the accidents that the test has planned happen.

``stub_job.py REPOSITORY [arguments of ci e2e]``. ``REPOSITORY/accidents`` has lines 'ACCIDENT SHARD', such as
'die_early 2/2'. Each job that begins leaves a line in ``REPOSITORY/jobs.jsonl``.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ci.run import e2e, process
from ci.run.stages import Programs

STUB = Path(__file__).parents[1] / "stub_trainer.py"
SEEN = ("CUDA_VISIBLE_DEVICES", "SLURM_ARRAY_TASK_ID")


def main() -> int:
    repository, *given = Path(sys.argv[1]), *sys.argv[2:]
    process.GRACE_SECONDS = 0.3
    shard = given[given.index("--shard") + 1] if "--shard" in given else "resumed"
    seen = {name: os.environ.get(name) for name in SEEN}
    with (repository / "jobs.jsonl").open("a") as jobs:
        jobs.write(json.dumps({"shard": shard, "argv": given, "pid": os.getpid(), **seen}) + "\n")
    path = repository / "accidents"
    planned = [line.split() for line in path.read_text().splitlines()] if path.is_file() else []
    for name, where in planned:
        if where in (shard, "all"):
            ACCIDENTS[name](repository, given)
    roles = ("run", "data", "prior", "checkpoint")
    role = {name: (sys.executable, str(STUB), name, str(repository / "faults")) for name in roles}
    parser = argparse.ArgumentParser()
    e2e.add_arguments(parser)
    return e2e.run(parser.parse_args(given), repository, Programs(**role))


def root_of(repository: Path, given: list[str]) -> Path:
    return repository / "output" / "train" / given[given.index("--root-out") + 1]


def kill_machine() -> None:
    """What a test has for the machine of a job dies."""
    stub = os.environ.get("STUB_SLURM")
    if stub is None:
        os.kill(int(os.environ["SUBMITIT_LOCAL_JOB_ID"]), signal.SIGKILL)
    else:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        (Path(stub) / f"{job}.ends_as").write_text("NODE_FAIL")
        os.kill(int((Path(stub) / f"{job}.pid").read_text()), signal.SIGKILL)


def die_early(repository: Path, given: list[str]) -> None:
    """Before the root is made; the first time."""
    marker = repository / "died"
    if not marker.exists():
        marker.write_text("")
        kill_machine()
        time.sleep(60)


def die_early_always(repository: Path, given: list[str]) -> None:
    kill_machine()
    time.sleep(60)


def die_late(repository: Path, given: list[str]) -> None:
    """Once the root is there."""

    def wait_and_kill() -> None:
        while not (root_of(repository, given) / "run.json").exists():
            time.sleep(0.01)
        kill_machine()

    threading.Thread(target=wait_and_kill, daemon=True).start()


def refuse(repository: Path, given: list[str]) -> None:
    print("error: the plan was made for another commit")
    sys.exit(2)


ACCIDENTS: dict[str, Callable[[Path, list[str]], None]] = {
    "die_early": die_early,
    "die_early_always": die_early_always,
    "die_late": die_late,
    "refuse": refuse,
}

if __name__ == "__main__":
    sys.exit(main())
