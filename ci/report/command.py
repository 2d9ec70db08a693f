"""``nox -s report``: write the reports of a run anew, from its tables and journals."""

import argparse
import dataclasses
import json
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ci.cases import method_of
from ci.errors import UsageError
from ci.files import read_json_object, write_json
from ci.gate import gate
from ci.gate.findings import KINDS, Finding, read_or_find
from ci.plan.plan import Plan, PlannedCase, read_plan
from ci.records.journal import NAME as JOURNAL
from ci.records.journal import read_journal
from ci.records.results import CaseResult, CaseRow, Entry, RunFacts, relative, row_of
from ci.records.roots import DEFAULT_NAME, FINDINGS, JUNIT, PAGE, PARENT, PLAN, ROWS, find_root, locked
from ci.records.roots import SUMMARY as SUMMARY_FILE
from ci.records.run_record import NAME as RUN
from ci.records.tables import read_rows
from ci.report.baseline import find_last_green, read_baseline
from ci.report.junit import write_junit
from ci.report.page import write_page
from ci.report.shown import in_order
from ci.report.summary import write_summary
from ci.report.terminal import result_lines

SUMMARY = "write a run's junit.xml, summary.md and report.html anew, and say whether it passed"
EXIT_PASSED, EXIT_FAILED = 0, 1

