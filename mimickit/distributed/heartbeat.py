"""Signs of life: each process of a run writes its own into a store, reads the others', and ends when one's stop.

A process that waits for a dead one may wait for minutes, or for ever: NCCL does not notice, least of all in a replayed
CUDA graph, and the main thread is then inside the driver. So two threads beside it do the watching, and end the process
themselves. They make no CUDA calls.

On the times. A sign comes every second. What can hold one up in a healthy process is Python's lock, when native code
keeps it: unpickling a clip of 110 MB did for 1.4 s, importing a physics engine for 0.3 s. Compiling kernels, waiting
for a device or a disk, writing a gigabyte of state, and arithmetic leave it free. So 20 s without a sign are death or
as good as it, and a run ends within 30 s.
Time in which this process itself stood still, as all of a suspended job do, is not counted.
"""

import json
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from torch.distributed import Store

from mimickit.errors import MimicKitError, ProcessGroupError, error_class

BEAT = 1.0  # seconds between signs of life
SILENCE = 20.0  # seconds without one, after which a process, or the store, counts as dead
JOINING = 300.0  # seconds that a process has for its first: Python and torch may come from a slow disk
FAREWELL = 3.0  # seconds that a failed process leaves the others to read why: its end may take the store away

ALIVE, ENDED, FAILED = "alive", "ended", "failed"


@dataclass(frozen=True)
class Sign:
    """What a process last said of itself; ``kind``, ``message`` and ``origin`` are of a failure.

    ``origin`` is the process that failed first: others end because of it.
    """

    rank: int
    host: str
    pid: int
    state: str = ALIVE
    beats: int = 0
    kind: str = ""
    message: str = ""
    origin: int = -1

    @property
    def name(self) -> str:
        return f"training process {self.rank} (process id {self.pid} on {self.host})"


