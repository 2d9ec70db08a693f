"""report.html: the run on one page that needs no other file and asks no server for anything."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ci.durations import clock
from ci.files import write_text
from ci.gate.findings import Finding
from ci.plan.plan import Plan
from ci.records.results import CaseRow, Entry, RunFacts
from ci.report import curves
from ci.report.comparison import MARGIN, MEASURES, compare
from ci.report.sections import Links, sections_of
from ci.report.shown import Column, all_pass, columns_of, explained, in_order, passed, printable, trouble

HERE = Path(__file__).parent
NAME = "report.html"
PAGE_COLUMNS = (
    Column("memory GB", "memory_gb", ".2f"),
    Column("all s", "seconds", ".1f"),
)


def write_page(
    path: Path,
    entries: Sequence[Entry],
    run: RunFacts,
    findings: Sequence[Finding],
    plan: Plan | None,
    baseline: Mapping[str, CaseRow] | None,
) -> None:
    """Write the page. ``baseline`` holds the rows of the last green run by case, None when there was none.

    Missing and broken pictures, logs and journals are said where they would stand; they never stop the page.
    Links lead to the run's files relative to the page.
    """
    ordered = in_order(entries)
    sections = sections_of(ordered, run, plan, Links(path.parent))
    style, script = _inline("page.css"), _inline("page.js")
    planned = [case.name for case in plan.cases] if plan else []
    comparison = compare(entries, baseline, planned) if baseline else None
    page = (
        _environment()
        .get_template("page.html")
        .render(
            title=f"{run.root.name}: all_pass {all_pass(entries, findings)}",
            policy=_policy(style, script),
            style=style,
            script=script,
            good=all_pass(entries, findings),
            counts=_counts(entries, findings),
            classes=Counter(failed.kind for failed in map(trouble, ordered) if failed).most_common(),
            run=run,
            facts=_facts(entries, run, plan, baseline),
            findings=explained(findings, entries),
            columns=(*columns_of(entries), *PAGE_COLUMNS),
            failed=[section for section in sections if section.trouble],
            passing=[section for section in sections if not section.trouble],
            sections=sections,
            comparison=comparison,
            measures=MEASURES,
            margin=round(100 * MARGIN),
            anchors={section.row.case: section.anchor for section in reversed(sections)},
            chart=curves,
        )
    )
    write_text(path, page)


def _environment() -> Environment:
    """Everything that a template shows is escaped, and what no document may hold is replaced."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    return environment


def _inline(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """What a browser may do with the page: show it, with this style, this script and the pictures inside it.

    Only the two texts with these hashes run: whatever a log or a note smuggled in would not.
    """
    parts = [
        "default-src 'none'",
        "img-src data:",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _counts(entries: Sequence[Entry], findings: Sequence[Finding]) -> list[tuple[str, int, str]]:
    """Heading, number and colour class of each count in the banner."""
    good = sum(map(passed, entries))
    bad = len(entries) - good
    return [
        ("cases", len(entries), "" if entries else "bad"),
        ("passed", good, "good" if good else ""),
        ("failed", bad, "bad" if bad else ""),
        ("findings", len(findings), "bad" if findings else ""),
    ]


def _facts(
    entries: Sequence[Entry], run: RunFacts, plan: Plan | None, baseline: Mapping[str, CaseRow] | None
) -> list[tuple[str, str]]:
    """What is known of the run: label and value; what is not known is left out."""
    rows = [entry.row for entry in entries]
    busy = sum(row.seconds or 0.0 for row in rows)
    facts = [
        ("run", run.root.name),
        ("commit", run.commit + (" (with local changes)" if run.dirty else "")),
        ("profile", run.profile),
        ("engine", f"{run.engine} {_joined(row.engine_version for row in rows)}".strip()),
        ("devices", ", ".join(run.devices)),
        ("hardware", _joined(row.device_name for row in rows)),
        ("GPU driver", run.driver),
        ("packages", _joined(row.packages for row in rows)),
        ("seed", str(run.seed)),
        ("jobs", str(run.jobs)),
        ("wall time", f"{clock(run.seconds)}; processes {clock(busy)}"),
    ]
    if plan is not None:
        expected = sum(case.seconds for case in plan.cases if case.name in {row.case for row in rows})
        facts.append(("planned", f"{len(plan.cases)} cases in {len(plan.shards)} shard(s); these: {clock(expected)}"))
        facts.append(("chosen", plan.why))
    facts.append(("compared with", _about(baseline) if baseline else "no earlier green run"))
    return [(label, value) for label, value in facts if value]


def _joined(values: Iterable[str | None]) -> str:
    """The different ones among ``values``, in the order they came."""
    return " | ".join(dict.fromkeys(value for value in values if value))


def _about(baseline: Mapping[str, CaseRow]) -> str:
    commits = _joined((row.commit or "")[:12] for row in baseline.values())
    roots = _joined(
        Path(row.out_dir).parts[2] for row in baseline.values() if row.out_dir and row.out_dir.count("/") > 2
    )
    return f"{roots or 'a green run'}, commit {commits or 'unknown'}, {len(baseline)} cases"
