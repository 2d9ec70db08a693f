"""A training process is killed in the middle: all others end within half a minute, and say which one it was."""

import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.run.stages import free_port
from ci.run.supervisor import send
from mimickit.bench.family import Family, described
from mimickit.bench.figures import Figure
from mimickit.bench.part import Bench, python, run_case
from mimickit.bench.programs import Ended, ProgramError, Programs, log_tail
from mimickit.bench.record import PartRecord
from mimickit.errors import ProcessGroupError, number_of

CASE = "deepmimic_humanoid_ppo"
NUM_ENVS = 1024  # on each device
ENDLESS = 10**12  # samples
OWN, TORCHRUN = "one of 2 processes killed", "one of 2 torchrun groups killed"
WITHIN = 30.0  # seconds, from the kill to the end of the last process
STARTING = 300.0  # seconds until the first row, kernels compiled
SETTLING = 1.0  # seconds of training after it
PATIENCE = 60.0  # seconds after the kill, when those who are left are killed too
LOOK = 0.05  # seconds


@dataclass(frozen=True)
class Program:
    """What to start: its name, its command, and variables on top of this process's own."""

    name: str
    command: list[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Started:
    """A program that runs, or is about to.

    Attributes:
        has_ended: set when the program itself has.
        run: done when those whom it left have been killed too.
    """

    program: Program
    family: Family
    has_ended: threading.Event
    run: Future[Ended]


@dataclass(frozen=True)
class Killed:
    """What came of the kill.

    Attributes:
        victim: the process id.
        seconds: from the kill to the end of the last process, or `PATIENCE`.
        left: who was there then, in words.
        ends: of the programs, in order.
    """

    victim: int
    seconds: float
    left: tuple[str, ...]
    ends: tuple[Ended, ...]


def killed(bench: Bench, part: PartRecord) -> None:
    """Both measurements, where there are two devices."""
    there = len(bench.devices)
    if there < 2:
        for name in (OWN, TORCHRUN):
            part.leave_out(name, f"{number_of(there, 'GPU')} here")
        return
    measure_killed(bench, part, {"num_envs": NUM_ENVS})


def measure_killed(bench: Bench, part: PartRecord, keys: Mapping[str, object]) -> None:
    """Both on the first two devices, with further ``keys`` of ``mimickit/run.py``."""
    for measure in (own_processes, torchrun_groups):
        try:
            measure(bench, part, {"max_samples": ENDLESS, "save_state": "false", **keys})
        except ProgramError as error:
            part.failed(error)
        bench.save()


def own_processes(bench: Bench, part: PartRecord, keys: Mapping[str, object]) -> None:
    """Two processes that our own program started."""
    devices, out_dir = bench.devices[:2], bench.folder / OWN.replace(" ", "_")
    program = Program(OWN, run_case(CASE, devices, out_dir, 1, **keys), {})
    found = kill_last(bench.programs, [program], 2, out_dir / "log.txt")
    log = found.ends[0].log.read_text(encoding="utf-8", errors="replace")
    report(part, OWN, found, own_problems(found, log, devices[1]))


def own_problems(found: Killed, log: str, device: str) -> list[str]:
    """What speaks against: the program says who was killed and how, and fails for that; in words."""
    (ended,) = found.ends
    message = f"training process 1 ({device}) ended with {signal.SIGKILL.name}"
    problems = left_problems(found)
    if ended.timed_out or ended.returncode != ProcessGroupError.exit_code:
        problems.append(f"{ended.how}, expected exit code {ProcessGroupError.exit_code}")
    if message not in log:
        problems.append(f"does not say {message!r}")
    return problems


def torchrun_groups(bench: Bench, part: PartRecord, keys: Mapping[str, object]) -> None:
    """Two groups of torchrun, as of two hosts, with a process each."""
    out_dir, port = bench.folder / TORCHRUN.replace(" ", "_"), free_port()
    options = ["--nnodes", 2, "--nproc_per_node", 1, "--master_addr", "127.0.0.1", "--master_port", port]
    programs = []
    for group, place in enumerate(bench.devices[:2]):
        device, variables = alone(place, os.environ.get("CUDA_VISIBLE_DEVICES"))
        training = run_case(CASE, device, out_dir, 1, **keys)[1:]
        command = python("-m", "torch.distributed.run", *options, "--node_rank", group, *training)
        programs.append(Program(f"{TORCHRUN} group {group}", command, {"GLOO_SOCKET_IFNAME": "lo", **variables}))
    found = kill_last(bench.programs, programs, 1, out_dir / "log.txt")
    report(part, TORCHRUN, found, torchrun_problems(found, out_dir / "error.json"))


def alone(device: str, visible: str | None) -> tuple[str, dict[str, str]]:
    """What a program must be given to see of the GPUs only ``device``: its name then, and CUDA's variable.

    Args:
        visible: that variable here, if it is set; its entries may be names of GPUs.
    """
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return device, {}
    return "cuda:0", {"CUDA_VISIBLE_DEVICES": visible.split(",")[int(number)] if visible else number}


def torchrun_problems(found: Killed, error_file: Path) -> list[str]:
    """What speaks against: no group succeeds, and ``error_file`` says who died; in words."""
    problems = left_problems(found)
    for ended in found.ends:
        if ended.timed_out or ended.returncode <= 0:
            problems.append(f"{ended.name}: {ended.how}, expected a failure's exit code")
    if not error_file.exists():
        return [*problems, f"left no {error_file.name}"]
    record: dict[str, Any] = json.loads(error_file.read_text(encoding="utf-8"))
    if record["kind"] != ProcessGroupError.kind:
        problems.append(f"{error_file.name} is of kind {record['kind']}, expected {ProcessGroupError.kind}")
    message = f"training process 1 (process id {found.victim} on "
    if message not in record["message"]:
        problems.append(f"{error_file.name} does not say {message!r}, but {record['message']!r}")
    return problems


def left_problems(found: Killed) -> list[str]:
    """A problem if anybody outlived the kill."""
    return [f"still there after {found.seconds:.0f} s: {', '.join(found.left)}"] if found.left else []


def report(part: PartRecord, name: str, found: Killed, problems: Sequence[str]) -> None:
    """Put both figures into ``part``, and the problems."""
    if problems:
        part.fail(name, "; ".join(problems), "\n".join(log_tail(ended.log) for ended in found.ends))
    part.figures += [
        Figure(f"{name}, seconds from the kill to the end of the last process", "s", [found.seconds], at_most=WITHIN),
        Figure(f"{name}, faults", "faults", [float(len(problems))], at_most=0),
    ]


def kill_last(programs: Programs, what: Sequence[Program], expected: int, log: Path) -> Killed:
    """Start programs that train together; once ``log`` has a row, kill the last training process of the last one.

    However this ends, nobody is left of them.

    Args:
        expected: training processes of each program.

    Raises:
        ProgramError: one ended before, or has other training processes.
    """
    is_over = threading.Event()  # until then nobody but the programs themselves ends what they have started
    pool = ThreadPoolExecutor(len(what))
    started = [start(pool, programs, program, is_over) for program in what]
    try:
        wait_for_row(log, started, is_over)
        trainings = [each.family.trainings() for each in started]
        for each, pids in zip(started, trainings, strict=True):
            if len(pids) != expected:
                raise ProgramError(each.program.name, f"{len(pids)} training processes, expected {expected}", "")
        victim = trainings[-1][-1]
        send(victim, signal.SIGKILL)
        seconds, left = watch(started)
    finally:
        end(started, is_over)
        pool.shutdown()
    return Killed(victim, seconds, left, tuple(each.run.result() for each in started))


def start(pool: ThreadPoolExecutor, programs: Programs, program: Program, is_over: threading.Event) -> Started:
    """Start a program as one with a family; what it leaves stays until ``is_over``."""
    family, has_ended = Family(), threading.Event()

    def hold() -> None:
        has_ended.set()
        is_over.wait()

    deadline = STARTING + 2 * PATIENCE  # longer than anything here waits
    environment = {**program.environment, **family.environment}
    run = pool.submit(programs.run, program.name, program.command, deadline, environment, hold)
    return Started(program, family, has_ended, run)


def wait_for_row(log: Path, started: Sequence[Started], is_over: threading.Event) -> None:
    """Return when ``log`` has had a row below its header for `SETTLING`.

    Raises:
        ProgramError: it has not within `STARTING`, or one of the programs ended, which is then all over.
    """
    until, written = time.monotonic() + STARTING, float("inf")
    while time.monotonic() < written + SETTLING:
        for each in started:
            if each.has_ended.is_set() or each.run.done():
                is_over.set()
                ended = each.run.result()
                raise ProgramError(ended.name, f"{ended.how} before one was to be killed", log_tail(ended.log))
        if written == float("inf") and log.exists() and log.read_bytes().count(b"\n") > 1:
            written = time.monotonic()
        if written == float("inf") and time.monotonic() > until:
            raise ProgramError(started[0].program.name, f"{log} has no row after {STARTING:.0f} s", "")
        time.sleep(LOOK)


def watch(started: Sequence[Started]) -> tuple[float, tuple[str, ...]]:
    """The seconds from now until nobody is left, or `PATIENCE`, and who is left then."""
    began = time.monotonic()
    while True:
        left = set().union(*(each.family.alive() for each in started))
        seconds = time.monotonic() - began
        if not left or seconds > PATIENCE:
            return seconds, tuple(described(pid) for pid in sorted(left))
        time.sleep(LOOK)


def end(started: Sequence[Started], is_over: threading.Event) -> None:
    """Leave nobody, also of a program that is only just being started."""
    is_over.set()
    for each in started:
        each.run.cancel()
    while not all(each.run.done() for each in started):
        for each in started:
            each.family.kill(LOOK)
        time.sleep(LOOK)
    for each in started:
        each.family.kill(PATIENCE)
