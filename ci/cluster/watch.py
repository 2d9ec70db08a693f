"""Waiting for the jobs of a run: what becomes of each, a lost one submitted once more, all of them ended on a stop."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ci.cluster.executors import EXECUTORS, Executor, SubmissionError, submit
from ci.cluster.job import ShardJob, run_shard
from ci.durations import clock
from ci.files import tail, write_json, write_text
from ci.run.process import Stop
from ci.run.progress import Activity, Display, Standing

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

TICK_SECONDS = 0.5
STOPPING_SECONDS = 5.0  # at most between two looks at jobs that are being cancelled
SHOWN_LINES = 30  # of a log, for a person
SUBMITTED = "SUBMITTED"
NEWLINE = "\n"
ENDED_BY_SIGNAL = 128  # and above: exit codes of a run that was told to end


def jobs_folder(folder: Path) -> Path:
    """Where submitit's files and the logs of the jobs lie, in the folder of a run."""
    return folder / "jobs"


def cancelled_file(folder: Path) -> Path:
    """There once the run is cancelled."""
    return jobs_folder(folder) / "cancelled"


@dataclass
class Shard:
    """One shard of the run, and its job."""

    title: str  # '2/8'
    task: ShardJob
    job: "Job[int] | None" = None
    state: str = SUBMITTED
    reason: str = ""  # why its job waits
    submitted: float = 0.0
    ended: float | None = None  # when its job was first seen in a state after which nothing more comes
    over: bool = False
    code: int | None = None  # of ci e2e; None: the job had no result
    note: str = ""
    lost: list[tuple[str, str]] = field(default_factory=list)  # the ids and last states of jobs before this one

    @property
    def id(self) -> str:
        return self.job.job_id if self.job is not None else ""

    @property
    def status(self) -> str:
        """'PENDING (PartitionTimeLimit)': the state, and why the job is in it where that is known."""
        return f"{self.state} ({self.reason})" if self.reason else self.state

    @property
    def log(self) -> Path | None:
        return self.job.paths.stdout if self.job is not None else None


