"""How long each case takes: from earlier runs, and from the committed table of such measurements."""

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.files import write_text
from ci.records.roots import ROWS as RESULTS

TABLE = "ci/case_seconds.tsv"
COLUMNS = ("profile", "case", "seconds", "memory_gb")
STAGE_COLUMNS = ("train_seconds", "test_seconds", "viz_seconds")
FALLBACK_PROFILE = "smoke"  # whose figures stand for a profile that has none: as weights
HEADER = """\
# How long each case takes, with all its processes, and the memory it needs; shards are balanced by it.
# Written by: nox -s matrix -- --record-seconds ROOT
"""


@dataclass(frozen=True)
class Measured:
    """One case: seconds of all its processes; memory in 1e9 bytes, None when it was not measured."""

    seconds: float
    memory_gb: float | None = None


@dataclass(frozen=True)
class CaseSeconds:
    """What cases are expected to take.

    measured: the cases that somebody measured; the others have the median of all that were.
    absolute: these are seconds of the profile asked for. If not they compare cases with one another, no more.
    """

    seconds: Mapping[str, float]
    measured: frozenset[str]
    absolute: bool
    why: str


def expected_seconds(
    repository: Path, names: Collection[str], profile: str, sources: Sequence[Path] = ()
) -> CaseSeconds:
    """What the cases ``names`` are expected to take under ``profile``.

    ``sources``, each a best_by_case.tsv or the folder of a run, come first: the median where several know a case. The
    committed table fills the gaps, scaled to them by the median ratio of the cases that both know. A case that neither
    knows gets the median of the known ones; if none is known all are equal. ValueError, or FileNotFoundError, for a
    file that cannot be read.
    """
    runs = [read_results(source) for source in sources]
    given = {name: statistics.median(run[name].seconds for run in runs if name in run) for name in _all_names(runs)}
    path = repository / TABLE
    table = read_table(path) if path.is_file() else {}
    of_profile = profile in table
    listed = {name: case.seconds for name, case in table.get(profile, table.get(FALLBACK_PROFILE, {})).items()}
    ratios = [given[name] / listed[name] for name in given.keys() & listed.keys() if listed[name] > 0.0]
    scale = statistics.median(ratios) if ratios else 1.0
    known = {**{name: scale * value for name, value in listed.items()}, **given}
    measured = frozenset(names) & known.keys()
    middle = statistics.median(known[name] for name in measured) if measured else 1.0
    return CaseSeconds(
        seconds={name: known.get(name, middle) for name in sorted(names)},
        measured=measured,
        absolute=bool(measured) and (of_profile or bool(measured & given.keys())),
        why=_explanation(len(measured & given.keys()), len(measured), len(names), profile, of_profile),
    )


def _all_names(runs: Sequence[Mapping[str, Measured]]) -> set[str]:
    return {name for run in runs for name in run}


def _explanation(given: int, measured: int, count: int, profile: str, of_profile: bool) -> str:
    if not measured:
        return f"nobody has measured any of the {count} case(s): all count the same"
    parts = [f"{given} case(s) from earlier runs"] if given else []
    if measured > given:
        what = "" if of_profile else f", in proportion: it has no figures of profile {profile}, those of smoke stand in"
        parts.append(f"{measured - given} from {TABLE}{what}")
    if count > measured:
        parts.append(f"the median for {count - measured} that nobody has measured")
    return f"seconds: {'; '.join(parts)}"


def read_results(source: Path) -> dict[str, Measured]:
    """The cases that passed in ``source``, a best_by_case.tsv or a folder with one.

    FileNotFoundError; ValueError that names the file, the line and what is wrong with it.
    """
    path = source / RESULTS if source.is_dir() else source
    found: dict[str, Measured] = {}
    for place, row in _rows(path):
        if _cell(row, "final_ok", place) != "1":
            continue
        columns = ("seconds",) if "seconds" in row else STAGE_COLUMNS
        seconds = sum(_number(_cell(row, column, place), column, place) for column in columns)
        memory = row.get("memory_gb", "")
        found[_cell(row, "case", place)] = Measured(seconds, _number(memory, "memory_gb", place) if memory else None)
    return found


def read_table(path: Path) -> dict[str, dict[str, Measured]]:
    """The committed table: by profile, by case. FileNotFoundError; ValueError that names the file and the line."""
    found: dict[str, dict[str, Measured]] = {}
    for place, row in _rows(path):
        profile, case, seconds, memory = (_cell(row, column, place) for column in COLUMNS)
        if case in found.setdefault(profile, {}):
            raise ValueError(f"{place}: {case} of profile {profile} stands there twice")
        found[profile][case] = Measured(
            _number(seconds, "seconds", place), _number(memory, "memory_gb", place) if memory else None
        )
    return found


def case_memory(repository: Path, profile: str) -> dict[str, float]:
    """The memory in 1e9 bytes that each case was measured to need under ``profile``; only the cases that were measured.

    What another profile needed is no help: it runs other numbers of environments. ValueError for a bad table.
    """
    path = repository / TABLE
    rows = read_table(path).get(profile, {}) if path.is_file() else {}
    return {name: case.memory_gb for name, case in rows.items() if case.memory_gb is not None}


def record(path: Path, profile: str, measured: Mapping[str, Measured], cases: Collection[str]) -> None:
    """Put ``measured`` into the table in ``path``, in place of what it said of them; only ``cases`` stay in it."""
    table = read_table(path) if path.is_file() else {}
    table[profile] = {**table.get(profile, {}), **measured}
    lines = ["\t".join(COLUMNS)]
    for name, rows in sorted(table.items()):
        for case, figures in sorted(rows.items()):
            memory = "" if figures.memory_gb is None else f"{figures.memory_gb:.3g}"
            if case in cases:
                lines.append(f"{name}\t{case}\t{figures.seconds:.1f}\t{memory}")
    write_text(path, HEADER + "\n".join(lines) + "\n")


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a TSV by column, each with 'file:line'; lines that begin with '#' are comments."""
    text = path.read_text(encoding="utf-8")
    lines = [(f"{path}:{number}", line) for number, line in enumerate(text.split("\n"), start=1)]
    lines = [(place, line) for place, line in lines if line and not line.startswith("#")]
    if not lines:
        raise ValueError(f"{path} is empty")
    header = lines[0][1].split("\t")
    for place, line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != len(header):
            raise ValueError(f"{place}: {len(cells)} cells for {len(header)} columns")
        yield place, dict(zip(header, cells, strict=True))


def _cell(row: Mapping[str, str], column: str, place: str) -> str:
    if column not in row:
        raise ValueError(f"{place}: there is no column '{column}'")
    return row[column]


def _number(cell: str, column: str, place: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{place}: {column} must be a number of at least 0, found {cell!r}")
    return value
