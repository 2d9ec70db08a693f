"""Waiting for jobs, whose states a test makes up."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ci.cluster import watch as room
from ci.cluster.executors import EXECUTORS, Executor
from ci.cluster.job import ShardJob
from ci.cluster.submission import Answer
from ci.cluster.watch import Shard, Watch
from ci.run.process import Stop
from ci.run.progress import PlainDisplay


@dataclass
class Cluster:
    """Answers, one after the other, the last again and again; a job gets its result with the state COMPLETED.

    An answer is a state, with a reason behind a colon, or with a complaint behind an exclamation mark. ``refusals`` are
    what the first tries to cancel come to.
    """

    folder: Path
    answers: list[str]
    code: int = 0
    stop: Stop = field(default_factory=Stop)
    stream: io.StringIO = field(default_factory=io.StringIO)
    submitted: int = 0
    cancelled: list[bool] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    refuse: Callable[[], Exception] | None = None
    on_ask: Callable[[int], Any] = lambda count: None
    asked: int = 0

    def submit(self, opened: None, functions: list[Any]) -> list[Any]:
        if self.refuse is not None and self.submitted:
            raise self.refuse()
        self.submitted += 1
        number = 100 + self.submitted
        paths = SimpleNamespace(result_pickle=self.jobs / f"{number}.pkl", stdout=self.jobs / f"{number}.out")
        return [SimpleNamespace(job_id=str(number), paths=paths, result=lambda: self.code)]

    def ask(self, jobs: list[Any]) -> Answer:
        self.asked += 1
        self.on_ask(self.asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        said, _, complaint = answer.partition("!")
        state, _, reason = said.partition(":")
        if state == "COMPLETED":
            jobs[0].paths.result_pickle.touch()
        return Answer({jobs[0].job_id: state}, complaint, {jobs[0].job_id: reason} if reason else {})

    def cancel(self, jobs: list[Any], at_once: bool) -> str:
        self.cancelled.append(at_once)
        return self.refusals.pop(0) if self.refusals else ""

    @property
    def jobs(self) -> Path:
        return room.jobs_folder(self.folder)

    @property
    def shard(self) -> Shard:
        return self.watch.shards[0]

    def run(self) -> list[str]:
        task = ShardJob((), (), self.folder / "root", room.cancelled_file(self.folder), self.folder)
        shards = [Shard("1/1", task)]
        self.watch = Watch("made up", None, shards, self.folder, self.stop, PlainDisplay(self.stream))
        self.watch.submit_all()
        self.watch.run()
        return [line.split(": ", 1)[-1] for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def make_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cluster]]:
    pytest.importorskip("submitit")
    monkeypatch.setattr(room, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(room, "STOPPING_SECONDS", 0.01)

    def make(*answers: str, **changes: Any) -> Cluster:
        made = Cluster(tmp_path, list(answers), **changes)
        made.jobs.mkdir()
        row = Executor(
            programs=(),
            takes_words=False,
            parameters=lambda request: {},
            submit=made.submit,
            ask=made.ask,
            cancel=made.cancel,
            ended=EXECUTORS["slurm"].ended,
            lost=EXECUTORS["slurm"].lost,
            poll_seconds=0.01,
            result_seconds=0.02,
        )
        monkeypatch.setitem(EXECUTORS, "made up", row)
        return made

    return make


def test_every_change_of_state_is_told_once(make_cluster):
    cluster = make_cluster("PENDING", "PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "RUNNING", "COMPLETED")
    lines = cluster.run()
    states = ["PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "RUNNING", "COMPLETED"]
    assert lines == ["SUBMITTED", *states, "passed"]
    assert (cluster.shard.code, cluster.cancelled) == (0, [])
    (written,) = json.loads((cluster.folder / "jobs.json").read_text())["shards"]
    assert (written["job"], written["state"], written["exit_code"]) == ("101", "COMPLETED", 0)


def test_why_a_job_waits_is_told_and_told_again_when_it_is_another_reason(make_cluster):
    cluster = make_cluster(
        *("PENDING", "PENDING:Priority", "PENDING:Priority", "PENDING!nobody answers", "PENDING:Priority"),
        *("PENDING:PartitionTimeLimit", "RUNNING", "COMPLETED"),
    )
    written = []

    def read(count):
        (row,) = json.loads((cluster.folder / "jobs.json").read_text())["shards"]
        written.append((row["state"], row["reason"]))

    cluster.on_ask = read
    lines = cluster.run()
    pending = ["PENDING", "PENDING (Priority)", "nobody answers", "all is answered again"]
    assert lines == ["SUBMITTED", *pending, "PENDING (PartitionTimeLimit)", "RUNNING", "COMPLETED", "passed"]
    assert written[2] == ("PENDING", "Priority")
    assert written[6:] == [("PENDING", "PartitionTimeLimit"), ("RUNNING", "")]


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REVOKED"])
def test_a_lost_job_is_submitted_once_more(make_cluster, state):
    cluster = make_cluster("RUNNING", state)
    second = iter(("RUNNING", "COMPLETED"))
    cluster.on_ask = lambda count: setattr(cluster, "answers", [next(second)]) if cluster.submitted == 2 else None
    cluster.run()
    assert (cluster.submitted, cluster.shard.code) == (2, 0)
    assert cluster.watch.lost_lines() == [
        f"shard 1/1: job 101 was lost ({state}) before the shard began; submitted again as job 102"
    ]


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "OUT_OF_MEMORY", "CANCELLED", "DEADLINE", "GONE"])
def test_a_job_that_failed_is_not(make_cluster, state):
    cluster = make_cluster("RUNNING", state)
    cluster.run()
    assert (cluster.submitted, cluster.shard.code) == (1, None)
    assert cluster.shard.note == f"its job ended without a result ({state}), before the shard began"


def test_a_lost_job_whose_shard_began_is_not(make_cluster, tmp_path):
    (tmp_path / "root").mkdir()
    cluster = make_cluster("NODE_FAIL")
    cluster.run()
    assert (cluster.submitted, cluster.watch.lost_lines()) == (1, [])
    assert cluster.shard.note == "its job ended without a result (NODE_FAIL), after the shard began"


def test_a_refusal_the_second_time_is_told(make_cluster):
    from submitit.core.utils import FailedJobError

    cluster = make_cluster("NODE_FAIL", refuse=lambda: FailedJobError("sbatch: error: the partition is down"))
    lines = cluster.run()
    assert cluster.shard.note == "it could not be submitted once more: sbatch: error: the partition is down"
    assert "it could not be submitted once more: sbatch: error: the partition is down" in lines


def test_a_result_that_is_late_is_waited_for(make_cluster):
    cluster = make_cluster("FAILED")
    cluster.on_ask = lambda count: count == 2 and (cluster.jobs / "101.pkl").touch()
    cluster.run()
    assert (cluster.shard.code, cluster.shard.note) == (0, "")


def test_what_cannot_be_read_of_a_result_is_told(make_cluster):
    cluster = make_cluster("COMPLETED")
    submit = cluster.submit

    def broken(opened, functions):
        (job,) = submit(opened, functions)
        job.result = lambda: (_ for _ in ()).throw(EOFError("Ran out of input\nand more"))
        return [job]

    object.__setattr__(EXECUTORS["made up"], "submit", broken)
    cluster.run()
    assert (cluster.shard.code, cluster.shard.note) == (None, "its job failed: EOFError: Ran out of input")


def test_a_stop_cancels_and_a_second_one_ends_at_once(make_cluster):
    cluster = make_cluster("RUNNING")

    def on_ask(count):
        if count == 1:
            cluster.stop.ask("SIGINT", 2)
        if count == 3:
            assert cluster.cancelled == [False]
            assert room.cancelled_file(cluster.folder).exists()
            cluster.stop.insisted = True
        if count == 5:
            assert cluster.cancelled == [False, True]
            cluster.answers = ["NODE_FAIL"]  # not submitted again: nobody wants it any more

    cluster.on_ask = on_ask
    cluster.run()
    assert cluster.watch.stopped
    assert (cluster.submitted, cluster.cancelled) == (1, [False, True])


def test_a_cancel_that_failed_is_repeated_until_it_does_not(make_cluster):
    cluster = make_cluster("RUNNING", refusals=["timed out", "timed out", "no route", "timed out"])

    def on_ask(count):
        if count == 1:
            cluster.stop.ask("SIGINT", 2)
        if count == 8:
            cluster.answers = ["CANCELLED"]

    cluster.on_ask = on_ask
    lines = cluster.run()
    assert cluster.cancelled == [False] * 5
    assert [line for line in lines if line in ("timed out", "no route", "done")] == [
        *("timed out", "no route", "timed out", "done")
    ]


def test_a_second_stop_is_repeated_as_it_is_and_not_as_the_first(make_cluster):
    cluster = make_cluster("RUNNING", refusals=["timed out"] * 4)

    def on_ask(count):
        if count == 1:
            cluster.stop.ask("SIGINT", 2)
        if count == 2:
            cluster.stop.insisted = True
        if count == 6:
            cluster.answers = ["CANCELLED"]

    cluster.on_ask = on_ask
    lines = cluster.run()
    assert cluster.cancelled == [False, False, True, True, True]
    assert lines.count("timed out") == 2  # of each of the two wishes


def test_a_job_that_has_ended_is_not_cancelled_again(make_cluster):
    cluster = make_cluster("RUNNING", "CANCELLED", refusals=["no such job"] * 9)
    cluster.on_ask = lambda count: cluster.stop.ask("SIGINT", 2) if count == 1 else None
    cluster.run()
    assert cluster.cancelled == [False]


def test_a_stop_after_the_last_job_is_none(make_cluster):
    cluster = make_cluster("COMPLETED")
    cluster.on_ask = lambda count: cluster.stop.ask("SIGINT", 2)
    cluster.run()
    assert not cluster.watch.stopped
    assert cluster.cancelled == []


def test_a_full_disk_leaves_no_job_behind(make_cluster, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    for name in ("write_json", "write_text"):
        monkeypatch.setattr(room, name, full)
    cluster = make_cluster("RUNNING")
    with pytest.raises(OSError, match="No space left"):
        cluster.run()
    assert cluster.cancelled == [False]


def test_an_error_here_leaves_no_job_behind(make_cluster):
    cluster = make_cluster("RUNNING")
    cluster.on_ask = lambda count: 1 / (3 - count)
    with pytest.raises(ZeroDivisionError):
        cluster.run()
    assert cluster.cancelled == [False]
