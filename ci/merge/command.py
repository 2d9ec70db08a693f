"""``nox -s merge``: the folders of all shards, held against the plan and joined into one.

A folder counts when its run.json names the plan and one of its shards; its rows, journals and files are then judged as
the run judged them, and all of them together once more. What the gate finds decides; nothing here does.
"""

import argparse
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ci import values
from ci.cases import Case
from ci.errors import UsageError
from ci.files import write_json
from ci.gate import gate
from ci.gate.gate import Finding, read_or_find
from ci.gate.jobs import judge_jobs, read_jobs
from ci.github import Annotation, print_annotations
from ci.github import write_summary as step_summary
from ci.merge.shard_folders import DEPTH, Part, choose_plan, entry_of, find_roots, read_parts
from ci.plan.plan import Plan, read_plan, write_plan
from ci.records.journal import NAME as JOURNAL
from ci.records.journal import write_journal
from ci.records.results import CaseRow, Entry, RunFacts, relative
from ci.records.roots import FINDINGS, JUNIT, MANIFEST, PAGE, PARENT, PLAN, ROWS, make_root
from ci.records.roots import SUMMARY as SUMMARY_FILE
from ci.records.run_record import DONE, FORMAT
from ci.records.run_record import NAME as RUN
from ci.records.tables import write_manifest, write_rows
from ci.report.baseline import find_last_green, read_baseline
from ci.report.junit import write_junit
from ci.report.page import write_page
from ci.report.summary import inline, write_summary

SUMMARY = "hold the folders of all shards against the plan, join them, and say whether everything passed"
STEM = "merged_"
PLAIN_WIDTH = 100_000  # where no terminal cuts lines off, neither do we
EXIT_PASSED, EXIT_FAILED = 0, 1

