"""Who counts as dead, after how long, and what is said of it."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch.distributed as dist

from mimickit.distributed import heartbeat
from mimickit.distributed.heartbeat import FAILED, Heartbeat, Sign, Silence, read_signs, told_failure
from mimickit.errors import DivergenceError, ProcessGroupError

BEAT, SILENCE = 0.02, 0.4


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT", BEAT)
    monkeypatch.setattr(heartbeat, "SILENCE", SILENCE)
    monkeypatch.setattr(heartbeat, "JOINING", 1.2)


class Watched:
    """Process 0 of so many, and the reason for which it would have ended."""

    def __init__(self, store: dist.Store, size: int = 2, farewell: float = 0.0):
        self.ends: list[Exception] = []
        self._ended = threading.Event()
        self.own = Heartbeat(store, 0, size, self._end, farewell)
        self.own.start()

    def _end(self, failure: Exception) -> None:
        self.ends.append(failure)
        self._ended.set()
        while True:  # as a process that has ended, it does nothing more
            time.sleep(60)

    def reason(self, seconds: float) -> Exception | None:
        self._ended.wait(seconds)
        return self.ends[0] if self.ends else None


def say(store: dist.Store, rank: int, beats: int = 1, **what: Any) -> None:
    store.set(f"sign/{rank}", json.dumps(asdict(Sign(rank, "host", 100 + rank, beats=beats, **what))))


def test_a_silent_process_is_named_after_its_time() -> None:
    store = dist.HashStore()
    say(store, 1)
    began = time.monotonic()
    watched = Watched(store)
    failure = watched.reason(10.0)
    assert time.monotonic() - began > SILENCE
    assert isinstance(failure, ProcessGroupError)
    assert str(failure).startswith("training process 1 (process id 101 on host) gave no sign of life for ")
    sign = read_signs(store, [0])[0]  # for whoever started them
    assert (sign.state, sign.kind, sign.origin, sign.message) == (FAILED, "process_group", 1, str(failure))


def test_processes_that_live_or_have_ended_are_not_dead() -> None:
    store = dist.HashStore()
    say(store, 1, state="ended")
    say(store, 2)
    watched = Watched(store, size=3)
    for beats in range(30):
        say(store, 2, beats)
        time.sleep(0.05)
    assert watched.reason(0.0) is None
    assert read_signs(store, [0])[0].beats > 5


def test_the_first_process_sees_the_others_off() -> None:
    """The store may end with it."""
    store = dist.HashStore()
    watched, other = Watched(store), Heartbeat(store, 1, 2, lambda error: None)
    other.start()
    leaving = threading.Thread(target=watched.own.succeed, daemon=True)
    leaving.start()
    leaving.join(2 * SILENCE)
    assert leaving.is_alive()
    other.succeed()
    leaving.join(5.0)
    assert not leaving.is_alive()
    time.sleep(SILENCE + 0.2)
    assert watched.ends == []
    assert [sign.state for sign in read_signs(store, [0, 1]).values()] == ["ended", "ended"]


def test_a_process_has_longer_to_start() -> None:
    watched = Watched(dist.HashStore())
    assert watched.reason(2 * SILENCE) is None
    assert "training process 1 has not started within 1 s" in str(watched.reason(10.0))


def test_two_watch_each_other_and_learn_why_one_failed() -> None:
    store = dist.HashStore()
    first, ends = Watched(store), []
    second = Heartbeat(store, 1, 2, ends.append)
    second.start()
    time.sleep(2 * SILENCE)
    assert (first.ends, ends) == ([], [])
    began = time.monotonic()
    second.fail(DivergenceError("a loss is not finite"))
    assert time.monotonic() - began < heartbeat.FAREWELL / 2  # the first has read it
    failure = first.reason(10.0)
    assert isinstance(failure, DivergenceError)
    assert str(failure).startswith("a loss is not finite (process 1 on ")
    # A third, who sees both, hears the same.
    assert str(told_failure(read_signs(store, [0, 1]).values())[1]) == str(failure)
    assert str(told_failure(read_signs(store, [0]).values())[1]) == str(failure)


def test_what_was_unforeseen_comes_with_its_traceback() -> None:
    store = dist.HashStore()
    watched = Watched(store)
    try:
        raise KeyError("a")
    except KeyError as error:
        Heartbeat(store, 1, 2, watched.ends.append, 0.0).fail(error)
    failure = watched.reason(10.0)
    assert type(failure) is RuntimeError
    assert str(failure).startswith("training process 1 failed:\nTraceback (most recent call last):\n")
    assert "KeyError: 'a'" in str(failure)
    assert str(told_failure(read_signs(store, [0]).values())[1]) == str(failure)  # passed on as it is


def test_who_fails_waits_for_those_who_have_not_looked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "SILENCE", 100.0)
    store = dist.HashStore()
    say(store, 1)
    began = time.monotonic()
    Heartbeat(store, 0, 2, lambda error: None, farewell=0.5).fail(DivergenceError("x"))
    assert 0.5 <= time.monotonic() - began < 5.0


class Deaf:
    """A store of which one operation does something else."""

    def __init__(self, name: str, operation: Callable[..., Any]):
        self._store, self._name, self._operation = dist.HashStore(), name, operation

    def __getattr__(self, name: str) -> Any:
        return self._operation if name == self._name else getattr(self._store, name)


def test_a_store_that_does_not_answer() -> None:
    watched = Watched(Deaf("check", lambda keys: time.sleep(60)))  # type: ignore[arg-type]
    assert "the processes' store did not answer for " in str(watched.reason(10.0))


def test_a_store_that_is_gone() -> None:
    def refuse(*given: Any) -> None:
        raise dist.DistNetworkError("Connection reset by peer\nframe #0")

    failure = Watched(Deaf("set", refuse)).reason(10.0)  # type: ignore[arg-type]
    assert isinstance(failure, ProcessGroupError)
    assert str(failure) == "the processes' store is gone, and the one who kept it: Connection reset by peer"


def test_a_sign_that_another_version_wrote() -> None:
    store = dist.HashStore()
    store.set("sign/1", json.dumps({"rank": 1, "mood": "good"}))
    failure = Watched(store).reason(10.0)
    assert isinstance(failure, ProcessGroupError)
    assert "cannot read the processes' signs of life: TypeError" in str(failure)


def test_time_in_which_this_process_stood_still_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
    silence = Silence()
    silence.look("a")
    for _ in range(5):
        now[0] += BEAT
        silence.look("a")
    assert silence.seconds == pytest.approx(5 * BEAT)
    now[0] += 3600.0
    assert silence.look("a") == pytest.approx(7 * BEAT)
    assert silence.look("b") == 0.0


def test_the_program_that_started_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    store = dist.HashStore()
    say(store, 1, state="ended")
    watched = Watched(store)
    monkeypatch.setattr(heartbeat.os, "getppid", lambda: 1)
    assert "the program that started training process 0 " in str(watched.reason(10.0))
