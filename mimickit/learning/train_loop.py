"""Training: iterate, test now and then, log, and keep the model file up to date."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mimickit.errors import DivergenceError
from mimickit.learning.agent import Agent, Metrics
from mimickit.learning.checkpoint import non_finite, save_model
from mimickit.learning.logger import Logger
from mimickit.learning.progress import Progress
from mimickit.learning.return_tracker import statistics
from mimickit.learning.test_loop import TestResult, run_test
from mimickit.learning.train_state import Course, SavedTraining, StateWriter

LIMITS = ("", "max_samples", "max_seconds")


@dataclass(frozen=True)
class TrainResult:
    """What a training came to, with the parts before a resumption. ``samples_per_s`` leaves out tests and each part's
    first iteration (when there are more); ``interrupted`` is the signal that ended it early, or 0; ``ended_by`` is
    "signal", "max_samples" or "max_seconds"."""

    samples: int
    iterations: int
    samples_per_s: float
    wall_s: float
    test: TestResult
    interrupted: int
    ended_by: str


@contextmanager
def stop_on_signal(insist: bool) -> Iterator[list[int]]:
    """Note SIGTERM and Ctrl-C, so that training ends after the current iteration with its model written.

    Args:
        insist: a second Ctrl-C ends it at once.
    """
    asked: list[int] = []

    def ask(signum: int, frame: object) -> None:
        if insist and asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(signum)

    previous = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def reached_limit(max_samples: int | None, max_seconds: float | None, samples: int, wall_s: float) -> str:
    """The limit that a training of so many samples and seconds has reached: its name, or "" for none."""
    if max_samples is not None and samples >= max_samples:
        return "max_samples"
    return "max_seconds" if max_seconds is not None and wall_s >= max_seconds else ""


def train(
    agent: Agent,
    out_dir: Path | None,
    max_samples: int | None,
    logger: Logger | None,
    progress: Progress | None,
    test_episodes: int,
    save_int_models: bool,
    max_seconds: float | None = None,
    states: StateWriter | None = None,
    resumed: SavedTraining | None = None,
) -> TrainResult:
    """Train until ``max_samples`` samples of all processes or ``max_seconds`` of wall time, whichever comes first, or
    SIGTERM or Ctrl-C; ends with an iteration.

    Only the first process is given ``out_dir``, ``logger`` and ``progress``. Every ``iters_per_output`` iterations, and
    at the end, the policy is tested, a log row written, and the training's state and the model saved.

    Args:
        states: writes this process's state.
        resumed: the training to go on with, which ``agent`` was made to be (`SavedTraining.restore`). One that has
            reached a limit is only brought to its end: its model file is written.

    Raises:
        DivergenceError, CapacityError, ProcessGroupError.
    """
    config = agent.config
    if resumed:
        course, test = replace(resumed.course), resumed.test
        if out_dir:
            save_model(agent, out_dir / "model.pt")  # what stands there may be older or newer than the state
    else:
        course, test = Course(), None
        agent.begin_training()
    start = time.monotonic() - course.wall_s
    stop, limit = _agreed(agent, 0, reached_limit(max_samples, max_seconds, agent.samples, course.wall_s))
    with stop_on_signal(insist=agent.processes.size == 1) as signals:
        first = True
        while not (stop or limit):
            began = time.monotonic()
            metrics = agent.iterate()
            iteration = course.iterations
            limit = reached_limit(max_samples, max_seconds, agent.samples, time.monotonic() - start)
            stop, limit = _agreed(agent, signals[0] if signals else 0, limit)
            output = bool(stop or limit) or iteration % config.iters_per_output == 0
            if output and agent.env.device.type == "cuda":
                torch.cuda.synchronize(agent.env.device)
            course.count(agent.samples_per_iteration, time.monotonic() - began, first)
            first = False
            if output:
                test = _output(agent, iteration, metrics, start, logger, test_episodes)
                course.wall_s = time.monotonic() - start
                if states:
                    states.write(agent, course, test)
                if out_dir:
                    _save_models(agent, out_dir, save_int_models)
            assert test is not None  # the first iteration is an output, and what is resumed ended with one
            if progress:
                episodes, last = test.episodes, bool(stop or limit)
                progress.update(
                    agent.samples, episodes.episodes, episodes.mean_return, course.samples_per_s, final=last
                )
            if output and not (stop or limit):
                agent.restart_episodes()
    assert test is not None
    return TrainResult(
        samples=agent.samples,
        iterations=course.iterations,
        samples_per_s=course.samples_per_s,
        wall_s=time.monotonic() - start,
        test=test,
        interrupted=stop,
        ended_by="signal" if stop else limit,
    )


def _save_models(agent: Agent, out_dir: Path, save_int_models: bool) -> None:
    save_model(agent, out_dir / "model.pt")
    if save_int_models:
        save_model(agent, out_dir / f"model_{agent.samples:012d}.pt")


def _agreed(agent: Agent, stop: int, limit: str) -> tuple[int, str]:
    """What ends the training in every process alike: a signal that any of them got, and the first one's limit."""
    if agent.processes.size == 1:
        return stop, limit
    code = LIMITS.index(limit) if agent.processes.is_first else 0
    total_stop, agreed = agent.processes.sum(torch.tensor([float(stop), float(code)], device=agent.env.device)).tolist()
    return stop or (int(signal.SIGTERM) if total_stop else 0), LIMITS[int(agreed)]