EPILOG = f"""\
examples:
  nox -s merge -- shards                                      a folder with one downloaded folder for each shard
  nox -s merge -- shards --plan plan/plan.json                the same; the plan from the job that made it
  nox -s merge -- output/train/one output/train/two output/train/three --root-out all
  nox -s merge -- shards --last-green output/train/case_e2e_all_20260101_120000

The folder of a run is one that holds {ROWS} or {RUN}. It counts as a shard when its {RUN} names
the plan; what is of another plan, commit or seed is stale and does not count. Everything that was planned must be there
once, and nothing else; each number that a pass rests on must be there and finite, and the files of a shard must bear
its rows out.

It writes {ROWS}, {JUNIT}, {SUMMARY_FILE}, {PAGE}, {FINDINGS}, the plan and the
journals of the cases into a folder of its own; logs and videos stay where they are, and the paths in the table lead
there. A planned case without a row gets one that says so. Where the variable GITHUB_STEP_SUMMARY names a file, the
summary is appended to it; in a workflow, each case that failed becomes an annotation.

The last line is 'all_pass True' or 'all_pass False'.
exit code: 0 everything that was planned came back and passed; 1 it did not; 2 the command is wrong, nothing is
written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``ci merge``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add(
        "dir",
        nargs="+",
        type=Path,
        metavar="DIR",
        help=f"folder of a shard's run, or one that holds such, {DEPTH} deep",
    )
    add("--plan", type=Path, metavar="F", help="plan.json of this run (default: the one that all shards hold)")
    add(
        "--root-out",
        type=values.folder_name,
        metavar="NAME",
        help=f"folder under output/train/ (default: {STEM}TIME); must not exist yet",
    )
    add(
        "--jobs", type=Path, metavar="F", help="a file with toJSON(needs) of a workflow: a job that failed is a finding"
    )
    add(
        "--about",
        type=values.words,
        default=(),
        metavar="JOB,JOB",
        help="of those jobs, which made this run (default: all)",
    )
    add("--optional", type=values.words, default=(), metavar="JOB,JOB", help="of those jobs, which may be skipped")
    add(
        "--retried",
        type=values.words,
        default=(),
        metavar="JOB=JOB",
        help="the first may have failed where the second, which repeats what a lost runner left undone, succeeded",
    )
    add(
        "--last-green",
        type=Path,
        metavar="DIR_OR_TSV",
        help=f"the run to compare with, or its {ROWS} (default: the last that passed before this one)",
    )


def run(arguments: argparse.Namespace, repository: Path) -> int:
    """Merge and judge; returns the exit code. Raises UsageError."""
    of_jobs = _jobs(arguments)
    if of_jobs and arguments.plan is not None and not arguments.plan.exists():
        return _without_plan(of_jobs)
    roots, found = find_roots(arguments.dir)
    found += of_jobs
    baseline = _baseline(arguments.last_green) if arguments.last_green else None
    plan, problems = choose_plan(arguments.plan, roots, repository)
    found += problems
    parts, problems = read_parts(plan, roots, repository)
    found += problems
    found += gate.judge_shards(plan, [part.shard for part in parts])
    found += gate.judge(plan, [row for part in parts for row in part.rows])
    found = list(dict.fromkeys(found))

    root = make_root(repository / PARENT, arguments.root_out, STEM)
    facts = _facts(plan, root, repository, parts)
    entries = [entry_of(case, plan, parts, repository) for case in plan.cases]
    found += _write_results(plan, entries, facts, parts, found)
    found = _without_cases_of_lost_shards(found, plan, parts)
    if baseline is None:
        green = find_last_green(root.parent, root)  # the shards are none: they began no earlier
        baseline = _baseline(green) if green else None
    write_json(root / FINDINGS, [dataclasses.asdict(finding) for finding in found])
    write_summary(root / SUMMARY_FILE, entries, facts, found)
    write_page(root / PAGE, entries, facts, found, plan, baseline)
    write_json(root / RUN, _run_json(plan, facts, parts, gate.all_pass(found)))
    step_summary((root / SUMMARY_FILE).read_text(encoding="utf-8"))
    print_annotations(_annotations(entries, found, repository))
    _show(plan, facts, parts, found, planned=arguments.plan is not None)
    return EXIT_PASSED if gate.all_pass(found) else EXIT_FAILED


def _jobs(arguments: argparse.Namespace) -> list[Finding]:
    """What the other jobs of the workflow say against the run."""
    if arguments.jobs is None:
        if arguments.optional or arguments.retried or arguments.about:
            raise UsageError("--optional, --retried and --about belong to --jobs FILE.")
        return []
    words = [word.partition("=") for word in arguments.retried]
    if not all(name and again for name, _, again in words):
        raise UsageError("--retried takes JOB=JOB_THAT_REPEATS_IT.")
    retried = {name: again for name, _, again in words}
    return judge_jobs(read_jobs(arguments.jobs), arguments.optional, retried, arguments.about)


def _without_plan(found: Sequence[Finding]) -> int:
    """The verdict of a workflow that did not come as far as a plan."""
    lines = [finding.sentence() for finding in found]
    print("\n".join(lines))
    step_summary("".join(f"- {inline(line)}\n" for line in lines))
    print_annotations(Annotation(finding.kind, finding.sentence()) for finding in found)
    print(gate.verdict_line(found))
    return EXIT_FAILED


def _without_cases_of_lost_shards(found: Sequence[Finding], plan: Plan, parts: Sequence[Part]) -> list[Finding]:
    """The finding about a shard that did not come back stands for those about its cases."""
    here = {part.shard for part in parts}
    lost = {name for shard, names in enumerate(plan.shards) if shard not in here for name in names}
    return [one for one in found if not (one.kind == "missing" and one.case in lost)]


def _write_results(
    plan: Plan, entries: Sequence[Entry], facts: RunFacts, parts: Sequence[Part], found: Sequence[Finding]
) -> list[Finding]:
    """The merged folder without its reports; what speaks against it as it was written, and was not found before."""
    root = facts.root
    write_plan(root / PLAN, plan)
    write_manifest(root / MANIFEST, [entry.result.case if entry.result else _case_of(entry.row) for entry in entries])
    write_rows(root / ROWS, [entry.row for entry in entries])
    for entry in entries:
        if entry.result is not None:
            write_journal(root / "runs" / entry.row.case / JOURNAL, entry.result, facts.repository)
    write_junit(root / JUNIT, entries)
    write_json(root / RUN, _run_json(plan, facts, parts, False))
    blamed = {finding.case for finding in found if finding.case}
    written, _ = read_or_find(root / PLAN, read_plan)  # an empty plan cannot be read back, and is a finding already
    judged = gate.judge_root(plan, root) if written or not found else []
    return [finding for finding in judged if finding not in found and finding.case not in blamed]


def _case_of(row: CaseRow) -> Case:
    """What can be said of a case that did not come back."""
    return Case(row.case, f"args/{row.case}.txt", row.method, row.case_type, "", "", "")


def _facts(plan: Plan, root: Path, repository: Path, parts: Sequence[Part]) -> RunFacts:
    """The whole run's: what its shards had, and the wall time of the longest."""
    devices = {str(name) for part in parts for name in part.run.get("devices") or ()}
    return RunFacts(
        root=root,
        repository=repository,
        profile=plan.profile,
        engine=_joined(parts, "engine") or plan.engine,
        devices=tuple(sorted(devices)),
        seed=plan.seed,
        commit=plan.commit,
        dirty=plan.dirty,
        driver=_joined(parts, "driver"),
        jobs=int(max(_numbers(parts, "jobs"), default=1)),
        seconds=max(_numbers(parts, "seconds"), default=0.0),
    )


