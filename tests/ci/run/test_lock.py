"""The lock of a root: who holds it, for how long, and what a second one hears."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.records.roots import locked
from ci.run.process import Stop, finish, running
from tests.ci.conftest import CASE, STUB
from tests.ci.run.test_e2e_run import GIVEN, RUNNER
from tests.ci.run.test_process import LINUX, alive, until

# As a long training does: told to end, it writes its checkpoint first.
SLOW_TO_END = """
import os, signal, sys, time
from pathlib import Path
asked = []
signal.signal(15, lambda *_: asked.append(1))
Path(sys.argv[1], "asleep").write_text(str(os.getpid()) + "\\n")
while not asked:
    time.sleep(0.02)
time.sleep(1.5)
Path(sys.argv[1], "checkpoint").write_text("half a training")
"""
MATRIX = f"""
import sys
from pathlib import Path
from ci.records.roots import locked
from ci.run.process import Stop, finish, running
root = Path(sys.argv[1])
argv = [sys.executable, "-c", {SLOW_TO_END!r}, str(root)]
with locked(root) as lock, running(argv, root, {{}}, root / "log", grace=30.0, keep=(lock,)) as job:
    finish(job, 600.0, Stop())
"""


def test_a_killed_run_holds_its_root_until_its_programs_have_ended(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    matrix = subprocess.Popen([sys.executable, "-c", MATRIX, str(tmp_path)], env=environment)
    asleep, waits = tmp_path / "asleep", []
    try:
        until(lambda: asleep.exists() and asleep.read_text().endswith("\n"))
    finally:
        matrix.kill()
        matrix.wait()
    holder = f"another process is at work in .*: process {matrix.pid}, or a program it"
    with pytest.raises(UsageError, match=holder), locked(tmp_path):
        pass
    assert not (tmp_path / "checkpoint").exists()
    with locked(tmp_path, wait=30.0, on_wait=lambda: waits.append(1)):
        assert (tmp_path / "checkpoint").read_text() == "half a training"
        assert not alive(int(asleep.read_text()))
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
    assert waits == [1]


@LINUX
def test_a_supervisor_holds_the_lock_and_its_program_does_not(tmp_path: Path) -> None:
    look = (
        "import os; print(*[os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')[:-1]], sep='\\n')"
    )
    wait = "import sys, time; print('here', flush=True); time.sleep(600)"
    lock_file = str(tmp_path / ".lock")
    with locked(tmp_path) as lock:
        assert not os.get_inheritable(lock)
        with running([sys.executable, "-c", look], tmp_path, {}, tmp_path / "log", keep=(lock,)) as job:
            finish(job, 10.0, Stop())
        with running([sys.executable, "-c", wait], tmp_path, {}, tmp_path / "other", keep=(lock,)) as job:
            until(lambda: "\nhere" in (tmp_path / "other").read_text())
            held = [os.readlink(entry) for entry in Path(f"/proc/{job.process.pid}/fd").iterdir()]
    shown = (tmp_path / "log").read_text().splitlines()[1:]
    assert str(tmp_path / "log") in shown
    assert lock_file not in shown
    assert lock_file in held


def test_leaving_the_lock_does_not_take_it_from_a_supervisor(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    with locked(tmp_path) as lock:
        context = running(sleep, tmp_path, {}, tmp_path / "log", grace=0.2, keep=(lock,))
        context.__enter__()
    try:
        with pytest.raises(UsageError, match="another process"), locked(tmp_path):
            pass
    finally:
        context.__exit__(None, None, None)
    with locked(tmp_path):
        pass


def test_waiting_ends_in_the_same_error(tmp_path: Path) -> None:
    waits: list[int] = []
    began = time.monotonic()
    with (
        locked(tmp_path),
        pytest.raises(UsageError, match=f"process {os.getpid()}, or"),
        locked(tmp_path, wait=0.5, on_wait=lambda: waits.append(1)),
    ):
        pass
    assert 0.5 <= time.monotonic() - began < 5.0
    assert waits == [1]


def test_a_free_root_needs_no_waiting(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("1234567890\n")  # of a run that has ended
    with locked(tmp_path, wait=60.0, on_wait=lambda: pytest.fail("it waited")):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere cannot be written: No such file"), locked(tmp_path / "nowhere"):
        pass


# Like the framework: told to end, a training writes its model, by its path, a while later. The second one just trains.
SLOW_TRAINER = """
import os, runpy, signal, sys, time
from pathlib import Path
repository, stub = Path(sys.argv[1]), sys.argv[2]
out_dir = Path(sys.argv[sys.argv.index("--out_dir") + 1])
if out_dir.name == "train" and not (repository / "asleep").exists():
    asked = []
    signal.signal(15, lambda *_: asked.append(1))
    (repository / "asleep").write_text(f"{os.getpid()}\\n")
    while not asked:
        time.sleep(0.02)
    time.sleep(3.0)
    (out_dir / "model.pt").write_text("[666.0]")
    (repository / "wrote").write_text(str(out_dir))
    os._exit(143)
if out_dir.name == "train":
    (repository / "second").write_text(str((repository / "wrote").exists()))
sys.argv = [stub, "run", str(repository / "faults"), *sys.argv[3:]]
runpy.run_path(stub, run_name="__main__")
"""


def test_what_a_killed_run_left_behind_cannot_write_into_the_resumed_one(matrix, monkeypatch):
    trainer = matrix.write("trainer.py", SLOW_TRAINER)
    run = (sys.executable, str(trainer), str(matrix.repository), str(STUB))
    code = RUNNER.replace("Programs(**role)", f"Programs(**{{**role, 'run': {run!r}}})").replace("= 0.3", "= 20.0")
    assert code.count("20.0") == code.count(str(trainer)) == 1
    matrix.write("faults", "")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code, str(matrix.repository), str(STUB), *GIVEN, "--root-out", "mine"]
    runner = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    asleep = matrix.repository / "asleep"
    try:
        until(lambda: asleep.exists() and asleep.read_text().endswith("\n"), 30.0)
    finally:
        runner.kill()
        runner.wait()
    programs = replace(matrix.programs(), run=run)
    monkeypatch.setattr(type(matrix), "programs", lambda matrix: programs)
    outcome = matrix.run("--resume", "mine")
    assert outcome.code == 0
    assert "waiting" in outcome.printed
    assert (matrix.repository / "second").read_text() == "True"  # it began when the first had written its last
    (model,) = (outcome.root / "runs" / CASE).glob("*/train/model.pt")
    assert model.read_text() == "[0.5, 1.0]"
