"""noxfile.py stays light, and its sessions stay thin."""

import contextlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "warp", "newton", "mujoco", "numpy", "scipy"}
PROCESSES = ("--numprocesses", "auto", "--maxprocesses", "8")
IMPORT = """
import sys, time
started = time.perf_counter()
import noxfile
print(time.perf_counter() - started, *sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_importing_it_takes_under_0_3_seconds_and_nothing_heavy():
    seconds = []
    for _ in range(3):
        command = [sys.executable, "-c", IMPORT]
        answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        taken, *modules = answer.stdout.split()
        seconds.append(float(taken))
        assert not HEAVY & set(modules)
    assert min(seconds) < 0.3


class Session:
    """What a session does with nox, written down."""

    def __init__(self, folder, posargs):
        self.env_dir = folder / "session"
        self.posargs = posargs
        self.commands = []

    def run(self, *command, **_options):
        self.commands.append(command[1:])

    def run_install(self, *command, **_options):
        if "virtualenv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()

    def chdir(self, _folder):
        return contextlib.nullcontext()


@pytest.fixture(scope="module")
def noxfile():
    return importlib.import_module("noxfile")  # nox warns of sessions that are made twice


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("tests", [("-m", "pytest", *PROCESSES, "-x", "y")]),
        ("workflows", [("-m", "pytest", *PROCESSES, "-m", "workflows", "tests/workflows", "-x", "y")]),
        ("container", [("-m", "pytest", "-m", "container", "tests/docker", "-rA", "-x", "y")]),
        ("lint", [("-m", "ruff", "check", "."), ("-m", "mypy")]),
        ("data", [("-m", "mimickit.data", "build", "-x", "y")]),
        ("e2e", [("-m", "ci", "e2e", "-x", "y")]),
        ("matrix", [("-m", "ci", "matrix", "-x", "y")]),
        ("merge", [("-m", "ci", "merge", "-x", "y")]),
        ("report", [("-m", "ci", "report", "-x", "y")]),
        ("doctor", [("-m", "ci", "doctor", "-x", "y")]),
        ("bench", [("-m", "mimickit.bench", "-x", "y")]),
    ],
)
def test_a_session_is_one_program_with_the_arguments_passed_on(noxfile, tmp_path, name, commands):
    session = Session(tmp_path, ["-x", "y"])
    getattr(noxfile, name)(session)
    assert session.commands == commands
    assert (tmp_path / "mimickit" / "bin" / "python").exists()
