"""From a loaded case to a finished run: devices, processes, environment, agent, and the files that remain."""

import os

import torch

from mimickit.config.arguments import RunConfig
from mimickit.config.case import Case
from mimickit.devices import check_device, compute_on
from mimickit.distributed.agreement import Plan, agreed_plan, make_plan, require_same_settings
from mimickit.distributed.process_groups import joined, run_own_processes
from mimickit.distributed.torchrun import Place
from mimickit.engines import BACKENDS
from mimickit.envs import Share, build_env
from mimickit.errors import InputError, exit_code
from mimickit.failure_report import report_failure
from mimickit.learning.agent import Agent
from mimickit.learning.agents import build_agent
from mimickit.learning.checkpoint import load_model
from mimickit.learning.logger import LastRow, Logger, check_logger
from mimickit.learning.processes import Processes
from mimickit.learning.progress import Progress
from mimickit.learning.resume import settings_of
from mimickit.learning.test_loop import run_test
from mimickit.learning.train_loop import train
from mimickit.learning.train_state import Course, Origin, SavedTraining, StateWriter, read_training
from mimickit.output_folder import make_output_folder
from mimickit.run_records import metrics, print_result, provenance, write_json

# Offsets that keep the processes' and the policy's random draws apart.
RANK_SEED_STRIDE = 1009
POLICY_SEED_OFFSET = 1


def launch(case: Case, place: Place | None = None) -> int:
    """Run the case; the signal that ended it early, or 0.

    Args:
        place: of this process among torchrun's; without it this one starts a process for each device.
    """
    if place:
        return _launch_in_torchrun(case, place)
    devices = [check_device(name) for name in case.run.devices]
    check_logger(case.run.logger)
    _require_one_process_for_a_test(case, len(devices))
    plan = make_plan(case, len(devices), case.run.devices, range(1, len(devices)))
    _announce(case, plan)
    if plan.reached:
        return 0
    if len(devices) == 1:
        return _run_process(Processes(0, 1, devices[0]), case, plan)
    return run_own_processes(devices, case.run.master_port, _run_process, case, plan)


def _launch_in_torchrun(case: Case, place: Place) -> int:
    """This process's part of a run that torchrun started, perhaps on several hosts."""
    _require_one_process_for_a_test(case, place.size)
    if place.size == 1:
        _own_device(case.run, place)
        return launch(case)

    def end(failure: Exception) -> None:
        report_failure(failure, case.run)
        os._exit(exit_code(failure))

    with joined(place, end) as group:
        device = check_device(_own_device(case.run, place))
        check_logger(case.run.logger)
        require_same_settings(case, group)
        plan = agreed_plan(case, group, str(device))
        if place.rank == 0:
            _announce(case, plan)
        if plan.reached:
            return 0
        return _run_process(group.connect(device), case, plan)


def _own_device(run: RunConfig, place: Place) -> str:
    """That of this host's devices which is for this process."""
    if run.master_port is not None:
        raise InputError("--master_port: torchrun brings the processes together, so give it before mimickit/run.py")
    devices = run.devices
    if len(devices) != place.local_size:
        kind = devices[0].partition(":")[0]
        right = [kind if kind == "cpu" else f"{kind}:{number}" for number in range(place.local_size)]
        raise InputError(
            f"--devices {' '.join(devices)}: torchrun starts {place.local_size} of the processes on this host "
            f"(--nproc_per_node), each with a device of its own: --devices {' '.join(right)}"
        )
    return devices[place.local_rank]


def _require_one_process_for_a_test(case: Case, size: int) -> None:
    if case.run.mode == "test" and size > 1:
        raise InputError(f"--mode test runs on one device, not on {size}: {' '.join(case.run.devices)}")


def _announce(case: Case, plan: Plan) -> None:
    """The first lines of a run."""
    if plan.reached:
        print(f"{case.run.out_dir} already has {plan.reached}: nothing to do")
        return
    if plan.resumed_at:
        print(f"resuming {case.run.out_dir} after iteration {plan.resumed_at - 1} ({plan.samples:,} samples)")
    backend = BACKENDS.get(case.engine.engine_name)
    notes = [backend.first_run, backend.on_cpu if plan.devices[0] == "cpu" else ""] if backend else []
    note = "".join(f"\n  {text}" for text in notes if text)
    print(f"engine {case.engine.engine_name}, device {' '.join(plan.devices)}, seed {plan.seed}{note}", flush=True)