def _output(
    agent: Agent,
    iteration: int,
    metrics: Metrics,
    start: float,
    logger: Logger | None,
    test_episodes: int,
) -> TestResult:
    """Check, test and log."""
    values = {name: float(value) for name, value in metrics.items()}
    check_finite(agent, values, iteration)
    agent.env.engine.check_capacity()
    agent.processes.require_equal(agent)
    trained = statistics(agent.processes.sum(agent.train_returns.totals))
    agent.train_returns.clear_totals()
    training_diagnostics = _mean_diagnostics(agent)
    test = run_test(agent, test_episodes)
    if logger:
        row: dict[str, float] = {
            "Iteration": iteration,
            "Wall_Time": (time.monotonic() - start) / 3600.0,
            "Samples": agent.samples,
            "Test_Return": test.episodes.mean_return,
            "Test_Episode_Length": test.episodes.mean_length,
            "Test_Episodes": test.episodes.episodes,
            "Train_Return": trained.mean_return,
            "Train_Episode_Length": trained.mean_length,
            "Train_Episodes": trained.episodes,
            **values,
            **training_diagnostics,
        }
        bad = [f"{name} = {value}" for name, value in row.items() if not math.isfinite(value)]
        if bad:
            raise DivergenceError(f"iteration {iteration}: not finite: {', '.join(bad)}")
        logger.write(row, agent.samples)
    return test


def _mean_diagnostics(agent: Agent) -> dict[str, float]:
    totals, count = (agent.processes.sum(total) for total in agent.env.diagnostic_totals())
    return dict(zip(agent.env.diagnostics, (totals / count.clamp(min=1.0)).tolist(), strict=True))


def check_finite(agent: Agent, values: dict[str, float], iteration: int) -> None:
    """Raise DivergenceError naming the first thing that is not finite: the physics, a loss, or a parameter."""
    bad_envs = agent.env.ever_not_finite.nonzero()
    if len(bad_envs):
        raise DivergenceError(
            f"iteration {iteration}: the physics of {len(bad_envs)} of {agent.env.num_envs} environments is not "
            f"finite, the first is environment {int(bad_envs[0])}: its state became NaN or infinite"
        )
    bad = [f"{name} = {value}" for name, value in values.items() if not math.isfinite(value)]
    bad += [f"parameter '{name}'" for name in non_finite(agent.state_dict())]
    if bad:
        raise DivergenceError(
            f"iteration {iteration}: not finite: {', '.join(bad[:5])}; a smaller learning rate may help"
        )
