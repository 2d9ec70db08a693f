"""summary.md: the run for the page of a CI job."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ci.files import write_text
from ci.gate.findings import Finding
from ci.records.results import Entry, RunFacts
from ci.report.shown import (
    Column,
    Explained,
    all_pass,
    columns_of,
    explained,
    in_order,
    log_tail,
    printable,
    trouble,
    verdict,
)

LIMIT_BYTES = 1_000_000  # GitHub takes 1 MiB a step and shows nothing of a longer one
NOTICE_BYTES = 300  # kept for saying what was left out

_MARKDOWN = re.compile(r"([\\`*\[\]|~#])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


class _Page:
    """Lines up to a number of bytes. A block that does not fit any more is left out whole, and counted."""

    def __init__(self, limit: int) -> None:
        self.lines: list[str] = []
        self._room = limit

    def add(self, *lines: str) -> bool:
        """Append one block; False when there is no room for it."""
        size = sum(len(line.encode()) + 1 for line in lines)
        if size > self._room:
            return False
        self._room -= size
        self.lines += lines
        return True

    def add_each(self, blocks: Iterable[Sequence[str]], count: int, what: str) -> None:
        """Append blocks, of which there are ``count``, while they fit, then say how many did not."""
        for number, block in enumerate(blocks):
            if not self.add(*block):
                self.lines += ["", f"{count - number} more {what}: no room here; see report.html.", ""]
                return


def write_summary(path: Path, entries: Sequence[Entry], run: RunFacts, findings: Sequence[Finding]) -> None:
    """The verdict on the first line, what was found, the table with failures first, the failures' logs to unfold.

    Stays below the size that GitHub shows: what has no room is left out from the end, and said.
    """
    page = _Page(LIMIT_BYTES - 3 * NOTICE_BYTES)
    page.add(f"# {verdict(entries, findings)}", "", _facts(run), "")
    if findings:
        page.add("## Findings", "", "| kind | case | message | remedy |", "|---|---|---|---|")
        page.add_each(([_finding_line(line)] for line in explained(findings, entries)), len(findings), "findings")
        page.add("")
    ordered = in_order(entries)
    if not all_pass(entries, findings):
        page.add("## Cases", "")
    columns = columns_of(entries)
    page.add(
        f"| case | result | failure | {' | '.join(column.heading for column in columns)} | note |",
        f"|---|---|---|{'--:|' * len(columns)}---|",
    )
    page.add_each(([_case_line(entry, columns)] for entry in ordered), len(ordered), "cases")
    logged = [entry for entry in ordered if (failed := trouble(entry)) and failed.log and failed.log.is_file()]
    if logged:
        page.add("", "## Logs of failures", "")
        page.add_each(map(_log_block, logged), len(logged), "logs")
    write_text(path, "\n".join(page.lines) + "\n")


def _facts(run: RunFacts) -> str:
    devices = ", ".join(run.devices)
    parts = [
        f"`{run.root.name}`",
        f"engine {run.engine} on {devices}{f' (driver {run.driver})' if run.driver else ''}",
        f"profile {run.profile}",
        f"seed {run.seed}",
        f"commit {run.commit[:12]}{' with local changes' if run.dirty else ''}",
        f"{run.jobs} at a time" if run.jobs > 1 else "one at a time",
        f"{run.seconds:.0f} s",
    ]
    return " · ".join(parts)


def _finding_line(line: Explained) -> str:
    cells = (line.finding.kind, line.finding.case, line.message, line.remedy)
    return f"| {' | '.join(map(inline, cells))} |"


def _case_line(entry: Entry, columns: Sequence[Column]) -> str:
    failed = trouble(entry)
    result = "**FAILED**" if failed else "passed"
    kind = failed.kind if failed else ""
    numbers = [column.text(entry.row) for column in columns]
    return f"| {inline(entry.row.case)} | {result} | {kind} | {' | '.join(numbers)} | {inline(entry.row.note)} |"


def _log_block(entry: Entry) -> list[str]:
    """The end of the log of the stage that failed, folded away."""
    failed = trouble(entry)
    lines = log_tail(failed.log) if failed else []
    fence = "`" * max(3, 1 + max(len(run) for run in re.findall("`*", "\n".join(lines))))
    title = f"{inline(entry.row.case)}: {failed.stage} ({failed.kind})" if failed else inline(entry.row.case)
    return [f"<details><summary>{title}</summary>", "", f"{fence}text", *lines, fence, "", "</details>", ""]


def inline(text: str) -> str:
    """``text`` as one line of plain words inside Markdown: nothing in it is markup."""
    line = " ".join(printable(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\g<0>", line)
