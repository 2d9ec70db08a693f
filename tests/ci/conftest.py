"""A small repository with a stub in place of the framework."""

import argparse
import csv
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ci.host import Gpu
from ci.records.roots import find_root
from ci.run import e2e
from ci.run.progress import PlainDisplay
from ci.run.stages import Programs

STUB = Path(__file__).with_name("stub_trainer.py")
CASE = "deepmimic_humanoid_ppo_args"


@dataclass
class Outcome:
    """What a run of the matrix left behind."""

    code: int
    root: Path
    printed: str

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.root / "best_by_case.tsv").open() as handle:
            return list(csv.DictReader(handle, delimiter="\t"))

    @property
    def row(self) -> dict[str, str]:
        (row,) = self.rows
        return row

    def attempts(self, case: str = CASE) -> list[dict[str, Any]]:
        return json.loads((self.root / "runs" / case / "attempts.json").read_text())["attempts"]

    def failure(self, stage: str, case: str = CASE) -> dict[str, str]:
        """The failure of a stage of the last attempt."""
        stages = {record["name"]: record for record in self.attempts(case)[-1]["stages"]}
        return stages[stage]["failure"]


@dataclass
class Matrix:
    """A repository in a temporary folder, and a way to run the matrix in it."""

    repository: Path

    def write(self, name: str, text: str) -> Path:
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def programs(self) -> Programs:
        faults = str(self.repository / "faults")
        role = {name: (sys.executable, str(STUB), name, faults) for name in ("run", "data", "prior", "checkpoint")}
        return Programs(**role)

    def run(self, *arguments: str, **faults: object) -> Outcome:
        self.write("faults", "".join(f"{name} {value}\n" for name, value in faults.items()))
        stream = io.StringIO()
        given = list(arguments)
        if not {"--resume", "--retry-failed"} & set(given):
            given = ["--engine-config", "mujoco_engine.yaml", "--require-deps", "numpy", "--jobs", "1", *given]
            if "--devices-train" not in given:
                given += ["--devices-train", "cpu"]
        before = self.roots()
        parser = argparse.ArgumentParser()
        e2e.add_arguments(parser)
        code = e2e.run(parser.parse_args(given), self.repository, self.programs(), PlainDisplay(stream))
        (root,) = self.roots() - before or {find_root(self.repository, given[given.index("--resume") + 1])}
        return Outcome(code, root, stream.getvalue())

    def roots(self) -> set[Path]:
        return set((self.repository / "output" / "train").glob("*"))

    def calls(self) -> list[dict[str, Any]]:
        """The stages the stub was started for, in order, with their options."""
        return [json.loads(line) for line in (self.repository / "calls.jsonl").read_text().splitlines()]


@pytest.fixture(autouse=True)
def signals_as_usual() -> Iterator[None]:
    """Ctrl-C and the rest work, also where the tests run in the background: there shells have them ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has two GPUs, as far as the matrix looks."""
    found = (Gpu("H100", 80.0, "600.1"), Gpu("H100", 80.0, "600.1"))
    for module in ("ci.options", "ci.run.e2e"):
        monkeypatch.setattr(f"{module}.gpus", lambda: found)


@pytest.fixture
def make_matrix(tmp_path: Path) -> Callable[[], Matrix]:
    def make() -> Matrix:
        matrix = Matrix(tmp_path)
        matrix.write("data/engines/mujoco_engine.yaml", "engine_name: mujoco\n")
        matrix.write("data/engines/newton_engine.yaml", "engine_name: newton\n")
        return matrix

    return make


@pytest.fixture
def matrix(make_matrix: Callable[[], Matrix]) -> Matrix:
    """A repository with one case."""
    matrix = make_matrix()
    add_case(matrix, CASE)
    return matrix


def add_case(matrix: Matrix, name: str, agent: str | None = "ppo") -> None:
    """An arg file with the configs it names."""
    env = matrix.write(f"data/envs/{name}_env.yaml", "env_name: stub\n").relative_to(matrix.repository)
    lines = ["# a case", "--num_envs 4096", f"--env_config {env}"]
    if agent is not None:
        path = matrix.write(f"data/agents/{agent}_agent.yaml", "agent_name: PPO\nsteps_per_iter: 8\n")
        lines.append(f"--agent_config {path.relative_to(matrix.repository)}")
    matrix.write(f"args/{name}.txt", "\n".join(lines) + "\n")


@pytest.fixture
def case_adder() -> Callable[..., None]:
    return add_case
