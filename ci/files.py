"""Reading and writing the small files of a run, so that no reader ever sees half of one."""

import json
import os
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` in one step: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pending = path.with_name(f".{path.name}.{os.getpid()}.pending")
    pending.write_text(text, encoding="utf-8")
    os.replace(pending, path)


def write_json(path: Path, value: object) -> None:
    """``write_text`` of ``value`` as JSON. Non-finite numbers raise ValueError: JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; FileNotFoundError, or ValueError that names the file and what is wrong."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds a {type(value).__name__}, not an object")
    return value


def tail(path: Path, lines: int, limit_bytes: int = 65536, start: int = 0) -> list[str]:
    """The last ``lines`` lines of a log, from at most its last ``limit_bytes`` and none of its first ``start``; [] when
    there is no file.

    A line that rewrote itself with carriage returns counts as what it showed last.
    """
    if not path.is_file():
        return []
    with path.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(start, size - limit_bytes))
        text = handle.read().decode("utf-8", errors="replace")
    shown = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.rstrip().split("\n")]
    return shown[-lines:] if text.strip() else []
