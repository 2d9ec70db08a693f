"""The files of a training's state: what they hold, in which order those of several processes are written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mimickit.learning.amp import AMPAgent
from mimickit.learning.checkpoint import write_tensors
from mimickit.learning.processes import Processes
from mimickit.learning.return_tracker import EpisodeStatistics
from mimickit.learning.test_loop import TestResult
from mimickit.learning.train_state import Course, Origin, StateWriter, read_training, state_path

ALONE = Processes(0, 1, torch.device("cpu"))
ORIGIN = Origin(7, {"agent.discount": "0.9"})
TEST = TestResult(EpisodeStatistics(1.5, 20.0, 8), {"Root_Pos_Err": 0.25}, 160)
COURSE = Course(iterations=3, wall_s=12.5, timed_samples=256, timed_seconds=2.0, first_rate=50.0)

AgentMaker = Callable[..., AMPAgent]


def trained(make_style_agent: AgentMaker, seed: int = 0, **changes: Any) -> AMPAgent:
    agent = make_style_agent("AMP", seed=seed, **changes)
    agent.begin_training()
    for _ in range(3):
        agent.iterate()
    return agent


def test_what_is_written_comes_back(
    make_style_agent: AgentMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = trained(make_style_agent)
    StateWriter(tmp_path, ALONE, ORIGIN).write(agent, COURSE, TEST)
    before = {name: tensor.clone() for name, tensor in agent.state_dict().items()}
    torch.rand(5)  # the global generator moves on
    numbers = torch.rand(3, generator=agent.generator), torch.rand(3, generator=agent.env.generator)

    saved = read_training(tmp_path)
    assert (saved.origin, saved.course, saved.test) == (ORIGIN, COURSE, TEST)
    assert (saved.samples, saved.threads) == (3 * 128, 1)
    assert saved.course.samples_per_s == 128.0
    other = make_style_agent("AMP", seed=9)
    torch.manual_seed(11)
    resets: list[torch.Tensor] = []
    restart = other.restart_episodes

    def note() -> None:
        """Between the two: the random numbers are there, the episodes not begun."""
        resets.append(torch.get_rng_state())
        drawn = torch.rand(3, generator=other.env.generator)
        if len(resets) == 2:
            assert torch.equal(drawn, numbers[1])
        restart()

    monkeypatch.setattr(other, "restart_episodes", note)
    saved.restore(other)
    assert len(resets) == 2  # by begin_training, and after it
    assert torch.equal(torch.load(tmp_path / "train_state.pt", weights_only=True)["random"]["torch"], resets[1])
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())
    assert torch.equal(torch.rand(3, generator=other.generator), numbers[0])
    assert torch.equal(other.replay._samples, agent.replay._samples)
    assert (other.samples, other.normalizer_samples, other.replay.count) == (384, 384, 150)


def test_the_agent_that_was_restored_does_not_write_into_the_file(make_style_agent: AgentMaker, tmp_path: Path) -> None:
    StateWriter(tmp_path, ALONE, ORIGIN).write(trained(make_style_agent), COURSE, TEST)
    content = (tmp_path / "train_state.pt").read_bytes()
    agent = make_style_agent("AMP", seed=9)
    saved = read_training(tmp_path)
    saved.restore(agent)
    agent.iterate()
    assert (tmp_path / "train_state.pt").read_bytes() == content
    again = make_style_agent("AMP", seed=5)
    saved.restore(again)
    again.iterate()
    assert all(torch.equal(tensor, agent.state_dict()[name]) for name, tensor in again.state_dict().items())


def test_only_what_the_replay_buffer_remembers_is_written(make_style_agent: AgentMaker, tmp_path: Path) -> None:
    agent = trained(make_style_agent, disc_buffer_size=1_000_000)
    StateWriter(tmp_path, ALONE, ORIGIN).write(agent, COURSE, TEST)
    assert (tmp_path / "train_state.pt").stat().st_size < 2_000_000  # the whole would be 24 MB


def test_a_view_is_written_without_what_it_is_a_view_of(tmp_path: Path) -> None:
    whole = torch.arange(1_000_000.0)
    write_tensors({"a": [whole[5:8], 1.5, "text", None], "b": {"c": whole.view(1000, 1000)[:, 2]}}, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 10_000
    content = torch.load(tmp_path / "x.pt", weights_only=True)
    assert content["a"][0].tolist() == [5.0, 6.0, 7.0]
    assert content["a"][1:] == [1.5, "text", None]
    assert torch.equal(content["b"]["c"], whole.view(1000, 1000)[:, 2])


def test_another_number_of_threads_is_told(
    make_style_agent: AgentMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = trained(make_style_agent)
    StateWriter(tmp_path, ALONE, ORIGIN).write(agent, COURSE, TEST)
    read_training(tmp_path).restore(agent)
    assert capsys.readouterr().out == ""
    torch.set_num_threads(2)  # the fixture sets it back
    read_training(tmp_path).restore(agent)
    assert "note: this training had 1 CPU threads and goes on with 2" in capsys.readouterr().out


class Pair(Processes):
    """One of two processes, alone; ``seen`` are the files that lie there whenever it waits for the other."""

    def __init__(self, rank: int, folder: Path):
        super().__init__(rank, 1, torch.device("cpu"))
        self._folder = folder
        self.seen: list[set[str]] = []

    def wait_for_all(self) -> None:
        self.seen.append({path.name for path in self._folder.iterdir()})


def test_the_first_process_writes_when_all_others_have(make_style_agent: AgentMaker, tmp_path: Path) -> None:
    agent, first = trained(make_style_agent), Pair(0, tmp_path)
    StateWriter(tmp_path, first, ORIGIN).write(agent, COURSE, TEST)
    assert first.seen == [set()]
    assert [path.name for path in tmp_path.iterdir()] == ["train_state.pt"]


def test_another_process_keeps_its_file_until_a_later_one_surely_counts(
    make_style_agent: AgentMaker, tmp_path: Path
) -> None:
    agent, second = trained(make_style_agent), Pair(1, tmp_path)
    for iterations in (5, 9):  # 5 counts, 9 was left by a kill
        state_path(tmp_path, 1, iterations).touch()
    state_path(tmp_path, 2, 3).touch()  # of a third process
    writer = StateWriter(tmp_path, second, ORIGIN, resumed_at=5)

    def names(*iterations: int) -> set[str]:
        return {state_path(tmp_path, 1, count).name for count in iterations}

    others = {"train_state.rank2.000000003.pt"}
    kept = []
    for iterations in (7, 11):
        writer.write(agent, Course(iterations=iterations), TEST)
        kept.append({path.name for path in tmp_path.iterdir()} - others)
    assert [seen - others for seen in second.seen] == [names(5, 9, 7), names(5, 7, 11)]
    assert kept == [names(5, 7), names(7, 11)]
    assert others < {path.name for path in tmp_path.iterdir()}
    assert read_training(tmp_path, 1, 11).course.iterations == 11