class Watch:
    """The jobs of one run. ``folder`` is where they are written down."""

    def __init__(
        self,
        executor: str,
        opened: "AutoExecutor",
        shards: Sequence[Shard],
        folder: Path,
        stop: Stop,
        display: Display,
    ) -> None:
        self.name, self.opened, self.shards, self.folder = executor, opened, shards, folder
        self.stop, self.display = stop, display
        self.executor: Executor = EXECUTORS[executor]
        self.stopped = False  # there was a job to cancel
        self.began = time.monotonic()
        self.complaint = ""  # of the last question about the jobs
        self.refusal = ""  # of the last try to cancel them

    def submit_all(self) -> None:
        """Raises SubmissionError; then no job was submitted."""
        try:
            self._submit(self.shards)
        except SubmissionError:
            raise
        except BaseException:
            self._cancel(at_once=False)
            raise

    def run(self) -> None:
        """Until every job is over. Should this fail, no job is left behind."""
        try:
            self._wait()
        except BaseException:
            self._cancel(at_once=False)
            raise
        finally:
            self.display.close()

    def lost_lines(self) -> list[str]:
        """What is to be said, at the end, of jobs that were submitted once more."""
        line = "shard {}: job {} was lost ({}) before the shard began; submitted again as job {}"
        return [line.format(shard.title, job, state, shard.id) for shard in self.shards for job, state in shard.lost]

    @property
    def _open(self) -> list[Shard]:
        return [shard for shard in self.shards if not shard.over]

    def _submit(self, shards: Sequence[Shard]) -> None:
        jobs = submit(self.name, self.opened, [partial(run_shard, shard.task) for shard in shards])
        for shard, job in zip(shards, jobs, strict=True):
            shard.job, shard.submitted, shard.ended = job, time.monotonic(), None
            shard.state, shard.reason = SUBMITTED, ""
        for shard in shards:
            self._tell(shard)
        self._write()

    def _wait(self) -> None:
        next_look = time.monotonic()
        insisted = False
        while self._open:
            if self.stop.asked and not self.stopped:
                self.stopped, next_look = True, time.monotonic()
                line = f"ending, by {self.stop.reason}: {len(self._open)} job(s) are cancelled"
                self.display.line(f"{line}; Ctrl-C once more ends them without grace")
                self._cancel(at_once=False)
            if self.stop.insisted and not insisted:
                insisted, next_look = True, time.monotonic()
                self.refusal = ""  # another wish: what comes of it is told anew
                self._cancel(at_once=True)
            now = time.monotonic()
            if now >= next_look:
                self._look()
                if self.stopped and self.refusal:
                    self._cancel(at_once=insisted)
                poll = self.executor.poll_seconds
                next_look = time.monotonic() + (min(poll, STOPPING_SECONDS) if self.stopped else poll)
            self.display.show([_activity(shard) for shard in self._open], self._standing())
            pause = min(TICK_SECONDS, max(next_look - time.monotonic(), 0.0))
            if self._open and self.stop.wait(pause) and self.stopped:
                time.sleep(pause)

    def _look(self) -> None:
        """Ask once about all jobs that are not over."""
        answer = self.executor.ask([shard.job for shard in self._open if shard.job is not None])
        if answer.complaint != self.complaint:
            self.complaint = answer.complaint
            self.display.line(f"  asking about the jobs: {answer.complaint or 'all is answered again'}")
        changed = False
        for shard in self._open:
            news = answer.states[shard.id], answer.reasons.get(shard.id, "")
            if answer.complaint and news == (shard.state, ""):  # that nobody could say why is no news
                news = shard.state, shard.reason
            if news != (shard.state, shard.reason):
                shard.state, shard.reason = news
                changed = True
                self._tell(shard)
            if _has_result(shard):
                _read_result(shard)
            if shard.note or (shard.code is not None and shard.code < ENDED_BY_SIGNAL):
                self._close(shard)
            elif shard.state in self.executor.ended:
                shard.ended = shard.ended or time.monotonic()
                if time.monotonic() - shard.ended >= self.executor.result_seconds:
                    self._give_up(shard)
            else:
                shard.ended = None
        if changed:
            self._write()

    def _give_up(self, shard: Shard) -> None:
        """Its job was lost, or ended, on the way: it has no result, or says that a signal ended the run."""
        begun = _is_there(shard.task.root)
        if shard.state in self.executor.lost and not (begun or shard.lost or self.stop.asked):
            self._submit_again(shard)
            return
        how = "ended without a result" if shard.code is None else f"was ended by signal {shard.code - ENDED_BY_SIGNAL}"
        shard.note = f"its job {how} ({shard.state}), {'after' if begun else 'before'} the shard began"
        self._close(shard)

    def _submit_again(self, shard: Shard) -> None:
        shard.lost.append((shard.id, shard.state))
        self.display.line(f"  shard {shard.title}: lost before it began ({shard.state}): submitted once more")
        shard.code = None
        try:
            self._submit([shard])
        except SubmissionError as error:
            shard.note = f"it could not be submitted once more: {error}"
            self._close(shard)

    def _close(self, shard: Shard) -> None:
        shard.over = True
        self._tell(shard, "passed" if shard.code == 0 else shard.note or f"exit code {shard.code}")
        if shard.code != 0 and not self.stopped and shard.log is not None:
            lines = tail(shard.log, SHOWN_LINES) or ["(there is none)"]
            self.display.line("\n".join([f"  the end of {shard.log}:", *(f"    | {line}" for line in lines)]))
        self._write()

    def _cancel(self, at_once: bool) -> None:
        """Have every job end that has not. The file is for those that are just starting, and heed no signal yet.

        Where ``refusal`` says afterwards that it went wrong, it is to be tried again; the same refusal is told once.
        """
        before = self.refusal
        try:
            write_text(cancelled_file(self.folder), "")
        finally:  # on a full disk, too
            jobs = [shard.job for shard in self._open if shard.job is not None and shard.ended is None]
            self.refusal = self.executor.cancel(jobs, at_once) if jobs else ""
        if self.refusal != before:
            self.display.line(f"  cancelling: {self.refusal or 'done'}")

    def _tell(self, shard: Shard, news: str = "") -> None:
        seconds = clock(time.monotonic() - shard.submitted)
        self.display.line(f"  shard {shard.title}  job {shard.id}  {seconds}: {news or shard.status}")

    def _standing(self) -> Standing:
        over = [shard for shard in self.shards if shard.over]
        passed = sum(shard.code == 0 for shard in over)
        return Standing(len(self.shards), passed, len(over) - passed, time.monotonic() - self.began, None)

    def _write(self) -> None:
        """jobs.json, by which a person finds the jobs of a run whose watcher is gone."""
        content = [
            {
                "shard": shard.title,
                "job": shard.id,
                "state": shard.state,
                "reason": shard.reason,
                "exit_code": shard.code,
                "note": shard.note,
                "root": str(shard.task.root),
                "log": str(shard.log or ""),
                "lost": [{"job": job, "state": state} for job, state in shard.lost],
            }
            for shard in self.shards
        ]
        write_json(self.folder / "jobs.json", {"executor": self.name, "shards": content})


def _activity(shard: Shard) -> Activity:
    return Activity(f"shard {shard.title}", rung=f"job {shard.id}", stage=shard.status, started=shard.submitted)


def _read_result(shard: Shard) -> None:
    """The exit code; or a note, where the job raised something or left what cannot be read."""
    assert shard.job is not None
    try:
        shard.code = shard.job.result()
    except Exception as error:  # whatever it was, it becomes the note of a shard that did not pass
        shard.note = f"its job failed: {type(error).__name__}: {str(error).partition(NEWLINE)[0]}"


def _has_result(shard: Shard) -> bool:
    return shard.job is not None and _is_there(shard.job.paths.result_pickle)


def _is_there(path: Path) -> bool:
    """Listing the folder, rather than looking for the file, has a network file system ask its server."""
    try:
        return path.name in os.listdir(path.parent)
    except FileNotFoundError:
        return False
