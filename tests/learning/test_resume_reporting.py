"""What tells of a training goes on with it: the log's rows, TensorBoard, Weights & Biases, and the time left."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from mimickit.errors import InputError
from mimickit.learning import progress as progress_module
from mimickit.learning.logger import LastRow, Logger, TextLog, read_log, rows_through
from mimickit.learning.progress import Progress


def row(iteration: int, test_return: float = 0.5) -> dict[str, float]:
    return {"Iteration": iteration, "Samples": 64 * (iteration + 1), "Test_Return": test_return}


def write_log(path: Path, *iterations: int) -> None:
    log = TextLog(path)
    for iteration in iterations:
        log.write(row(iteration), 0)
    log.close()


def test_rows_after_the_last_that_counts_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    write_log(path, 0, 10, 20, 30)
    with path.open("a") as log:
        log.write("40     26")  # torn by a kill
    log = TextLog(path, LastRow(10, 704))
    assert read_log(path)["Iteration"] == [0, 10]  # at once
    log.write(row(20, 0.75), 0)
    log.close()
    write_log(tmp_path / "other.txt", 0, 10)
    assert path.read_text().startswith((tmp_path / "other.txt").read_text())
    assert read_log(path)["Iteration"] == [0, 10, 20]
    assert read_log(path)["Test_Return"] == [0.5, 0.5, 0.75]


def test_the_columns_stay_those_of_the_log(tmp_path: Path) -> None:
    write_log(tmp_path / "log.txt", 0)
    log = TextLog(tmp_path / "log.txt", LastRow(0, 64))
    with pytest.raises(ValueError, match="columns changed"):
        log.write({"Iteration": 10, "Samples": 704}, 0)
    log.close()


@pytest.mark.parametrize(
    "text", ["", "Iteration  Samples\n", "Iteration  Samples\n0  64\n", "Iteration\n0\n12", "Iteration\n0\n120\n"]
)
def test_a_log_without_the_row_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.txt").write_text(text)
    with pytest.raises(InputError, match=r"log\.txt: has no row of iteration 12"):
        rows_through(tmp_path / "log.txt", 12)


def test_tensorboard_forgets_what_came_after(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = Logger("tb", tmp_path)
    for iteration in (0, 10, 20):
        logger.write(row(iteration), 64 * (iteration + 1))
    logger.close()
    logger = Logger("tb", tmp_path, LastRow(10, 64 * 11))
    logger.write(row(15, 0.75), 64 * 16)
    logger.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    points = [(event.step, event.value) for event in events.Scalars("Test_Return")]
    assert points == [(64, 0.5), (64 * 11, 0.5), (64 * 16, 0.75)]


def test_weights_and_biases_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def init(**options: Any) -> Any:
        asked.append(options)
        return SimpleNamespace(id=options["id"] or f"run{len(asked)}", log=lambda *a, **k: None, finish=lambda: None)

    package = ModuleType("wandb")
    vars(package).update(init=init, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "wandb", package)
    for after in (None, LastRow(0, 64), None):
        logger = Logger("wandb", tmp_path, after)
        logger.write(row(0), 64)
        logger.close()
    assert [(options["id"], options["resume"]) for options in asked] == [(None, None), ("run1", "must"), (None, None)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands at ``seconds``."""
    clock = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: clock.seconds)
    return clock


@pytest.mark.parametrize(
    ("limits", "eta"),
    [
        # In 20 s 1,000 samples: the 6,000 that are missing take 120 s.
        ({"max_samples": 10_000, "samples_before": 3_000}, 120.0),
        ({"max_samples": 10_000, "samples_before": 3_000, "max_seconds": 500.0, "seconds_before": 400.0}, 80.0),
        ({"max_samples": 10_000, "samples_before": 3_000, "max_seconds": 900.0, "seconds_before": 400.0}, 120.0),
        ({"max_samples": None, "max_seconds": 50.0}, 30.0),
        ({"max_samples": None, "max_seconds": 10.0}, 0.0),
        ({"max_samples": None}, None),
        # From the beginning, 4,000 samples in 20 s.
        ({"max_samples": 10_000}, 30.0),
    ],
)
def test_the_time_left(tmp_path: Path, clock: SimpleNamespace, limits: dict[str, Any], eta: float | None) -> None:
    progress = Progress("train", tmp_path, **limits)
    clock.seconds += 20.0
    progress.update(4_000, None, None, None, final=True)
    progress.close()
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["eta_s"] == pytest.approx(eta)
    assert status["wall_s"] == limits.get("seconds_before", 0.0) + 20.0
    assert status["max_seconds"] == limits.get("max_seconds")


def test_nothing_is_known_of_the_rest_before_the_first_new_sample(tmp_path: Path, clock: SimpleNamespace) -> None:
    progress = Progress("train", tmp_path, 10_000, samples_before=4_000, seconds_before=10.0)
    clock.seconds += 5.0
    progress.update(4_000, None, None, None, final=True)
    progress.close()
    assert json.loads((tmp_path / "status.json").read_text())["eta_s"] is None
