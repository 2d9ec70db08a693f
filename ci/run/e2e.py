"""``ci e2e``: choose the cases, make or find the run's folder, and have them run."""

import argparse
import dataclasses
from datetime import datetime
from pathlib import Path

from ci import options as command_line
from ci.cases import Case, discover, select
from ci.errors import UsageError
from ci.host import checkout, gpus, host_memory_gb, require_packages
from ci.options import BESIDE_RESUME, BESIDE_RETRY, Options, require_alone, resolve
from ci.plan.plan import Plan, read_plan, write_plan
from ci.plan.planning import plan_run
from ci.plan.seconds import case_memory
from ci.records.results import CaseResult
from ci.records.roots import PARENT, PLAN, find_root, locked, make_root
from ci.records.run_record import RUNNING, RunRecord
from ci.run.pool import Pool, default_jobs, usable_cores
from ci.run.progress import Display, make_display
from ci.run.resume import read_case, read_root, require_same_code, set_case_aside
from ci.run.stages import Programs
from ci.run.sweep import Sweep

SUMMARY = "train, test and render cases, and say whether all of them passed"
add_arguments = command_line.add_arguments


def run(
    arguments: argparse.Namespace,
    repository: Path,
    programs: Programs | None = None,
    display: Display | None = None,
) -> int:
    """The command; returns the exit code. Raises UsageError before anything is started or written.

    ``programs`` and ``display`` stand in for the framework and the terminal.
    """
    if arguments.resume:
        return _resume(arguments, repository, programs, display)
    options, plan = _retry(arguments, repository) if arguments.retry_failed else _asked_for(arguments, repository)
    if arguments.list:
        cases = {case.name: case for case in discover(repository)}
        for name in _names(plan, _shard(options, plan)):
            print(f"{name}  {cases[name].case_type}  {cases[name].problem or cases[name].env_config}")
        return 0
    return _start(options, plan, repository, programs, display)


def _start(options: Options, plan: Plan, repository: Path, programs: Programs | None, display: Display | None) -> int:
    """Run the plan, or the shard of it that ``options`` name, in a new folder."""
    require_packages(options.require_deps)
    shard = _shard(options, plan)
    jobs, pool = _pool(options, len(_names(plan, shard)))
    root = make_root(repository / PARENT, options.root_out)
    write_plan(root / PLAN, plan)
    code = checkout(repository)
    record = RunRecord(
        plan=plan.id,
        shard=(1, 1) if shard is None else (shard + 1, len(plan.shards)),
        profile=plan.profile,
        engine=options.engine_name,
        devices=options.devices_train,
        seed=options.seed,
        commit=code.commit,
        dirty=code.dirty,
        changes=code.changes,
        driver=", ".join(sorted({gpu.driver for gpu in gpus()})) if _on_gpu(options) else "",
        jobs=jobs,
        started=_now(),
        options=options,
        parts=[_now()],
    )
    with locked(root):
        return _sweep(repository, root, record, plan, shard, pool, {}, {}, programs, display)


def _resume(arguments: argparse.Namespace, repository: Path, programs: Programs | None, display: Display | None) -> int:
    """Go on with the run in the folder that ``--resume`` names."""
    require_alone(arguments, BESIDE_RESUME)
    root = find_root(repository, arguments.resume)
    with locked(root):
        record, plan = read_root(root)
        code = checkout(repository)
        require_same_code(record, (code.commit, code.changes))
        options = dataclasses.replace(
            record.options, jobs=arguments.jobs or record.jobs, deadline=arguments.deadline or record.options.deadline
        )
        require_packages(options.require_deps)
        shard = _shard(options, plan)
        record.jobs, pool = _pool(options, len(_names(plan, shard)))
        record.options, record.ended, record.all_pass = options, RUNNING, False
        record.parts.append(_now())
        earlier: dict[str, CaseResult] = {}
        finished: dict[str, CaseResult] = {}
        for name in _names(plan, shard):
            result = read_case(repository, root, name)
            if result is None or arguments.resume_skip_status == "none":
                set_case_aside(root, name)
            elif result.finished and (result.ok or arguments.resume_skip_status == "all"):
                finished[name] = result
            else:
                earlier[name] = result
        return _sweep(repository, root, record, plan, shard, pool, earlier, finished, programs, display)


