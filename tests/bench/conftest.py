"""A benchmark whose programs are functions: what they would leave is made up."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from mimickit.bench.machine import Gpu, Machine, as_json
from mimickit.bench.part import Bench, Options
from mimickit.bench.programs import Ended, Programs
from mimickit.bench.record import PartRecord

GPU = Gpu("NVIDIA H100 80GB HBM3", 85.0, 0.0, "570.1")
VERSIONS = {"torch": "2.11.0", "newton": "1.8.0"}
MACHINE = Machine((GPU, GPU), VERSIONS, "abcdef0123456789", dirty=False)

Played = Callable[[str, Sequence[str], Path], int]


class PlayedPrograms(Programs):
    """Calls ``play(name, command, log)`` in place of starting ``command``; what it returns is the exit code."""

    def __init__(self, folder: Path, play: Played):
        super().__init__(folder, Console(quiet=True))
        self.play = play
        self.folders: list[Path | None] = []  # where each ran

    def run(self, name, command, deadline_s, environment=None, hold=None, folder=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name.replace(' ', '_')}.log"
        log.write_text(f"the log of {name}\n")
        self.commands.append(" ".join(map(str, command)))
        self.folders.append(folder)
        return Ended(name, log, self.play(name, command, log), 12.5, False)


@pytest.fixture
def new_part():
    return lambda: PartRecord("2026-01-01 12:00", "python -m mimickit.bench --gpu", as_json(MACHINE), seconds=1.0)


@pytest.fixture
def new_bench(tmp_path):
    """Makes a benchmark that plays its programs."""

    def make(play: Played, devices=("cuda:0", "cuda:1"), **options) -> Bench:
        programs = PlayedPrograms(tmp_path / "logs", play)
        return Bench(MACHINE, tuple(devices), programs, tmp_path / "run", Options(**options), lambda: None, {})

    return make


@pytest.fixture
def after():
    """The words of a command after one of them: ``after(command, "--out_dir")``."""

    def find(command: Sequence[str], word: str) -> str:
        return str(command[list(command).index(word) + 1])

    return find


@pytest.fixture
def programs(tmp_path):
    """Real programs."""
    with Programs(tmp_path / "logs", Console(quiet=True)) as made:
        yield made
