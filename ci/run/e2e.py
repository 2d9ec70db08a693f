"""``ci e2e``: choose the cases, make or find the run's folder, and have them run."""

import argparse
import dataclasses
from datetime import datetime
from pathlib import Path

from ci import options as command_line
from ci.cases import Case, discover, select
from ci.errors import UsageError
from ci.host import checkout, gpus, host_memory_gb, require_packages, usable_cores
from ci.options import (
    BESIDE_RESUME,
    BESIDE_RETRY,
    DEFAULT_SKIP_STATUS,
    Options,
    Planned,
    kind_of,
    require_alone,
    resolve,
)
from ci.plan.plan import Plan, read_plan, write_plan
from ci.plan.planning import Target, plan_run
from ci.plan.seconds import case_memory
from ci.records.results import CaseResult
from ci.records.roots import PARENT, PLAN, find_root, locked, make_root
from ci.records.run_record import RUNNING, RunRecord
from ci.run.pool import CUDA_CONTEXT_GB, Pool, default_jobs
from ci.run.process import SUPERVISOR_SECONDS
from ci.run.progress import Display, make_display
from ci.run.resume import read_case, read_root, require_same_code, set_case_aside
from ci.run.stages import LONG_GRACE, Programs
from ci.run.sweep import Sweep

SUMMARY = "train, test and render cases, and say whether all of them passed"
add_arguments = command_line.add_arguments
ROOT_SECONDS = LONG_GRACE + SUPERVISOR_SECONDS  # how long the programs of a killed run may take to end


def run(
    arguments: argparse.Namespace,
    repository: Path,
    programs: Programs | None = None,
    display: Display | None = None,
) -> int:
    """The command; returns the exit code. Raises UsageError before anything is started or written.

    ``programs`` and ``display`` stand in for the framework and the terminal.
    """
    if arguments.shards or arguments.slurm:
        raise UsageError("--shards and --slurm belong to --executor slurm.")
    if arguments.resume_skip_status is not None and not arguments.resume:
        raise UsageError("--resume-skip-status belongs to --resume ROOT.")
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
    jobs, pool = _pool(options, plan, shard)
    root = make_root(repository / PARENT, options.root_out)
    write_plan(root / PLAN, plan)
    record = RunRecord(
        plan=plan.id,
        shard=(1, 1) if shard is None else (shard + 1, len(plan.shards)),
        profile=plan.profile,
        engine=options.engine_name,
        devices=options.devices_train,
        seed=options.seed,
        commit=plan.commit,
        dirty=plan.dirty,
        changes=plan.changes,
        driver=_driver(options),
        jobs=jobs,
        started=_now(),
        options=options,
        parts=[_now()],
    )
    with locked(root) as lock:
        return _sweep(repository, root, lock, record, plan, shard, pool, {}, {}, programs, display)


def _resume(arguments: argparse.Namespace, repository: Path, programs: Programs | None, display: Display | None) -> int:
    """Go on with the run in the folder that ``--resume`` names."""
    require_alone(arguments, BESIDE_RESUME)
    root = find_root(repository, arguments.resume)
    display = display or make_display()
    wait = f"{root.name} is still held: waiting up to {ROOT_SECONDS:g} s for the programs of a killed run to end"
    with locked(root, ROOT_SECONDS, lambda: display.line(wait)) as lock:
        record, plan = read_root(root)
        code = checkout(repository)
        require_same_code(record, (code.commit, code.changes))
        options = dataclasses.replace(
            record.options, jobs=arguments.jobs or record.jobs, deadline=arguments.deadline or record.options.deadline
        )
        require_packages(options.require_deps)
        shard = _shard(options, plan)
        record.jobs, pool = _pool(options, plan, shard)
        record.options, record.ended, record.all_pass = options, RUNNING, False
        record.driver = _driver(options)
        record.parts.append(_now())
        earlier: dict[str, CaseResult] = {}
        finished: dict[str, CaseResult] = {}
        skip = arguments.resume_skip_status or DEFAULT_SKIP_STATUS
        for name in _names(plan, shard):
            result = read_case(repository, root, name)
            if result is None or skip == "none":
                set_case_aside(root, name)
            elif result.finished and not result.ok and skip == "all":
                finished[name] = result
            else:  # of what passed, the evidence is looked at again
                earlier[name] = result
        return _sweep(repository, root, lock, record, plan, shard, pool, earlier, finished, programs, display)


