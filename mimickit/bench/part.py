"""What every part of the GPU benchmark is given."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mimickit.bench.machine import Machine
from mimickit.bench.programs import Programs

OURS = "ours"  # in place of a published archive's folder: the clips and characters in data/


@dataclass(frozen=True)
class Options:
    """What the command line says beyond which parts.

    Attributes:
        repeats: how often each case is timed, in turns.
        seeds: of the trainings.
        data: `OURS`, or folders of unpacked published archives.
        curves: the folder into which the trainings' logs are copied, if any.
        device_counts: how many GPUs together; () takes 2, 4 and all there are.
    """

    repeats: int = 1
    seeds: tuple[int, ...] = (1,)
    data: tuple[str, ...] = (OURS,)
    curves: Path | None = None
    device_counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark.

    Attributes:
        devices: ``cuda:0`` and on.
        folder: for what the programs of this run write.
        environment: variables that every program of this run is started with, in all parts.
        save: writes the record as it is now.
    """

    machine: Machine
    devices: tuple[str, ...]
    programs: Programs
    folder: Path
    options: Options
    save: Callable[[], None]
    environment: dict[str, str]


def python(*words: object) -> list[str]:
    """A command of this Python."""
    return [sys.executable, *map(str, words)]


def run_case(
    case: str, device: str | tuple[str, ...], out_dir: Path, seed: int | None = None, **keys: object
) -> list[str]:
    """The command that trains or tests a case; ``keys`` are further ones of ``mimickit/run.py``."""
    devices = (device,) if isinstance(device, str) else device
    words: list[object] = ["mimickit/run.py", "--arg_file", f"args/{case}_args.txt", "--devices", *devices]
    words += ["--out_dir", out_dir]
    if seed is not None:
        words += ["--rand_seed", seed]
    for key, value in keys.items():
        words += [f"--{key}", value]
    return python(*words)
