"""The GPU benchmark: its parts one after the other, the record written after each, the table last."""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from mimickit.bench import checks, devices, kernels, learning, matrix, speed
from mimickit.bench.machine import USED_BY_OTHERS_GB, Machine, as_json, date, look
from mimickit.bench.part import OURS, Bench, Options
from mimickit.bench.programs import ProgramError, Programs, shortened
from mimickit.bench.record import PartRecord, Parts, merge, print_record, read_record, write_record
from mimickit.errors import InputError
from mimickit.files import check_output_file

Measure = Callable[[Bench, PartRecord], None]

PARTS: dict[str, Measure] = {
    "kernels": kernels.measure,
    "checks": checks.measure,
    "speed": speed.measure,
    "learning": learning.measure,
    "devices": devices.measure,
    "matrix": matrix.measure,
}
# Steps of long parts, each of which can be run, and is recorded, by itself: a part may take longer than a machine is
# at hand.
STEPS: dict[str, dict[str, Measure]] = {
    "learning": {**learning.STEPS},
    "devices": {**devices.STEPS},
    "matrix": {**matrix.STEPS},
}
DEFAULT_PARTS = ("kernels", "checks", "speed")
RUN_FOLDERS = Path("output/bench")


@dataclass(frozen=True)
class GpuOptions:
    """What the command line asks of the GPU benchmark.

    Attributes:
        parts: of `measures`; none only merges and shows.
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
        InputError: a part or a record that there is not, no GPU, or one that others use.
    """
    require_known(options.parts)
    check_output_file(options.output)
    parts = merge([read_record(path) for path in options.merge])
    for data in options.each.data:
        if data != OURS and not Path(data).is_dir():
            raise InputError(f"--data {data}: no such folder; give '{OURS}' or where a published archive was unpacked")
    if options.parts:
        machine = look_at(Path.cwd(), options.shared_gpu)
        run_parts(options, machine, machine.devices, parts, console)
    elif not parts:
        raise InputError("--parts none: there is nothing to show without --merge")
    write_record(options.output, parts, listed(parts))
    print_record(parts, listed(parts), console)
    console.print(f"written to {options.output} and {options.output.with_suffix('.md')}", soft_wrap=True)
    return 0 if all(part.ok for part in parts.values()) else 1


def all_measures() -> dict[str, Measure]:
    """What ``--parts`` may name, in order: the parts, and after each its steps as ``PART:STEP``."""
    found: dict[str, Measure] = {}
    for part, measure in PARTS.items():
        found[part] = measure
        found |= {f"{part}:{step}": of_step for step, of_step in STEPS.get(part, {}).items()}
    return found


def listed(parts: Iterable[str]) -> tuple[str, ...]:
    """All that a record tells of, in order: a part, or its steps where it was run step by step."""
    present, found = set(parts), []
    for part in PARTS:
        steps = [f"{part}:{step}" for step in STEPS.get(part, {})]
        alone = [step for step in steps if step in present]
        found += [part, *alone] if part in present or not alone else steps
    return tuple(found)


def require_known(names: Sequence[str]) -> None:
    """InputError when one of the parts is unknown or given twice."""
    unknown = [name for name in names if name not in all_measures()]
    if unknown:
        raise InputError(
            f"--parts: no part is called {', '.join(unknown)}; there are {', '.join(all_measures())}, or none"
        )
    if len(set(names)) != len(names) or any(name.partition(":")[0] in names for name in names if ":" in name):
        raise InputError(f"--parts {','.join(names)}: a part is named twice")


def run_parts(
    options: GpuOptions,
    machine: Machine,
    device_names: Sequence[str],
    parts: Parts,
    console: Console,
    measures: dict[str, Measure] | None = None,
) -> None:
    """Run the parts asked for, in the order of `all_measures`, and put each into ``parts``.

    Whatever ends this early, the record has what there was until then, and no program is left running.
    """
    measures = all_measures() if measures is None else measures
    stamp = time.strftime("%Y%m%d_%H%M%S")
    shared = any(gpu.used_gb > USED_BY_OTHERS_GB for gpu in machine.gpus)
    previous = signal.signal(signal.SIGTERM, _leave)

    def save() -> None:
        write_record(options.output, parts, listed(parts))

    try:
        for name in (name for name in measures if name in options.parts):
            console.rule(name)
            command = " ".join(shortened([sys.executable, "-m", "mimickit.bench", *sys.argv[1:]]))
            part = parts[name] = PartRecord(date(), command, as_json(machine), shared)
            folder = RUN_FOLDERS / stamp
            with Programs(folder / name.replace(":", "_"), console) as programs:
                part.commands = programs.commands
                bench = Bench(machine, tuple(device_names), programs, folder, options.each, save)
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
