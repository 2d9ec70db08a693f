"""Where downloads are kept, content hashes, and one writer at a time."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path


def default_cache() -> Path:
    """``$MIMICKIT_CACHE``, or ``~/.cache/mimickit``."""
    return Path(os.environ.get("MIMICKIT_CACHE") or Path.home() / ".cache" / "mimickit")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def one_at_a_time(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold ``folder`` (made if need be) against other processes that do the same; ``on_wait`` is called before waiting.

    The lock ends with the process, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
