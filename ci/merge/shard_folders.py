"""The folders that shards left: finding them, reading them, and pointing what they say to where their files lie now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ci.cases import method_of
from ci.errors import UsageError
from ci.files import read_json_object
from ci.gate import gate
from ci.gate.gate import Finding, read_or_find
from ci.plan.plan import Plan, PlannedCase, read_plan
from ci.profiles import Profile
from ci.records.journal import NAME as JOURNAL
from ci.records.journal import read_journal
from ci.records.results import CaseResult, CaseRow, Entry, StageRecord, relative
from ci.records.roots import PLAN, ROWS
from ci.records.run_record import NAME as RUN
from ci.records.tables import read_rows

DEPTH = 3  # how far below a given folder the folders of runs are looked for
# Where no folder has a plan: no case, which the gate calls empty.
NO_PLAN = Plan(
    settings=Profile("unknown", "", (), 0, 0.0, 0.0, 0.0, 0.0),
    engine_config="",
    engine="unknown",
    device="unknown",
    device_nontrainable="unknown",
    seed=0,
    commit="unknown",
    changes="",
    cases=(),
    shards=(),
)
PATHS = ("out_dir", "train_out_dir", "train_log", "long_log", "test_log", "viz_log")


@dataclass(frozen=True)
class Part:
    """The folder of one shard: what its files say."""

    root: Path
    shard: int  # 0-based
    run: Mapping[str, Any]  # run.json
    rows: tuple[CaseRow, ...]


def find_roots(folders: Iterable[Path]) -> tuple[list[Path], list[Finding]]:
    """The folders of runs in ``folders``, each once, by path; a finding for each folder without one.

    Raises UsageError for a folder that does not exist.
    """
    roots: set[Path] = set()
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder: name the folders that the shards left, or one that holds them.")
        inside = _roots_in(folder.resolve(), DEPTH)
        if not inside:
            found.append(Finding("missing", "", f"{folder} holds no {ROWS} and no {RUN}, {DEPTH} folders deep"))
        roots.update(inside)
    return sorted(roots), found


def choose_plan(given: Path | None, roots: Sequence[Path], repository: Path) -> tuple[Plan, list[Finding]]:
    """The plan that was given, or the one that the roots hold: when they differ, the one that most of them do.

    Raises UsageError when the given one cannot be read. Without any, an empty plan: nothing can be held against it, and
    the gate says so.
    """
    if given is not None:
        try:
            return read_plan(given), []
        except (OSError, ValueError) as error:
            raise UsageError(f"--plan {given} cannot be read: {error}") from error
    plans: dict[str, list[Plan]] = {}
    found = []
    for root in roots:
        plan, problems = read_or_find(root / PLAN, read_plan)
        found += _located(problems, root, repository)
        if plan is not None:
            plans.setdefault(plan.id, []).append(plan)
    if not plans:
        return NO_PLAN, found
    chosen = min(plans, key=lambda name: (-len(plans[name]), name))
    if len(plans) > 1:
        counts = ", ".join(f"{name} ({len(plans[name])})" for name in sorted(plans))
        found.append(Finding("stale", "", f"the folders are of {len(plans)} plans: {counts}; taken was {chosen}"))
    return plans[chosen][0], found


def read_parts(plan: Plan, roots: Sequence[Path], repository: Path) -> tuple[list[Part], list[Finding]]:
    """The roots that hold a shard of ``plan``, in the order of the shards, and all that speaks against any root."""
    parts = []
    found: list[Finding] = []
    for root in roots:
        shard, problems = gate.place_root(plan, root)
        found += _located(problems, root, repository)
        if shard is None:
            continue
        found += _located(gate.judge_shard(plan, root, shard), root, repository)
        rows, _ = read_or_find(root / ROWS, read_rows)
        run, _ = read_or_find(root / RUN, read_json_object)
        moved = [_moved_row(row, root, repository) for row in rows or ()]
        parts.append(Part(root, shard, run or {}, tuple(moved)))
    return sorted(parts, key=lambda part: (part.shard, part.root)), found


def _roots_in(folder: Path, depth: int) -> list[Path]:
    if (folder / ROWS).is_file() or (folder / RUN).is_file():
        return [folder]
    if depth == 0:
        return []
    return [root for inner in sorted(folder.iterdir()) if inner.is_dir() for root in _roots_in(inner, depth - 1)]


def _located(found: Iterable[Finding], root: Path, repository: Path) -> list[Finding]:
    """The findings, with the root in front of those that are about no single case."""
    place = relative(root, repository)
    return [one if one.case else replace(one, message=f"{place}: {one.message}") for one in found]


def entry_of(case: PlannedCase, plan: Plan, parts: Sequence[Part], repository: Path) -> Entry:
    """The case's row and journal. Of several rows the worse counts; without one, a row that says so."""
    candidates = [(row, part) for part in parts for row in part.rows if row.case == case.name]
    if not candidates:
        row = CaseRow(case.name, method_of(case.name), case.case_type, note="no shard brought it back")
        row.seed, row.commit, row.dirty = plan.seed, plan.commit, plan.dirty
        return Entry(row, None)
    row, part = min(candidates, key=lambda candidate: (candidate[0].final_ok, repr(candidate[0])))
    path = part.root / "runs" / case.name / JOURNAL
    result, _ = read_or_find(path, lambda path: read_journal(path, repository), case.name)
    return Entry(row, _moved_result(result, part.root) if result else None)


def _moved_row(row: CaseRow, root: Path, repository: Path) -> CaseRow:
    """The row with its paths leading into ``root``, where the files lie now."""
    moved = replace(row)
    for column in PATHS:
        path = getattr(row, column)
        if path:
            setattr(moved, column, relative(_moved(Path(path), root, row.case), repository))
    return moved


def _moved_result(result: CaseResult, root: Path) -> CaseResult:
    """The journal's content with its paths leading into ``root``; command lines stay as they were run."""
    name = result.case.name

    def record(one: StageRecord) -> StageRecord:
        return replace(one, log=_moved(one.log, root, name) if one.log else None)

    attempts = [
        replace(
            attempt,
            out_dir=_moved(attempt.out_dir, root, name),
            stages={stage: record(one) for stage, one in attempt.stages.items()},
            repeated=[record(one) for one in attempt.repeated],
        )
        for attempt in result.attempts
    ]
    data = record(result.data) if result.data else None
    prior = record(result.prior) if result.prior else None
    return replace(result, data=data, prior=prior, attempts=attempts)


def _moved(path: Path, root: Path, case: str) -> Path:
    """Where ``path``, from a run somewhere else, lies in ``root``: what follows runs/CASE is the same everywhere."""
    _, found, below = path.as_posix().rpartition(f"/runs/{case}/")
    return root / "runs" / case / below if found else path
