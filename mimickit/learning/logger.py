"""Training logs: ``log.txt`` with fixed-width columns always, TensorBoard or Weights & Biases beside it on request."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mimickit.errors import InputError
from mimickit.files import write_atomically

COLUMN_WIDTH = 25


@dataclass(frozen=True)
class LastRow:
    """The row after which a log goes on; later ones, of a training that was killed, are forgotten."""

    iteration: int
    samples: int


class Sink(Protocol):
    """Takes one row of numbers per output iteration."""

    def write(self, row: Mapping[str, float], samples: int) -> None: ...

    def close(self) -> None: ...


class TextLog:
    """``log.txt``: a header, then a row per output; every row is on disk when ``write`` returns.

    Args:
        after: go on after this row of the file instead of writing it anew.
    """

    def __init__(self, path: Path, after: LastRow | None = None):
        self._columns: tuple[str, ...] = ()
        if after:
            lines = rows_through(path, after.iteration)
            write_atomically(path, "".join(lines).encode())
            self._columns = tuple(lines[0].split())
        self._file = path.open("a" if after else "w", encoding="utf-8")

    def write(self, row: Mapping[str, float], samples: int) -> None:
        if not self._columns:
            self._columns = tuple(row)
            self._file.write("".join(name.ljust(COLUMN_WIDTH) for name in self._columns).rstrip() + "\n")
        if tuple(row) != self._columns:
            raise ValueError(f"log columns changed from {self._columns} to {tuple(row)}")
        self._file.write("".join(format_number(value).ljust(COLUMN_WIDTH) for value in row.values()).rstrip() + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoardLog:
    """Scalars over samples, in ``out_dir``."""

    def __init__(self, out_dir: Path, after: LastRow | None = None):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(out_dir), purge_step=after.samples + 1 if after else None)

    def write(self, row: Mapping[str, float], samples: int) -> None:
        for name, value in row.items():
            self._writer.add_scalar(name, value, samples)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandbLog:
    """One Weights & Biases run per training, all its parts together; ``wandb_run.txt`` in ``out_dir`` names it.

    Rows that were sent before a training was killed stay there, and those that are made again are left out.
    """

    def __init__(self, out_dir: Path, after: LastRow | None = None):
        import wandb

        name = out_dir / "wandb_run.txt"
        known = name.read_text(encoding="utf-8").strip() if after and name.exists() else None
        self._run = wandb.init(
            project="mimickit", dir=str(out_dir), id=known, resume="must" if known is not None else None
        )
        name.write_text(f"{self._run.id}\n", encoding="utf-8")

    def write(self, row: Mapping[str, float], samples: int) -> None:
        self._run.log(dict(row), step=samples)

    def close(self) -> None:
        self._run.finish()


_EXTRA_SINKS: dict[str, tuple[Callable[[Path, LastRow | None], Any], ...]] = {
    "txt": (),
    "tb": (TensorBoardLog,),
    "wandb": (WandbLog,),
}
_PACKAGES = {"tb": "tensorboard", "wandb": "wandb"}


def check_logger(kind: str) -> None:
    """InputError when the package that ``--logger kind`` needs is not installed; writes nothing."""
    package = _PACKAGES.get(kind)
    if package is not None and importlib.util.find_spec(package) is None:
        raise InputError(f"--logger {kind} needs the package '{package}': pip install {package}")


class Logger:
    """Writes each row to ``log.txt`` and to what ``--logger`` names, perhaps ``after`` an earlier row."""

    def __init__(self, kind: str, out_dir: Path, after: LastRow | None = None):
        check_logger(kind)
        sinks: list[Sink] = [make(out_dir, after) for make in _EXTRA_SINKS[kind]]
        self._sinks: list[Sink] = [TextLog(out_dir / "log.txt", after), *sinks]

    def write(self, row: Mapping[str, float], samples: int) -> None:
        for sink in self._sinks:
            sink.write(row, samples)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


def format_number(value: float) -> str:
    """Integers as they are, others with six significant digits."""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def read_log(path: Path | str) -> dict[str, list[float]]:
    """Columns of a text log by name; rows may end with ``\\r`` as in published logs."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    if not rows:
        raise InputError(f"{path}: the log is empty")
    names = rows[0]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise InputError(f"{path}: row {number} has {len(row)} numbers, expected {len(names)}")
    return {name: [float(row[i]) for row in rows[1:]] for i, name in enumerate(names)}


def rows_through(path: Path, iteration: int) -> list[str]:
    """The header and the rows of ``log.txt`` up to that of ``iteration``, each with the end of its line.

    Raises:
        InputError: there is no log, or that row is not in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a training cannot be resumed without its log") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the log cannot be read: {error}") from None
    for number, line in enumerate(lines[1:], start=2):
        if line.endswith("\n") and line.split()[:1] == [str(iteration)]:
            return lines[:number]
    raise InputError(f"{path}: has no row of iteration {iteration}, up to which the training is to be resumed")
