"""Writing files that are whole or absent."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from mimickit.errors import InputError

TEMPORARY_SUFFIX = 8  # letters that mkstemp puts at the end of a name


def check_output_file(path: Path) -> None:
    """Raise `InputError` unless ``path`` can be written: for a command to call before long work. Makes nothing."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the file to write")
    check_output_folder(path.parent, f"cannot write {path}")


def check_output_folder(folder: Path, problem: str) -> None:
    """Raise `InputError`, beginning with ``problem``, unless ``folder`` can be written to or made. Makes nothing."""
    existing = folder
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
    except OSError as error:
        raise InputError(f"{problem}: cannot be a folder: {error.strerror}") from None
    if not existing.is_dir():
        raise InputError(f"{problem}: {existing} is a file, not a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(f"{problem}: cannot write to {existing}: {error.strerror}") from None


def write_atomically(path: Path, data: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write ``path`` so that a reader sees the old file or the whole new one, whatever interrupts this.

    ``data`` may be a function that writes to the open file: what is large need not be in memory twice.

    Raises `OSError` with its number and a message that names ``path``.
    """
    try:
        _write(path, data)
    except OSError as error:
        failure = OSError(f"cannot write {path}: {error.strerror or error}")
        failure.errno = error.errno
        raise failure from error


def unfinished_writes(folder: Path, names: str) -> list[Path]:
    """What ``write_atomically`` left of files called ``names`` (a pattern) where it was killed; they can be large."""
    return sorted(folder.glob(f".{names}.{'?' * TEMPORARY_SUFFIX}"))


def _write(path: Path, data: bytes | Callable[[IO[bytes]], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            if callable(data):
                data(file)
            else:
                file.write(data)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