EPILOG = f"""\
examples:
  nox -s report                                       the newest run
  nox -s report -- case_e2e_all_20260101_120000 --open
  nox -s report -- merged_20260101_120000 --last-green output/train/case_e2e_all_20251231_120000

Nothing is run. {ROWS} and the attempts.json of each case are read and judged as at the end of the run; {JUNIT},
{SUMMARY_FILE}, {PAGE} and {FINDINGS} are written. {PAGE} is one file that loads nothing; its links lead to
logs and films beside it.

The last line is 'all_pass True' or 'all_pass False'.
exit code: 0 it passed; 1 it did not; 2 the command is wrong, nothing is written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``ci report``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add(
        "root",
        nargs="?",
        metavar="ROOT",
        help=f"a run's folder, or its name under {PARENT}/ (default: the newest {DEFAULT_NAME}*)",
    )
    add(
        "--last-green",
        type=Path,
        metavar="DIR_OR_TSV",
        help="the run to compare with, or its best_by_case.tsv (default: the last that passed before this one, with "
        "the same profile and engine, of those that share most cases with it)",
    )
    add("--open", action="store_true", help=f"show {PAGE} in a browser afterwards")


def run(arguments: argparse.Namespace, repository: Path) -> int:
    """Write the reports and judge; returns the exit code. Raises UsageError."""
    root = find_root(repository, arguments.root) if arguments.root else newest_root(repository / PARENT)
    plan, facts, content = _read_run(root, repository)
    baseline = _baseline(arguments.last_green, root)
    with locked(root):
        findings = _write(root, plan, facts, content, baseline)
    for finding in findings:
        print(finding.sentence())
    print(f"{relative(root, repository)}: {JUNIT}, {SUMMARY_FILE}, {PAGE}, {FINDINGS}")
    if arguments.open and not webbrowser.open((root / PAGE).as_uri()):
        print(f"no browser could be started: open {root / PAGE} by hand")
    print(gate.verdict_line(findings))
    return EXIT_PASSED if gate.all_pass(findings) else EXIT_FAILED


def newest_root(parent: Path) -> Path:
    """The folder of the last run that got its name from the time it began. UsageError when there is none."""
    roots = sorted(path.parent for path in parent.glob(f"{DEFAULT_NAME}*/{RUN}"))
    if not roots:
        raise UsageError(f"{parent} holds no {DEFAULT_NAME}* with a {RUN}: name the folder of a run, or start one.")
    return roots[-1].resolve()


def read_entries(root: Path, plan: Plan, shard: int | None, facts: RunFacts) -> list[Entry]:
    """The rows of a run's table with the journals that can be read, and an entry for each planned case without a row.

    What cannot be read is left out here: telling is the gate's business.
    """
    rows, _ = read_or_find(root / ROWS, read_rows)
    entries = [Entry(row, _journal(root, row.case, facts)) for row in rows or ()]
    found = {entry.row.case for entry in entries}
    missing = [case for case in gate.expected_cases(plan, shard) if case.name not in found]
    return [*entries, *(_without_row(root, case, facts) for case in missing)]


def _write(
    root: Path, plan: Plan, facts: RunFacts, content: Mapping[str, Any], baseline: Mapping[str, CaseRow] | None
) -> list[Finding]:
    """All files; what speaks against the run."""
    shard = _shard(content)
    entries = in_order(read_entries(root, plan, shard, facts))
    write_junit(root / JUNIT, entries)
    findings = gate.judge_root(plan, root, shard)
    findings += [one for one in _findings_of_merging(root, content) if one not in findings]
    if not findings and content.get("all_pass") is not True:
        findings.append(Finding("inconsistent", "", f"{RUN} does not say all_pass, though nothing else says why"))
    write_json(root / FINDINGS, [dataclasses.asdict(finding) for finding in findings])
    write_summary(root / SUMMARY_FILE, entries, facts, findings)
    write_page(root / PAGE, entries, facts, findings, plan, baseline)
    for line in result_lines(entries):
        print(line)
    return findings


def _findings_of_merging(root: Path, content: Mapping[str, Any]) -> Sequence[Finding]:
    """What spoke against the folders that a merged one was made of: that cannot be seen in the merged one any more."""
    if gate.MERGED not in content:
        return []
    read, problems = read_or_find(root / FINDINGS, _read_findings)
    return problems if read is None else read


def _read_findings(path: Path) -> list[Finding]:
    found = [Finding(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    unknown = sorted({one.kind for one in found} - set(KINDS))
    if unknown:
        raise ValueError(f"{path.name}: no such kind of finding: {', '.join(unknown)}")
    return found


def _journal(root: Path, case: str, facts: RunFacts) -> CaseResult | None:
    result, _ = read_or_find(root / "runs" / case / JOURNAL, lambda path: read_journal(path, facts.repository), case)
    return result


def _without_row(root: Path, case: PlannedCase, facts: RunFacts) -> Entry:
    """What is known of a case from its journal alone; it did not pass."""
    result = _journal(root, case.name, facts)
    row = row_of(result, facts) if result else CaseRow(case.name, method_of(case.name), case.case_type)
    return Entry(dataclasses.replace(row, final_ok=False, note="it has no row in the table"), result)


def _shard(content: Mapping[str, Any]) -> int | None:
    """The shard (0-based) that run.json names; None for a whole plan."""
    shard = content.get("shard")
    if not (isinstance(shard, list) and len(shard) == 2 and all(type(number) is int for number in shard)):
        raise UsageError(f"{RUN}: 'shard' is {shard!r}, expected [I, N]")
    return None if shard[1] == 1 else shard[0] - 1


def _read_run(root: Path, repository: Path) -> tuple[Plan, RunFacts, dict[str, Any]]:
    """What the run was to do, and on what. UsageError when its files do not say."""
    try:
        plan, content = read_plan(root / PLAN), read_json_object(root / RUN)
        facts = RunFacts(
            root=root,
            repository=repository,
            profile=str(content["profile"]),
            engine=str(content["engine"]),
            devices=tuple(map(str, content["devices"])),
            seed=int(content["seed"]),
            commit=str(content["commit"]),
            dirty=bool(content["dirty"]),
            driver=str(content["driver"]),
            jobs=int(content["jobs"]),
            seconds=float(content["seconds"]),
        )
    except FileNotFoundError as error:
        raise UsageError(f"{root} is no folder of a run: {Path(error.filename).name} is missing.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{root}: {type(error).__name__}: {error}.") from error
    return plan, facts, content


def _baseline(given: Path | None, root: Path) -> Mapping[str, CaseRow] | None:
    """The rows to compare with; None when no earlier run passed."""
    source = given or find_last_green(root.parent, root)
    if source is None:
        return None
    try:
        return read_baseline(source)
    except (OSError, ValueError) as error:
        raise UsageError(f"--last-green {source} cannot be read: {error}") from error
