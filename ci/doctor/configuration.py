"""The effective configuration of a case, and the case known to be good that it differs least from."""

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.doctor.probes import ask

READ_SECONDS = 120.0

# What tells two cases apart without making them different: their names, and the names of files whose values are
# compared one by one. The engine block of an environment is compared by its effect on the engine.
NAMES = ("run.arg_file", "run.out_dir", "run.engine_config", "run.env_config", "run.agent_config", "env.engine")
DEFAULT = "default"  # the source of a value that nobody gave
GROUPS = ("run", "engine", "env", "agent")


@dataclass(frozen=True)
class Setting:
    """One effective value and where it came from: file:line, 'command line' or 'default'."""

    value: Any
    source: str

    @property
    def text(self) -> str:
        """The value on one line, as YAML writes it."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value)


@dataclass(frozen=True)
class CaseConfiguration:
    """A case's settings by dotted key. ``problem`` is the parser's message, or empty.

    With a problem and with settings, all that is missing is a file that a command of this project makes.
    """

    arg_file: str
    problem: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return Path(self.arg_file).stem


@dataclass(frozen=True)
class Difference:
    """A key whose effective values differ; None on the side that does not have the key."""

    key: str
    here: Setting | None
    there: Setting | None

    @property
    def where(self) -> str:
        """The place to change: this case's, and the other's where this one has a default or nothing."""
        if self.here is not None and self.here.source != DEFAULT:
            return self.here.source
        there = f"there {self.there.source}" if self.there is not None and self.there.source != DEFAULT else ""
        return there or DEFAULT


@dataclass(frozen=True)
class Nearest:
    """The known-good case that differs least, the differences, and what 'known good' rests on."""

    arg_file: str
    differences: tuple[Difference, ...]
    basis: str


def read_configurations(
    repository: Path, arg_files: Sequence[str], engine_config: str | None
) -> dict[str, CaseConfiguration]:
    """The configuration of each arg file, read by the framework itself in one process of its own.

    Raises ValueError when that process does not answer.
    """
    if not arg_files:
        return {}
    engine = ["--engine_config", engine_config] if engine_config else []
    answer = ask([sys.executable, "-m", "mimickit.config", *arg_files, *engine], repository, READ_SECONDS)
    try:
        entries = json.loads(answer.output) if answer.returncode == 0 else None
    except ValueError:
        entries = None
    if entries is None:
        raise ValueError(f"the configurations cannot be read: {answer.reason}")
    return {
        name: CaseConfiguration(
            arg_file=name,
            problem=entry["problem"] or "",
            settings={key: Setting(**setting) for key, setting in entry["values"].items()},
        )
        for name, entry in entries.items()
    }


def differences(here: CaseConfiguration, there: CaseConfiguration) -> tuple[Difference, ...]:
    """The keys with another value, or on one side only, in the order of the settings."""
    keys = [key for key in dict.fromkeys([*here.settings, *there.settings]) if key not in NAMES]
    keys.sort(key=lambda key: GROUPS.index(key.split(".")[0]))
    pairs = [Difference(key, here.settings.get(key), there.settings.get(key)) for key in keys]
    return tuple(pair for pair in pairs if _value(pair.here) != _value(pair.there))


def _value(setting: Setting | None) -> tuple[Any, ...]:
    """A number equals the same number in another spelling; a truth value equals no number."""
    return () if setting is None else (isinstance(setting.value, bool), setting.value)


def nearest_good(
    here: CaseConfiguration, configurations: Iterable[CaseConfiguration], passed: Sequence[str], basis: str
) -> Nearest | None:
    """Of ``configurations`` those named in ``passed``: the one that differs from ``here`` in the fewest values.

    The first by name when several do. ``here`` itself does not count, nor does a case that cannot be read. None: none
    is left.
    """
    good = [each for each in configurations if each.name in passed and each.settings and each.name != here.name]
    found = [Nearest(each.arg_file, differences(here, each), basis) for each in good]
    return min(found, key=lambda each: (len(each.differences), each.arg_file), default=None)


def known_good(repository: Path, committed: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The names of the cases known to be good, and a sentence that says why they are.

    Those whose newest result in any run here passed; before the first of them, every committed case.
    """
    runs = repository / "output" / "train"
    newest: dict[str, bool] = {}
    for table in sorted(runs.glob("*/best_by_case.tsv"), key=lambda path: path.stat().st_mtime):
        newest |= _results(table)
    passed = tuple(name for name in committed if newest.get(name))
    if passed:
        return passed, f"known good: the {len(passed)} cases whose newest result in output/train/ passed"
    return tuple(committed), f"known good: all {len(committed)} cases of args/, since none has passed here yet"


def _results(table: Path) -> dict[str, bool]:
    """Whether each case of a run passed; without those it did not get to. Nothing for a file that is no such table.

    Tables of older runs, which had other columns, are as good as any here.
    """
    try:
        with table.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    ran = [row for row in rows if row.get("case") and (row.get("train_rc") or row.get("final_ok") == "1")]
    return {row["case"]: row["final_ok"] == "1" for row in ran}
