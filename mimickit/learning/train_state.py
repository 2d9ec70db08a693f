"""``train_state.pt``: what a training needs to go on as if it had never stopped.

It is written after the log's row and before ``model.pt``, and holds the model too. So whatever interrupts an output,
the state is whole, is of one iteration, and can bring the log and the model file back to that iteration.

Of several processes each has a file, since each has random numbers and remembered samples of its own. The first
process's is written when all others are there, and says of which iteration they are: it is the last one that counts.

Environments are not in it: after every output all episodes start anew (`Agent.restart_episodes`), and what an
environment keeps beyond its episodes is its random numbers. Bit for bit this holds on the CPU with one number of
threads. A GPU's physics has no such promise.
"""

from __future__ import annotations

import pickle
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from mimickit.errors import InputError
from mimickit.learning.agent import Agent
from mimickit.learning.checkpoint import load_state, write_tensors
from mimickit.learning.processes import Processes
from mimickit.learning.return_tracker import EpisodeStatistics
from mimickit.learning.test_loop import TestResult

STATE_FILE = "train_state.pt"
FORMAT = 1


def state_path(folder: Path, rank: int, iterations: int) -> Path:
    """The file of one process; of all but the first it is named by the iterations it has done."""
    return folder / (STATE_FILE if rank == 0 else f"train_state.rank{rank}.{iterations:09d}.pt")


def states_of_others(folder: Path) -> list[Path]:
    """The files of the processes after the first, which are of use with its own alone."""
    return sorted(folder.glob("train_state.rank*.pt"))


@dataclass
class Course:
    """How far a training has come, all its parts together.

    ``timed_samples`` and ``timed_seconds`` leave out tests and each part's first iteration, whose samples per second
    are ``first_rate``; ``wall_s`` has everything.
    """

    iterations: int = 0
    wall_s: float = 0.0
    timed_samples: int = 0
    timed_seconds: float = 0.0
    first_rate: float = 0.0

    def count(self, samples: int, seconds: float, first: bool) -> None:
        """One more iteration; ``first``: of this part, in which much is done that later ones need not do."""
        self.iterations += 1
        if first:
            self.first_rate = samples / seconds
        else:
            self.timed_samples += samples
            self.timed_seconds += seconds

    @property
    def samples_per_s(self) -> float:
        return self.timed_samples / self.timed_seconds if self.timed_samples else self.first_rate


@dataclass(frozen=True)
class Origin:
    """What a training was started with: ``settings`` by key, as text, must be the same to go on with it."""

    seed: int
    settings: dict[str, str] = field(default_factory=dict)


class StateWriter:
    """Writes one process's state at every output.

    Args:
        resumed_at: iterations of the state that the training went on from; 0 without one.
    """

    def __init__(self, folder: Path, processes: Processes, origin: Origin, resumed_at: int = 0):
        self._folder, self._processes, self._origin = folder, processes, origin
        self._previous = resumed_at

    def write(self, agent: Agent, course: Course, test: TestResult) -> None:
        """Write the state; returns before the first process's file is there, but not before the others' are."""
        device = agent.env.device
        content = {
            "format": FORMAT,
            "origin": asdict(self._origin),
            "course": asdict(course),
            "test": asdict(test),
            "threads": torch.get_num_threads(),
            "agent": agent.training_state(),
            "random": {
                "env": agent.env.generator.get_state(),
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            },
        }
        rank = self._processes.rank
        path = state_path(self._folder, rank, course.iterations)
        if rank:
            write_tensors(content, path)
        self._processes.wait_for_all()
        if rank == 0:
            write_tensors(content, path)
            return
        # The first process may still be at its file, and until it is there the state before this one counts.
        needed = (path, state_path(self._folder, rank, self._previous))
        self._previous = course.iterations
        for other in self._folder.glob(f"train_state.rank{rank}.*.pt"):
            if other not in needed:
                other.unlink()


class SavedTraining:
    """One process's state, read back; its tensors stay in the file until they are needed.

    Attributes:
        path: of the file; origin, course, test: as they were written.
        samples: of all processes; threads: that torch had on the CPU.
    """

    def __init__(self, path: Path, content: dict[str, Any]):
        self.path = path
        self._content = content
        self.origin = Origin(**content["origin"])
        self.course = Course(**content["course"])
        test = content["test"]
        self.test = TestResult(EpisodeStatistics(**test["episodes"]), dict(test["diagnostics"]), test["samples"])
        self.samples: int = content["agent"]["samples"]
        self.threads: int = content["threads"]

    def restore(self, agent: Agent) -> None:
        """Make ``agent`` and its environment what they were, ready for the next iteration; says so if torch has
        another number of threads, which on the CPU round otherwise.

        Raises:
            InputError: the state is of other networks or buffers, as another version of the program may have had.
        """
        agent.begin_training()
        random, device = self._content["random"], agent.env.device
        try:
            agent.load_training_state(self._content["agent"])
            agent.env.generator.set_state(random["env"])
            torch.set_rng_state(random["torch"])
            if device.type == "cuda":
                torch.cuda.set_rng_state(random["cuda"], device)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            first_line = str(error).splitlines()[0]
            raise InputError(
                f"{self.path}: does not fit the agent of this version: {type(error).__name__}: {first_line}"
            ) from error
        agent.restart_episodes()
        threads = torch.get_num_threads()
        if device.type == "cpu" and threads != self.threads and agent.processes.is_first:
            print(
                f"note: this training had {self.threads} CPU threads and goes on with {threads}: its numbers will not "
                "be those of an unbroken one to the last bit",
                flush=True,
            )

    def is_the_model(self, path: Path) -> bool:
        """The model file ``path`` is that of this state."""
        try:
            model = load_state(path)
        except InputError:
            return False
        own = self._content["agent"]["model"]
        return model.keys() == own.keys() and all(torch.equal(model[name], own[name]) for name in own)


def read_training(folder: Path, rank: int = 0, iterations: int = 0) -> SavedTraining:
    """The state of process ``rank`` in a training's folder; no code in it is run.

    Args:
        iterations: that the first process's state tells, for the others'.

    Raises:
        InputError: missing, damaged, or of another version.
    """
    path = state_path(folder, rank, iterations)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, so there is no training to resume in {folder}; a training writes it with every "
            "output, the first after its first iteration"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: what does not load is refused below
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise InputError(f"{path}: not readable: it is damaged, or names code, which is not run") from None
    except Exception as error:  # a damaged file can make torch.load raise anything
        first_line = (str(error) or repr(error)).splitlines()[0]
        raise InputError(f"{path}: not readable: {type(error).__name__}: {first_line}") from None
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise InputError(
            f"{path}: written by another version of this program (format {version}, this one has {FORMAT})"
        )
    try:
        return SavedTraining(path, content)
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not the state of a training: {type(error).__name__}: {error}") from None
