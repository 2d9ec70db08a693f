"""From a loaded case to a finished run: devices, processes, environment, agent, and the files that remain."""

import contextlib
import json
import logging
import os
import platform
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mimickit.config.case import Case
from mimickit.devices import check_device, usable_cores
from mimickit.engines import BACKENDS
from mimickit.envs import CharEnv, Share, build_env
from mimickit.errors import InputError, MimicKitError, ProcessGroupError, classify
from mimickit.files import write_atomically
from mimickit.learning.agent import Agent
from mimickit.learning.agents import build_agent
from mimickit.learning.checkpoint import load_model
from mimickit.learning.logger import LastRow, Logger, check_logger
from mimickit.learning.processes import Processes
from mimickit.learning.progress import Progress
from mimickit.learning.resume import find_training, is_complete, reached, settings_of
from mimickit.learning.test_loop import TestResult, run_test
from mimickit.learning.train_loop import train
from mimickit.learning.train_state import Course, Origin, SavedTraining, StateWriter, read_training
from mimickit.output_folder import make_output_folder

# Offsets that keep the processes' and the policy's random draws apart.
RANK_SEED_STRIDE = 1009
POLICY_SEED_OFFSET = 1
VERSIONED_PACKAGES = ("torch", "newton", "warp-lang", "mujoco", "mujoco-warp")


def launch(case: Case) -> int:
    """Run the case; the signal that ended it early, or 0."""
    devices = [check_device(name) for name in case.run.devices]
    check_logger(case.run.logger)
    if case.run.mode == "test" and len(devices) > 1:
        raise InputError(f"--mode test runs on one device, not on {len(devices)}: {' '.join(case.run.devices)}")
    saved = find_training(case) if case.run.resume else None
    if saved:
        has = reached(case.run, saved.samples, saved.course.wall_s)
        if has and is_complete(saved, case.run.out_dir):
            print(f"{case.run.out_dir} already has {has}: nothing to do")
            return 0
        seed, resumed_at = saved.origin.seed, saved.course.iterations
        print(f"resuming {case.run.out_dir} after iteration {resumed_at - 1} ({saved.samples:,} samples)")
    else:
        seed = case.run.rand_seed if case.run.rand_seed is not None else int.from_bytes(os.urandom(3), "little")
        resumed_at = 0
    backend = BACKENDS.get(case.engine.engine_name)
    notes = [backend.first_run, backend.on_cpu if devices[0].type == "cpu" else ""] if backend else []
    note = "".join(f"\n  {text}" for text in notes if text)
    print(f"engine {case.engine.engine_name}, device {' '.join(map(str, devices))}, seed {seed}{note}", flush=True)
    if len(devices) == 1:
        return _run_process(case, Processes(0, 1, devices[0]), seed, resumed_at)
    return _run_processes(case, devices, seed, resumed_at)


@dataclass(frozen=True)
class _Failure:
    """An exception on its way from a training process to the one that started it; without a kind it was unforeseen."""

    rank: int
    kind: type[MimicKitError] | None
    message: str


def _run_processes(case: Case, devices: list[torch.device], seed: int, resumed_at: int) -> int:
    """One process per device; the first failure ends them all and is raised here."""
    port = case.run.master_port or free_port()
    # PyTorch would warn on stderr of the processes it ends after a failure; the failure itself is told below.
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    failures: Any = mp.get_context("spawn").SimpleQueue()
    context = mp.start_processes(
        _process_main,
        args=(case, devices, seed, resumed_at, port, failures),
        nprocs=len(devices),
        join=False,
        start_method="spawn",
    )
    assert context is not None
    asked: list[int] = []

    def forward(signum: int, frame: object) -> None:
        """Let every process end after its iteration, which they agree on; a second Ctrl-C ends them at once."""
        if asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(signum)
        for pid in context.pids():
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                os.kill(pid, signal.SIGTERM)

    previous = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not context.join():
            pass
    except mp.ProcessExitedException as error:
        told = None if failures.empty() else _as_error(failures.get())
        # That the others lost a process which a signal ended is no news.
        if told is not None and not (error.signal_name and isinstance(told, ProcessGroupError)):
            raise told from None
        raise ProcessGroupError(
            f"training process {error.error_index} ({devices[error.error_index]}) ended with "
            f"{error.signal_name or f'exit code {error.exit_code}'}"
        ) from None
    except mp.ProcessRaisedException as error:
        if not failures.empty():
            raise _as_error(failures.get()) from None
        raise ProcessGroupError(
            f"training process {error.error_index} ({devices[error.error_index]}): {error}"
        ) from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for process in context.processes:
            if process.is_alive():
                process.kill()
    return asked[0] if asked else 0


