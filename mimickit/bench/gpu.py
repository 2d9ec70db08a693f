"""The GPU benchmark: its parts one after the other, the record written after each, the table last."""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from mimickit.bench import checks, devices, kernels, learning, matrix, speed
from mimickit.bench.machine import USED_BY_OTHERS_GB, Machine, as_json, date, look
from mimickit.bench.part import OURS, Bench, Options
from mimickit.bench.pi_plus import archives_with_meshes
from mimickit.bench.programs import ProgramError, Programs, shortened
from mimickit.bench.record import NOT_ASKED_FOR, PartRecord, Parts, merge, print_record, read_record, write_record
from mimickit.errors import InputError
from mimickit.files import check_output_file

Measure = Callable[[Bench, PartRecord], None]

# All parts in order; None: its steps, one after the other.
PARTS: dict[str, Measure | None] = {
    "kernels": kernels.measure,
    "checks": checks.measure,
    "speed": speed.measure,
    "learning": learning.measure,  # the steps beside each other, one on a GPU
    "devices": None,
    "matrix": None,
}
# Steps of long parts, each of which can be run, and is recorded, by itself: a part may take longer than a machine is
# at hand.
STEPS: dict[str, dict[str, Measure]] = {
    "speed": {**speed.STEPS},
    "learning": {**learning.STEPS},
    "devices": {**devices.STEPS},
    "matrix": {**matrix.STEPS},
}
DEFAULT_PARTS = ("kernels", "checks", "speed")
ALL = "all"
GPUS_NEEDED = {"devices": 2}
MESHES = "matrix:published_meshes"
RUN_FOLDERS = Path("output/bench")


@dataclass(frozen=True)
class GpuOptions:
    """What the command line asks of the GPU benchmark.

    Attributes:
        parts: as ``--parts`` names them; none only merges and shows.
        output: the JSON file; the Markdown goes beside it.
        merge: earlier records, whose other parts are taken over.
    """

    parts: tuple[str, ...]
    output: Path
    merge: tuple[Path, ...]
    shared_gpu: bool
    each: Options


def run_gpu(options: GpuOptions, console: Console, look_at: Callable[[Path, bool], Machine] = look) -> int:
    """Measure, write and show; 0 when all bounds are met, otherwise 1.

    Raises:
        InputError: a part or a record that there is not, no GPU or too few, or one that others use.
    """
    require_known(options.parts)
    check_output_file(options.output)
    parts = merge([read_record(path) for path in options.merge])
    for data in options.each.data:
        if data != OURS and not Path(data).is_dir():
            raise InputError(f"--data {data}: no such folder; give '{OURS}' or where a published archive was unpacked")
    left_out: dict[str, str] = {}
    if options.parts:
        machine = look_at(Path.cwd(), options.shared_gpu)
        names, left_out = chosen(options.parts, len(machine.devices), options.each.data)
        run_parts(options, names, machine, parts, console, left_out)
    elif not parts:
        raise InputError("--parts none: there is nothing to show without --merge")
    write_record(options.output, parts, listed(parts, left_out))
    print_record(parts, listed(parts, left_out), console)
    console.print(f"written to {options.output} and {options.output.with_suffix('.md')}", soft_wrap=True)
    return 0 if all(part.ok for part in parts.values()) else 1


def steps_of(part: str) -> list[str]:
    """``PART:STEP`` of all its steps."""
    return [f"{part}:{step}" for step in STEPS.get(part, {})]


def all_measures() -> dict[str, Measure]:
    """What can be measured and recorded, in order: the parts, or their steps as ``PART:STEP``."""
    found: dict[str, Measure] = {}
    for part, measure in PARTS.items():
        if measure:
            found[part] = measure
        found |= dict(zip(steps_of(part), STEPS.get(part, {}).values(), strict=True))
    return found


