"""What three shards of a run leave behind when all is well, made by hand, for tests that break one thing each."""

import argparse
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ci.cases import Case
from ci.files import write_json
from ci.gate.files import EVIDENCE
from ci.merge import command as merge
from ci.plan.plan import Plan, PlannedCase, write_plan
from ci.profiles import PROFILES
from ci.records.journal import read_journal, write_journal
from ci.records.results import Attempt, CaseResult, CaseRow, Entry, ProcessResult, RunFacts, StageRecord, row_of
from ci.records.tables import read_rows, write_rows
from ci.report.junit import write_junit

SHARDS = (("amp_one_args", "add_two_args"), ("ase_three_args", "lcp_four_args"), ("view_motion_five_args",))
SECONDS = (40.0, 50.0, 30.0)
FACTS: dict[str, dict[str, Any]] = {
    "train": {
        "samples": 2048,
        "samples_per_s": 1234.5,
        "device_name": "Stub",
        "versions": {"torch": "2.9.0", "mujoco": "3.3.7"},
    },
    "long": {"samples": 9000, "samples_per_s": 2000.5},
    "test": {"mean_return": 5.25, "mean_ep_len": 20.5, "episodes": 10},
    "viz": {"frames": 12},
}


@dataclass
class Shards:
    """A repository, a plan, and the folders of its shards; a test changes one thing and writes it back."""

    repository: Path
    plan: Plan
    roots: list[Path] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.repository / "shards"

    def add(self, shard: int, name: str, plan: Plan | None = None) -> Path:
        """The folder of one shard as a run leaves it, below the folder of an artifact."""
        plan = plan or self.plan
        origin = self.repository / "output" / "train" / f"run_{shard + 1}"  # where the shard ran, on its own machine
        root = self.folder / name / origin.name
        run = facts(self.repository, origin, plan)
        results = [passed_case(plan.case(case), origin) for case in plan.shards[shard]]
        entries = [Entry(row_of(result, run), result) for result in results]
        write_plan(root / "plan.json", plan)
        write_rows(root / "best_by_case.tsv", [entry.row for entry in entries])
        write_junit(root / "junit.xml", entries)
        for result in results:
            write_journal(root / "runs" / result.case.name / "attempts.json", result, self.repository)
            for stage in result.wanted:
                log = root / "runs" / result.case.name / "base_e64" / f"{stage}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text("training done, all is well\n")
                for name in EVIDENCE[stage]:
                    log.with_suffix("").mkdir(exist_ok=True)
                    (log.with_suffix("") / name).write_text("proof")
        content = {
            **{"format": 1, "plan": plan.id, "shard": [shard + 1, len(plan.shards)], "profile": plan.profile},
            **{"engine": "mujoco", "devices": ["cpu"], "seed": plan.seed, "commit": plan.commit, "dirty": plan.dirty},
            **{"changes": plan.changes, "code_at_end": ""},
            **{"driver": "", "jobs": 1, "started": f"2026-01-01T00:00:0{shard}+00:00", "seconds": SECONDS[shard]},
            **{"stage_seconds": SECONDS[shard] - 1.0, "ended": "done", "all_pass": True},
        }
        write_json(root / "run.json", content)
        self.roots.append(root)
        return root

    @contextmanager
    def rows(self, shard: int) -> Iterator[list[CaseRow]]:
        """The rows of a shard, to be changed; journals and junit.xml stay."""
        path = self.roots[shard] / "best_by_case.tsv"
        rows = read_rows(path)
        yield rows
        write_rows(path, rows)

    @contextmanager
    def run(self, shard: int) -> Iterator[dict[str, Any]]:
        """The content of a shard's run.json, to be changed."""
        path = self.roots[shard] / "run.json"
        content = json.loads(path.read_text())
        yield content
        path.write_text(json.dumps(content))

    @contextmanager
    def results(self, shard: int) -> Iterator[dict[str, CaseResult]]:
        """The journals of a shard, to be changed: its row and junit.xml follow."""
        root = self.roots[shard]
        paths = {name: root / "runs" / name / "attempts.json" for name in self.plan.shards[shard]}
        results = {name: read_journal(path, self.repository) for name, path in paths.items()}
        yield results
        run = facts(self.repository, root, self.plan)
        entries = [Entry(row_of(result, run), result) for result in results.values()]
        for name, path in paths.items():
            write_journal(path, results[name], self.repository)
        write_rows(root / "best_by_case.tsv", [entry.row for entry in entries])
        write_junit(root / "junit.xml", entries)

    def fail_case(self) -> None:
        """The first case's test ended with exit code 1."""
        with self.results(0) as results:
            result = results[self.plan.shards[0][0]]
            record = result.attempts[-1].stages["test"]
            assert record.result is not None
            record.result = dataclasses.replace(record.result, returncode=1)
            result.note = "test failed (unexpected): exit code 1"

    def change_text(self, shard: int, name: str, change: Callable[[str], str]) -> None:
        """Rewrite a file of a shard; the change must change something."""
        path = self.roots[shard] / name
        before = path.read_text()
        assert change(before) != before
        path.write_text(change(before))

    def remove(self, shard: int, name: str = "") -> None:
        path = self.roots[shard] / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def facts(repository: Path, root: Path, plan: Plan) -> RunFacts:
    return RunFacts(root, repository, plan.profile, "mujoco", ("cpu",), plan.seed, plan.commit, plan.dirty, "", 1)


