"""Thin sessions over pytest, ruff, mypy, ``ci`` and ``mimickit``; everything after ``--`` goes to the program.

All sessions share one pip environment, installed with constraints.txt on first use and again when that file or
pyproject.toml changes: ``.nox/mimickit`` (see ``ci/environment.py``). Importing this file imports nox and the standard
library only.
"""

import sys
from pathlib import Path

import nox

REPOSITORY = Path(__file__).resolve().parent
sys.path.insert(0, str(REPOSITORY))  # the nox command does not put the noxfile's folder on the path

from ci.environment import ensure_environment  # noqa: E402

# How long a program may take after Ctrl-C to end its own children: the matrix gives a long training 300 s to write its
# checkpoint (ci/run/stages.py), and the training's supervisor 10 s more. A second Ctrl-C ends them at once.
STOP_SECONDS = 330.0
PROCESSES = ("--numprocesses", "auto", "--maxprocesses", "8")  # of pytest

nox.options.sessions = ["lint", "tests"]


def python_in_environment(session: nox.Session) -> str:
    """The shared environment's interpreter, after installing the environment when it is missing or out of date."""
    environment = session.env_dir.resolve().parent / "mimickit"
    return str(ensure_environment(REPOSITORY, environment, lambda command: session.run_install(*command)))


def run(session: nox.Session, *command: str) -> None:
    """Run ``python -m COMMAND`` in the shared environment, from the repository root."""
    python = python_in_environment(session)
    with session.chdir(REPOSITORY):
        session.run(python, "-m", *command, interrupt_timeout=STOP_SECONDS, terminate_timeout=STOP_SECONDS)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the test suite, a process per core: nox -s tests -- [pytest arguments, such as --numprocesses 0]."""
    run(session, "pytest", *PROCESSES, *session.posargs)


@nox.session(venv_backend="none")
def workflows(session: nox.Session) -> None:
    """Run the GitHub workflows with act, on this machine: nox -s workflows -- [pytest arguments]."""
    run(session, "pytest", *PROCESSES, "-m", "workflows", "tests/workflows", *session.posargs)


@nox.session(venv_backend="none")
def container(session: nox.Session) -> None:
    """Build the image with buildah and try it, as root: nox -s container -- [pytest arguments]."""
    run(session, "pytest", "-m", "container", "tests/docker", "-rA", *session.posargs)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """Run the tests that need an NVIDIA GPU: nox -s gpu -- [pytest arguments]."""
    run(session, "pytest", "--numprocesses", "4", "-m", "gpu", *session.posargs)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check the style with ruff and the types of ci/ and mimickit/config with mypy."""
    run(session, "ruff", "check", ".")
    run(session, "mypy")


@nox.session(venv_backend="none")
def data(session: nox.Session) -> None:
    """Build the open motion clips: nox -s data -- [--only NAME ...] [--help]."""
    run(session, "mimickit.data", "build", *session.posargs)


@nox.session(venv_backend="none")
def e2e(session: nox.Session) -> None:
    """Train, test and render cases: nox -s e2e -- [case.txt ...] [--help]."""
    run(session, "ci", "e2e", *session.posargs)


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """Plan a run in shards: nox -s matrix -- --profile pr --shards 8 [--changed-from REF] [--help]."""
    run(session, "ci", "matrix", *session.posargs)


@nox.session(venv_backend="none")
def merge(session: nox.Session) -> None:
    """Bring shards together and hold them against the plan: nox -s merge -- DIR... [--help]."""
    run(session, "ci", "merge", *session.posargs)


@nox.session(venv_backend="none")
def report(session: nox.Session) -> None:
    """Write a run's reports anew: nox -s report -- [ROOT] [--help]."""
    run(session, "ci", "report", *session.posargs)


@nox.session(venv_backend="none")
def doctor(session: nox.Session) -> None:
    """Say what is wrong with this machine or a case: nox -s doctor -- [case.txt] [--quick] [--help]."""
    run(session, "ci", "doctor", *session.posargs)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measure simulation and training speed: nox -s bench -- [--gpu] [--help]."""
    run(session, "mimickit.bench", *session.posargs)
