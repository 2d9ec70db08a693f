"""Measure speed on this machine: ``nox -s bench``, or on its NVIDIA GPUs ``nox -s bench -- --gpu``.

Prints a table last and writes JSON beside it. Exit code 0 when all bounds are met, 1 when one is missed or something
did not work, otherwise that of the error (mimickit/errors.py).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mimickit.bench.part import OURS, Options
from mimickit.errors import classify, tell

CPU_OUTPUT = Path("output/bench/bench.json")
GPU_OUTPUT = Path("output/bench/gpu.json")
LOG_WIDTH = 160  # columns of the table where there is no terminal
CPU_REPEATS, GPU_REPEATS = 7, 1
OF_CPU = ("num_envs", "skip_e2e")
OF_GPU = ("parts", "merge", "shared_gpu", "rand_seed", "data", "curves", "devices_count")
PARTS_HELP = """kernels (compiled ahead, and nothing after that), checks (pytest -m gpu), speed (samples/s, start-up and
memory of single cases), learning (three whole trainings, on every GPU one at a time), devices (several GPUs against
one, and one of their processes killed), matrix (every case, and what must fail), or one step of these, such as
learning:go2_pace or devices:killed; all: whatever this machine has the GPUs for; none shows what --merge names
(default: kernels,checks,speed)"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m mimickit.bench", description=__doc__)
    made.add_argument(
        "--repeats",
        type=_positive,
        help=f"measurements of each figure (default {CPU_REPEATS}); of a case on the GPU, in turns ({GPU_REPEATS})",
    )
    made.add_argument("--output", type=Path, help=f"the JSON file (default {CPU_OUTPUT}; {GPU_OUTPUT})")
    cpu = made.add_argument_group("on the CPU")
    cpu.add_argument("--num-envs", type=_positive, default=64, help="worlds (default 64)")
    cpu.add_argument("--skip-e2e", action="store_true", help="leave out the whole commands")
    gpu = made.add_argument_group("on NVIDIA GPUs")
    gpu.add_argument("--gpu", action="store_true", help="measure the GPUs that CUDA_VISIBLE_DEVICES leaves, or all")
    gpu.add_argument("--parts", metavar="A,B", help=PARTS_HELP)
    gpu.add_argument("--merge", nargs="+", type=Path, default=[], metavar="JSON", help="take other parts from there")
    gpu.add_argument("--shared-gpu", action="store_true", help="measure although others use a GPU; the record says so")
    gpu.add_argument("--rand-seed", nargs="+", type=int, default=[1], metavar="N", help="seeds of learning (default 1)")
    gpu.add_argument(
        "--data",
        nargs="+",
        default=[OURS],
        metavar="DIR",
        help=f"unpacked published archives, whose clips are learned and whose Pi Plus is tried; '{OURS}' are the "
        "clips in data/ (default)",
    )
    gpu.add_argument("--curves", type=Path, metavar="DIR", help="copy the logs of learning there (docs/curves)")
    gpu.add_argument(
        "--devices-count", nargs="+", type=int, default=[], metavar="N", help="GPUs together (default 2, 4 and all)"
    )
    return made


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word}: at least 1")
    return number


def main(argv: Sequence[str]) -> int:
    """The command; returns the exit code."""
    arguments = parser()
    options = arguments.parse_args(argv)
    console = Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)
    others, rule = (OF_CPU, "only without --gpu") if options.gpu else (OF_GPU, "only with --gpu")
    alone = [name for name in others if getattr(options, name) != arguments.get_default(name)]
    if alone:
        arguments.error(f"{', '.join('--' + name.replace('_', '-') for name in alone)}: {rule}")
    try:
        if options.gpu:
            return _gpu(options, console)
        from mimickit.bench.cpu import run_cpu  # imports the engines, which the GPU's programs do for themselves

        repeats = options.repeats or CPU_REPEATS
        return run_cpu(options.num_envs, repeats, options.skip_e2e, options.output or CPU_OUTPUT, console)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        return tell(classify(error))[1]


def _gpu(options: argparse.Namespace, console: Console) -> int:
    from mimickit.bench.gpu import DEFAULT_PARTS, GpuOptions, run_gpu

    parts = DEFAULT_PARTS
    if options.parts is not None:
        words = tuple(word.strip() for word in options.parts.split(",") if word.strip())
        parts = () if words == ("none",) else words
    each = Options(
        repeats=options.repeats or GPU_REPEATS,
        seeds=tuple(options.rand_seed),
        data=tuple(options.data),
        curves=options.curves,
        device_counts=tuple(options.devices_count),
    )
    return run_gpu(
        GpuOptions(parts, options.output or GPU_OUTPUT, tuple(options.merge), options.shared_gpu, each), console
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
