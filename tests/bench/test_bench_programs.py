"""Programs of the benchmark: results, deadlines, and the queue over devices."""

import os
import sys
import threading
import time

import pytest

from mimickit.bench import programs as module
from mimickit.bench.programs import ProgramError


def python(code):
    return [sys.executable, "-c", code]


def test_the_result_is_the_last_line_that_is_a_json_object(programs):
    code = "import sys; print('{\"a\": 1}'); print('{\"a\": 2}'); print('{no json}'); print('bye', file=sys.stderr)"
    assert programs.run("good", python(code), 30.0).result() == {"a": 2}


def test_without_a_result_the_end_of_the_log_is_told(programs):
    code = "print(chr(10).join(f'line {number}' for number in range(40)))"
    with pytest.raises(ProgramError, match="silent: printed no result") as caught:
        programs.run("silent", python(code), 30.0).result()
    assert caught.value.tail.splitlines() == [f"line {number}" for number in range(25, 40)]


def test_a_result_of_a_program_that_failed_does_not_count(programs):
    with pytest.raises(ProgramError, match="bad: exit code 3") as caught:
        programs.run("bad", python("import sys; print('{}'); print('why'); sys.exit(3)"), 30.0).result()
    assert caught.value.tail == "{}\nwhy"


def test_a_deadline_ends_a_program_and_its_children(programs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 1.0)
    file = tmp_path / "children"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        f"open({str(file)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    ended = programs.run("long", python(code), 3.0)
    assert ended.timed_out
    assert "deadline" in ended.how
    for _ in range(100):
        if not alive(int(file.read_text())):
            break
        time.sleep(0.05)
    assert not alive(int(file.read_text()))


def alive(pid):
    """Whether a process runs; one that has ended and nobody has asked about does not."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_variables_reach_the_program_and_the_record(programs):
    code = "import os, json; print(json.dumps({'value': os.environ['SOME_NAME']}))"
    assert programs.run("x", python(code), 30.0, {"SOME_NAME": "7"}).result() == {"value": "7"}
    assert programs.commands == [f"SOME_NAME=7 python -c {code}"]


def test_a_program_runs_where_it_is_told_to(programs, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    command = [sys.executable, "-c", "import os, json; print(json.dumps({'folder': os.getcwd()}))"]
    assert programs.run("here", command, 20.0).result() == {"folder": os.getcwd()}
    there = programs.run("there", command, 20.0, folder=tmp_path / "elsewhere")
    assert there.result() == {"folder": str((tmp_path / "elsewhere").resolve())}


def test_a_record_names_no_folder_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        sys.executable,
        "-m",
        "x",
        "--data",
        "/srv/archives/march",
        str(tmp_path / "out" / "a.json"),
        "data/a",
        "0.5",
    ]
    assert module.shortened(words) == ["python", "-m", "x", "--data", ".../march", "out/a.json", "data/a", "0.5"]


def test_every_device_has_one_job_at_a_time_and_none_waits_while_one_is_free(programs):
    lock, busy, taken = threading.Lock(), [], []
    both = threading.Barrier(2, timeout=10.0)  # passed only while both devices work

    def work(job, device):
        with lock:
            assert device not in busy
            busy.append(device)
            taken.append(device)
        if job < 2:
            both.wait()
        time.sleep(0.02)
        with lock:
            busy.remove(device)
        return job * 10

    assert programs.spread(range(7), ("cuda:0", "cuda:1"), work) == [0, 10, 20, 30, 40, 50, 60]
    assert set(taken) == {"cuda:0", "cuda:1"}


def test_a_failing_job_ends_the_programs_of_the_others(programs):
    def work(job, device):
        if job == 1:
            while not programs._running:
                time.sleep(0.01)
            raise ValueError("stop")
        programs.run("waits", python("import time; time.sleep(60)"), 60.0)

    start = time.monotonic()
    with pytest.raises(ValueError, match="stop"):
        programs.spread([1, 0], ("cuda:0", "cuda:1"), work)
    assert time.monotonic() - start < 30.0
    with pytest.raises(ProgramError, match="not started"):
        programs.run("late", python(""), 1.0)
