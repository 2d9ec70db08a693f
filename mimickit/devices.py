"""Devices to compute on: what a name stands for, whether it is there, and how many cores there are."""

import os

import torch

from mimickit.errors import InputError, number_of


def check_device(name: str, option: str = "--devices") -> torch.device:
    """The torch device, or InputError that names ``option``: a GPU that is not there never becomes a CPU run."""
    kind, _, number = name.partition(":")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        # torch.device keeps eight bits of a number: it would read cuda:256 as cuda:0.
        if int(number or 0) >= count:
            raise InputError(
                f"{option} {name}: this machine has {number_of(count, 'CUDA device')}; "
                f"use {option} cpu to run without one"
            )
    return torch.device(name)


def compute_on(device: torch.device) -> None:
    """Have this process train on ``device``: on a GPU, with TF32 in the networks' products."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")


def usable_cores() -> int:
    """CPU cores that this process may run on; fewer than the machine has where it was pinned to some."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1
