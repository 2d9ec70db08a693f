"""The gate: what came back, held against what was planned. Nothing else decides whether a run passed.

A run passes when there is nothing to say against it: every function here returns findings, and no findings is the only
way to ``all_pass True``. What is absent, empty, contradictory or not finite is a finding; nothing counts as good
because a comparison with it happened to be false.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ci.files import read_json_object
from ci.gate.files import judge_journal, judge_junit
from ci.gate.findings import KINDS, Finding, FindingKind, read_or_find, remedy_of, shown
from ci.gate.rows import differences, judge_row
from ci.plan.plan import Plan, PlannedCase, read_plan
from ci.records.results import CaseRow
from ci.records.roots import JUNIT, PLAN, ROWS
from ci.records.run_record import DONE
from ci.records.run_record import NAME as RUN
from ci.records.tables import read_rows

MERGED = "merged"  # the key of run.json that holds the folders a merged one was made of

__all__ = [
    "KINDS",
    "Finding",
    "FindingKind",
    "all_pass",
    "expected_cases",
    "judge",
    "judge_root",
    "judge_shard",
    "judge_shards",
    "place_root",
    "read_or_find",
    "remedy_of",
    "verdict_line",
]


def all_pass(findings: Sequence[Finding]) -> bool:
    """The verdict."""
    return not findings


def verdict_line(findings: Sequence[Finding]) -> str:
    """The verdict as the last line that a command prints."""
    return f"all_pass {all_pass(findings)}"


def judge(plan: Plan, rows: Sequence[CaseRow], shard: int | None = None) -> list[Finding]:
    """What speaks against ``rows``: those of the whole plan, or of one shard (0-based)."""
    if not plan.cases:
        return [Finding("empty", "", "the plan holds no case")]
    if shard is not None and not 0 <= shard < len(plan.shards):
        return [Finding("unexpected", "", f"shard {shard + 1} of a plan that has {len(plan.shards)}")]
    expected = expected_cases(plan, shard)
    found = [Finding("empty", "", f"no row came back, {len(expected)} were expected")] if not rows else []
    by_case: dict[str, list[CaseRow]] = {}
    for row in rows:
        by_case.setdefault(row.case, []).append(row)
    for case in expected:
        own = by_case.pop(case.name, [])
        if not own:
            found.append(Finding("missing", case.name, "it was planned and has no row"))
        if len(own) > 1:
            found.append(Finding("doubled", case.name, f"it has {len(own)} rows"))
        for row in own:
            found += judge_row(plan, case, row)
    for name in by_case:
        shards = [number for number, names in enumerate(plan.shards, start=1) if name in names]
        owner = f"it belongs to shard {shards[0]}/{len(plan.shards)}" if shards else "it is not in the plan"
        found.append(Finding("unexpected", name, f"it has a row, but {owner}"))
    found += differences([row for row in rows if row.final_ok])
    return list(dict.fromkeys(found))


def judge_root(plan: Plan, root: Path, shard: int | None = None) -> list[Finding]:
    """What speaks against the folder of a run: its rows, and its other files where they do not bear the rows out."""
    rows, found = read_or_find(root / ROWS, read_rows)
    if rows is not None:
        found += judge(plan, rows, shard)
    by_case = {row.case: row for row in rows or []}
    expected = expected_cases(plan, shard)
    found += _judge_run(plan, root, shard)
    found += judge_junit(root / JUNIT, expected, by_case)
    run, _ = read_or_find(root / RUN, read_json_object)
    merged = run is not None and MERGED in run  # its shards were judged with what their stages wrote
    for case in expected:
        if case.name in by_case:
            found += judge_journal(root, case, by_case[case.name], with_evidence=not merged)
    return list(dict.fromkeys(found))


def judge_shard(plan: Plan, root: Path, shard: int) -> list[Finding]:
    """What speaks against the folder of a run that is over: as ``judge_root``, and that it found the same itself."""
    found = judge_root(plan, root, shard)
    run, _ = read_or_find(root / RUN, read_json_object)
    if not found and run is not None and run.get("all_pass") is not True:
        message = f"{RUN}: all_pass is {shown(run.get('all_pass'))}, though nothing in its folder says why"
        found.append(Finding("inconsistent", "", message))
    return found


def judge_shards(plan: Plan, shards: Sequence[int]) -> list[Finding]:
    """What speaks against the shards (0-based) that came back, as such: each of the plan's must be there once."""
    counts = Counter(shards)
    found = []
    for shard, names in enumerate(plan.shards):
        title = f"shard {shard + 1}/{len(plan.shards)}"
        if counts[shard] == 0:
            found.append(Finding("missing", "", f"{title} did not come back, with {len(names)} cases"))
        if counts[shard] > 1:
            found.append(Finding("doubled", "", f"{title} came back {counts[shard]} times"))
    return found


