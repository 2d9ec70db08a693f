"""Faults put into whole runs: each must turn the verdict red with the right class, and only the gate may do so."""

import argparse
import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ci.cases import discover
from ci.gate import gate
from ci.merge import command as merge
from ci.plan.plan import Plan, write_plan
from ci.plan.planning import Target, plan_run
from ci.profiles import PROFILES
from ci.records.roots import ROWS
from ci.records.tables import read_rows, write_rows
from ci.run.stages import Programs

TARGET = Target("data/engines/mujoco_engine.yaml", "mujoco", "cpu", "cpu")
REPOSITORY = Path(__file__).parents[3]
RUN = REPOSITORY / "mimickit" / "run.py"
FIRST, SECOND = "amp_humanoid_args", "deepmimic_humanoid_ppo_args"
TRAINER = "the trainer, as a stub"
REAL = "the real trainer"
RESULTS = "the folders of two shards, then merged"


@dataclass(frozen=True)
class Seen:
    """What a verdict looked like from outside."""

    code: int
    last_line: str
    classes: frozenset[str]  # of the failures in the rows, and the kinds of findings


@dataclass
class World:
    """A repository with two cases, and what a fault needs."""

    matrix: Any
    patch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    roots: list[Path] = field(default_factory=list)

    def seen(self, root: Path, code: int, printed: str) -> Seen:
        found = read_json_list(root / "findings.json")
        classes = {row.failure for row in read_rows(root / ROWS) if row.failure} | {one["kind"] for one in found}
        return Seen(code, printed.rstrip().splitlines()[-1], frozenset(classes))

    def run(self, *arguments: str, **faults: object) -> Seen:
        outcome = self.matrix.run(*arguments, **faults)
        self.roots.append(outcome.root)
        return self.seen(outcome.root, outcome.code, outcome.printed)

    def merge(self, name: str) -> Seen:
        parser = argparse.ArgumentParser()
        merge.add_arguments(parser)
        given = [*map(str, self.roots), "--plan", str(self.matrix.repository / "plan.json"), "--root-out", name]
        self.capsys.readouterr()
        code = merge.run(parser.parse_args(given), self.matrix.repository)
        root = self.matrix.repository / "output" / "train" / name
        return self.seen(root, code, self.capsys.readouterr().out)

    def run_shards(self) -> None:
        """Both shards of tonight's plan, green; and shard 2 of last night's, whose names and code are the same."""
        repository = self.matrix.repository
        plan = plan_run(repository, discover(repository), PROFILES["smoke"], 2, TARGET)
        for nonce, shard in (("tonight", "1/2"), ("tonight", "2/2"), ("last night", "2/2")):
            path = self.plan_file(nonce, plan)
            name = f"{nonce}_{shard[0]}".replace(" ", "_")
            seen = self.run("--plan", str(path), "--shard", shard, "--root-out", name)
            assert (seen.code, seen.last_line) == (0, "all_pass True")
        self.plan_file("tonight", plan).rename(repository / "plan.json")

    def plan_file(self, nonce: str, plan: Plan) -> Path:
        path = self.matrix.repository / f"{nonce}.json"
        write_plan(path, dataclasses.replace(plan, nonce=nonce))
        return path


@dataclass(frozen=True)
class Fault:
    """A row of the table in ci/README.md, and how it is done."""

    name: str
    where: str
    how: str
    expected: str  # the class of the case's failure, or the kind of finding
    act: Callable[[World], Seen | None]  # a run that is judged, or a change to the shards' folders


def stub(*arguments: str, **faults: object) -> Callable[[World], Seen]:
    """One case on the stub with a fault."""
    return lambda world: world.run(SECOND, *arguments, **faults)


def fork_bomb(world: World) -> Seen:
    world.patch.setattr("ci.run.process.GRACE_SECONDS", 0.3)
    seen = world.run(SECOND, "--train-timeout", "2.5", train_fork_bomb=1)
    assert not processes_with(str(world.matrix.repository / "output"))
    return seen


def hang(world: World) -> Seen:
    world.patch.setattr("ci.run.process.GRACE_SECONDS", 0.3)
    seen = world.run(SECOND, "--train-timeout", "2.5", train_hang=world.matrix.repository / "pids")
    assert not processes_with(str(world.matrix.repository / "output"))
    return seen


GUTTED = "import ci.run.sweep\nci.run.sweep.judge_root = lambda *_: []\n"


def end_the_matrix(world: World, prefix: str = "", name: str = "mine") -> Seen:
    from tests.ci.run.test_e2e_run import GIVEN, RUNNER

    pid = world.matrix.repository / "pid"
    pid.unlink(missing_ok=True)
    world.matrix.write("faults", f"train_sleep {pid}\n")
    stub_file = str(Path(__file__).parents[1] / "stub_trainer.py")
    command = [sys.executable, "-c", prefix + RUNNER, str(world.matrix.repository), stub_file]
    command += [SECOND, *GIVEN, "--root-out", name]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    runner = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(pid.exists)
        runner.send_signal(signal.SIGTERM)
        printed, _ = runner.communicate(timeout=30)
    finally:
        runner.kill()
        runner.wait()
    root = world.matrix.repository / "output" / "train" / name
    assert not processes_with(str(root))
    return world.seen(root, runner.returncode, printed)


