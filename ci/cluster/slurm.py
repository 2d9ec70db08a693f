"""Jobs of Slurm: an array submitted through submitit; sacct, squeue and scancel asked directly."""

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ci.cluster.submission import Answer, Request, import_submitit, shielded

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

PROGRAMS = ("sbatch", "srun", "squeue", "scancel")  # sacct answers only where the cluster keeps accounts
SECONDS = 60.0  # for one question to Slurm
UNKNOWN = "UNKNOWN"  # nobody answers, for now
GONE = "GONE"  # Slurm answers, and does not know the job
PENDING = "PENDING"
NO_REASON = ("", "None")  # of a job that has just been submitted: nobody has looked at it yet
# Lines of sacct and squeue; why a job waits is any text.
ACCOUNTED = re.compile(r"([^|\s]+)\|([A-Z_]+)(?: by \S+)?()")
QUEUED = re.compile(r"([^|\s]+)\|([A-Z_]+)\|(.*)")
LOST = frozenset(("BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "REVOKED"))
ENDED = LOST | {
    *("CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "OUT_OF_MEMORY", "RECONFIG_FAIL", "TIMEOUT"),
    GONE,
}


def parameters(request: Request) -> dict[str, Any]:
    """For submitit: the words as rows of the header of sbatch's script."""
    cpus = request.words.get("cpus-per-task")
    return {
        # Slurm never runs a job a second time by itself: what has begun is not begun again.
        "slurm_additional_parameters": {**request.words, "no-requeue": True},
        # Since Slurm 22.05 a step has one core unless it asks for the job's cores once more.
        "slurm_srun_args": [f"--cpus-per-task={cpus}"] if cpus else [],
    }


def submit(opened: "AutoExecutor", functions: Sequence[Callable[[], int]]) -> "list[Job[int]]":
    """One array; a job of its own where there is one function."""
    with _outside_of_jobs():
        return list(opened.submit_array(functions))


def ask(jobs: "Sequence[Job[int]]") -> Answer:
    """The states: sacct knows how jobs ended, squeue knows those that have just been submitted, and why jobs wait.

    submitit's own watcher asks sacct alone, takes a suspended job for an ended one and a preempted one for a waiting.
    """
    wanted = [job.job_id for job in jobs]
    arrays = ",".join(sorted({job.partition("_")[0] for job in wanted}))
    known, _, _ = _asked(
        ACCOUNTED, "sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State", f"--jobs={arrays}"
    )
    if set(wanted) <= known.keys() and PENDING not in {known[job] for job in wanted}:
        return Answer({job: known[job] for job in wanted})
    queued, whys, complaint = _asked(
        QUEUED, "squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%r"
    )
    otherwise = UNKNOWN if complaint else GONE
    states = {job: known.get(job) or queued.get(job) or otherwise for job in wanted}
    waiting = [job for job in wanted if states[job] == queued.get(job) == PENDING]
    return Answer(states, complaint, {job: whys[job] for job in waiting if whys[job] not in NO_REASON})


def cancel(jobs: "Sequence[Job[int]]", at_once: bool) -> str:
    """One scancel for all; without a grace where it is to be at once. What went wrong, or ''."""
    hard = ("--signal=KILL", "--full") if at_once else ()
    _, complaint = _printed("scancel", *hard, *(job.job_id for job in jobs))
    return complaint


def _outside_of_jobs() -> AbstractContextManager[None]:
    """Inside a job, its variables would be taken for wishes about the new ones."""
    if "SLURM_JOB_ID" not in os.environ:
        return nullcontext()
    context: AbstractContextManager[None] = import_submitit().helpers.clean_env()
    return context


def _asked(row: re.Pattern[str], *command: str) -> tuple[dict[str, str], dict[str, str], str]:
    """The states and the reasons by job id that a program prints, and why it could not be heard, or ''."""
    printed, complaint = _printed(*command)
    states: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for line in filter(lambda line: "|" in line, printed.splitlines()):  # what a cluster greets with is no row
        match = row.fullmatch(line.strip())
        if match is None:  # it may be one of our jobs, which must not pass for one that is gone
            complaint = f"{command[0]}: {line.strip()!r} is not understood"
            continue
        ids, state, reason = match.groups()
        for job in _expanded(ids):
            states[job], reasons[job] = state, reason.strip()
    return states, reasons, complaint


def _printed(*command: str) -> tuple[str, str]:
    """What a program prints, and why it failed, or ''."""
    try:
        with shielded():
            answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{command[0]}: {error}"
    if answer.returncode == 0:
        return answer.stdout, ""
    said = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
    return "", f"{command[0]}: {said[-1]}"


def _expanded(ids: str) -> Iterable[str]:
    """'7_0', '7_2' and '7_3' of '7_[0,2-3%2]', as sacct writes those of an array that wait."""
    match = re.fullmatch(r"(\d+)_\[([\d,\-]+)(?:%\d+)?\]", ids)
    if match is None:
        return [ids]
    ranges = [part.partition("-") for part in match[2].split(",")]
    return [f"{match[1]}_{index}" for low, _, high in ranges for index in range(int(low), int(high or low) + 1)]
