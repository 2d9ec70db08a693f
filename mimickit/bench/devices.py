"""Several GPUs of one host: how much faster they are together, that learning is the same, and how they end."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mimickit.bench.copies import with_value
from mimickit.bench.figures import Figure
from mimickit.bench.killed import killed
from mimickit.bench.part import Bench, run_case
from mimickit.bench.programs import ProgramError, log_tail
from mimickit.bench.record import PartRecord
from mimickit.errors import InputError, number_of
from mimickit.learning.logger import read_log

CASE = "deepmimic_humanoid_ppo"
NUM_ENVS = 4096  # on each device
ROLLOUT = 32  # control steps of an iteration, in every environment
ITERATIONS = 30
TURNS = 3
RATIOS = {2: 1.85, 4: 3.5}  # how many times as fast so many devices must be
DEADLINE = 300.0

# Go2's pace learns within that: checkpoints lie before its step at about 20 million samples, and after it.
SAME_CASE, SAME_AGENT = "deepmimic_go2_ppo", "deepmimic_go2_ppo_agent"
SAME_SAMPLES = 39_000_000
SAME_ROWS = 60  # iterations between two checkpoints
SAME_PERCENT = 15.0
CHECKPOINTS = 5
SAME_DEADLINE = 600.0


def ratios(bench: Bench, part: PartRecord) -> None:
    """Samples per second of 1, 2, 4 ... devices in turns; those that are not here are listed."""
    there = len(bench.devices)
    counts, missing = choose_counts(there, bench.options.device_counts)
    for count in missing:
        part.leave_out(f"{count} devices against one", f"{number_of(there, 'GPU')} here")
    if counts:
        measure_ratios(bench, part, counts)


def same_return(bench: Bench, part: PartRecord) -> None:
    """The returns of 1 and of 2 devices at the same samples, where there are two."""
    there = len(bench.devices)
    if there < 2:
        part.leave_out("same return on 1 and 2 devices", f"{number_of(there, 'GPU')} here")
    else:
        measure_same_return(bench, part)


def choose_counts(there: int, asked: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """How many devices to take together, and which numbers are too many here; by default those with a bound, and all
    there are. InputError for a number below 2."""
    if any(count < 2 for count in asked):
        raise InputError(f"--devices-count {min(asked)}: at least 2; one is what the others are compared with")
    wanted = sorted(set(asked) if asked else {*RATIOS, *([there] if there > 1 else [])})
    return [count for count in wanted if count <= there], [count for count in wanted if count > there]


def measure_ratios(bench: Bench, part: PartRecord, counts: list[int]) -> None:
    """1, then each of ``counts``, and so on in turns."""
    rates: dict[int, list[float]] = {count: [] for count in (1, *counts)}
    for turn in range(TURNS):
        for count in rates:
            name = f"{count} devices turn {turn + 1}"
            out_dir = bench.folder / name.replace(" ", "_")
            keys = {"num_envs": NUM_ENVS, "max_samples": ITERATIONS * ROLLOUT * NUM_ENVS * count, "save_state": "false"}
            command = run_case(CASE, bench.devices[:count], out_dir, 1, **keys)
            try:
                rates[count].append(train(bench, name, command, out_dir, DEADLINE)["samples_per_s"])
            except ProgramError as error:
                part.failed(error)
    part.details["samples_per_s"] = {str(count): found for count, found in rates.items()}
    part.figures += ratio_figures(rates)
    bench.save()


def ratio_figures(rates: dict[int, list[float]]) -> list[Figure]:
    """Samples per second by number of devices, and the ratio to one device within each turn.

    Without a rate for every turn there is no ratio: turns would be of different times.
    """
    found = [Figure(f"{count} devices, training", "samples/s", values) for count, values in rates.items() if values]
    for count in list(rates)[1:]:
        if rates[count] and len(rates[count]) == len(rates[1]):
            ratios = [several / one for several, one in zip(rates[count], rates[1], strict=True)]
            found.append(Figure(f"{count} devices over one", "x", ratios, at_least=RATIOS.get(count)))
    return found


def train(bench: Bench, name: str, command: list[str], out_dir: Path, deadline: float) -> dict[str, Any]:
    """Run a training; its ``train_summary.json``. ProgramError when it fails or leaves none."""
    ended = bench.programs.run(name, command, deadline).require()
    path = out_dir / "train_summary.json"
    if not path.exists():
        raise ProgramError(name, "left no train_summary.json", log_tail(ended.log))
    return json.loads(path.read_text(encoding="utf-8"))


def measure_same_return(bench: Bench, part: PartRecord) -> None:
    """1 x 4096 and 2 x 2048 environments; beside each other where there are three GPUs."""
    agent = with_value(
        Path(f"data/agents/{SAME_AGENT}.yaml"),
        "iters_per_output",
        SAME_ROWS,
        bench.folder / f"{SAME_AGENT}_checkpoints.yaml",
    )
    apart = len(bench.devices) > 2
    places = {1: bench.devices[2:3] if apart else bench.devices[:1], 2: bench.devices[:2]}

    def curve(count: int) -> dict[str, list[float]]:
        name = f"same return {count} devices"
        out_dir = bench.folder / name.replace(" ", "_")
        keys = {"agent_config": agent, "num_envs": NUM_ENVS // count, "max_samples": SAME_SAMPLES}
        command = run_case(SAME_CASE, places[count], out_dir, 1, save_state="false", **keys)
        train(bench, name, command, out_dir, SAME_DEADLINE)
        return read_log(out_dir / "log.txt")

    pool = ThreadPoolExecutor(2 if apart else 1)
    try:
        found = [future.result() for future in [pool.submit(curve, count) for count in places]]
    except ProgramError as error:
        part.failed(error)
        return
    except BaseException:
        bench.programs.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    for count, columns in zip(places, found, strict=True):
        names = ("Samples", "Wall_Time", "Test_Return", "Test_Episode_Length")
        part.curves[f"{count} x {NUM_ENVS // count} environments"] = {name: columns[name] for name in names}
    compare_returns(part, *found)
    bench.save()


def compare_returns(part: PartRecord, one: dict[str, list[float]], two: dict[str, list[float]]) -> None:
    """A figure per checkpoint after the first row, which is of an untrained policy: the difference in per cent."""
    if one["Samples"] != two["Samples"]:
        part.fail("same return", f"checkpoints at different samples: {one['Samples']} and {two['Samples']}")
        return
    rows = list(zip(one["Samples"], one["Test_Return"], two["Test_Return"], strict=True))[1:]
    if len(rows) < CHECKPOINTS:
        part.fail("same return", f"{len(rows)} checkpoints, expected {CHECKPOINTS}")
    for samples, first, second in rows:
        percent = 100.0 * abs(second - first) / abs(first)
        name = f"return of 2 devices against 1 at {samples / 1e6:.1f}M samples, difference"
        part.figures.append(Figure(name, "%", [percent], at_most=SAME_PERCENT))


STEPS = {"ratios": ratios, "same_return": same_return, "killed": killed}