def real(world: World, agent: dict[str, str], *arguments: str) -> Seen:
    """One case with the framework itself, in a repository that borrows this one's data."""
    clip = "data/motions/humanoid/humanoid_spinkick.pkl"
    if not (REPOSITORY / clip).is_file():
        pytest.skip(f"{clip} is not built: nox -s data")
    repository = world.matrix.repository
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / "args")
    (repository / "data").symlink_to(REPOSITORY / "data")
    text = (REPOSITORY / "data/agents/deepmimic_humanoid_ppo_agent.yaml").read_text()
    for key, value in agent.items():
        text = re.sub(rf"(?m)^( *{key}): .*$", rf"\1: {value}", text)
    world.matrix.write("agent.yaml", text)
    lines = ("--env_config data/envs/deepmimic_humanoid_env.yaml", "--agent_config agent.yaml")
    world.matrix.write(f"args/{SECOND}.txt", "\n".join(lines) + "\n")
    programs = dataclasses.replace(Programs(), run=(sys.executable, str(RUN)))
    world.patch.setattr(world.matrix, "programs", lambda: programs)
    world.patch.setenv("PYTHONPATH", str(REPOSITORY))
    return world.run("--default-ladder", "2", *arguments)


def real_nan(world: World) -> Seen:
    return real(world, {"learning_rate": "1.0e+30"}, "--train-iters", "3")


def real_kill(world: World) -> Seen:
    """SIGKILL once it trains."""
    marker = str(world.matrix.repository / "output")

    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.1):
            if any(Path(marker).glob("train/*/runs/*/*/train/status.json")):
                for pid, words in processes_with(marker).items():
                    if words[1:2] == [str(RUN)]:
                        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        return real(world, {}, "--train-iters", "1000000", "--train-timeout", "150")
    finally:
        over.set()
        killer.join()


def change_rows(change: Callable[[list[Any]], None]) -> Callable[[World], None]:
    def act(world: World) -> None:
        for root in world.roots:
            rows = read_rows(root / ROWS)
            change(rows)
            write_rows(root / ROWS, rows)

    return act


def cut_table(world: World) -> None:
    path = world.roots[0] / ROWS
    path.write_bytes(path.read_bytes()[:-7])


def nan_in_table(rows: list[Any]) -> None:
    rows[0].mean_return = float("nan")


def skip_in_junit(world: World) -> None:
    path = world.roots[0] / "junit.xml"
    text = path.read_text()
    close = text.index("/>", text.index('name="viz"'))
    path.write_text(f"{text[:close]}><skipped/></testcase>{text[close + 2 :]}")


def double_shard(world: World) -> None:
    copy = world.matrix.repository / "again"
    shutil.copytree(world.roots[0], copy)
    world.roots.append(copy)


def take_last_nights(world: World) -> None:
    world.roots[1] = world.roots[1].with_name("last_night_2")


FAULTS = (
    Fault(
        "exit code 1 after success text",
        TRAINER,
        "prints that all is well, ends with 1",
        "unexpected",
        stub(train_exit_1_after_success=1),
    ),
    Fault("exit 0 with no model", TRAINER, "ends with 0, writes no model.pt", "no_evidence", stub(train_no_model=1)),
    Fault("NaN parameters", TRAINER, "writes a model with a NaN in it", "divergence", stub(model_nan=1)),
    Fault("NaN metric", TRAINER, "tests with a mean return of NaN", "divergence", stub(test_nan=1)),
    Fault("too few episodes", TRAINER, "tests one episode too few", "no_evidence", stub(test_few_episodes=1)),
    Fault("black video", TRAINER, "films frames of one colour", "render", stub(viz_black=1)),
    Fault("frozen video", TRAINER, "films the same frame again and again", "render", stub(viz_frozen_from=0)),
    Fault("SIGKILL of the trainer", TRAINER, "kills itself", "signal", stub(train_killed=1)),
    Fault("SIGTERM of the runner", TRAINER, "sleeps while `ci e2e` gets a TERM", "stopped", end_the_matrix),
    Fault("hang", TRAINER, "sleeps, deaf to TERM, with a child that is, too", "timeout", hang),
    Fault(
        "fork bomb",
        TRAINER,
        "forks processes in sessions of their own that fork on and ignore TERM; none is left",
        "timeout",
        fork_bomb,
    ),
    Fault("disk full", TRAINER, "writes to /dev/full", "disk_full", stub(train_disk_full=1)),
    Fault("NaN in a real training", REAL, "a learning rate of 1e30", "divergence", real_nan),
    Fault("SIGKILL of a real training", REAL, "killed once it trains", "signal", real_kill),
    Fault("missing shard", RESULTS, "the folder of shard 2 is left out", "missing", lambda world: world.roots.pop(1)),
    Fault("doubled shard", RESULTS, "the folder of shard 1 comes twice", "doubled", double_shard),
    Fault("empty matrix", RESULTS, "the tables hold headers alone", "empty", change_rows(lambda rows: rows.clear())),
    Fault(
        "stale results",
        RESULTS,
        "shard 2 is of an earlier run with the same cases and code",
        "stale",
        take_last_nights,
    ),
    Fault("unreadable TSV", RESULTS, "the end of a table is cut off", "unparsable", cut_table),
    Fault("NaN in a table", RESULTS, "a mean return of NaN beside final_ok 1", "non_finite", change_rows(nan_in_table)),
    Fault("skipped case", RESULTS, "a case's test is skipped in junit.xml", "zero_test", skip_in_junit),
    Fault("case left out", RESULTS, "a case has no row", "missing", change_rows(lambda rows: rows.pop())),
)
RUNS = [fault for fault in FAULTS if fault.where != RESULTS]
MERGES = [fault for fault in FAULTS if fault.where == RESULTS]


