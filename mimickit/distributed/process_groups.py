"""Processes that train together: those that this program starts itself, one for each device, and those of torchrun.

They meet at a store, a small server of torch's that outlives every one of them: the program that starts the processes
keeps it, here or as torchrun. `mimickit.distributed.heartbeat` watches over them there.
"""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ctypes import CDLL
from datetime import timedelta
from multiprocessing import connection
from typing import Any

import torch
import torch.distributed as dist

from mimickit.devices import usable_cores
from mimickit.distributed.heartbeat import FAREWELL, Heartbeat, read_signs, told_failure
from mimickit.distributed.torchrun import Place
from mimickit.errors import MimicKitError, ProcessGroupError, classify, exit_code
from mimickit.learning.processes import Processes

CONNECTING = timedelta(seconds=60)  # the store is there before the processes are
# How long a living process may keep the others waiting: the first run on one host compiles kernels for minutes.
PATIENCE = timedelta(minutes=30)
LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_SIGNALLED = 128  # exit codes of processes that a signal has ended begin here
_LEFT_EARLY = (_SIGNALLED + signal.SIGINT, _SIGNALLED + signal.SIGTERM)

Work = Callable[..., int]


class Group:
    """What a process says to the others, and hears from them, before tensors can be sent."""

    def __init__(self, place: Place, store: dist.Store):
        self.place = place
        self._store = store

    def all_say(self, name: str, text: str) -> list[str]:
        """What each process says under ``name``, by rank; waits until all have spoken. Once for each name."""
        self._store.set(f"{name}/{self.place.rank}", text)
        texts = self._store.multi_get([f"{name}/{rank}" for rank in range(self.place.size)])
        return [text.decode() for text in texts]

    def connect(self, device: torch.device) -> Processes:
        """Make the process group of torch.distributed, of which this process computes on ``device``."""
        is_cuda = device.type == "cuda"
        if is_cuda:
            torch.cuda.set_device(device)
        else:
            torch.set_num_threads(max(1, usable_cores() // self.place.local_size))
        dist.init_process_group(
            "nccl" if is_cuda else "gloo",
            store=dist.PrefixStore("group", self._store),
            rank=self.place.rank,
            world_size=self.place.size,
            timeout=PATIENCE,
            # NCCL then connects now: it could not while a CUDA graph is captured.
            device_id=device if is_cuda else None,
        )
        return Processes(self.place.rank, self.place.size, device)


@contextmanager
def joined(place: Place, end: Callable[[Exception], None], farewell: float = FAREWELL) -> Iterator[Group]:
    """This process among the others, watched by them and watching them.

    Leaves when all have come to the end; after a failure, when the others know. The group of torch.distributed is not
    taken down: that waits for CUDA graphs with NCCL in them, and the process ends anyway.

    Args:
        end: as of `Heartbeat`.
    """
    heartbeat = Heartbeat(_connected(place), place.rank, place.size, end, farewell)
    heartbeat.start()
    group = Group(place, _connected(place))
    try:
        yield group
        group.all_say("end", "")
    except KeyboardInterrupt:
        heartbeat.fail(ProcessGroupError("interrupted"))
        raise
    except Exception as error:
        failure = classify(error)
        if isinstance(failure, ProcessGroupError) and not isinstance(error, MimicKitError):
            # A library has lost another process: who died, and of what, the watch will know.
            heartbeat.wait_for_verdict()
        heartbeat.fail(failure)
        raise
    heartbeat.succeed()


def tell_others(place: Place, failure: Exception) -> None:
    """Let the other processes know of a failure before this one could join them."""
    if place.size > 1:
        with suppress(RuntimeError):  # the failure itself is what counts here
            Heartbeat(_connected(place), place.rank, place.size, lambda error: None).fail(failure)


def _connected(place: Place) -> dist.Store:
    """The store, over a connection of its own."""
    store = dist.TCPStore(place.address, place.port, is_master=False, timeout=CONNECTING)
    store.set_timeout(PATIENCE)
    return dist.PrefixStore(f"mimickit/{place.attempt}", store)


def run_own_processes(devices: list[torch.device], master_port: int | None, work: Work, *arguments: Any) -> int:
    """Call ``work(processes, *arguments)`` in a process for each device; the signal that ended them early, or 0.

    ``work`` returns that signal, if it was one: a signal that came when they were done has ended nothing. The first
    failure ends them all, and is raised here.
    """
    server, port = _serve(master_port)
    context = multiprocessing.get_context("spawn")
    children = [
        context.Process(
            target=_own_process,
            args=(Place(rank, len(devices), rank, len(devices), LOOPBACK, port), device, os.getpid(), work, arguments),
        )
        for rank, device in enumerate(devices)
    ]
    asked: list[int] = []
    ended = 0

    def forward(signum: int, frame: object) -> None:
        """Let every process end after its iteration, which they agree on; a second Ctrl-C ends them at once."""
        if asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(signum)
        for child in children:
            if child.is_alive():
                child.terminate()

    previous = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for child in children:
            child.start()
        running = {child.sentinel: rank for rank, child in enumerate(children)}
        while running:
            # Not for ever: a signal may reach a thread of the store, and that does not wake this one.
            for sentinel in connection.wait(running, timeout=1.0):
                rank = running.pop(sentinel)
                children[rank].join()
                code = children[rank].exitcode
                if code in _LEFT_EARLY:
                    ended = code - _SIGNALLED  # the others do as well, after the same iteration
                elif code:
                    failure = _told(server, len(devices)) if code > 0 else None
                    if asked and failure is None and code != -signal.SIGKILL:
                        return asked[0]  # it had not begun to train, and so did not wait for the iteration's end
                    raise failure or _unexplained(rank, devices[rank], code)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for child in children:
            if child.is_alive():
                child.kill()  # nothing less ends one that is stopped, or waits for a dead one in the driver
                child.join()
    return asked[0] if asked and ended else ended  # they are told of Ctrl-C by TERM


def _serve(port: int | None) -> tuple[dist.TCPStore, int]:
    """The store, kept by this process for others on this host, on ``port`` or a free one."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port or 0))
        except OSError as error:
            raise ProcessGroupError(
                f"--master_port {port}: {error.strerror}; give another one, or none for a free one"
            ) from None
        listener.listen()
        port = int(listener.getsockname()[1])
        # The store takes the socket over, and closes it.
        server = dist.TCPStore(
            LOOPBACK, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
        )
    return server, port


def _told(server: dist.Store, size: int) -> Exception | None:
    """Why the processes ended, if one of them said so."""
    told = told_failure(read_signs(dist.PrefixStore("mimickit/0", server), range(size)).values())
    return told[1] if told else None


def _unexplained(rank: int, device: torch.device, code: int) -> ProcessGroupError:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return ProcessGroupError(f"training process {rank} ({device}) ended with {how}")


def _own_process(place: Place, device: torch.device, parent: int, work: Work, arguments: tuple[Any, ...]) -> None:
    """The life of a process that `run_own_processes` started, which tells people of its failure."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to all: the program that started this passes it on
    _die_with(parent)
    ended = 0
    try:
        with joined(place, lambda failure: os._exit(exit_code(failure)), farewell=0.0) as group:
            ended = work(group.connect(device), *arguments)
            sys.stdout.flush()
    except Exception as error:
        _leave(exit_code(classify(error)))
    _leave(_SIGNALLED + ended if ended else 0)


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when the one that started it dies, of whatever.

    Systems without that have the watch, which finds the store gone.
    """
    if sys.platform == "linux":
        CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # already
        os._exit(ProcessGroupError.exit_code)


def _leave(code: int) -> None:
    """End without the libraries' last words, some of which wait for other processes."""
    with suppress(OSError):  # a full disk: the failure before it counts, and there was none in what went well
        sys.stdout.flush()
    os._exit(code)
