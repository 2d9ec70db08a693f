"""``ci e2e --executor slurm``: plan a run, have a cluster work on its shards, and bring them together.

What three commands do one after the other (``ci matrix``, a ``ci e2e --plan`` for each shard, ``ci merge``), with
submitit between them. Its own files are in output/cluster/NAME, the shards' roots are output/train/NAME_I, and the
merged one is output/train/NAME.
"""

import argparse
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ci.cases import read_engine_name
from ci.cluster.executors import EXECUTORS, SubmissionError, open_executor, require_executor
from ci.cluster.job import ShardJob
from ci.cluster.submission import Request
from ci.cluster.watch import Shard, Watch, cancelled_file, jobs_folder
from ci.cluster.words import parse_words
from ci.errors import UsageError
from ci.files import read_json_object
from ci.gate.findings import Finding
from ci.gate.gate import verdict_line
from ci.merge import command as merge
from ci.options import CPU_ENGINES, engine_path, kind_of
from ci.plan import command as matrix
from ci.plan.plan import read_plan
from ci.plan.shards import STOP_MINUTES
from ci.records.results import relative
from ci.records.roots import PARENT as ROOTS
from ci.records.roots import PLAN, make_root
from ci.run.process import Stop, Stopped, stop_on_signals
from ci.run.progress import Display, LiveDisplay, PlainDisplay

STEM = "cluster_"
PARENT = Path("output") / "cluster"
PLAIN_SECONDS = 300.0  # between two rounds of plain lines: jobs take hours
PROGRAM = (sys.executable, "-m", "ci", "e2e")
# Options of ci e2e that belong to one run on one machine.
ONE_MACHINE = ("list", "shard", "plan", "resume", "resume_skip_status", "retry_failed")
# Options that are passed on to the jobs: how a machine does its part.
PASSED_ON = ("devices_train", "devices_nontrainable", "one_device_each", "jobs", "require_deps")
GPU_WORDS = ("gpus-per-node", "gres")


def run(
    arguments: argparse.Namespace,
    repository: Path,
    program: Sequence[str] = PROGRAM,
    display: Display | None = None,
) -> int:
    """The command; returns the exit code. Raises UsageError before anything is submitted.

    ``program`` and ``display`` stand in for ``python -m ci e2e`` inside the jobs, and for the terminal.
    """
    words = parse_words(arguments.slurm)
    _require_possible(arguments)
    display = display or (LiveDisplay(sys.stdout) if sys.stdout.isatty() else PlainDisplay(sys.stdout, PLAIN_SECONDS))
    folder = make_root(repository / PARENT, arguments.root_out, STEM)
    stop = Stop()
    with stop_on_signals(stop):
        try:
            watch = _submitted(arguments, words, repository, folder, program, stop, display)
        except (UsageError, SubmissionError) as error:
            shutil.rmtree(folder)  # nothing was submitted: the corrected command may have the name
            raise UsageError(str(error)) from error
        except Stopped:
            shutil.rmtree(folder)
            display.line(f"ending, by {stop.reason}: nothing was submitted")
            return 128 + stop.signum
        watch.run()
    rest = [str(relative(path, repository)) for path in _left(watch.shards, folder)]
    rest += ["--plan", str(relative(folder / PLAN, repository))]
    if watch.stopped:
        display.line(f"every job has ended. What they left behind: python -m ci merge {' '.join(rest)}")
        display.line(verdict_line([Finding("failed", "", f"ended by {stop.reason}")]))
        return 128 + stop.signum
    for line in watch.lost_lines():
        display.line(line)
    return _merge(watch.shards, repository, folder)


def _require_possible(arguments: argparse.Namespace) -> None:
    """UsageError for what jobs cannot do, and where submitit is missing."""
    name = arguments.executor
    given = [option for option in ONE_MACHINE if getattr(arguments, option)]
    if given:
        raise UsageError(f"--{given[0].replace('_', '-')} is for a run on this machine, not for --executor {name}.")
    if arguments.slurm and not EXECUTORS[name].takes_words:
        raise UsageError(f"--slurm cannot be given beside --executor {name}: its jobs are processes of this machine.")
    require_executor(name)