def hindrance(name: str, gpus: int, data: Sequence[str]) -> str | None:
    """What a part or a step lacks here, if anything."""
    needed = GPUS_NEEDED.get(name.partition(":")[0], 1)
    if gpus < needed:
        return f"it needs {needed} GPUs, here is {gpus}"
    if name == MESHES and not archives_with_meshes(data):
        return "it needs --data DIR, an unpacked published archive with Pi Plus and its meshes"
    return None


def chosen(names: Sequence[str], gpus: int, data: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Of `all_measures`, what ``--parts`` names; and what a part or ``all`` leaves out here, with the reason.

    Raises InputError when something cannot be measured here that was asked for by its name.
    """
    left_out: dict[str, str] = {}
    found: list[str] = []
    for name in PARTS if names == (ALL,) else names:
        steps = [name] if name in all_measures() else steps_of(name)
        lacking = {step: lack for step in steps if (lack := hindrance(step, gpus, data))}
        if len(lacking) == len(steps) and names != (ALL,):
            raise InputError(f"--parts {name}: {lacking[steps[0]]}")
        left_out |= lacking
        found += [step for step in steps if step not in lacking]
    return tuple(found), left_out


def listed(parts: Iterable[str], left_out: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that a record tells of, in order, with the reason why it was not run if it was not: a part, or its steps."""
    present, found = set(parts), list[str]()
    for part, measure in PARTS.items():
        alone = [step for step in steps_of(part) if step in present]
        if part in present or (measure and not alone):
            found += [part, *alone]
        else:
            found += steps_of(part)
    return {name: (left_out or {}).get(name, NOT_ASKED_FOR) for name in found}


def require_known(names: Sequence[str]) -> None:
    """InputError when one of the parts is unknown or given twice."""
    known = [name for part in PARTS for name in (part, *steps_of(part))]
    unknown = [name for name in names if name not in (*known, ALL)]
    if unknown:
        raise InputError(
            f"--parts: no part is called {', '.join(unknown)}; there are {', '.join(known)}, and {ALL} or none of them"
        )
    twice = len(set(names)) != len(names) or (ALL in names and len(names) > 1)
    if twice or any(name.partition(":")[0] in names for name in names if ":" in name):
        raise InputError(f"--parts {','.join(names)}: a part is named twice")


def run_parts(
    options: GpuOptions,
    names: Sequence[str],
    machine: Machine,
    parts: Parts,
    console: Console,
    left_out: Mapping[str, str] | None = None,
    measures: dict[str, Measure] | None = None,
) -> None:
    """Run what is named, in the order of `all_measures`, and put each into ``parts``.

    Whatever ends this early, the record has what there was until then, and no program is left running.
    """
    measures = all_measures() if measures is None else measures
    environment: dict[str, str] = {}
    stamp = time.strftime("%Y%m%d_%H%M%S")
    shared = any(gpu.used_gb > USED_BY_OTHERS_GB for gpu in machine.gpus)
    previous = signal.signal(signal.SIGTERM, _leave)

    def save() -> None:
        write_record(options.output, parts, listed(parts, left_out))

    try:
        for name in (name for name in measures if name in names):
            console.rule(name)
            command = " ".join(shortened([sys.executable, "-m", "mimickit.bench", *sys.argv[1:]]))
            part = parts[name] = PartRecord(date(), command, as_json(machine), shared)
            folder = RUN_FOLDERS / stamp
            with Programs(folder / name.replace(":", "_"), console, environment) as programs:
                part.commands = programs.commands
                bench = Bench(machine, machine.devices, programs, folder, options.each, save, environment)
                start = time.perf_counter()
                try:
                    measures[name](bench, part)
                except ProgramError as error:
                    part.failed(error)
                part.seconds = time.perf_counter() - start
            save()
    finally:
        signal.signal(signal.SIGTERM, previous)
        save()


def _leave(signum: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that programs are ended and the record is written."""
    raise SystemExit(128 + signum)
