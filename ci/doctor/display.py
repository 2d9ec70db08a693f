"""The doctor's tables: in colour and folded to the width of a terminal, plain and never cut off anywhere else."""

from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ci.doctor.checks import Row
from ci.doctor.configuration import GROUPS, CaseConfiguration, Nearest
from ci.doctor.finding import State

COLOURS = {State.OK: "green", State.LOOK: "yellow", State.FIX: "bold red"}
UNLIMITED = 100_000  # columns: a line in a pipe or a log is as long as what it says
ABSENT = "-"
WIDE = 120  # columns
WHOLE = ("check", "setting", "where set")


class Display:
    """Prints to ``stream``."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        width = None if self._terminal else UNLIMITED
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, width=width)

    def line(self, text: str) -> None:
        """One line."""
        print(text, file=self._stream) if not self._terminal else self._console.print(text)

    def progress(self, rows: Iterable[Row], names: Sequence[str]) -> Iterator[Row]:
        """``rows`` as they come; on a terminal the name of the check that is running is shown meanwhile."""
        if not self._terminal:
            yield from rows
            return
        with self._console.status("") as status:
            coming = iter(rows)
            for name in names:
                status.update(f"checking {name}")
                yield next(coming)

    def checks(self, rows: Sequence[Row]) -> None:
        """A row for each check, with the remedy under what was found."""
        table = self._table("", "check", "found")
        for row in rows:
            found = Text(row.finding.found)
            if row.finding.remedy:
                found.append(f"\n-> {row.finding.remedy}", style="bold")
            table.add_row(Text(row.finding.state.value, style=COLOURS[row.finding.state]), row.name, found)
        self._print(table)

    def configuration(self, configuration: CaseConfiguration) -> None:
        """Every setting with its origin, a block for each part; the value last, since it may be long."""
        self.line("")
        self.line(f"{configuration.arg_file}: effective configuration")
        table = self._table("setting", "where set", "value")
        for group in GROUPS:
            keys = [key for key in configuration.settings if key.split(".")[0] == group]
            for key in keys:
                setting = configuration.settings[key]
                table.add_row(key, Text(setting.source, style="dim"), Text(setting.text), end_section=key == keys[-1])
        self._print(table)

    def nearest(self, configuration: CaseConfiguration, nearest: Nearest | None, basis: str) -> None:
        """The nearest known-good case and what it has differently."""
        self.line("")
        if nearest is None:
            self.line(f"there is no other case to compare with ({basis})")
            return
        count = len(nearest.differences)
        self.line(f"nearest known-good case: {nearest.arg_file}, {count} setting(s) differ")
        self.line(basis)
        if not count:
            return
        table = self._table("setting", "here", "there", "where set")
        for each in nearest.differences:
            here, there = (ABSENT if side is None else side.text for side in (each.here, each.there))
            table.add_row(each.key, Text(here), Text(there), Text(each.where, style="dim"))
        self._print(table)

    def verdict(self, bad: Sequence[str], looks: Sequence[str]) -> None:
        """The last line."""
        seen = f"; look at: {', '.join(looks)}" if looks else ""
        self.line(f"fix this: {', '.join(bad)}{seen}" if bad else f"nothing needs fixing{seen}")

    def _print(self, table: Table) -> None:
        if self._terminal:
            self._console.print(table)
            return
        table.box = None
        table.pad_edge = False
        with self._console.capture() as capture:
            self._console.print(table)
        for line in capture.get().splitlines():
            self.line(line.rstrip())

    def _table(self, *columns: str) -> Table:
        table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
        for column in columns:
            # Paths and keys are read as one word; a narrow terminal has to fold them all the same.
            whole = column in WHOLE and self._console.width >= WIDE
            table.add_column(column, overflow="fold", no_wrap=whole)
        return table