def _sweep(
    repository: Path,
    root: Path,
    lock: int,
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
    kept = CUDA_CONTEXT_GB if _on_gpu(record.options) else 0.0
    measured = {name: memory + kept for name, memory in case_memory(repository, plan.profile).items()}
    memory_gb = {name: measured.get(name, profile.memory_gb) for name in _names(plan, shard)}
    return Sweep(
        repository=repository,
        root=root,
        lock=lock,
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
    if not arguments.plan:
        options = resolve(arguments, repository)
        cases = select(discover(repository), options.names, options.include_nontrainable, options.profile.cases)
        return options, _plan(options, cases, repository)
    plan = _read_plan(Path(arguments.plan))
    if arguments.case or arguments.cases or not arguments.include_nontrainable:
        raise UsageError("--plan names the cases itself: give none beside it.")
    code = checkout(repository)
    if (code.commit, code.changes) != (plan.commit, plan.changes):
        raise UsageError(
            f"the plan was made for commit {plan.commit[:12]}{' with changes' if plan.dirty else ''}, this is "
            f"{code.commit[:12]}{' with changes' if code.dirty else ''}{', but others' if plan.dirty else ''}."
        )
    gone = sorted({case.name for case in plan.cases} - {case.name for case in discover(repository)})
    if gone:
        raise UsageError(f"the plan names cases that args/ does not have: {', '.join(gone)}.")
    if arguments.shard is None and len(plan.shards) > 1:
        count = len(plan.shards)
        raise UsageError(f"the plan has {count} shards: give --shard I/{count}, or --shard 1/1 for all of them.")
    planned = Planned(plan.settings, plan.seed, plan.engine_config, plan.device, plan.device_nontrainable)
    return resolve(arguments, repository, planned), plan


def _plan(options: Options, cases: list[Case], repository: Path) -> Plan:
    """The plan of a run without a plan file; machines with the same files and options come to the same."""
    target = Target(
        options.engine_config,
        options.engine_name,
        kind_of(options.devices_train[0]),
        kind_of(options.devices_nontrainable[0]),
    )
    plan = plan_run(repository, cases, options.profile, options.shard[1], target, seed=options.seed)
    if options.shard[0] > len(plan.shards):
        made = f"{len(cases)} case(s) make {len(plan.shards)} shard(s)"
        raise UsageError(f"no case is selected: {made}, there is no part {options.shard[0]}/{options.shard[1]}.")
    return plan


def _retry(arguments: argparse.Namespace, repository: Path) -> tuple[Options, Plan]:
    """The options of the earlier run, and a plan of what did not pass in it."""
    require_alone(arguments, BESIDE_RETRY)
    root = find_root(repository, arguments.retry_failed)
    with locked(root):
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


def _pool(options: Options, plan: Plan, shard: int | None) -> tuple[int, Pool]:
    """How many cases run at once, and what they share.

    A run that is not divided takes no more slots than it has cases, so that one case has all cores. In a divided run
    every shard has the slots that the whole would have: with other numbers of threads, numbers would differ.
    """
    memory = {"cpu": host_memory_gb()}
    wanted = dict.fromkeys((*options.devices_train, *options.devices_nontrainable))
    if _on_gpu(options):
        memory |= {f"cuda:{index}": gpu.memory_gb for index, gpu in enumerate(gpus())}
    missing = sorted(set(wanted) - set(memory))
    if missing:
        have = ", ".join(sorted(memory))
        raise UsageError(
            f"--devices-train, --devices-nontrainable: there is no {', '.join(missing)} here, only {have}."
        )
    cores = usable_cores()
    if options.jobs is not None and options.jobs > len(cores):
        raise UsageError(f"--jobs {options.jobs}: each case has cores of its own, and there are {len(cores)}.")
    sizes = [memory[device] for device in options.devices_train]
    room = sum(sizes) if options.one_device_each else min(sizes)
    fit = default_jobs(len(cores), options.profile.cores, room, options.profile.memory_gb)
    if len(plan.shards) == 1:
        fit = min(fit, len(_names(plan, shard)))
    jobs = options.jobs or fit
    return jobs, Pool(jobs, cores, memory)


def _on_gpu(options: Options) -> bool:
    return any(device.startswith("cuda") for device in (*options.devices_train, *options.devices_nontrainable))


def _driver(options: Options) -> str:
    return ", ".join(sorted({gpu.driver for gpu in gpus()})) if _on_gpu(options) else ""


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