def _run_process(processes: Processes, case: Case, plan: Plan) -> int:
    """Build the environment and the agent on this process's device, then train, go on with a training, or test."""
    run = case.run
    torch.manual_seed(plan.seed)
    compute_on(processes.device)
    rank_seed = plan.seed + RANK_SEED_STRIDE * processes.rank
    share = Share(run.num_envs, processes.device, rank_seed, processes.rank, processes.size)
    env = build_env(case.env, case.engine, share)
    agent = build_agent(case.agent, env, processes, rank_seed + POLICY_SEED_OFFSET)
    try:
        if run.mode == "test":
            if run.model_file is not None:
                load_model(agent, run.model_file)
            return _test(case, agent, plan)
        saved = None
        if plan.resumed_at:
            saved = read_training(run.out_dir, processes.rank, plan.resumed_at)
            saved.restore(agent)
        elif run.model_file is not None:
            load_model(agent, run.model_file)
        return _train(case, agent, plan, saved)
    finally:
        env.close()


def _train(case: Case, agent: Agent, plan: Plan, saved: SavedTraining | None) -> int:
    """Train, or go on with ``saved``, which the agent was made to be."""
    run, first = case.run, agent.processes.is_first
    course = saved.course if saved else Course()
    logger, progress = None, None
    if first:
        make_output_folder(case)
        logger = Logger(run.logger, run.out_dir, LastRow(course.iterations - 1, agent.samples) if saved else None)
        progress = Progress("train", run.out_dir, run.max_samples, run.max_seconds, agent.samples, course.wall_s)
    out_dir = run.out_dir if first else None
    origin = saved.origin if saved else Origin(plan.seed, settings_of(case, agent.processes.size))
    try:
        result = train(
            agent,
            out_dir,
            run.max_samples,
            logger,
            progress,
            run.test_episodes if run.test_episodes is not None else agent.config.test_episodes,
            run.save_int_models,
            run.max_seconds,
            StateWriter(run.out_dir, agent.processes, origin, course.iterations) if run.save_state else None,
            saved,
        )
    finally:
        if progress:
            progress.close()
        if logger:
            logger.close()
    if out_dir:
        summary = {
            "samples": result.samples,
            "iterations": result.iterations,
            "num_envs": run.num_envs,
            "num_processes": agent.processes.size,
            "samples_per_s": result.samples_per_s,
            "wall_s": result.wall_s,
            "interrupted": result.interrupted,
            "ended_by": result.ended_by,
            **metrics(result.test),
            **provenance(case, agent.env, plan.seed, plan.devices),
        }
        write_json(out_dir / "train_summary.json", summary)
        print(
            f"trained {result.samples:,} samples in {result.wall_s:.1f} s "
            f"({result.samples_per_s:,.0f} samples/s): {out_dir}"
        )
        print_result(result.test)
    return result.interrupted


def _test(case: Case, agent: Agent, plan: Plan) -> int:
    run = case.run
    episodes = run.test_episodes if run.test_episodes is not None else agent.config.test_episodes
    view = None
    if run.video or run.visualize:
        # Drawing needs packages and drivers that a run without pictures does not.
        from mimickit.render.session import open_view

        view = open_view(case, agent.env)
    make_output_folder(case)
    progress = Progress("test", run.out_dir, None)
    try:
        result = run_test(
            agent,
            episodes,
            on_step=view.draw if view else None,
            on_check=lambda samples, so_far: progress.update(
                samples, so_far.episodes, so_far.mean_return, None, fraction=min(so_far.episodes / episodes, 1.0)
            ),
        )
        counted = result.episodes
        progress.update(result.samples, counted.episodes, counted.mean_return, None, fraction=1.0, final=True)
        if view:
            view.finish(run.out_dir)
    finally:
        progress.close()
        if view:
            view.close()
    write_json(
        run.out_dir / "test_metrics.json",
        {
            **metrics(result),
            "num_envs": run.num_envs,
            "model_file": str(run.model_file) if run.model_file is not None else None,
            **provenance(case, agent.env, plan.seed, plan.devices),
        },
    )
    print(f"written to {run.out_dir}{': video.mp4, contact_sheet.png' if run.video else ''}")
    print_result(result)
    return 0