def _sweep(
    repository: Path,
    root: Path,
    record: RunRecord,
    plan: Plan,
    shard: int | None,
    pool: Pool,
    earlier: dict[str, CaseResult],
    finished: dict[str, CaseResult],
    programs: Programs | None,
    display: Display | None,
) -> int:
    profile = record.options.profile
    measured = case_memory(repository, plan.profile)
    memory_gb = {name: measured.get(name, profile.memory_gb) for name in _names(plan, shard)}
    return Sweep(
        repository=repository,
        root=root,
        record=record,
        plan=plan,
        shard=shard,
        cases={case.name: case for case in discover(repository)},
        earlier=earlier,
        finished=finished,
        memory_gb=memory_gb,
        pool=pool,
        programs=programs or Programs(),
        display=display or make_display(),
    ).run()


def _asked_for(arguments: argparse.Namespace, repository: Path) -> tuple[Options, Plan]:
    """The options of the command line, and the plan they name or make."""
    if arguments.plan:
        plan = _read_plan(Path(arguments.plan))
        if arguments.case or arguments.cases or not arguments.include_nontrainable:
            raise UsageError("--plan names the cases itself: give none beside it.")
        code = checkout(repository)
        if (code.commit, code.dirty) != (plan.commit, plan.dirty):
            raise UsageError(
                f"the plan was made for commit {plan.commit[:12]}{' with changes' if plan.dirty else ''}, this is "
                f"{code.commit[:12]}{' with changes' if code.dirty else ''}."
            )
        return resolve(arguments, repository, (plan.profile, plan.seed)), plan
    options = resolve(arguments, repository)
    cases = select(discover(repository), options.names, options.include_nontrainable)
    return options, _plan(options, cases, repository)


def _plan(options: Options, cases: list[Case], repository: Path) -> Plan:
    """The plan of a run without a plan file; machines with the same files and options come to the same."""
    plan = plan_run(repository, cases, options.profile, options.shard[1], seed=options.seed)
    if options.shard[0] > len(plan.shards):
        made = f"{len(cases)} case(s) make {len(plan.shards)} shard(s)"
        raise UsageError(f"no case is selected: {made}, there is no part {options.shard[0]}/{options.shard[1]}.")
    return plan


def _retry(arguments: argparse.Namespace, repository: Path) -> tuple[Options, Plan]:
    """The options of the earlier run, and a plan of what did not pass in it."""
    require_alone(arguments, BESIDE_RETRY)
    root = find_root(repository, arguments.retry_failed)
    record, plan = read_root(root)
    results = {name: read_case(repository, root, name) for name in _names(plan, _shard(record.options, plan))}
    failed = sorted(name for name, result in results.items() if result is None or not result.ok)
    if not failed:
        raise UsageError(f"every case passed in {root.name}: there is nothing to retry.")
    options = dataclasses.replace(
        record.options,
        names=tuple(failed),
        shard=(1, 1),
        plan_file=None,
        jobs=arguments.jobs or record.options.jobs,
        deadline=arguments.deadline,
        root_out=arguments.root_out,
        why=f"what did not pass in {root.name}: {record.options.why}",
    )
    return options, _plan(options, select(discover(repository), failed), repository)


def _read_plan(path: Path) -> Plan:
    try:
        return read_plan(path)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(f"--plan {path}: {error}") from error


def _shard(options: Options, plan: Plan) -> int | None:
    """The shard to run, counted from 0; None for the whole plan."""
    index, count = options.shard
    if count == 1:
        return None
    if options.plan_file and count != len(plan.shards):
        raise UsageError(f"--shard {index}/{count}: the plan has {len(plan.shards)} shard(s).")
    return index - 1


def _names(plan: Plan, shard: int | None) -> tuple[str, ...]:
    return tuple(case.name for case in plan.cases) if shard is None else plan.shards[shard]


def _pool(options: Options, case_count: int) -> tuple[int, Pool]:
    """How many of the cases run at once, and what they share; no more than there are, so that one has all cores."""
    memory = {"cpu": host_memory_gb()}
    wanted = (*options.devices_train, *options.devices_nontrainable)
    if _on_gpu(options):
        memory |= {f"cuda:{index}": gpu.memory_gb for index, gpu in enumerate(gpus())}
    missing = sorted(set(wanted) - set(memory))
    if missing:
        raise UsageError(f"there is no {', '.join(missing)} here; there are {', '.join(sorted(memory))}.")
    cores = usable_cores()
    used = {device: memory[device] for device in wanted}
    fit = default_jobs(len(cores), options.profile.cores, used, options.profile.memory_gb)
    jobs = options.jobs or min(fit, case_count)
    return jobs, Pool(jobs, cores, memory)


def _on_gpu(options: Options) -> bool:
    return any(device.startswith("cuda") for device in (*options.devices_train, *options.devices_nontrainable))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