def _as_error(failure: _Failure) -> Exception:
    if failure.kind is None:
        return RuntimeError(f"training process {failure.rank} failed:\n{failure.message}")
    return failure.kind(f"{failure.message} (process {failure.rank})")


def _process_main(
    rank: int, case: Case, devices: list[torch.device], seed: int, resumed_at: int, port: int, failures: Any
) -> None:
    device = devices[rank]
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, usable_cores() // len(devices)))
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=len(devices))
    try:
        _run_process(case, Processes(rank, len(devices), device), seed, resumed_at)
    except Exception as error:
        failure = classify(error)
        if isinstance(failure, MimicKitError):
            failures.put(_Failure(rank, type(failure), str(failure)))
        else:
            failures.put(_Failure(rank, None, traceback.format_exc()))
        raise
    # Only now: leaving the group waits for the others, and after a failure they may never come. Together: the first
    # process keeps the store that the others talk to.
    dist.barrier()
    dist.destroy_process_group()


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _run_process(case: Case, processes: Processes, seed: int, resumed_at: int) -> int:
    """Build the environment and the agent on this process's device, then train, go on after ``resumed_at`` iterations
    if that is not 0, or test."""
    run = case.run
    torch.manual_seed(seed)
    if processes.device.type == "cuda":
        torch.cuda.set_device(processes.device)
        torch.set_float32_matmul_precision("high")  # TF32 in the networks
    rank_seed = seed + RANK_SEED_STRIDE * processes.rank
    share = Share(run.num_envs, processes.device, rank_seed, processes.rank, processes.size)
    env = build_env(case.env, case.engine, share)
    agent = build_agent(case.agent, env, processes, rank_seed + POLICY_SEED_OFFSET)
    try:
        if run.mode == "test":
            if run.model_file is not None:
                load_model(agent, run.model_file)
            return _test(case, agent, seed)
        saved = None
        if resumed_at:
            saved = read_training(run.out_dir, processes.rank, resumed_at)
            saved.restore(agent)
        elif run.model_file is not None:
            load_model(agent, run.model_file)
        return _train(case, agent, seed, saved)
    finally:
        env.close()


def _train(case: Case, agent: Agent, seed: int, saved: SavedTraining | None) -> int:
    """Train, or go on with ``saved``, which the agent was made to be."""
    run, first = case.run, agent.processes.is_first
    course = saved.course if saved else Course()
    logger, progress = None, None
    if first:
        make_output_folder(case)
        logger = Logger(run.logger, run.out_dir, LastRow(course.iterations - 1, agent.samples) if saved else None)
        progress = Progress("train", run.out_dir, run.max_samples, run.max_seconds, agent.samples, course.wall_s)
    out_dir = run.out_dir if first else None
    origin = saved.origin if saved else Origin(seed, settings_of(case))
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
            **_metrics(result.test),
            **_provenance(case, agent.env, seed),
        }
        _write_json(out_dir / "train_summary.json", summary)
        print(
            f"trained {result.samples:,} samples in {result.wall_s:.1f} s "
            f"({result.samples_per_s:,.0f} samples/s): {out_dir}"
        )
        _print_result(result.test)
    return result.interrupted


def _test(case: Case, agent: Agent, seed: int) -> int:
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
    _write_json(
        run.out_dir / "test_metrics.json",
        {
            **_metrics(result),
            "num_envs": run.num_envs,
            "model_file": str(run.model_file) if run.model_file is not None else None,
            **_provenance(case, agent.env, seed),
        },
    )
    print(f"written to {run.out_dir}{': video.mp4, contact_sheet.png' if run.video else ''}")
    _print_result(result)
    return 0


def _metrics(result: TestResult) -> dict[str, Any]:
    episodes = result.episodes
    return {
        "mean_return": episodes.mean_return,
        "mean_ep_len": episodes.mean_length,
        "episodes": episodes.episodes,
        **result.diagnostics,
    }


def _print_result(result: TestResult) -> None:
    for name, value in result.diagnostics.items():
        print(f"{name}: {value:.6g}")
    print(f"Mean Return: {result.episodes.mean_return:.6g}")
    print(f"Mean Episode Length: {result.episodes.mean_length:.6g}")
    print(f"Episodes: {result.episodes.episodes}", flush=True)


def _provenance(case: Case, env: CharEnv, seed: int) -> dict[str, Any]:
    """What a record needs to be comparable later."""
    device = env.device
    summary: dict[str, Any] = {
        "seed": seed,
        "engine": case.engine.engine_name,
        "devices": list(case.run.devices),
        "device": str(device),
        "device_name": env.engine.device_name,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "versions": {"python": platform.python_version(), **_versions()},
        "command": sys.argv,
    }
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        summary["gpu_memory_used_gb"] = (total - free) / 1e9
    return summary


def _versions() -> dict[str, str]:
    found = {}
    for package in VERSIONED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
