"""Whole trainings with published hyper-parameters: what they reach, and how long they take."""

import json
import shutil
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mimickit.bench.copies import with_data, with_value
from mimickit.bench.figures import Figure
from mimickit.bench.machine import short_name
from mimickit.bench.part import OURS, Bench, run_case
from mimickit.bench.programs import Ended, log_tail
from mimickit.bench.record import PartRecord
from mimickit.errors import InputError
from mimickit.learning.logger import read_log

CURVE = ("Samples", "Wall_Time", "Test_Return", "Test_Episode_Length")


@dataclass(frozen=True)
class Training:
    """One training and its bounds.

    Attributes:
        rows: iterations between two rows of the log, which has 10 to 25 of them.
        reaches: ``mean_return`` or ``mean_ep_len`` of the last test, and what it must be at least.
        seconds: how long the whole command may take, if there is a bound.
        deadline: seconds after which it is ended.
    """

    name: str
    case: str
    env: str
    agent: str
    max_samples: int
    rows: int
    reaches: tuple[str, float]
    deadline: float
    seconds: float | None = None


# The longest first: with several GPUs the others find their place beside it.
TRAININGS = (
    Training(
        "amp_humanoid",
        case="amp_humanoid",
        env="amp_humanoid_env",
        agent="amp_humanoid_agent",
        max_samples=79_000_000,
        rows=50,
        reaches=("mean_ep_len", 255.0),
        deadline=1500.0,
    ),
    Training(
        "humanoid_spinkick",
        case="deepmimic_humanoid_ppo",
        env="deepmimic_humanoid_env",
        agent="deepmimic_humanoid_ppo_agent",
        max_samples=79_000_000,
        rows=50,
        reaches=("mean_return", 170.0),
        seconds=600.0,
        deadline=1500.0,
    ),
    Training(
        "go2_pace",
        case="deepmimic_go2_ppo",
        env="deepmimic_go2_env",
        agent="deepmimic_go2_ppo_agent",
        max_samples=30_000_000,
        rows=25,
        reaches=("mean_return", 245.0),
        seconds=180.0,
        deadline=600.0,
    ),
)
WORDS = {"mean_return": "test return", "mean_ep_len": "test episode length"}
UNITS = {"mean_return": "", "mean_ep_len": "steps"}
NUM_ENVS = 4096


@dataclass(frozen=True)
class Run:
    """One training from one seed, with our data or an archive's."""

    training: Training
    seed: int
    data: str
    out_dir: Path

    @property
    def name(self) -> str:
        return f"{self.training.name} seed {self.seed}{whose(self.data, ' ')}"


def whose(data: str, before: str) -> str:
    """The archive's name, after ``before``; "" for our own data."""
    return "" if data == OURS else before + Path(data).resolve().name


def measure(bench: Bench, part: PartRecord, trainings: tuple[Training, ...] = TRAININGS) -> None:
    """Train on every GPU, one training on each at a time."""
    runs, folder = [], bench.folder / "learning"
    for data in bench.options.data:
        for seed in bench.options.seeds:
            for training in trainings:
                name = f"{training.name}_seed{seed}{whose(data, '_')}"
                runs.append(Run(training, seed, data, folder / name))
    commands = {run: command(run) for run in runs}  # before the first starts: a file that is missing is an error now
    part.details["learning"] = {}
    part.notes += [
        f"{each.name}: the agent file is data/agents/{each.agent}.yaml with iters_per_output: {each.rows}"
        for each in trainings
    ]
    lock = threading.Lock()

    def train(run: Run, device: str) -> None:
        argv = [device if word == "DEVICE" else word for word in commands[run]]
        ended = bench.programs.run(run.name, argv, run.training.deadline)
        with lock:  # one record for all
            judge(part, run, ended)
            bench.save()
        if bench.options.curves is not None and (run.out_dir / "log.txt").exists():
            gpu = short_name(bench.machine.gpus[bench.devices.index(device)].name)
            keep_curve(run, gpu, bench.options.curves)

    bench.programs.spread(runs, bench.devices, train)
    if len(bench.devices) > 1:
        part.notes.append(f"{len(bench.devices)} trainings at a time, one on each GPU, which share the processor")


def command(run: Run) -> list[str]:
    """What trains it, with ``DEVICE`` for the device; writes the files that it needs into the run's folder.

    Raises InputError when a file of the archive is missing.
    """
    training, files = run.training, run.out_dir.with_name(f"{run.out_dir.name}_files")
    agent = with_value(
        Path(f"data/agents/{training.agent}.yaml"),
        *("iters_per_output", training.rows, files / f"{training.agent}.yaml"),
    )
    keys: dict[str, object] = {"agent_config": agent, "num_envs": NUM_ENVS, "max_samples": training.max_samples}
    env = Path(f"data/envs/{training.env}.yaml")
    if run.data != OURS:
        keys["env_config"] = with_data(env, Path(run.data), files / env.name)
    return run_case(training.case, "DEVICE", run.out_dir, run.seed, save_state="false", **keys)


def judge(part: PartRecord, run: Run, ended: Ended) -> None:
    """Put into ``part`` what a training left: its curve, and its figures if it came to its end."""
    log = run.out_dir / "log.txt"
    if log.exists():
        try:
            columns = read_log(log)
            part.curves[run.name] = {name: columns[name] for name in CURVE}
        except (InputError, KeyError) as error:
            part.fail(run.name, f"its log cannot be read: {error}", log_tail(log))
    if ended.timed_out or ended.returncode != 0:
        part.fail(run.name, f"{ended.how}{_reason(run.out_dir)}", log_tail(ended.log))
        return
    path = run.out_dir / "train_summary.json"
    if not path.exists():
        part.fail(run.name, "left no train_summary.json", log_tail(ended.log))
        return
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    part.details.setdefault("learning", {})[run.name] = summary
    if summary["ended_by"] != "max_samples" or summary["samples"] < run.training.max_samples:
        part.fail(run.name, f"ended by {summary['ended_by']} at {summary['samples']:,} samples", log_tail(ended.log))
        return
    metric, least = run.training.reaches
    samples = f"{summary['samples'] / 1e6:.0f}M samples"
    part.figures += [
        Figure(f"{run.name}, {WORDS[metric]} at {samples}", UNITS[metric], [summary[metric]], at_least=least),
        Figure(f"{run.name}, whole command", "s", [ended.seconds], at_most=run.training.seconds),
        Figure(f"{run.name}, training without tests", "samples/s", [summary["samples_per_s"]]),
    ]


def _reason(out_dir: Path) -> str:
    """What ``error.json`` says, if the training could write it."""
    path = out_dir / "error.json"
    if not path.exists():
        return ""
    error = json.loads(path.read_text(encoding="utf-8"))
    return f": {error['kind']}: {error['message'].splitlines()[0]}"


def keep_curve(run: Run, gpu: str, folder: Path) -> Path:
    """Copy the training's log to ``folder``, named after the training, the GPU and the seed."""
    target = folder / f"{run.training.name}_{gpu}_seed{run.seed}{whose(run.data, '_')}.txt"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.out_dir / "log.txt", target)
    return target


STEPS = {training.name: partial(measure, trainings=(training,)) for training in TRAININGS}