def place_root(plan: Plan, root: Path) -> tuple[int | None, list[Finding]]:
    """The shard (0-based) of ``plan`` that the folder of a run holds; None, and why, when it holds none of them."""
    run, found = read_or_find(root / RUN, read_json_object)
    if run is None:
        return None, found
    if run.get("plan") != plan.id:
        return None, [Finding("stale", "", f"{RUN}: plan is {shown(run.get('plan'))}, expected {plan.id}")]
    shard = _shard_of(plan, run)
    if MERGED in run or shard is None or shard < 0:
        whole = "the whole plan (it ran without --shard)" if shard is None else f"shard {shown(run.get('shard'))}"
        what = "a merged run" if MERGED in run else whole
        return None, [Finding("unexpected", "", f"{RUN}: this is {what}, expected one of {len(plan.shards)} shards")]
    return shard, []


def _shard_of(plan: Plan, run: Mapping[str, Any]) -> int | None:
    """The shard (0-based) that run.json names: None for the whole plan (1/1), -1 for one that the plan does not have.

    A plan that is not divided has one shard, which is the whole plan: that is called 0.
    """
    shard, count = run.get("shard"), len(plan.shards)
    known = [[number, count] for number in range(1, count + 1)]
    if shard in known:
        return known.index(shard)
    return None if shard == [1, 1] else -1


def expected_cases(plan: Plan, shard: int | None = None) -> tuple[PlannedCase, ...]:
    """The cases of a shard (0-based), or of the whole plan, in the plan's order; none for a shard it does not have."""
    if shard is None:
        return plan.cases
    names = set(plan.shards[shard]) if 0 <= shard < len(plan.shards) else set()
    return tuple(case for case in plan.cases if case.name in names)


def _judge_run(plan: Plan, root: Path, shard: int | None) -> list[Finding]:
    """run.json and plan.json: that this folder is of this plan and this shard, and that its run came to its end."""
    own_plan, found = read_or_find(root / PLAN, read_plan)
    if own_plan is not None and own_plan.id != plan.id:
        found.append(Finding("stale", "", f"{PLAN} is the plan {own_plan.id}, expected {plan.id}"))
    content, problems = read_or_find(root / RUN, read_json_object)
    found += problems
    if content is None:
        return found
    asked = (
        *(("plan", plan.id), ("commit", plan.commit), ("changes", plan.changes), ("dirty", plan.dirty)),
        *(("seed", plan.seed), ("engine", plan.engine)),
    )
    for key, planned in asked:
        if content.get(key) != planned:
            found.append(
                Finding("stale", "", f"{RUN}: {key} is {shown(content.get(key))}, planned was {shown(planned)}")
            )
    if _shard_of(plan, content) != (0 if shard is None and len(plan.shards) == 1 else shard):
        wanted = "the whole plan" if shard is None else f"shard {shard + 1}/{len(plan.shards)}"
        found.append(Finding("unexpected", "", f"{RUN}: shard is {content.get('shard')!r}, expected {wanted}"))
    if content.get("code_at_end") != "":
        now = shown(content.get("code_at_end"))
        found.append(Finding("inconsistent", "", f"{RUN}: the code changed while it ran; at the end it was {now}"))
    if content.get("ended") != DONE:
        found.append(Finding("failed", "", f"the run did not come to its end: {shown(content.get('ended'))}"))
    return found
