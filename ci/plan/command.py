"""``nox -s matrix``: cut the run into shards, and write what a CI system starts them with."""

import argparse
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ci import values
from ci.cases import discover, read_engine_name, select
from ci.errors import UsageError, nearest
from ci.files import read_json_object, write_json
from ci.github import write_outputs
from ci.options import (
    CPU_ENGINES,
    add_case_arguments,
    add_profile_arguments,
    default_engine_config,
    engine_path,
    profile_of,
    profile_table,
)
from ci.plan.changes import select_changed_from
from ci.plan.plan import Plan, write_plan
from ci.plan.planning import Target, case_seconds, plan_run
from ci.plan.seconds import TABLE, CaseSeconds, read_results, record
from ci.plan.shards import limits
from ci.profiles import PROFILES, Profile

SUMMARY = "plan a run: which cases, in which shards, and how long each shard may take"
DEFAULT_PROFILE = "smoke"
MAX_ROWS = 256  # jobs that GitHub makes of one matrix
PLAIN_WIDTH = 100_000  # where no terminal cuts lines off, neither do we

EPILOG = """\
examples:
  nox -s matrix                                            every case of profile smoke, a row each
  nox -s matrix -- --profile pr --shards 8                 eight rows that take about as long as one another
  nox -s matrix -- --shards 8 --changed-from origin/main   only the cases that a change can touch
  nox -s matrix -- --profile longcycle --long-budget-hours 8 amp_humanoid_args.txt
  nox -s matrix -- --shards 3 --seconds-from output/train/case_e2e_all_20260101_120000
  nox -s matrix -- --record-seconds output/train/case_e2e_all_20260101_120000

It writes plan.json, what is expected back (nox -s e2e -- --plan, nox -s merge), and matrix.json, whose rows a
workflow gives to its jobs (strategy: matrix: ${{ fromJson(needs.plan.outputs.matrix) }}):
  shard, index, cases, count   'I/N' for --shard, I, the arg files with commas between them, how many
  seconds, weight              expected, by earlier runs or ci/case_seconds.tsv; only a weight, and no seconds (null),
                               where nobody has measured the profile
  deadline_seconds             for nox -s e2e -- --deadline: the run stops by itself and its tables say what is missing
  step_timeout_minutes         of the step, and
  timeout_minutes              of the job: later, so that neither cuts off what the run still has to write
Where the variable GITHUB_OUTPUT names a file, it gets 'matrix=' with all rows on one line, 'count=' of rows, and
'device=', the kind of device that the plan is for.

--changed-from follows what each case really reads: its arg file, what that names, what those name, clips with the
characters they are made from, the modules that its processes import, and all of ci/. Documents and tests alone give the
two fastest cases. A path that no case is known to read, git's or a file's error, and no case at all give every case.

Seconds of a profile that was never measured are those of profile smoke, as weights; deadlines are then those of cases
that run into all their time limits.

exit code: 0 planned; 2 the command is wrong, nothing was written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``ci matrix``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{profile_table()}\n{EPILOG}"
    add = add_case_arguments(parser).add_argument
    add(
        "--changed-from",
        metavar="REF",
        help="only cases that can read a file that differs from where this branch left REF, uncommitted ones included",
    )

    group = parser.add_argument_group("how")
    add = group.add_argument
    add("--shards", type=values.count, metavar="N", help=f"rows, at most {MAX_ROWS} (default: one for each case)")
    add("--jobs", type=values.count, default=1, metavar="N", help="cases at once on a runner (default: 1)")
    add("--rand-seed", type=values.whole, default=1, metavar="N", help="seed of every stage (default: 1)")
    add("--run-id", metavar="TEXT", help="tells this run from others of the same plan (default: random)")
    add(
        "--seconds-from",
        type=Path,
        action="append",
        default=[],
        metavar="FILE_OR_ROOT",
        help=f"best_by_case.tsv of an earlier run, or its folder; beats {TABLE}; several: the median",
    )

    group = parser.add_argument_group("on what, and how much: fixed by the plan for every machine that works on it")
    add = group.add_argument
    add("--device", choices=("cpu", "cuda"), help="kind of device (default: the profile's; smoke: cpu, others: cuda)")
    add(
        "--device-nontrainable",
        choices=("cpu", "cuda"),
        help="the same of cases that do not train (default: that of the others)",
    )
    add("--engine-config", metavar="F", help="engine file (default: Newton on cuda, MuJoCo on the cpu)")
    add_profile_arguments(group, DEFAULT_PROFILE)

    group = parser.add_argument_group("to where")
    add = group.add_argument
    add(
        "--out",
        type=Path,
        default=Path("output/plan"),
        metavar="DIR",
        help="of plan.json and matrix.json (default: output/plan)",
    )
    add(
        "--record-seconds",
        type=Path,
        metavar="ROOT",
        help=f"plan nothing: put the seconds and the memory of the run in ROOT into {TABLE}",
    )


def run(arguments: argparse.Namespace, repository: Path) -> int:
    """Plan, or record what was measured; returns the exit code. Raises UsageError."""
    if arguments.record_seconds is not None:
        return _record(arguments.record_seconds, arguments.profile, repository)
    profile = profile_of(arguments.profile or DEFAULT_PROFILE, arguments)
    target = _target(arguments, profile, repository)
    everything = discover(repository)
    names = (*arguments.case, *arguments.cases)
    cases = select(everything, names, arguments.include_nontrainable, profile.cases)
    seconds = case_seconds(repository, cases, profile, arguments.seconds_from)
    why = "as asked for" if len(cases) < len(everything) else "all"
    if arguments.changed_from is not None:
        chosen = select_changed_from(repository, arguments.changed_from, cases, everything, seconds.seconds)
        cases, why = [case for case in cases if case.name in chosen.names], chosen.why
    plan = plan_run(
        repository,
        cases,
        profile,
        arguments.shards or len(cases),
        target,
        seed=arguments.rand_seed,
        seconds=seconds,
        nonce=arguments.run_id or secrets.token_hex(8),
        why=why,
    )
    if len(plan.shards) > MAX_ROWS:
        raise UsageError(
            f"{len(plan.shards)} rows are more than the {MAX_ROWS} that GitHub starts: --shards {MAX_ROWS} or fewer."
        )
    try:
        rows = matrix_rows(plan, seconds, profile, arguments.jobs)
    except ValueError as error:
        raise UsageError(f"{error}: give it less time, or run it without a plan.") from error
    folder = repository / arguments.out
    try:
        write_plan(folder / "plan.json", plan)
        write_json(folder / "matrix.json", {"include": rows})
        matrix = json.dumps({"include": rows}, allow_nan=False)
        write_outputs({"matrix": matrix, "count": str(len(rows)), "device": plan.device})
    except OSError as error:
        raise UsageError(f"the plan cannot be written: {error}") from error
    _show(plan, rows, seconds, folder)
    return 0


def _target(arguments: argparse.Namespace, profile: Profile, repository: Path) -> Target:
    """Engine and kinds of devices of the plan; the machine that plans need have neither."""
    device = arguments.device or profile.device
    engine_config = engine_path(arguments.engine_config) or default_engine_config(device == "cuda")
    engine = read_engine_name(repository, engine_config)
    if device == "cuda" and engine in CPU_ENGINES:
        raise UsageError(f"the engine {engine} runs on the CPU: --device cpu, or another --engine-config.")
    return Target(engine_config, engine, device, arguments.device_nontrainable or device)


def matrix_rows(plan: Plan, seconds: CaseSeconds, profile: Profile, jobs: int = 1) -> list[dict[str, Any]]:
    """A row of matrix.json for each shard of ``plan``."""
    expected = {case.name: case.seconds for case in plan.cases}
    rows = []
    for index, names in enumerate(plan.shards, start=1):
        each = [expected[name] for name in names]
        row = {
            "shard": f"{index}/{len(plan.shards)}",
            "index": index,
            "cases": ",".join(f"{name}.txt" for name in names),
            "count": len(names),
            "seconds": round(sum(each)) if seconds.absolute else None,
            "weight": round(sum(each)),
        }
        rows.append({**row, **vars(limits(each, seconds.absolute, profile, jobs))})
    return rows


def _show(plan: Plan, rows: Sequence[Mapping[str, Any]], seconds: CaseSeconds, folder: Path) -> None:
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("shard")
    for title in ("cases", "seconds" if seconds.absolute else "weight", "deadline s", "step min", "job min"):
        table.add_column(title, justify="right")
    table.add_column("which", overflow="fold", no_wrap=not console.is_terminal)
    for row in rows:
        keys = ("count", "weight", "deadline_seconds", "step_timeout_minutes", "timeout_minutes")
        table.add_row(
            row["shard"], *(str(row[key]) for key in keys), row["cases"].replace(".txt", "").replace(",", " ")
        )
    if console.is_terminal:
        console.print(table, soft_wrap=False)
    else:  # whole lines, without the blanks that fill them up
        console.width = PLAIN_WIDTH
        with console.capture() as printed:
            console.print(table, soft_wrap=False)
        print("\n".join(line.rstrip() for line in printed.get().splitlines()))
    console.print(f"{len(plan.cases)} case(s) in {len(rows)} shard(s) of profile {plan.profile}: {plan.why}")
    console.print(seconds.why)
    expected = {case.name: case.seconds for case in plan.cases}
    loads = [sum(expected[name] for name in names) for names in plan.shards]
    above = f", {100.0 * (max(loads) / min(loads) - 1.0):.0f} % above the shortest" if min(loads) > 0.0 else ""
    unit = "s" if seconds.absolute else "as a weight"
    console.print(f"the longest shard takes {max(loads):.0f} {unit}{above}")
    console.print(f"{folder}: plan.json ({plan.id}), matrix.json")


def _record(root: Path, profile: str | None, repository: Path) -> int:
    """Put what the run in ``root`` measured into the committed table."""
    known = {case.name for case in discover(repository)}
    try:
        profile = profile or str(read_json_object(root / "run.json").get("profile"))
        measured = {name: figures for name, figures in read_results(root).items() if name in known}
        if profile not in PROFILES:
            raise UsageError(f"{root} is of profile {profile}, which there is not{nearest(profile, PROFILES)}")
        if not measured:
            raise UsageError(f"{root}: no case of args/ passed there, so there is nothing to record.")
        record(repository / TABLE, profile, measured, known)
    except FileNotFoundError as error:
        hint = " Name its profile with --profile." if Path(error.filename or "").name == "run.json" else ""
        raise UsageError(f"{error.filename} does not exist.{hint}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{root} cannot be recorded: {error}") from error
    print(f"{TABLE}: {len(measured)} case(s) of profile {profile}, from {root}")
    return 0
