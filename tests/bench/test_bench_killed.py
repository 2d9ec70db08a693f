"""Killing a training process: what is made of it, and that nobody is left."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimickit.bench import family as family_module
from mimickit.bench import killed as module
from mimickit.bench.family import Family, described
from mimickit.bench.killed import OWN, TORCHRUN, Killed, Program, own_problems, torchrun_problems
from mimickit.bench.machine import Machine
from mimickit.bench.part import Bench, Options
from mimickit.bench.programs import Ended, ProgramError
from tests.run.torchrun_programs import is_there

SMALL = {"num_envs": 4, "engine_config": "data/engines/mujoco_engine.yaml", "max_samples": 10**12}
LOG = "error (process_group): training process 1 (cuda:1) ended with SIGKILL\n"
SLEEP = "import time; time.sleep(60)"
TRAINING = f"spawn_main = None; {SLEEP}"

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="finds processes in /proc")


# The verdict.


def killed(tmp_path: Path, *codes: int, seconds: float = 0.6, left: tuple[str, ...] = (), timed_out: bool = False):
    log = tmp_path / "log"
    log.write_text("the end")
    return Killed(77, seconds, left, tuple(Ended(f"p{i}", log, code, 9.0, timed_out) for i, code in enumerate(codes)))


@pytest.mark.parametrize(
    ("code", "changes", "log", "problem"),
    [
        (7, {}, LOG, ""),
        (1, {}, LOG, "exit code 1, expected exit code 7"),
        (0, {}, LOG, "exit code 0, expected exit code 7"),
        (7, {"timed_out": True}, LOG, "still ran at its deadline"),
        (7, {}, LOG.replace("1 (cuda:1)", "0 (cuda:0)"), "does not say 'training process 1 (cuda:1) ended"),
        (7, {}, LOG.replace("SIGKILL", "exit code 1"), "does not say 'training process 1 (cuda:1) ended"),
        (7, {"left": ("9 (python)",), "seconds": 60.2}, LOG, "still there after 60 s: 9 (python)"),
    ],
)
def test_what_our_own_program_must_do(tmp_path, code, changes, log, problem):
    problems = own_problems(killed(tmp_path, code, **changes), log, "cuda:1")
    assert len(problems) == bool(problem)
    assert problem in "".join(problems)


@pytest.mark.parametrize(
    ("codes", "changes", "record", "problem"),
    [
        ((1, 1), {}, {}, ""),
        ((1, 0), {}, {}, "p1: exit code 0, expected a failure's exit code"),
        ((-9, 1), {}, {}, "p0: ended by SIGKILL, expected a failure's exit code"),
        ((1, 1), {}, {"kind": "unexpected"}, "is of kind unexpected, expected process_group"),
        (
            (1, 1),
            {},
            {"message": "training process 1 (process id 76 on vm) gave no"},
            "does not say 'training process 1",
        ),
        ((1, 1), {}, None, "left no error.json"),
        ((1, 1), {"left": ("9 (python)",), "seconds": 60.2}, {}, "still there after 60 s: 9 (python)"),
    ],
)
def test_what_torchrun_groups_must_do(tmp_path, codes, changes, record, problem):
    good = {"kind": "process_group", "message": "training process 1 (process id 77 on vm) gave no sign of life"}
    path = tmp_path / "error.json"
    if record is not None:
        path.write_text(json.dumps(good | record))
    problems = torchrun_problems(killed(tmp_path, *codes, **changes), path)
    assert len(problems) == bool(problem)
    assert problem in "".join(problems)


@pytest.mark.parametrize(
    ("seconds", "problems", "verdicts"),
    [(29.9, [], ["ok", "ok"]), (30.1, [], ["MISSED", "ok"]), (0.6, ["why", "what"], ["ok", "MISSED"])],
)
def test_both_figures_have_their_bounds(tmp_path, new_part, seconds, problems, verdicts):
    part = new_part()
    module.report(part, OWN, killed(tmp_path, 7, seconds=seconds), problems)
    assert [figure.verdict for figure in part.figures] == verdicts
    assert [figure.name for figure in part.figures] == [
        "one of 2 processes killed, seconds from the kill to the end of the last process",
        "one of 2 processes killed, faults",
    ]
    assert part.figures[1].values == [len(problems)]
    assert [failure["reason"] for failure in part.failures] == (["why; what"] if problems else [])


def test_the_real_step_trains_1024_on_each_of_the_first_two_gpus(new_bench, new_part, after, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    asked, part = [], new_part()

    def note(programs, what, expected, log):
        asked.append((what, expected, log))
        raise ProgramError(what[0].name, "no", "the end")

    monkeypatch.setattr(module, "kill_last", note)
    module.killed(new_bench(lambda *_: 0, devices=("cuda:0", "cuda:1", "cuda:2")), part)
    assert part.failures == [{"what": what, "reason": "no", "tail": "the end"} for what in (OWN, f"{TORCHRUN} group 0")]
    assert not part.figures
    ((own,), of_own, _), (groups, of_group, _) = asked
    assert (of_own, of_group) == (2, 1)
    first = own.command.index("--devices") + 1
    assert own.command[first : first + 3] == ["cuda:0", "cuda:1", "--out_dir"]
    assert [(after(each.command, "--devices"), after(each.command, "--node_rank")) for each in groups] == [
        ("cuda:0", "0"),
        ("cuda:0", "1"),
    ]
    assert [each.environment["CUDA_VISIBLE_DEVICES"] for each in groups] == ["0", "1"]
    assert len({after(each.command, "--master_port") for each in groups}) == 1
    for what, _, log in asked:
        for each in what:
            assert (after(each.command, "--num_envs"), after(each.command, "--max_samples")) == ("1024", str(10**12))
            assert log == Path(after(each.command, "--out_dir")) / "log.txt"


@pytest.mark.parametrize(
    ("device", "visible", "found"),
    [
        ("cuda:1", None, ("cuda:0", {"CUDA_VISIBLE_DEVICES": "1"})),
        ("cuda:1", "4,6", ("cuda:0", {"CUDA_VISIBLE_DEVICES": "6"})),
        ("cuda:0", "GPU-ab,GPU-cd", ("cuda:0", {"CUDA_VISIBLE_DEVICES": "GPU-ab"})),
        ("cpu", "4,6", ("cpu", {})),
    ],
)
def test_a_group_sees_one_gpu_of_those_that_are_left(device, visible, found):
    assert module.alone(device, visible) == found


# Real programs.


def on_two_cpus(programs, tmp_path):
    return Bench(Machine((), {}, "", False), ("cpu", "cpu"), programs, tmp_path / "run", Options(), lambda: None, {})


def assert_killed_in_time(part, name):
    assert not part.failures
    assert [(figure.name.partition(", ")[0], figure.verdict) for figure in part.figures] == [(name, "ok")] * 2


@needs_proc
def test_our_own_program_tells_who_was_killed(programs, new_part, tmp_path):
    part = new_part()
    module.own_processes(on_two_cpus(programs, tmp_path), part, SMALL)
    assert_killed_in_time(part, OWN)


@needs_proc
def test_torchrun_groups_tell_who_was_killed(programs, new_part, tmp_path):
    part = new_part()
    module.torchrun_groups(on_two_cpus(programs, tmp_path), part, SMALL)
    assert_killed_in_time(part, TORCHRUN)


def program(tmp_path: Path, then: str, name: str = "p", detached: bool = False) -> Program:
    """One with two training processes, whose ids it writes down together with a row of a log; then does ``then``."""
    code = (
        "import subprocess, sys, time; "
        f"pids = [subprocess.Popen([sys.executable, '-c', {TRAINING!r}], start_new_session={detached}) for _ in '12']; "
        f"open({str(tmp_path / 'pids')!r}, 'a').write(''.join(f'{{p.pid}} ' for p in pids)); "
        f"open({str(tmp_path / 'header.txt')!r}, 'w').write('header\\n'); "
        f"open({str(tmp_path / 'log.txt')!r}, 'w').write('header\\nrow\\n'); {then}"
    )
    return Program(name, [sys.executable, "-c", code], {})


def assert_nobody_left(tmp_path: Path) -> list[int]:
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert pids
    assert not any(map(is_there, pids))
    return pids


@pytest.fixture
def quick(monkeypatch):
    """Nothing takes long."""
    for name, seconds in {"SETTLING": 0.1, "PATIENCE": 1.0}.items():
        monkeypatch.setattr(module, name, seconds)


@needs_proc
def test_the_last_training_process_is_killed_after_the_row_has_settled(programs, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(module, "SETTLING", 1.0)
    row = tmp_path / "log.txt"
    found = module.kill_last(programs, [program(tmp_path, "pids[1].wait(); pids[0].kill()")], 2, row)
    assert found.victim == assert_nobody_left(tmp_path)[1]
    assert (found.left, found.ends[0].returncode) == ((), 0)
    assert found.ends[0].seconds > 1.0
    assert 0.0 < found.seconds < 1.0


@needs_proc
@pytest.mark.parametrize("detached", [False, True])
def test_who_outlives_the_kill_is_a_fault(programs, tmp_path, quick, detached):
    """Whoever is left when the program has ended: it is told, and ended then."""
    one = program(tmp_path, "pids[1].wait(); sys.exit(7)", detached=detached)
    found = module.kill_last(programs, [one], 2, tmp_path / "log.txt")
    first, second = assert_nobody_left(tmp_path)
    assert found.victim == second
    assert found.left == (f"{first} (python -c {TRAINING})",)
    assert found.seconds >= 1.0
    assert found.ends[0].returncode == 7  # before
    assert own_problems(found, LOG, "cuda:1") == [f"still there after 1 s: {first} (python -c {TRAINING})"]


@needs_proc
def test_a_program_that_does_not_end_is_killed_with_all_it_has(programs, tmp_path, quick):
    found = module.kill_last(programs, [program(tmp_path, SLEEP, detached=True)], 2, tmp_path / "log.txt")
    assert_nobody_left(tmp_path)
    assert len(found.left) == 2
    assert found.ends[0].how == "ended by SIGKILL"


@needs_proc
@pytest.mark.parametrize("alone", [True, False])
def test_nobody_is_left_by_one_that_ended_too_early(programs, tmp_path, quick, monkeypatch, alone):
    monkeypatch.setattr(module, "SETTLING", 30.0)
    early = program(tmp_path, "print('why', flush=True); time.sleep(0.5); sys.exit(3)", "early", detached=True)
    others = [] if alone else [program(tmp_path, SLEEP)]
    with pytest.raises(ProgramError, match="early: exit code 3 before one was to be killed") as caught:
        module.kill_last(programs, [*others, early], 2, tmp_path / "log.txt")
    assert caught.value.tail == "why"
    assert len(assert_nobody_left(tmp_path)) == (2 if alone else 4)


@needs_proc
@pytest.mark.parametrize(
    ("change", "expected", "error", "message"),
    [
        ({"watch": lambda started: sys.exit(143)}, 2, SystemExit, "143"),  # as TERM does
        ({}, 3, ProgramError, "p: 2 training processes, expected 3"),
        ({"STARTING": 0.4}, 2, ProgramError, "header.txt has no row after 0 s"),
    ],
)
def test_nobody_is_left_when_the_step_fails(programs, tmp_path, quick, monkeypatch, change, expected, error, message):
    for name, value in change.items():
        monkeypatch.setattr(module, name, value)
    log = tmp_path / ("header.txt" if "STARTING" in change else "log.txt")
    with pytest.raises(error, match=message):
        module.kill_last(programs, [program(tmp_path, SLEEP, detached=True)], expected, log)
    assert_nobody_left(tmp_path)


# The family.


@needs_proc
def test_a_family_is_all_whom_a_program_started_and_nobody_else():
    family, other = Family(), Family()
    orphan_words = f"[sys.executable, '-c', {SLEEP!r}], start_new_session=True, stdout=subprocess.DEVNULL"
    code = f"import subprocess, sys; print(subprocess.Popen({orphan_words}).pid)"
    environment = {**os.environ, **family.environment}
    orphan = int(subprocess.check_output([sys.executable, "-c", code], env=environment))
    try:
        assert family.alive() == {orphan}
        assert other.alive() == set()
        assert described(orphan) == f"{orphan} (python -c {SLEEP})"
        other.kill(5.0)
        assert is_there(orphan)
    finally:
        family.kill(5.0)
    assert not is_there(orphan)
    assert family.alive() == set()
    assert described(orphan) == f"{orphan} (being ended)"


@needs_proc
def test_who_is_being_killed_and_has_no_memory_left_is_still_there(monkeypatch):
    family = Family()
    with subprocess.Popen([sys.executable, "-c", SLEEP], env={**os.environ, **family.environment}) as sleeper:
        try:
            assert family.alive() == {sleeper.pid}
            monkeypatch.setattr(family_module, "_read", lambda pid, name: b"")
            assert family.alive() == {sleeper.pid}
            monkeypatch.setattr(family_module, "_read", lambda pid, name: b"OTHER=1\0")  # the same id, another program
            assert family.alive() == set()
        finally:
            sleeper.kill()


@needs_proc
def test_only_training_processes_are_taken_for_such_in_their_order(tmp_path):
    """Not their own children, nor Python's resource tracker."""
    family, file = Family(), tmp_path / "ids"
    below = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {TRAINING!r}]); {SLEEP}"
    codes = [TRAINING, "from multiprocessing.resource_tracker import main; " + SLEEP, f"'run.py'; {below}"]
    code = (
        "import subprocess, sys, time; "
        f"pids = [str(subprocess.Popen([sys.executable, '-c', each]).pid) for each in {codes!r}]; "
        f"open({str(file)!r}, 'w').write(' '.join(pids)); {SLEEP}"
    )
    root = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **family.environment})
    try:
        until = time.monotonic() + 20.0
        while not (file.exists() and len(family.alive()) == 5):
            assert time.monotonic() < until
            time.sleep(0.05)
        first, _, third = map(int, file.read_text().split())
        assert family.trainings() == [first, third]
    finally:
        family.kill(5.0)
        root.wait()
