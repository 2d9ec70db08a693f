"""What the GPU benchmark found, part by part: kept as JSON, merged with other runs', shown as tables."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from mimickit.bench.figures import COLUMNS, Figure, figure_as_json, figure_from_json, markdown_table, shown
from mimickit.bench.programs import ProgramError
from mimickit.errors import InputError, number_of
from mimickit.files import write_atomically

FORMAT = 1
NOT_ASKED_FOR = "not asked for"
CURVE_COLUMNS = {"Samples": "samples", "Wall_Time": "wall s"}
SECONDS_PER_HOUR = 3600.0


@dataclass
class PartRecord:
    """One part of the benchmark, filled in while it runs.

    Attributes:
        machine: of `mimickit.bench.machine.as_json`; ``shared`` when other programs used its GPUs.
        not_run: what could not be, with the reason; failures what did not do what it was run for, with its log's end.
        curves: columns of a learning curve by training: Samples, Wall_Time (hours), Test_Return, Test_Episode_Length.
        details: everything else worth keeping, as JSON.
    """

    date: str
    command: str
    machine: Mapping[str, Any]
    shared: bool = False
    seconds: float | None = None  # None: it did not come to its end
    commands: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    not_run: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def leave_out(self, what: str, reason: str) -> None:
        """Note that ``what`` was not run."""
        self.not_run.append({"what": what, "reason": reason})

    def fail(self, what: str, reason: str, tail: str = "") -> None:
        """Note that ``what`` did not work."""
        self.failures.append({"what": what, "reason": reason, "tail": tail})

    def failed(self, error: ProgramError) -> None:
        """Note what a program did not do."""
        self.fail(error.what, error.reason, error.tail)

    @property
    def ok(self) -> bool:
        """It came to its end, measured something, and all of that is within its bounds."""
        measured = self.seconds is not None and bool(self.figures)
        return measured and not self.failures and all(figure.ok for figure in self.figures)


Parts = dict[str, PartRecord]


def write_record(path: Path, parts: Parts, names: Mapping[str, str]) -> None:
    """Write ``path`` (JSON) and the Markdown file beside it.

    ``names`` are all parts there could be, in order, each with the reason why it was not run if it is not in ``parts``.
    """
    content = {
        "format": FORMAT,
        "ok": all(part.ok for part in parts.values()),
        "parts": {name: _part_as_json(parts[name]) for name in names if name in parts},
        "not_run": {name: reason for name, reason in names.items() if name not in parts},
    }
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    write_atomically(path.with_suffix(".md"), ("\n".join(markdown(parts, names)) + "\n").encode())


def _part_as_json(part: PartRecord) -> dict[str, Any]:
    return {**vars(part), "figures": [figure_as_json(figure) for figure in part.figures], "ok": part.ok}


def read_record(path: Path) -> Parts:
    """The parts of a record; InputError when it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, not {FORMAT}")
        return {name: _part_from_json(part) for name, part in content["parts"].items()}
    except OSError as error:
        raise InputError(f"--merge {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"--merge {path}: not a record of this benchmark: {error!r}") from None


def _part_from_json(content: Mapping[str, Any]) -> PartRecord:
    values = {each.name: content[each.name] for each in fields(PartRecord)}
    return PartRecord(**{**values, "figures": [figure_from_json(figure) for figure in content["figures"]]})


def merge(records: Sequence[Parts]) -> Parts:
    """All parts; of a part that several have, the last one's. Each keeps its own machine, date and code."""
    return {name: part for record in records for name, part in record.items()}


def print_record(parts: Parts, names: Mapping[str, str], console: Console) -> None:
    """What failed and what is worth a note, the table of every figure, of what failed and of what was not run, and in
    a sentence what is not good."""
    for name, part in parts.items():
        for failure in part.failures:
            console.print(f"{name}: {failure['what']}: {failure['reason']}", style="red", markup=False)
            if failure["tail"]:
                console.print(failure["tail"], style="dim", markup=False, highlight=False)
        for note in part.notes:
            console.print(f"{name}: {note}", markup=False)
    table = Table(*(Column(name, overflow="fold") for name in COLUMNS), title="On the GPU")
    for name, reason in names.items():
        rows = [_bare(name, ""), *_rows(parts[name])] if name in parts else [_bare(f"{name}: {reason}", "not run")]
        table.add_row(*map(Text, rows[0]), style="bold")
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        table.add_section()
    console.print(table)
    console.print(conclusion(parts), soft_wrap=True, markup=False, highlight=False)


def conclusion(parts: Parts) -> str:
    """In a sentence: how many bounds were missed and what failed, in which parts, and in which nothing was measured."""
    bad = {name: part for name, part in parts.items() if not part.ok}
    if not bad:
        return f"all bounds are met: {', '.join(parts)}"
    missed = sum(not figure.ok for part in bad.values() for figure in part.figures)
    failed = sum(len(part.failures) for part in bad.values())
    empty = ", ".join(name for name, part in bad.items() if not part.figures)
    nothing = f"; nothing was measured in {empty}" if empty else ""
    return f"{number_of(missed, 'bound')} missed, {number_of(failed, 'failure')}: {', '.join(bad)}{nothing}"


def _rows(part: PartRecord) -> list[tuple[str, ...]]:
    rows = [figure.row for figure in part.figures]
    rows += [_bare(f"{each['what']}: {each['reason']}", "FAILED") for each in part.failures]
    rows += [_bare(f"{each['what']}: {each['reason']}", "not run") for each in part.not_run]
    if part.seconds is None:
        rows.append(_bare("the rest of it: did not come to its end", "FAILED"))
    return rows


def _bare(what: str, verdict: str) -> tuple[str, ...]:
    """A row without a number."""
    return (what, *([""] * (len(COLUMNS) - 2)), verdict)


def markdown(parts: Parts, names: Mapping[str, str]) -> list[str]:
    """Lines of a document: per part its machine, its commands, its table and its learning curves."""
    lines = ["# Measured on GPUs", ""]
    for name, reason in names.items():
        lines += [f"## {name}", ""]
        part = parts.get(name)
        if part is None:
            lines += [f"Not run: {reason}.", ""]
            continue
        lines += [_provenance(part), ""]
        if part.commands:
            lines += ["```", part.command, *(f"#   {command}" for command in part.commands), "```", ""]
        lines += [*markdown_table(COLUMNS, _rows(part)), ""]
        lines += [*(f"- {note}" for note in part.notes), *([""] if part.notes else [])]
        for training, curve in part.curves.items():
            lines += [f"{training}:", "", *_curve_table(curve), ""]
    return lines[:-1]


def _provenance(part: PartRecord) -> str:
    machine = part.machine
    gpus = [gpu["name"] for gpu in machine["gpus"]]
    counted = [f"{gpus.count(name)} x {name}" if len(gpus) > 1 else name for name in dict.fromkeys(gpus)]
    drivers = ", ".join(dict.fromkeys(gpu["driver"] for gpu in machine["gpus"]))
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    code = f"commit {machine['commit'][:12]}{' with changes' if machine['dirty'] else ''}"
    shared = "; other programs used the GPU" if part.shared else ""
    return f"{part.date}; {', '.join(counted)}, driver {drivers}; {versions}; {code}{shared}."


def _curve_table(curve: Mapping[str, list[float]]) -> list[str]:
    """A row per quantity, a column per row of the log."""
    formats: dict[str, Callable[[float], str]] = {
        "Samples": lambda value: f"{value / 1e6:.1f}M",
        "Wall_Time": lambda value: f"{value * SECONDS_PER_HOUR:.0f}",
    }
    rows = []
    for column, values in curve.items():
        title = CURVE_COLUMNS.get(column, column.lower().replace("_", " "))
        rows.append([title, *(formats.get(column, shown)(value) for value in values)])
    return markdown_table(rows[0], rows[1:])
