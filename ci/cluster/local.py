"""Jobs that are processes of this machine, by submitit's local executor: to try a run in parts out."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ci.cluster.submission import Answer

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

RUNNING = "RUNNING"
LOST = frozenset(("INTERRUPTED",))  # its controller was killed
ENDED = LOST | {"FINISHED"}


def submit(opened: "AutoExecutor", functions: Sequence[Callable[[], int]]) -> "list[Job[int]]":
    """One by one, since each starts at once; when one cannot start, those that did are ended."""
    jobs: list[Job[int]] = []
    try:
        for function in functions:
            jobs.append(opened.submit(function))
    except BaseException:
        cancel(jobs, at_once=True)
        raise
    return jobs


def ask(jobs: "Sequence[Job[int]]") -> Answer:
    """The states: a job is its controller."""
    return Answer({job.job_id: job.state for job in jobs})


def cancel(jobs: "Sequence[Job[int]]", at_once: bool) -> str:
    """A TERM, which job and run pass on; the run takes a second one as a wish to end at once.

    submitit's own way gives a job one second before it kills it.
    """
    for job in jobs:
        if job.state == RUNNING:  # as was just seen, so that its number is not yet given to another process
            os.kill(int(job.job_id), signal.SIGTERM)
    return ""