@pytest.fixture
def world(make_matrix, case_adder, monkeypatch, capsys):
    matrix = make_matrix()
    case_adder(matrix, FIRST)
    case_adder(matrix, SECOND)
    return World(matrix, monkeypatch, capsys)


@pytest.fixture(scope="module")
def shards_kept(tmp_path_factory):
    """Where the first test that needs the shards' folders leaves a copy for the others."""
    return tmp_path_factory.mktemp("shards") / "repository"


@pytest.fixture
def shards(world, shards_kept):
    """A world in which both shards of a plan came back green, and one of an earlier run lies beside them."""
    repository = world.matrix.repository
    if not shards_kept.exists():
        world.run_shards()
        shutil.copytree(repository, shards_kept)
    else:
        shutil.copytree(shards_kept, repository, dirs_exist_ok=True)
    world.roots = [repository / "output" / "train" / f"tonight_{shard}" for shard in (1, 2)]
    return world


@pytest.mark.parametrize("fault", RUNS, ids=lambda fault: fault.name)
def test_a_fault_in_a_run_is_red_by_the_gate_alone(world, fault):
    seen = fault.act(world)
    assert seen.code != 0
    assert seen.last_line == "all_pass False"
    assert fault.expected in seen.classes
    assert "failed" in seen.classes
    if fault.act is end_the_matrix:  # its exit code is the signal's whatever the gate says
        assert end_the_matrix(world, GUTTED, "gutted").last_line == "all_pass True"
        return
    world.patch.setattr("ci.run.sweep.judge_root", lambda *_: [])
    gutted = world.run("--resume", str(world.roots[0]), "--resume-skip-status", "all")
    assert (gutted.code, gutted.last_line) == (0, "all_pass True")


@pytest.mark.parametrize("fault", MERGES, ids=lambda fault: fault.name)
def test_a_fault_in_the_results_is_red_by_the_gate_alone(shards, fault):
    good = shards.merge("good")
    assert good == Seen(0, "all_pass True", frozenset())
    fault.act(shards)
    seen = shards.merge("bad")
    assert (seen.code, seen.last_line) == (1, "all_pass False")
    assert fault.expected in seen.classes
    shards.patch.setattr(gate, "all_pass", lambda found: True)
    gutted = shards.merge("gutted")
    assert (gutted.code, gutted.last_line) == (0, "all_pass True")


def test_a_full_disk_under_the_matrix_itself_is_red(world):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    world.patch.setattr("ci.run.sweep.write_rows", full)
    outcome = world.matrix.run(SECOND)
    assert outcome.code == 1
    assert outcome.printed.rstrip().splitlines()[-1] == "all_pass False"
    assert "No space left on device" in outcome.printed


def test_the_faults_asked_for_are_all_there():
    asked = (
        "exit code 1 after success text; exit 0 with no model; NaN parameters; NaN metric; too few episodes; "
        "black video; frozen video; missing shard; doubled shard; empty matrix; stale results; "
        "SIGKILL of the trainer; SIGTERM of the runner; hang; fork bomb; disk full; unreadable TSV; skipped case"
    )
    assert set(asked.split("; ")) <= {fault.name for fault in FAULTS}
    assert len([fault for fault in FAULTS if fault.where == REAL]) >= 2


def test_the_table_in_the_readme_is_this_one():
    lines = (REPOSITORY / "ci" / "README.md").read_text().splitlines()
    table = lines[lines.index("| fault | put into | how | class |") + 2 :]
    rows = [line.strip("| ").split(" | ") for line in itertools.takewhile(lambda line: line.startswith("|"), table)]
    assert rows == [[fault.name, fault.where, fault.how, f"`{fault.expected}`"] for fault in FAULTS]


def read_json_list(path: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(path.read_text())
    return found


def processes_with(words: str) -> dict[int, list[str]]:
    """The command lines of the processes that name ``words`` and have not ended, by pid."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            line = (status.parent / "cmdline").read_bytes().decode(errors="replace").split("\0")
            ended = status.read_text().rpartition(")")[2].split()[0] in ("Z", "X")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if not ended and any(words in word for word in line):
            found[int(status.parent.name)] = line
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
