"""What every way of submitting jobs shares: submitit, what is asked of it, what is heard of jobs."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.errors import UsageError

INSTALL = "python -m pip install -c constraints.txt -e .[slurm]"
PACKAGES = ("submitit", "cloudpickle")


@dataclass(frozen=True)
class Request:
    """What jobs are asked for."""

    name: str
    folder: Path  # of submitit's files and of the logs
    minutes: int  # a job's time, after which it is killed
    words: Mapping[str, str | bool]  # by ``words.parse_words``


@dataclass(frozen=True)
class Answer:
    """The state of each job by its id, and of those that wait why they do, as far as that is known.

    ``complaint`` is why something could not be asked.
    """

    states: Mapping[str, str]
    complaint: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)


def import_submitit() -> Any:
    """The package, which is not installed with the others. UsageError that says how to install it."""
    try:
        import submitit
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        raise UsageError(f"--executor needs the package {error.name}. Install with: {INSTALL}") from error
    return submitit


@contextmanager
def shielded() -> Iterator[None]:
    """Inside, a Ctrl-C and a hang-up wait; programs that are started inside never see one.

    A terminal sends them to all of its programs: to one that is just submitting, and to the controllers of local jobs,
    which would then kill their jobs within a second. It is this process that ends jobs.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
