"""Where jobs run: a table with a row for each way to have submitit start them."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.cluster import local, slurm
from ci.cluster.submission import Answer, Request, import_submitit, shielded
from ci.errors import UsageError

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job


class SubmissionError(Exception):
    """Nothing was submitted; the message is that of the program that refused."""


@dataclass(frozen=True)
class Executor:
    """One row.

    ``programs`` must be there. ``cancel`` is told whether to end jobs at once, and says what went wrong, or ''.
    ``ended`` are the states after which nothing more comes of a job; ``lost`` those of them that say nothing about what
    ran in it. ``result_seconds``: file systems are late, so that long after its end a job's result is looked for.
    ``own_variables`` are set for a job by submitit and must be as they are here.
    """

    programs: tuple[str, ...]
    takes_words: bool
    parameters: Callable[[Request], dict[str, Any]]
    submit: Callable[["AutoExecutor", Sequence[Callable[[], int]]], "list[Job[int]]"]
    ask: Callable[["Sequence[Job[int]]"], Answer]
    cancel: Callable[["Sequence[Job[int]]", bool], str]
    ended: frozenset[str]
    lost: frozenset[str]
    poll_seconds: float
    result_seconds: float
    own_variables: tuple[str, ...] = ()


EXECUTORS = {
    "slurm": Executor(
        programs=slurm.PROGRAMS,
        takes_words=True,
        parameters=slurm.parameters,
        submit=slurm.submit,
        ask=slurm.ask,
        cancel=slurm.cancel,
        ended=slurm.ENDED,
        lost=slurm.LOST,
        poll_seconds=30.0,
        result_seconds=30.0,
    ),
    "local": Executor(
        programs=(),
        takes_words=False,
        parameters=lambda request: {},
        submit=local.submit,
        ask=local.ask,
        cancel=local.cancel,
        ended=local.ENDED,
        lost=local.LOST,
        poll_seconds=0.2,
        result_seconds=0.5,
        own_variables=("CUDA_VISIBLE_DEVICES",),
    ),
}


def require_executor(name: str) -> None:
    """UsageError when submitit or a program is missing."""
    import_submitit()
    missing = [program for program in EXECUTORS[name].programs if shutil.which(program) is None]
    if missing:
        raise UsageError(
            f"--executor {name}: there is no {', '.join(missing)} here; start this where jobs are submitted."
        )


def open_executor(name: str, request: Request) -> "AutoExecutor":
    """submitit's executor for that row of the table, with what is asked of it."""
    opened: AutoExecutor = import_submitit().AutoExecutor(folder=request.folder, cluster=name, slurm_max_num_timeout=0)
    own = EXECUTORS[name].parameters(request)
    opened.update_parameters(name=request.name, timeout_min=request.minutes, stderr_to_stdout=True, **own)
    return opened


def submit(name: str, opened: "AutoExecutor", functions: Sequence[Callable[[], int]]) -> "list[Job[int]]":
    """The functions as jobs, in their order. Raises SubmissionError."""
    refused = import_submitit().core.utils.FailedJobError
    try:
        with shielded():
            return EXECUTORS[name].submit(opened, functions)
    except refused as error:
        raise SubmissionError(str(error).strip() or "the jobs were refused without a word") from error
