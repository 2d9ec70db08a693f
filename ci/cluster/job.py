"""What runs inside a job: ``ci e2e`` for one shard, told to end when the job is, and never begun twice in one root."""

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from ci.run.process import ask_for_term_when_parent_dies

CANCELLED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class ShardJob:
    """One shard's command lines. A value of None in ``environment`` takes the variable out.

    ``cancelled`` is a file that is there once the whole run is cancelled: a signal that comes while a job is starting
    may find nobody who heeds it.
    """

    start: tuple[str, ...]
    resume: tuple[str, ...]
    root: Path
    cancelled: Path
    repository: Path
    environment: Mapping[str, str | None] = field(default_factory=dict)


def run_shard(job: ShardJob) -> int:
    """Run the shard to its end; the exit code of ``ci e2e``, 128 + n where a signal ended it.

    Where the root exists already (an operator had Slurm run this very job again, or a node that was given up had only
    lost its connection), the run in it is gone on with: that waits for whoever still holds it and looks at all
    evidence again. Two runs never begin in one root, since making it is one step on the file system.
    """
    running: list[subprocess.Popen[bytes]] = []
    told: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        for program in running:
            program.terminate()

    for number in (signal.SIGTERM, _warning()):  # in place of submitit's, which have a job put into the queue again
        signal.signal(number, end)
    ask_for_term_when_parent_dies(_parent())
    if job.cancelled.exists():
        print("not begun: the run is cancelled", flush=True)
        return CANCELLED
    command = job.resume if job.root.exists() else job.start
    print(f"$ {shlex.join(command)}", flush=True)
    changes = dict(job.environment)
    environment = {**os.environ, **{name: value for name, value in changes.items() if value is not None}}
    for name in (name for name, value in changes.items() if value is None):
        environment.pop(name, None)
    program = subprocess.Popen(
        command,
        cwd=job.repository,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # it ends its own programs; a signal to this job's group is passed on once, by ``end``
        preexec_fn=partial(ask_for_term_when_parent_dies, os.getpid()),
    )
    running.append(program)
    if told:
        program.terminate()
    code = program.wait()
    return code if code >= 0 else 128 - code


def _warning() -> signal.Signals:
    """The signal by which submitit has Slurm announce the end of the job's time, or that others need the node."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]


def _parent() -> int:
    """Who started this process: for submitit's local executor the number that is the job's, even if it is dead."""
    return int(os.environ.get("SUBMITIT_LOCAL_JOB_ID") or os.getppid())
