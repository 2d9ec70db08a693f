"""A training process that dies, hangs or fails takes the others with it, within half a minute and with its reason."""

import json
import os
import signal
import time
from typing import Any

import pytest

from tests.run.programs import finish, start
from tests.run.torchrun_programs import finish_groups, is_there, ranks_of, start_groups, wait_for

Case = Any  # of conftest
WITHIN = 30.0  # seconds
ENDLESS = "1000000000"  # samples

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds processes in /proc")


def assert_nobody_left(pids: list[int]) -> None:
    deadline = time.monotonic() + 5.0
    while any(map(is_there, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_of_another_host_dies_or_hangs(tiny_case: Case, number: int) -> None:
    words = tiny_case.arguments(max_samples=ENDLESS)
    groups = start_groups([words, words], [tiny_case.folder] * 2)
    wait_for(tiny_case.out_dir / "status.json", groups)
    (first,), (second,) = map(ranks_of, groups)
    began = time.monotonic()
    os.kill(second, number)
    code, _, err = finish_groups(groups[:1])[0]
    assert time.monotonic() - began < WITHIN
    assert code == 1  # torchrun's; the process's own is in what it says
    assert f"training process 1 (process id {second} on " in err
    assert "gave no sign of life for 20 s" in err
    assert "exitcode  : 7" in err
    record = json.loads((tiny_case.out_dir / "error.json").read_text())
    assert (record["kind"], record["exit_code"]) == ("process_group", 7)
    if number == signal.SIGSTOP:
        os.kill(second, signal.SIGCONT)
    finish_groups(groups[1:])
    assert_nobody_left([first, second])


def test_a_process_of_our_own_hangs(tiny_case: Case) -> None:
    run = start(tiny_case, devices="cpu cpu", max_samples=ENDLESS)
    wait_for(tiny_case.out_dir / "status.json", [run])
    pids = ranks_of(run)
    began = time.monotonic()
    os.kill(pids[1], signal.SIGSTOP)
    code, _, err = finish(run)
    assert time.monotonic() - began < WITHIN
    assert code == 7
    assert f"error (process_group): training process 1 (process id {pids[1]} on " in err
    assert_nobody_left(pids)


def test_the_program_that_started_them_is_killed(tiny_case: Case) -> None:
    run = start(tiny_case, devices="cpu cpu", max_samples=ENDLESS)
    wait_for(tiny_case.out_dir / "status.json", [run])
    pids = ranks_of(run)
    os.kill(pids[1], signal.SIGSTOP)  # even one that can do nothing itself
    run.kill()
    assert_nobody_left(pids)


def test_a_torchrun_is_killed(tiny_case: Case) -> None:
    """Neither its own processes go on without it, nor those of the other one."""
    words = tiny_case.arguments(max_samples=ENDLESS)
    groups = start_groups([words, words], [tiny_case.folder] * 2)
    wait_for(tiny_case.out_dir / "status.json", groups)
    pids = [pid for group in groups for pid in ranks_of(group)]
    began = time.monotonic()
    groups[1].kill()
    code, _, err = finish_groups(groups[:1])[0]
    assert time.monotonic() - began < WITHIN
    assert code == 1
    assert "the program that started training process 1 " in err
    assert_nobody_left(pids)


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_one_process_is_told_by_all(tiny_case: Case, failing: int) -> None:
    words = tiny_case.arguments(max_samples=ENDLESS)
    groups = start_groups([words, words], [tiny_case.folder] * 2)
    wait_for(tiny_case.out_dir / "status.json", groups)
    # A folder where a file is to be written or taken away.
    obstacle = tiny_case.out_dir / ("train_state.rank1.x.pt" if failing else "train_state.pt")
    while not obstacle.is_dir():
        obstacle.unlink(missing_ok=True)
        try:
            (obstacle / "x").mkdir(parents=True)
        except FileExistsError:
            continue
    began = time.monotonic()
    ends = finish_groups(groups)
    assert time.monotonic() - began < WITHIN
    for number, (_, _, err) in enumerate(ends):
        assert "Is a directory" in err
        assert (f"training process {failing} failed:" in err) == (number != failing)
        assert "exitcode  : 1" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_training_has_begun_is_no_failure(tiny_case: Case, number: int) -> None:
    run = start(tiny_case, devices="cpu cpu", max_samples=ENDLESS)
    while len(ranks_of(run)) < 2:
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(number)
    code, _, err = finish(run)
    assert (code, err) == (128 + number, "")
    assert not (tiny_case.out_dir / "error.json").exists()


def test_ctrl_c_in_a_terminal_reaches_all_processes_and_is_no_failure(tiny_case: Case) -> None:
    """When they have met, but not begun to train: more threads of theirs are there then. The first is slow to react."""
    run = start(tiny_case, devices="cpu cpu", max_samples=ENDLESS, new_session=True)
    while len(ranks_of(run)) < 2 or any(threads_of(pid) < 5 for pid in ranks_of(run)):
        assert run.poll() is None
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGSTOP)
    os.killpg(run.pid, signal.SIGINT)
    time.sleep(0.5)
    os.kill(run.pid, signal.SIGCONT)
    code, _, err = finish(run)
    assert (code, err) == (128 + signal.SIGINT, "")


def threads_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def test_a_signal_to_one_torchrun_ends_all_after_an_iteration(tiny_case: Case) -> None:
    words = tiny_case.arguments(max_samples=ENDLESS)
    groups = start_groups([words, words], [tiny_case.folder] * 2)
    wait_for(tiny_case.out_dir / "status.json", groups)
    groups[0].terminate()
    ends = finish_groups(groups)
    assert all("error (" not in err for _, _, err in ends), ends
    assert "exitcode  : 143" in ends[1][2]  # the first torchrun tells only of its own signal
    summary = json.loads((tiny_case.out_dir / "train_summary.json").read_text())
    assert (summary["ended_by"], summary["num_processes"]) == ("signal", 2)
    assert not (tiny_case.out_dir / "error.json").exists()
