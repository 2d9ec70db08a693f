"""A training that is stopped and resumed is the training that was not."""

import hashlib
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mimickit.learning import smp
from mimickit.learning.logger import read_log
from mimickit.learning.smp_prior import training
from mimickit.run import main
from tests.run.programs import REPOSITORY, TIMEOUT, finish, log_without_time, start

ITERATION = 64  # samples: 8 environments, 8 steps

Case = Any  # of conftest
METHODS = ["PPO", "AWR", "LCP", "AMP", "AMP, a task", "AMP, balls", "ADD", "ASE", "SMP"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from the repository's root, where the ball is; quick motion priors, whose windows are renewed in time."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(training, "STATISTICS_WINDOWS", 50)
    monkeypatch.setattr(smp, "RENEW_EVERY", 3)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state_without_time(folder: Path) -> dict[str, Any]:
    state = torch.load(folder / "train_state.pt", weights_only=True)
    state["course"] = state["course"]["iterations"]
    return state


def same(first: Any, second: Any) -> bool:
    """Equal to the last bit, all the way down."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def assert_alike(first: Path, second: Path) -> None:
    assert digest(first / "model.pt") == digest(second / "model.pt")
    assert log_without_time(first) == log_without_time(second)
    assert same(state_without_time(first), state_without_time(second))
    summaries = [json.loads((folder / "train_summary.json").read_text()) for folder in (first, second)]
    for key in ("samples", "iterations", "mean_return", "mean_ep_len", "episodes", "seed", "ended_by"):
        assert summaries[0][key] == summaries[1][key], key


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_training_is_the_unbroken_one_to_the_last_bit(tiny_case: Case, name: str) -> None:
    tiny_case.use(name)
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    assert tiny_case.train(whole, 9) == 0
    assert tiny_case.train(broken, 5) == 0
    early = digest(broken / "model.pt")
    assert tiny_case.resume(broken, 7) == 0
    assert tiny_case.resume(broken, 9) == 0
    assert_alike(whole, broken)
    assert log_without_time(whole)["Iteration"] == [0, 2, 4, 6, 8]
    assert digest(whole / "model.pt") != early


def test_a_case_without_a_policy_is_resumed_too(tiny_case: Case) -> None:
    tiny_case.run.pop("agent_config")
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    samples = 32 * 8  # of an iteration of a case without an agent
    assert main(tiny_case.arguments(out_dir=str(whole), max_samples=str(4 * samples))) == 0
    assert main(tiny_case.arguments(out_dir=str(broken), max_samples=str(samples))) == 0
    assert main(tiny_case.arguments(out_dir=str(broken), max_samples=str(4 * samples), resume="true")) == 0
    assert_alike(whole, broken)


def test_the_seed_need_not_be_named_again(tiny_case: Case) -> None:
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    assert tiny_case.train(broken, 3, rand_seed=None) == 0
    seed = json.loads((broken / "train_summary.json").read_text())["seed"]
    assert tiny_case.train(whole, 5, rand_seed=str(seed)) == 0
    assert tiny_case.resume(broken, 5, rand_seed=None) == 0
    assert_alike(whole, broken)


def test_a_training_that_began_with_a_model_is_resumed_without_it(tiny_case: Case) -> None:
    assert tiny_case.train(tiny_case.out_dir, 1) == 0
    model = {"model_file": str(tiny_case.out_dir / "model.pt")}
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    assert tiny_case.train(whole, 5, **model) == 0
    assert tiny_case.train(broken, 3, **model) == 0
    assert tiny_case.resume(broken, 5) == 0
    assert_alike(whole, broken)
    assert tiny_case.resume(broken, 7, **model) == 0
    other = shutil.copy(model["model_file"], tiny_case.folder / "other.pt")
    assert tiny_case.resume(broken, 9, model_file=str(other)) == 2


def test_an_early_end_is_between_two_outputs_and_then_the_continuation_is_another(tiny_case: Case) -> None:
    """Why: at its end the training restarted all episodes, which the unbroken one did not there."""
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    assert tiny_case.train(whole, 5) == 0
    assert tiny_case.train(broken, 4) == 0
    assert tiny_case.resume(broken, 5) == 0
    assert log_without_time(broken)["Iteration"] == [0, 2, 3, 4]
    assert log_without_time(broken)["Samples"] == [64, 192, 256, 320]
    assert digest(whole / "model.pt") != digest(broken / "model.pt")


def wait_for_rows(process: subprocess.Popen[str], log: Path, rows: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not (log.exists() and log.read_text().count("\n") > rows):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whatever_signal_ends_it_it_goes_on_to_the_same_end(tiny_case: Case, number: int) -> None:
    """Every iteration is an output here, so that an early end is at one too."""
    tiny_case.use("AMP")
    tiny_case.agent["iters_per_output"] = 1
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    process = start(tiny_case, out_dir=str(broken), max_samples="1000000000")
    wait_for_rows(process, broken / "log.txt", 4)
    process.send_signal(number)
    code, _, err = finish(process)
    assert (code, err) == ((-number if number == signal.SIGKILL else 128 + number), "")
    done = torch.load(broken / "train_state.pt", weights_only=True)["course"]["iterations"]
    assert done >= 3
    if number == signal.SIGKILL:
        with (broken / "log.txt").open("a") as log:  # as a kill between the row and the state leaves it
            log.write(
                (broken / "log.txt").read_text().splitlines()[-1].replace(str(done - 1), str(done + 7), 1) + "\n17 0.0"
            )
        for name in ("train_state", "model"):
            (broken / f".{name}.pt.abcdef12").write_bytes(b"half of one")
    else:
        assert json.loads((broken / "train_summary.json").read_text())["ended_by"] == "signal"
    assert tiny_case.resume(broken, done + 2) == 0
    assert tiny_case.train(whole, done + 2) == 0
    assert_alike(whole, broken)
    assert not list(broken.glob(".*"))


class Killed(BaseException):
    """In place of a SIGKILL."""


@pytest.mark.parametrize("before", ["StateWriter.write", "save_model"])
def test_a_kill_between_two_writes_leaves_what_can_be_resumed(
    tiny_case: Case, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """The row is written, then the state, then the model."""
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    assert tiny_case.train(whole, 7) == 0
    assert tiny_case.train(broken, 3) == 0
    model = digest(broken / "model.pt")

    def kill(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if before == "save_model":
            patch.setattr("mimickit.learning.train_loop._save_models", kill)
        else:
            patch.setattr(f"mimickit.learning.train_loop.{before}", kill)
        with pytest.raises(Killed):
            tiny_case.resume(broken, 7)
    assert log_without_time(broken)["Iteration"] == [0, 2, 4]
    assert (
        torch.load(broken / "train_state.pt", weights_only=True)["course"]["iterations"]
        == {
            "StateWriter.write": 3,
            "save_model": 5,
        }[before]
    )
    assert digest(broken / "model.pt") == model  # older than the state, or of its iteration
    assert not (broken / "train_summary.json").exists()
    assert tiny_case.resume(broken, 7) == 0
    assert_alike(whole, broken)


@pytest.mark.parametrize("name", ["model.pt", "train_summary.json"])
def test_a_training_killed_at_its_very_end_is_brought_to_it(tiny_case: Case, name: str) -> None:
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    assert tiny_case.train(whole, 3) == 0
    shutil.copytree(whole, broken)
    (broken / name).unlink()
    assert tiny_case.resume(broken, 3) == 0
    assert_alike(whole, broken)
    rates = [json.loads((folder / "train_summary.json").read_text())["samples_per_s"] for folder in (whole, broken)]
    assert rates[0] == pytest.approx(rates[1])


def test_the_model_file_is_that_of_the_state(tiny_case: Case) -> None:
    """Another one in its place is not what the training goes on with."""
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    assert tiny_case.train(whole, 3) == 0
    shutil.copytree(whole, broken)
    state = torch.load(whole / "model.pt", weights_only=True)
    torch.save({name: torch.zeros_like(tensor) for name, tensor in state.items()}, broken / "model.pt")
    assert tiny_case.resume(broken, 3) == 0
    assert_alike(whole, broken)


def test_a_time_budget_ends_it_with_an_output(tiny_case: Case) -> None:
    out_dir = tiny_case.out_dir
    tiny_case.agent["iters_per_output"] = 1000
    assert main(tiny_case.arguments(max_samples="200000", max_seconds="0.5")) == 0
    first = json.loads((out_dir / "train_summary.json").read_text())
    assert (first["ended_by"], first["interrupted"]) == ("max_seconds", 0)
    assert first["wall_s"] >= 0.5
    log = log_without_time(out_dir)
    assert log["Samples"][-1] == first["samples"] > ITERATION
    assert log["Iteration"] == [0, first["iterations"] - 1]
    assert read_log(out_dir / "log.txt")["Wall_Time"][-1] >= 0.5 / 3600
    state = torch.load(out_dir / "train_state.pt", weights_only=True)["course"]
    assert (state["iterations"], state["wall_s"] >= 0.5) == (first["iterations"], True)


def test_a_time_budget_counts_the_parts_before(tiny_case: Case) -> None:
    out_dir = tiny_case.out_dir
    assert tiny_case.train(out_dir, 3) == 0
    state = torch.load(out_dir / "train_state.pt", weights_only=True)
    state["course"]["wall_s"] = 1000.0
    torch.save(state, out_dir / "train_state.pt")
    assert tiny_case.resume(out_dir, 2000, max_seconds="1000.2") == 0
    summary = json.loads((out_dir / "train_summary.json").read_text())
    assert summary["ended_by"] == "max_seconds"
    assert 1000.2 <= summary["wall_s"] < 1100.0
    assert read_log(out_dir / "log.txt")["Wall_Time"][-1] >= 0.2777  # hours
    status = json.loads((out_dir / "status.json").read_text())
    assert (status["eta_s"], status["max_seconds"]) == (0.0, 1000.2)
    assert status["wall_s"] >= 1000.2


def test_processes_agree_on_the_time(tiny_case: Case) -> None:
    code, _, err = finish(start(tiny_case, devices="cpu cpu", max_samples="200000", max_seconds="0.5"))
    assert (code, err) == (0, "")
    summary = json.loads((tiny_case.out_dir / "train_summary.json").read_text())
    assert (summary["ended_by"], summary["interrupted"]) == ("max_seconds", 0)


def test_the_samples_end_it_before_the_time(tiny_case: Case) -> None:
    assert main(tiny_case.arguments(max_seconds="1000")) == 0
    summary = json.loads((tiny_case.out_dir / "train_summary.json").read_text())
    assert (summary["ended_by"], summary["samples"]) == ("max_samples", 128)


def test_two_processes_go_on_together(tiny_case: Case) -> None:
    tiny_case.use("AMP")
    whole, broken = tiny_case.folder / "whole", tiny_case.folder / "broken"
    both = {"devices": "cpu cpu"}

    def run(folder: Path, iterations: int, **changes: str) -> tuple[int, str]:
        samples = str(2 * iterations * ITERATION)
        return finish(start(tiny_case, out_dir=str(folder), max_samples=samples, **both, **changes))[::2]

    assert run(whole, 5) == (0, "")
    assert run(broken, 3) == (0, "")
    others = {path.name for path in broken.glob("train_state.*")} - {"train_state.pt"}
    assert others == {f"train_state.rank1.{iterations:09d}.pt" for iterations in (1, 3)}  # that of a kill, and this
    assert run(broken, 5, resume="true") == (0, "")
    assert_alike(whole, broken)
    first = torch.load(broken / "train_state.pt", weights_only=True)["agent"]
    second = torch.load(broken / "train_state.rank1.000000005.pt", weights_only=True)["agent"]
    assert same(first["model"], second["model"])
    assert not same(first["generator"], second["generator"])
    assert not same(first["replay"], second["replay"])

    (broken / "train_state.rank1.000000005.pt").unlink()
    code, err = run(broken, 7, resume="true")
    assert code == 2
    assert "train_state.rank1.000000005.pt: no such file; it is process 1's part" in err