class Silence:
    """How long something has not changed, counting only time in which the one who looks was awake."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._value: object = None
        self._looked = time.monotonic()

    def look(self, value: object) -> float:
        """Look again, as should be done every ``BEAT``; the seconds since ``value`` was another."""
        now = time.monotonic()
        passed = min(now - self._looked, 2 * BEAT)
        self.seconds = self.seconds + passed if value == self._value else 0.0
        self._value, self._looked = value, now
        return self.seconds


def read_signs(store: Store, ranks: Iterable[int], known: Collection[int] = ()) -> dict[int, Sign]:
    """The last sign of each process that has given one; ``known`` are those that had before."""
    there = [rank for rank in ranks if rank in known or store.check([_key(rank)])]
    texts = store.multi_get([_key(rank) for rank in there]) if there else []
    return {rank: Sign(**json.loads(text)) for rank, text in zip(there, texts, strict=True)}


def told_failure(signs: Iterable[Sign]) -> tuple[int, Exception] | None:
    """The process that failed first, as far as ``signs`` tell, and its failure; None while none has."""
    sign = next((sign for sign in signs if sign.state == FAILED), None)
    if sign is None:
        return None
    is_own = sign.origin == sign.rank  # the others repeat what they heard
    if sign.kind == MimicKitError.kind:
        opening = f"training process {sign.rank} failed:\n" if is_own else ""
        return sign.origin, RuntimeError(opening + sign.message)
    place = f" (process {sign.rank} on {sign.host})" if is_own else ""
    return sign.origin, error_class(sign.kind)(sign.message + place)


def _key(rank: int) -> str:
    return f"sign/{rank}"


class Heartbeat:
    """The signs of life of this process, and its eye on those of the others.

    Args:
        store: over a connection that nothing else uses.
        end: called in a thread of its own with the reason when another process or the store has died, or another
            process has failed; must not return.
        farewell: seconds to stay after a failure, for the others to read it.
    """

    def __init__(
        self, store: Store, rank: int, size: int, end: Callable[[Exception], None], farewell: float = FAREWELL
    ):
        self._store, self._end, self._farewell = store, end, farewell
        self._own = Sign(rank, socket.gethostname(), os.getpid())
        self._others = [other for other in range(size) if other != rank]
        self._silences = {other: Silence() for other in self._others}
        self._known: Collection[int] = ()
        self._lock = threading.Lock()
        self._answers = 0
        self._is_over = threading.Event()
        self._parent = os.getppid()

    def start(self) -> None:
        for watch in (self._beat, self._watch_store):
            threading.Thread(target=watch, name=watch.__name__, daemon=True).start()

    def succeed(self) -> None:
        """This process needs the others no more, nor they this one: its silence from now on is no death.

        The first one returns when all others have said so: the store may end with it.
        """
        while self._own.rank == 0 and any(
            sign.state == ALIVE for sign in read_signs(self._store, self._others).values()
        ):
            time.sleep(BEAT / 20)
        self._is_over.set()
        self._say(ENDED)

    def fail(self, failure: Exception) -> None:
        """Tell the others that this process ends with ``failure``, and give them time to read it."""
        known = isinstance(failure, MimicKitError)
        text = str(failure) if known else "".join(traceback.format_exception(failure))
        self._say_failed(failure, text, self._own.rank)

    def wait_for_verdict(self) -> None:
        """Return after the time in which the watch would have ended this process for another one's death."""
        time.sleep(SILENCE + 3 * BEAT)
        while self._own.state == FAILED:  # it is about to
            time.sleep(BEAT)

    def _say(self, state: str, **what: object) -> bool:
        """Whether it was said: after the last word there are no more."""
        with self._lock:
            if self._own.state != ALIVE:
                return False
            self._own = replace(self._own, state=state, beats=self._own.beats + 1, **what)
            self._store.set(_key(self._own.rank), json.dumps(asdict(self._own)))
            return True

    def _beat(self) -> None:
        while True:
            try:
                if not self._say(ALIVE):
                    return
                found = self._look()
            except RuntimeError as error:
                # The connection is broken, and with it the only way to hear of the others.
                first_line = str(error).partition("\n")[0]
                found = -1, ProcessGroupError(f"the processes' store is gone, and the one who kept it: {first_line}")
            except Exception as error:  # a sign that another version of this code wrote
                found = self._own.rank, ProcessGroupError(f"cannot read the processes' signs of life: {error!r}")
            self._answers += 1
            if self._is_over.is_set():
                return
            if found:
                self._die(*found)
            self._is_over.wait(BEAT)

    def _look(self) -> tuple[int, Exception] | None:
        """Why this process should end, and because of which; None as long as all is well."""
        signs = read_signs(self._store, self._others, self._known)
        self._known = signs.keys()
        if os.getppid() != self._parent:
            return self._own.rank, ProcessGroupError(f"the program that started {self._own.name} is gone")
        failure = told_failure(signs.values())
        if failure:
            return failure
        silent = []
        for other, silence in self._silences.items():
            sign = signs.get(other)
            if sign and sign.state == ENDED:
                continue
            seconds = silence.look(sign.beats if sign else None)
            if sign and seconds > SILENCE:
                silent.append(sign)
            if seconds > JOINING:
                return other, ProcessGroupError(f"training process {other} has not started within {JOINING:.0f} s")
        if silent:
            names = ", ".join(sign.name for sign in silent)
            return silent[0].rank, ProcessGroupError(f"{names} gave no sign of life for {SILENCE:.0f} s")
        return None

    def _watch_store(self) -> None:
        """A store whose host vanished does not even refuse: `_beat` waits for its answer, and this one counts."""
        silence = Silence()
        while not self._is_over.wait(BEAT):
            if silence.look(self._answers) > SILENCE:
                self._end(ProcessGroupError(f"the processes' store did not answer for {SILENCE:.0f} s"))

    def _die(self, origin: int, failure: Exception) -> None:
        if self._say_failed(failure, str(failure), origin):
            self._end(failure)

    def _say_failed(self, failure: Exception, text: str, origin: int) -> bool:
        """False when this process has said its last word already: the main thread is about to end it."""
        kind = failure.kind if isinstance(failure, MimicKitError) else MimicKitError.kind
        with suppress(RuntimeError):  # without a store the others find out by themselves
            if not self._say(FAILED, kind=kind, message=text, origin=origin):
                return False
            self._take_leave()
        return True

    def _take_leave(self) -> None:
        """Stay while others who are alive, and so look soon, have not, or some have not come yet."""
        began = time.monotonic()
        while self._farewell:
            signs = read_signs(self._store, self._others)
            self._answers += 1
            limit = self._farewell if len(signs) == len(self._others) else SILENCE
            waiting = [
                other
                for other, silence in self._silences.items()
                if other not in signs or (signs[other].state == ALIVE and silence.seconds < SILENCE / 2)
            ]
            if not waiting or time.monotonic() > began + limit:
                return
            time.sleep(BEAT / 4)