def passed_case(planned: PlannedCase, root: Path) -> CaseResult:
    """A case that went through all its stages."""
    name = planned.name
    out_dir = root / "runs" / name / "base_e64"
    stages = {
        stage: StageRecord(
            stage,
            ("run.py", "--mode", stage),
            out_dir / f"{stage}.log",
            ProcessResult(0, False, 2.5, 1.5, 0.25),
            facts=dict(FACTS[stage]),
        )
        for stage in planned.stages
    }
    attempt = Attempt("base", "data/agents/agent.yaml", 64, 2048, ("cpu",), out_dir, stages)
    case = Case(name, f"args/{name}.txt", name.split("_")[0], planned.case_type, "train", "agent.yaml", "env.yaml")
    return CaseResult(case, planned.stages, attempts=[attempt], note="", finished=True)


def make_plan(**changes: object) -> Plan:
    """Five cases in three shards, one of them with a long training."""
    cases = tuple(
        PlannedCase(
            name,
            "nontrainable" if name.startswith("view") else "trainable",
            ("train", "long", "test", "viz") if name == "lcp_four_args" else ("train", "test", "viz"),
            10.0,
            True,
        )
        for name in sorted(name for names in SHARDS for name in names)
    )
    plan = Plan(
        settings=PROFILES["smoke"],
        engine_config="data/engines/mujoco_engine.yaml",
        engine="mujoco",
        device="cpu",
        device_nontrainable="cpu",
        seed=1,
        commit="c0ffee" * 6 + "abcd",
        changes="",
        cases=cases,
        shards=SHARDS,
        nonce="tonight",
    )
    return dataclasses.replace(plan, **changes)


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """The good three."""
    shards = Shards(tmp_path, make_plan())
    for shard in range(3):
        shards.add(shard, f"artifact_{shard + 1}")
    return shards


@pytest.fixture
def plan_maker() -> Callable[..., Plan]:
    return make_plan


@pytest.fixture
def merged(shards, capsys):
    """A function that merges the shards and returns the exit code and the printed lines."""

    def run(*arguments, name="out"):
        parser = argparse.ArgumentParser(allow_abbrev=False)
        merge.add_arguments(parser)
        given = [str(word) for word in (arguments or (shards.folder,))]
        code = merge.run(parser.parse_args([*given, "--root-out", name]), shards.repository)
        return code, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def root(shards):
    return shards.repository / "output" / "train" / "out"
