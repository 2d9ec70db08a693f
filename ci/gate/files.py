"""The gate on a run's files: junit.xml and the journals must say what the rows say."""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ci.files import read_json_object
from ci.gate.findings import Finding, read_or_find, shown
from ci.gate.rows import NEEDS
from ci.plan.plan import PlannedCase
from ci.records.journal import NAME as JOURNAL
from ci.records.journal import read_journal
from ci.records.results import CaseResult, CaseRow, RunFacts, row_of

# What must be there behind a pass. Models and videos are large, and may stay where they were made.
_TRAINING = ("train_summary.json", "log.txt")
EVIDENCE: Mapping[str, tuple[str, ...]] = {
    "train": _TRAINING,
    "long": _TRAINING,
    "test": ("test_metrics.json",),
    "viz": ("test_metrics.json", "frames.json", "contact_sheet.png"),
}
CASE_TEST = "case"  # of a case that did not pass although each of its stages did
ROUNDING = 1e-5  # relative; a table keeps six digits


def judge_junit(path: Path, expected: Sequence[PlannedCase], rows: Mapping[str, CaseRow]) -> list[Finding]:
    """junit.xml: a suite per case with a test per stage, none skipped, and red exactly where the row is."""
    root, found = read_or_find(path, lambda path: ElementTree.parse(path).getroot())
    if root is None:
        return found
    suites: dict[str, list[ElementTree.Element]] = {}
    for suite in root.iter("testsuite"):
        suites.setdefault(suite.get("name", ""), []).append(suite)
    for case in expected:
        own = suites.pop(case.name, [])
        if not own:
            found.append(Finding("zero_test", case.name, f"{path.name} has no suite for it"))
        if len(own) > 1:
            found.append(Finding("doubled", case.name, f"{path.name} has {len(own)} suites for it"))
        for suite in own:
            problems = _suite_problems(suite, case, rows.get(case.name))
            found += [Finding(kind, case.name, f"{path.name}: {message}") for kind, message in problems]
    for name in suites:
        found.append(Finding("unexpected", name, f"{path.name} has a suite for it"))
    return found


def _suite_problems(suite: ElementTree.Element, case: PlannedCase, row: CaseRow | None) -> Iterator[tuple[str, str]]:
    """Kind and message of everything wrong with the suite of a case."""
    tests: dict[str, set[str]] = {}
    for test in suite.findall("testcase"):
        name = test.get("name", "")
        if name in tests:
            yield "doubled", f"{name} is there twice"
        tests[name] = {child.tag for child in test}
    for name in case.stages:
        if name not in tests:
            yield "zero_test", f"there is no test {name}"
    red = {name for name, tags in tests.items() if tags & {"failure", "error"}}
    for name in tests:
        if name not in case.stages and not (name == CASE_TEST and name in red):
            yield "unexpected", f"the test {name} was not planned"
        if "skipped" in tests[name]:
            yield "zero_test", f"{name} is skipped"
    if row is None:
        return
    for name in case.stages:
        ok = getattr(row, f"{name}_ok", None) is True
        if name in tests and ok is (name in red):
            yield "inconsistent", f"{name} is {'red' if ok else 'green'}, its row says {name}_ok {shown(ok)}"
    if row.final_ok is (bool(red)):
        yield "inconsistent", f"the suite is {'red' if red else 'green'}, its row says final_ok {shown(row.final_ok)}"


def judge_journal(root: Path, case: PlannedCase, row: CaseRow, with_evidence: bool = True) -> Iterator[Finding]:
    """attempts.json: that what is known of every process bears the row out. A case that was not reached has none."""
    path = root / "runs" / case.name / JOURNAL
    if not row.final_ok and not path.exists():
        return
    result, problems = read_or_find(path, lambda path: read_journal(path, root), case.name)
    yield from problems
    if result is None:
        return

    def contradiction(message: str) -> Finding:
        return Finding("inconsistent", case.name, f"{path.name}: {message}")

    if result.case.name != case.name:
        yield contradiction(f"it is about {result.case.name}")
    if result.wanted != case.stages:
        yield contradiction(f"its stages are {', '.join(result.wanted)}, planned were {', '.join(case.stages)}")
    if row.final_ok and not result.finished:
        yield contradiction("the case is not finished, its row says final_ok 1")
    if with_evidence and row.final_ok and result.attempts:
        folder = path.parent / result.attempts[-1].label
        for name in (f"{stage}/{name}" for stage in result.wanted for name in EVIDENCE.get(stage, ())):
            if not (folder / name).is_file():
                yield Finding("missing", case.name, f"{folder.name}/{name} is not there, which its pass rests on")
    for name, said, derived in _contradictions(path, root, result, row):
        yield contradiction(f"{name} is {shown(derived)}, its row says {shown(said)}")


def _contradictions(path: Path, root: Path, result: CaseResult, row: CaseRow) -> Iterator[tuple[str, object, object]]:
    """Column, value in the row, value that the journal gives, where the two differ."""
    written = read_json_object(path).get("ok")
    if written is not result.ok:
        yield "ok", result.ok, written
    run = RunFacts(root, root, "", row.engine or "", (), row.seed or 0, row.commit or "", bool(row.dirty), "", 1)
    derived = row_of(result, run)
    stages = [f"{stage}_{what}" for stage in result.wanted if stage in NEEDS for what in ("rc", "ok")]
    measured = [need.column for stage in result.wanted for need in NEEDS.get(stage, ())]
    columns = ("final_ok", "variant", "num_envs", "failure", "train_timeout", *stages, *measured)
    for column in columns if row.final_ok else columns[:1]:  # what does not pass may be at work in this moment
        said, known = getattr(row, column), getattr(derived, column)
        if isinstance(said, float) and isinstance(known, (int, float)) and math.isclose(said, known, rel_tol=ROUNDING):
            continue
        if said != known:
            yield column, said, known
