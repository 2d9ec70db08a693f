"""trend.md: what a maintainer reads in the morning."""

from collections.abc import Iterable, Sequence

from ci.failures.table import FAILURES
from ci.gate.findings import KINDS
from ci.report.shown import number
from ci.report.summary import inline
from ci.trend.history import SWEEP, HistoryRow
from ci.trend.nights import Nights, Trouble
from ci.trend.spread import FEWEST, LEARNING, NIGHTS, THROUGHPUT, Compared, Measure, compare

NAMES = 10  # of cases that are named in a sentence, before it only counts
COMPARED = (("Throughput", THROUGHPUT), ("Learning", LEARNING))


def trend_document(nights: Nights) -> str:
    """The verdict on the first line, where it comes from, the failing cases, and the numbers that moved."""
    lines = [f"# Night {nights.night}: {verdict(nights)}", "", *facts(nights), ""]
    troubles = nights.troubles()
    if troubles:
        lines += ["## Failing cases", "", *failing_head(nights), *map(failing_line, troubles), ""]
    for title, measures in COMPARED:
        lines += [f"## {title}", "", *_moved(compare(nights, measures), measures)]
    return "\n".join(lines)


def verdict(nights: Nights) -> str:
    """How many cases failed, of those that the last nights know; and which whole runs did."""
    rows = [row for profile in nights.profiles for row in nights.standing(profile)]
    cases = [row for row in rows if row.case != SWEEP]
    failed = sum(not row.passed for row in cases)
    parts = [f"{failed} of {len(cases)} cases failed" if failed else f"{len(cases)} of {len(cases)} cases passed"]
    if not cases:
        parts = ["no case ran"]
    parts += [f"the sweep of profile {row.profile} failed ({row.failure})" for row in rows if row.case == SWEEP]
    return "; ".join(parts)


def facts(nights: Nights) -> list[str]:
    """For each profile: what it came to this night, with which code, on what."""
    return [f"- profile {profile}: {_facts(nights, profile)}" for profile in nights.profiles]


def _facts(nights: Nights, profile: str) -> str:
    run = nights.sweep(profile)
    if not run:
        return f"did not run this night; what it came to on {nights.last_night(profile)} stands"
    rows = [row for row in run.values() if row.case != SWEEP]
    first = next(iter(run.values()))
    parts = [f"{sum(row.passed for row in rows)} of {len(rows)} cases passed" if rows else "came to no result"]
    if not rows and len(nights.standing(profile)) > 1:
        parts.append("what its cases came to before stands")
    if first.commit:
        parts.append(f"commit {plain(first.commit[:12])}")
    if first.engine:
        devices = _joined(row.device_name for row in rows)
        drivers = _joined(row.driver for row in rows)
        place = f" on {devices}" if devices else ""
        parts.append(f"engine {_joined(row.engine for row in run.values())}{place}")
        parts += [f"driver {drivers}"] if drivers else []
    parts += [f"[the run]({first.run_url})"] if first.run_url else []
    return " · ".join(parts)


def failing_head(nights: Nights) -> list[str]:
    """What stands above the rows of failing cases."""
    return [
        f"Nights, oldest first: {', '.join(nights.shown)}; '-' where it did not run.",
        "",
        "| case | profile | last nights | class | remedy | failing since |",
        "|---|---|---|---|---|---|",
    ]


def failing_line(trouble: Trouble) -> str:
    """A failing case, or whole run, as a row."""
    row = trouble.row
    since = f"{trouble.since} (its first night here)" if trouble.is_first else trouble.since
    words = " ".join(trouble.words)
    return f"| {plain(row.case)} | {row.profile} | {words} | {row.failure} | {plain(remedy(row))} | {since} |"


def remedy(row: HistoryRow) -> str:
    """What to do about a row that did not pass: a whole run has a kind of finding, a case mostly a class of failure."""
    kind = row.failure or ""
    tables = (KINDS, FAILURES) if row.case == SWEEP else (FAILURES, KINDS)
    known = [table[kind].remedy for table in tables if kind in table]
    return known[0] if known else "see its log"  # a class of an older version


def plain(text: str) -> str:
    """``text`` inside a Markdown line: no markup, and nobody is called by name."""
    return inline(text).replace("@", "@\N{ZERO WIDTH SPACE}")


def _moved(compared: Sequence[Compared], measures: Sequence[Measure]) -> list[str]:
    """A table of the numbers that are outside of the spread, the farthest from the median first; then the others."""
    what = " and ".join(measure.heading for measure in measures)
    if not compared:
        return [f"No case that passed this night has {what}.", ""]
    known = [one for one in compared if one.enough]
    moved = sorted((one for one in known if one.way), key=lambda one: one.distance, reverse=True)
    lines = []
    if known:
        lines += [
            f"This night's {what} beside those of the last nights before it, {NIGHTS} at most, in which the case "
            "passed with the same profile, engine and device. "
            "Outside of their spread, by more than half its width: "
            f"{len(moved)} of {len(known)} numbers.",
            "",
        ]
    if moved:
        lines += [
            "| case | profile | number | this night | which is | ratio to the median | median | spread | nights | on |",
            "|---|---|---|--:|---|--:|--:|---|--:|---|",
            *map(_moved_line, moved),
            "",
        ]
    few = [f"{plain(one.row.case)} ({one.row.profile}: {len(one.earlier)})" for one in compared if not one.enough]
    if few:
        few = list(dict.fromkeys(few))
        named = ", ".join(few[:NAMES]) + (f" and {len(few) - NAMES} more" if len(few) > NAMES else "")
        lines += [f"Too few nights, of {FEWEST} that it takes: {named}.", ""]
    return lines


def _moved_line(one: Compared) -> str:
    style = one.measure.style
    cells = (
        plain(one.row.case),
        one.row.profile,
        one.measure.heading,
        number(one.value, style),
        one.way,
        number(one.ratio, ".2f"),
        number(one.median, style),
        f"{number(one.low, style)} to {number(one.high, style)}",
        str(len(one.earlier)),
        plain(one.row.device_name or ""),
    )
    return f"| {' | '.join(cells)} |"


def _joined(names: Iterable[str | None]) -> str:
    return ", ".join(sorted({plain(name) for name in names if name}))
