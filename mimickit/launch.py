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

from mimickit.config.case import Case, format_case
from mimickit.devices import check_device
from mimickit.engines import BACKENDS
from mimickit.envs import CharEnv, Share, build_env
from mimickit.errors import InputError, MimicKitError, ProcessGroupError, classify
from mimickit.files import write_atomically
from mimickit.learning.agent import Agent
from mimickit.learning.agents import build_agent
from mimickit.learning.checkpoint import load_model
from mimickit.learning.logger import Logger, check_logger
from mimickit.learning.processes import Processes
from mimickit.learning.progress import Progress
from mimickit.learning.test_loop import TestResult, run_test
from mimickit.learning.train_loop import train

# Offsets that keep the processes' and the policy's random draws apart.
RANK_SEED_STRIDE = 1009
POLICY_SEED_OFFSET = 1
# What each mode writes as its result, and so what it sets aside first; a test leaves the training beside it alone.
RESULT_FILES = {
    "train": ("model.pt", "log.txt", "train_summary.json"),
    "test": ("test_metrics.json", "video.mp4", "contact_sheet.png", "frames.json"),
}
VERSIONED_PACKAGES = ("torch", "newton", "warp-lang", "mujoco", "mujoco-warp")


def launch(case: Case) -> int:
    """Run the case; the signal that ended it early, or 0."""
    devices = [check_device(name) for name in case.run.devices]
    check_logger(case.run.logger)
    if case.run.mode == "test" and len(devices) > 1:
        raise InputError(f"--mode test runs on one device, not on {len(devices)}: {' '.join(case.run.devices)}")
    seed = case.run.rand_seed if case.run.rand_seed is not None else int.from_bytes(os.urandom(3), "little")
    backend = BACKENDS.get(case.engine.engine_name)
    notes = [backend.first_run, backend.on_cpu if devices[0].type == "cpu" else ""] if backend else []
    note = "".join(f"\n  {text}" for text in notes if text)
    print(f"engine {case.engine.engine_name}, device {' '.join(map(str, devices))}, seed {seed}{note}", flush=True)
    if len(devices) == 1:
        return _run_process(case, Processes(0, 1, devices[0]), seed)
    return _run_processes(case, devices, seed)


@dataclass(frozen=True)
class _Failure:
    """An exception on its way from a training process to the one that started it; without a kind it was unforeseen."""

    rank: int
    kind: type[MimicKitError] | None
    message: str


def _run_processes(case: Case, devices: list[torch.device], seed: int) -> int:
    """One process per device; the first failure ends them all and is raised here."""
    port = case.run.master_port or free_port()
    # PyTorch would warn on stderr of the processes it ends after a failure; the failure itself is told below.
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    failures: Any = mp.get_context("spawn").SimpleQueue()
    context = mp.start_processes(
        _process_main, args=(case, devices, seed, port, failures), nprocs=len(devices), join=False, start_method="spawn"
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
        if not failures.empty():
            raise _as_error(failures.get()) from None
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


def _process_main(rank: int, case: Case, devices: list[torch.device], seed: int, port: int, failures: Any) -> None:
    device = devices[rank]
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // len(devices)))
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=len(devices))
    try:
        _run_process(case, Processes(rank, len(devices), device), seed)
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


def _run_process(case: Case, processes: Processes, seed: int) -> int:
    """Build the environment and the agent on this process's device, then train or test."""
    run = case.run
    torch.manual_seed(seed)
    if processes.device.type == "cuda":
        torch.cuda.set_device(processes.device)
        torch.set_float32_matmul_precision("high")  # TF32 in the networks
    rank_seed = seed + RANK_SEED_STRIDE * processes.rank
    share = Share(run.num_envs, processes.device, rank_seed, processes.rank, processes.size)
    env = build_env(case.env, case.engine, share)
    agent = build_agent(case.agent, env, processes, rank_seed + POLICY_SEED_OFFSET)
    if run.model_file is not None:
        load_model(agent, run.model_file)
    stages = {"train": _train, "test": _test}
    try:
        return stages[run.mode](case, agent, seed)
    finally:
        env.close()


def make_output_folder(case: Case) -> None:
    """Create the folder, set an earlier run's results aside as ``NAME.previous``, and write the configuration.

    Called when everything the run was given has proved good, so bad input leaves the folder as it was.
    """
    out_dir = case.run.out_dir
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name in ("error.json", "status.json"):
            (out_dir / name).unlink(missing_ok=True)
        for name in RESULT_FILES[case.run.mode]:
            if (out_dir / name).exists():
                os.replace(out_dir / name, out_dir / f"{name}.previous")
        (out_dir / "config.yaml").write_text(format_case(case) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out_dir {out_dir}: cannot be written: {error.strerror}") from None


def _train(case: Case, agent: Agent, seed: int) -> int:
    run, first = case.run, agent.processes.is_first
    if first:
        make_output_folder(case)
    out_dir = run.out_dir if first else None
    logger = Logger(run.logger, run.out_dir) if first else None
    progress = Progress("train", out_dir, run.max_samples) if first else None
    try:
        result = train(
            agent,
            out_dir,
            run.max_samples,
            logger,
            progress,
            run.test_episodes if run.test_episodes is not None else agent.config.test_episodes,
            run.save_int_models,
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
