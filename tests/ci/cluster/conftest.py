"""A repository whose jobs run a stub, and a way to run it in parts."""

import argparse
import csv
import dataclasses
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ci.cluster import command
from ci.cluster.executors import EXECUTORS
from ci.run import e2e
from ci.run.progress import PlainDisplay

HERE = Path(__file__).parent
CASES = ("add_a_args", "amp_b_args", "ase_c_args")
GIVEN = ("--engine-config", "mujoco_engine.yaml", "--require-deps", "numpy", "--jobs", "1", "--devices-train", "cpu")


@dataclass
class Parts:
    """What a run in parts left behind."""

    code: int
    lines: list[str]
    repository: Path

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.repository / "output" / "train" / "night" / "best_by_case.tsv").open() as handle:
            return list(csv.DictReader(handle, delimiter="\t"))

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return json.loads((self.repository / "output" / "cluster" / "night" / "jobs.json").read_text())["shards"]

    def said(self, *words: str) -> bool:
        """Whether one line has all the words."""
        return any(all(word in line for word in words) for line in self.lines)


@dataclass
class Cluster:
    """A repository with three cases, and what its jobs are to meet."""

    matrix: Any
    capsys: pytest.CaptureFixture[str]
    given: tuple[str, ...] = GIVEN
    program: tuple[str, ...] = ()  # in place of python -m ci e2e

    @property
    def repository(self) -> Path:
        return self.matrix.repository

    def plan_for(self, *accidents: str, **faults: object) -> None:
        self.matrix.write("faults", "".join(f"{name} {value}\n" for name, value in faults.items()))
        self.matrix.write("accidents", "".join(f"{line}\n" for line in accidents))

    def words(self, *arguments: str, executor: str = "local") -> list[str]:
        return ["--executor", executor, "--shards", "2", "--root-out", "night", *self.given, *arguments]

    def run(self, *arguments: str, executor: str = "local") -> Parts:
        """In this process."""
        parser = argparse.ArgumentParser()
        e2e.add_arguments(parser)
        asked = parser.parse_args(self.words(*arguments, executor=executor))
        self.capsys.readouterr()
        stream = io.StringIO()
        code = command.run(asked, self.repository, self.program, PlainDisplay(stream))
        printed = stream.getvalue() + self.capsys.readouterr().out
        return Parts(code, printed.splitlines(), self.repository)

    def start(self, *arguments: str, executor: str = "local", **poll: float) -> subprocess.Popen[str]:
        """In a session of its own, so that a signal to its group is what a terminal sends."""
        code = f"{RUNNER}\nrun({poll!r})"
        words = [str(self.repository), json.dumps(self.program), *self.words(*arguments, executor=executor)]
        return subprocess.Popen(
            [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def started(self) -> list[dict[str, Any]]:
        """The jobs that began, in the order they did."""
        path = self.repository / "jobs.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


RUNNER = """
import argparse, dataclasses, json, sys
from pathlib import Path
from ci.cluster import command
from ci.cluster.executors import EXECUTORS
from ci.run import e2e

def run(poll):
    repository, program, *words = Path(sys.argv[1]), json.loads(sys.argv[2]), *sys.argv[3:]
    parser = argparse.ArgumentParser()
    e2e.add_arguments(parser)
    asked = parser.parse_args(words)
    EXECUTORS[asked.executor] = dataclasses.replace(EXECUTORS[asked.executor], **poll)
    sys.exit(command.run(asked, repository, program))
"""


@pytest.fixture
def cluster(
    make_matrix: Callable[[], Any],
    case_adder: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Cluster:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(HERE.parents[2]))  # for jobs, and what starts them
    matrix = make_matrix()
    for name in CASES:
        case_adder(matrix, name)
    program = (sys.executable, str(HERE / "stub_job.py"), str(matrix.repository))
    cluster = Cluster(matrix, capsys, program=program)
    cluster.plan_for()
    return cluster


@pytest.fixture
def slurm(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Slurm that is five programs on the path; asked more often than a real one."""
    folder = tmp_path / "slurm"
    (folder / "bin").mkdir(parents=True)
    for name in ("sbatch", "srun", "sacct", "squeue", "scancel"):
        path = folder / "bin" / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "stub_slurm.py"} {name} "$@"\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("STUB_SLURM", str(folder))
    quick = dataclasses.replace(EXECUTORS["slurm"], poll_seconds=0.3, result_seconds=0.6)
    monkeypatch.setitem(EXECUTORS, "slurm", quick)
    return folder