def _submitted(
    arguments: argparse.Namespace,
    words: Mapping[str, str | bool],
    repository: Path,
    folder: Path,
    program: Sequence[str],
    stop: Stop,
    display: Display,
) -> Watch:
    """Plan the run and submit its jobs. Raises UsageError, SubmissionError or Stopped; then there are none."""
    _require_new(repository / ROOTS, folder.name)
    rows = _planned(arguments, repository, folder)
    can_ask = EXECUTORS[arguments.executor].takes_words and not set(GPU_WORDS) & set(words)
    if can_ask and read_plan(folder / PLAN).device == "cuda":
        display.line("note: the plan is for a GPU, and --slurm asks for none (gpus-per-node=1)")
    minutes = max(row["step_timeout_minutes"] for row in rows)
    if arguments.deadline is not None:
        minutes = math.ceil(arguments.deadline / 60.0) + STOP_MINUTES
    request = Request(folder.name, jobs_folder(folder), minutes, words)
    opened = open_executor(arguments.executor, request)
    shards = [_shard(row, arguments, repository, folder, program) for row in rows]
    watch = Watch(arguments.executor, opened, shards, folder, stop, display)
    display.line(f"{len(shards)} job(s) of at most {minutes} min; what becomes of them: {folder / 'jobs.json'}")
    stop.check()
    watch.submit_all()
    return watch


def _require_new(parent: Path, name: str) -> None:
    """UsageError when there are results of that name: a shard would go on with what is not its own."""
    there = sorted([*parent.glob(name), *parent.glob(f"{name}_*")])
    if there:
        raise UsageError(f"{there[0]} exists already: choose another --root-out, or remove it.")


def _planned(arguments: argparse.Namespace, repository: Path, folder: Path) -> list[dict[str, Any]]:
    """Write plan.json and matrix.json as ``ci matrix`` does; the rows of the latter."""
    parser = argparse.ArgumentParser()
    matrix.add_arguments(parser)
    asked = parser.parse_args([])
    for name in vars(asked):
        value = getattr(arguments, name, None)
        if value is not None:
            setattr(asked, name, value)
    asked.out = folder
    asked.device = _kind(arguments.devices_train)
    asked.device_nontrainable = _kind(arguments.devices_nontrainable)
    engine_config = engine_path(arguments.engine_config)
    if asked.device is None and engine_config and read_engine_name(repository, engine_config) in CPU_ENGINES:
        asked.device = "cpu"
    matrix.run(asked, repository)
    rows: list[dict[str, Any]] = read_json_object(folder / "matrix.json")["include"]
    return rows


def _kind(devices: Sequence[str] | None) -> str | None:
    if not devices:
        return None
    return "cuda" if devices[0] == "all" else kind_of(devices[0])


def _shard(
    row: Mapping[str, Any], arguments: argparse.Namespace, repository: Path, folder: Path, program: Sequence[str]
) -> Shard:
    """One row of the matrix as a job that is still to be submitted."""
    name = f"{folder.name}_{row['index']}"
    deadline = ("--deadline", f"{arguments.deadline or row['deadline_seconds']:g}")
    start = ("--plan", str(folder / PLAN), "--shard", row["shard"], "--root-out", name, *deadline)
    resume = ("--resume", name, *deadline)
    task = ShardJob(
        start=(*program, *start, *_passed_on(arguments)),
        resume=(*program, *resume),
        root=repository / ROOTS / name,
        cancelled=cancelled_file(folder),
        repository=repository,
        environment={name: os.environ.get(name) for name in EXECUTORS[arguments.executor].own_variables},
    )
    return Shard(title=row["shard"], task=task)


def _passed_on(arguments: argparse.Namespace) -> Iterator[str]:
    for name in PASSED_ON:
        value = getattr(arguments, name)
        if value:
            yield f"--{name.replace('_', '-')}"
        if value and value is not True:
            yield ",".join(value) if isinstance(value, tuple) else str(value)


def _left(shards: Sequence[Shard], folder: Path) -> list[Path]:
    """The roots that there are. Where there is none, a folder without any, for the merge to say so."""
    return [shard.task.root for shard in shards if shard.task.root.is_dir()] or [folder]


def _merge(shards: Sequence[Shard], repository: Path, folder: Path) -> int:
    parser = argparse.ArgumentParser()
    merge.add_arguments(parser)
    words = [*map(str, _left(shards, folder)), "--plan", str(folder / PLAN), "--root-out", folder.name]
    return merge.run(parser.parse_args(words), repository)
