"""What cannot be resumed, what need not be, and what a resumption or a new training leaves of the files."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mimickit.run import main

Case = Any  # of conftest


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def everything(folder: Path) -> dict[str, tuple[int, str]]:
    return {path.name: (path.stat().st_mtime_ns, digest(path)) for path in folder.iterdir()}


def test_a_finished_training_says_so_and_writes_nothing(tiny_case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny_case.train(tiny_case.out_dir, 2) == 0
    before = everything(tiny_case.out_dir)
    capsys.readouterr()
    for wanted in ("128", "100"):
        assert main(tiny_case.arguments(resume="true", max_samples=wanted)) == 0
        assert f"already has 128 of {wanted} samples" in capsys.readouterr().out
    assert main(tiny_case.arguments(resume="true", max_samples="6400", max_seconds="0.001")) == 0
    assert " of 0.001 seconds" in capsys.readouterr().out
    assert everything(tiny_case.out_dir) == before


def test_a_training_that_kept_no_state_cannot_be_resumed(tiny_case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tiny_case.arguments(save_state="false", max_samples="64")) == 0
    assert (tiny_case.out_dir / "model.pt").is_file()
    assert not list(tiny_case.out_dir.glob("train_state*"))
    capsys.readouterr()
    assert main(tiny_case.arguments(resume="true", max_samples="128")) == 2
    assert "train_state.pt" in capsys.readouterr().err
    assert main(tiny_case.arguments(resume="true", save_state="false", max_samples="128")) == 2
    assert "'--save_state' must be true with --resume true" in capsys.readouterr().err


CHANGES: dict[str, tuple[Callable[[Case], Any], str]] = {
    "num_envs": (lambda case: case.run.update(num_envs="4"), "--num_envs was 8, and is now 4 (command line)"),
    "devices": (lambda case: case.run.update(devices="cpu cpu"), '--devices was ["cpu"], and is now ["cpu", "cpu"]'),
    "seed": (lambda case: case.run.update(rand_seed="8"), "--rand_seed was 7, and is now 8 (command line)"),
    "episodes": (lambda case: case.run.update(test_episodes="9"), "--test_episodes was null, and is now 9"),
    "model": (lambda case: case.run.update(model_file=str(case.out_dir / "model.pt")), "--model_file was null, and is"),
    "agent": (lambda case: case.agent.update(discount=0.9), "agent.discount was 0.99, and is now 0.9 ("),
    "network": (
        lambda case: case.agent["model"].update(critic_net="fc_2layers_256units"),
        'agent.model.critic_net was "fc_2layers_128units", and is now "fc_2layers_256units" (',
    ),
    "env": (lambda case: case.env.update(episode_length=0.4), "env.episode_length was 0.3, and is now 0.4 ("),
    "engine": (lambda case: case.engine.update(sim_freq=120), "engine.sim_freq was 240, and is now 120 ("),
    "another method": (
        lambda case: case.agent.update(agent_name="LCP", lcp_weight=0.01),
        'agent.agent_name was "PPO", and is now "LCP" (',
    ),
    "a key more": (
        lambda case: case.agent.update(agent_name="LCP", lcp_weight=0.01),
        "agent.lcp_weight was not there, and is now 0.01 (",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_named_and_nothing_is_written(
    tiny_case: Case, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change, words = CHANGES[name]
    assert tiny_case.train(tiny_case.out_dir, 1) == 0
    before = everything(tiny_case.out_dir)
    capsys.readouterr()
    change(tiny_case)
    assert tiny_case.resume(tiny_case.out_dir, 2) == 2
    err = capsys.readouterr().err
    assert err.startswith("error (input): --resume true: ")
    assert "train_state.pt is of a training that was started otherwise: " in err
    assert words in err
    assert everything(tiny_case.out_dir) == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def of_another_version(path: Path) -> None:
    torch.save(torch.load(path, weights_only=True) | {"format": 0}, path)


def of_another_agent(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    del state["agent"]["optimizers"]["critic"]
    torch.save(state, path)


def without_the_last_row(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("train_state.pt", Path.unlink, "train_state.pt: no such file, so there is no training to resume"),
        ("train_state.pt", cut, "train_state.pt: not readable"),
        ("train_state.pt", lambda path: torch.save(Path("x"), path), "train_state.pt: not readable"),
        ("train_state.pt", lambda path: torch.save({"a": 1}, path), "written by another version of this program"),
        ("train_state.pt", of_another_version, "another version of this program (format 0, this one has 1)"),
        ("train_state.pt", of_another_agent, "does not fit the agent of this version: KeyError: 'critic'"),
        ("log.txt", Path.unlink, "log.txt: no such file; a training cannot be resumed without its log"),
        ("log.txt", without_the_last_row, "log.txt: has no row of iteration 2, up to which"),
    ],
)
def test_nothing_to_resume_from(
    tiny_case: Case, capsys: pytest.CaptureFixture[str], name: str, damage: Callable[[Path], Any], words: str
) -> None:
    assert tiny_case.train(tiny_case.out_dir, 3) == 0
    damage(tiny_case.out_dir / name)
    before = everything(tiny_case.out_dir)
    capsys.readouterr()
    assert tiny_case.resume(tiny_case.out_dir, 5) == 2
    err = capsys.readouterr().err
    assert err.startswith("error (input): ")
    assert words in err
    assert everything(tiny_case.out_dir) == before


def test_an_empty_folder_has_nothing_to_resume(tiny_case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny_case.resume(tiny_case.out_dir, 2) == 2
    assert "train_state.pt: no such file, so there is no training to resume in" in capsys.readouterr().err
    assert not tiny_case.out_dir.exists()


def test_a_new_training_sets_the_old_state_aside(tiny_case: Case) -> None:
    out_dir = tiny_case.out_dir
    assert tiny_case.train(out_dir, 1) == 0
    old = digest(out_dir / "train_state.pt")
    for leftover in ("train_state.rank1.000000001.pt", ".train_state.pt.abcdef12", ".model.pt.abcdef12"):
        (out_dir / leftover).touch()
    tiny_case.agent["actor_optimizer"]["learning_rate"] = 1e30  # so that it writes none itself
    assert tiny_case.train(out_dir, 1) == 6
    assert {path.name for path in out_dir.iterdir() if "train_state" in path.name} == {"train_state.pt.previous"}
    assert not list(out_dir.glob(".*"))
    assert digest(out_dir / "train_state.pt.previous") == old


def test_a_state_that_cannot_be_written_leaves_the_one_before(tiny_case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tiny_case.train(tiny_case.out_dir, 3) == 0
    before = {name: digest(tiny_case.out_dir / name) for name in ("train_state.pt", "model.pt")}

    def full(content: Any, file: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    monkeypatch.setattr("mimickit.learning.train_loop.save_model", lambda agent, path: None)
    assert tiny_case.resume(tiny_case.out_dir, 5) not in (0, 2)
    monkeypatch.undo()
    assert {name: digest(tiny_case.out_dir / name) for name in before} == before
    assert not list(tiny_case.out_dir.glob(".*"))
    record = json.loads((tiny_case.out_dir / "error.json").read_text())
    assert "cannot write" in record["message"]
    assert "train_state.pt" in record["message"]
