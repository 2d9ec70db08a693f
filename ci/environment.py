"""The one virtual environment that all nox sessions share.

nox gives every session an environment of its own and has no way to share one, and this project's environment is
gigabytes. So the sessions run without an environment of nox's, and this module makes the shared one with the packages
nox itself brings (virtualenv), fills it once with pip, and leaves it alone until what it was made from changes.
"""

import fcntl
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MINIMUM_PYTHON = (3, 11)
INPUTS = ("pyproject.toml", "constraints.txt")
STAMP = "mimickit-inputs.sha256"

RunCommand = Callable[[Sequence[str]], object]


def fingerprint(repository: Path) -> str:
    """SHA-256 over everything the environment is made from: the two files, the interpreter and the checkout's place."""
    digest = hashlib.sha256()
    for part in (sys.version, sys.base_prefix, str(repository)):
        digest.update(part.encode() + b"\0")
    for name in INPUTS:
        digest.update((repository / name).read_bytes() + b"\0")
    return digest.hexdigest()


def environment_python(environment: Path) -> Path:
    """The interpreter inside ``environment``."""
    return environment / "bin" / "python"


def is_current(repository: Path, environment: Path) -> bool:
    """True when ``environment`` was completely installed from exactly the present inputs."""
    stamp = environment / STAMP
    return (
        environment_python(environment).exists()
        and stamp.is_file()
        and stamp.read_text().strip() == fingerprint(repository)
    )


def ensure_environment(repository: Path, environment: Path, run: RunCommand) -> Path:
    """Make or refresh the shared environment and return its interpreter.

    ``run`` executes one command line and raises when it fails. The stamp is removed first and written last, so an
    interrupted installation is done again. Two sessions started together wait for each other.
    """
    if sys.version_info < MINIMUM_PYTHON:
        wanted = ".".join(map(str, MINIMUM_PYTHON))
        raise RuntimeError(f"Python {wanted} or newer is needed and nox runs on {sys.version.split()[0]}: use another.")
    if is_current(repository, environment):
        return environment_python(environment)
    environment.parent.mkdir(parents=True, exist_ok=True)
    with _locked(environment.with_suffix(".lock")):
        if not is_current(repository, environment):
            _install(repository, environment, run)
    return environment_python(environment)


def _install(repository: Path, environment: Path, run: RunCommand) -> None:
    stamp = environment / STAMP
    stamp.unlink(missing_ok=True)
    run([sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(environment)])
    python = str(environment_python(environment))
    constraints = str(repository / "constraints.txt")
    run([python, "-m", "pip", "install", "-c", constraints, "-e", f"{repository}[dev]"])
    pending = stamp.with_suffix(".pending")
    pending.write_text(fingerprint(repository) + "\n")
    os.replace(pending, stamp)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