def _run_json(plan: Plan, facts: RunFacts, parts: Sequence[Part], passed: bool) -> dict[str, Any]:
    """run.json of a merged folder: without options, so nobody can go on with it."""
    shared = {key: getattr(facts, key) for key in ("profile", "engine", "devices", "seed", "commit", "dirty", "driver")}
    return {
        "format": FORMAT,
        "plan": plan.id,
        "shard": [1, 1],
        **shared,
        "changes": plan.changes,
        "code_at_end": "",
        "jobs": facts.jobs,
        "started": min((str(part.run.get("started", "")) for part in parts), default=""),
        "seconds": facts.seconds,
        **{key: round(sum(_numbers(parts, key)), 3) for key in ("case_seconds", "stage_seconds", "idle_seconds")},
        "ended": DONE,
        "all_pass": passed,
        gate.MERGED: [relative(part.root, facts.repository) for part in parts],
    }


def _numbers(parts: Sequence[Part], key: str) -> list[float]:
    """The finite numbers that the shards' run.json have under ``key``."""
    found = [part.run.get(key) for part in parts]
    return [value for value in found if isinstance(value, (int, float)) and math.isfinite(value)]


def _joined(parts: Sequence[Part], key: str) -> str:
    return ", ".join(sorted({str(part.run.get(key) or "") for part in parts} - {""}))


def _baseline(path: Path) -> Mapping[str, CaseRow]:
    try:
        return read_baseline(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--last-green {path} cannot be read: {error}") from error


def _annotations(entries: Sequence[Entry], found: Sequence[Finding], repository: Path) -> Iterator[Annotation]:
    """One for each case that did not pass, beside its arg file; then what is not about a single case."""
    told = set()
    for entry in entries:
        if not entry.row.final_ok:
            told.add(entry.row.case)
            title = f"{entry.row.case}: {entry.row.failure or 'did not pass'}"
            yield Annotation(title, entry.row.note or "it has no result", _arg_file(entry.row.case, repository))
    for finding in found:
        if finding.case not in told:
            yield Annotation(finding.kind, finding.sentence(), _arg_file(finding.case, repository))


def _arg_file(case: str, repository: Path) -> str:
    name = f"args/{case}.txt"
    return name if case and (repository / name).is_file() else ""


def _show(plan: Plan, facts: RunFacts, parts: Sequence[Part], found: Sequence[Finding], planned: bool) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    table = Table(box=None, pad_edge=False)
    table.add_column("shard")
    table.add_column("folder", overflow="fold")
    for title in ("cases", "passed", "wall s"):
        table.add_column(title, justify="right")
    for part in parts:
        seconds = "".join(f"{value:.1f}" for value in _numbers([part], "seconds")) or "-"
        passed = sum(row.final_ok for row in part.rows)
        place = relative(part.root, facts.repository)
        table.add_row(f"{part.shard + 1}/{len(plan.shards)}", place, str(len(part.rows)), str(passed), seconds)
    console.print(table)
    times = _numbers(parts, "seconds")
    if len(times) > 1 and max(times) > 0.0:
        console.print(f"the shortest shard took {(max(times) - min(times)) / max(times):.0%} less than the longest")
    for finding in found:
        console.print(finding.sentence())
    names = ", ".join((ROWS, SUMMARY_FILE, JUNIT, PAGE, FINDINGS))
    if not planned:
        console.print("note: without --plan, what was planned is taken from the folders that came back")
    console.print(f"{relative(facts.root, facts.repository)}: {names}")
    console.print(gate.verdict_line(found))
