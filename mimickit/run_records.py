"""What a run leaves beside its model: the records of what it came to, and the lines at its end."""

import json
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from mimickit.config.case import Case
from mimickit.envs import CharEnv
from mimickit.files import write_atomically
from mimickit.learning.test_loop import TestResult

VERSIONED_PACKAGES = ("torch", "newton", "warp-lang", "mujoco", "mujoco-warp")


def metrics(result: TestResult) -> dict[str, Any]:
    """What a test measured."""
    episodes = result.episodes
    return {
        "mean_return": episodes.mean_return,
        "mean_ep_len": episodes.mean_length,
        "episodes": episodes.episodes,
        **result.diagnostics,
    }


def print_result(result: TestResult) -> None:
    """The last lines of a run."""
    for name, value in result.diagnostics.items():
        print(f"{name}: {value:.6g}")
    print(f"Mean Return: {result.episodes.mean_return:.6g}")
    print(f"Mean Episode Length: {result.episodes.mean_length:.6g}")
    print(f"Episodes: {result.episodes.episodes}", flush=True)


def provenance(case: Case, env: CharEnv, seed: int, devices: Sequence[str]) -> dict[str, Any]:
    """What a record needs to be comparable later; ``devices`` are those of all processes, by rank."""
    device = env.device
    summary: dict[str, Any] = {
        "seed": seed,
        "engine": case.engine.engine_name,
        "devices": list(devices),
        "device": str(device),
        "device_name": env.engine.device_name,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "versions": versions(),
        "command": sys.argv,
    }
    if device.type == "cuda":
        of_engine = env.engine.peak_device_memory
        if of_engine is not None:  # of this process, without what CUDA keeps for itself
            summary["gpu_memory_peak_gb"] = (torch.cuda.max_memory_reserved(device) + of_engine) / 1e9
    return summary


def versions() -> dict[str, str]:
    """Of Python and the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in VERSIONED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a record, whole or not at all; ValueError for a number that is not finite."""
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
