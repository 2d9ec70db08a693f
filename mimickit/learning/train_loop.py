"""Training: iterate, test now and then, log, and keep the model file up to date."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from mimickit.errors import DivergenceError
from mimickit.learning.agent import Agent, Metrics
from mimickit.learning.checkpoint import non_finite, save_model
from mimickit.learning.logger import Logger
from mimickit.learning.progress import Progress
from mimickit.learning.return_tracker import statistics
from mimickit.learning.test_loop import TestResult, run_test


@dataclass(frozen=True)
class TrainResult:
    """What a training run came to. ``samples_per_s`` leaves out the first iteration (when there are more) and tests;
    ``interrupted`` is the signal that ended it early, or 0."""

    samples: int
    iterations: int
    samples_per_s: float
    wall_s: float
    test: TestResult
    interrupted: int


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


def train(
    agent: Agent,
    out_dir: Path | None,
    max_samples: int | None,
    logger: Logger | None,
    progress: Progress | None,
    test_episodes: int,
    save_int_models: bool,
) -> TrainResult:
    """Train until ``max_samples`` samples of all processes (without one, until SIGTERM or Ctrl-C).

    Only the first process is given ``out_dir``, ``logger`` and ``progress``. Every ``iters_per_output`` iterations, and
    at the end, the policy is tested, a log row written and the model saved.

    Raises:
        DivergenceError, CapacityError, ProcessGroupError.
    """
    config = agent.config
    iterations = math.ceil(max_samples / agent.samples_per_iteration) if max_samples else None
    agent.begin_training()
    start = time.monotonic()
    timed_samples, timed_seconds = 0, 0.0
    with stop_on_signal(insist=agent.processes.size == 1) as signals:
        iteration = 0
        while True:
            began = time.monotonic()
            metrics = agent.iterate()
            stop = _any_process(agent, signals)
            last = bool(stop) or (iterations is not None and iteration + 1 >= iterations)
            output = last or iteration % config.iters_per_output == 0
            if output and agent.env.device.type == "cuda":
                torch.cuda.synchronize(agent.env.device)
            elapsed = time.monotonic() - began
            if iteration == 0:
                first_rate = agent.samples_per_iteration / elapsed
            else:
                timed_samples += agent.samples_per_iteration
                timed_seconds += elapsed
            rate = timed_samples / timed_seconds if timed_samples else first_rate
            if output:
                test = _output(agent, iteration, metrics, start, out_dir, logger, test_episodes, save_int_models)
            if progress:
                progress.update(agent.samples, test.episodes.episodes, test.episodes.mean_return, rate, final=last)
            iteration += 1
            if last:
                break
            if output:
                agent.restart_episodes()
    return TrainResult(
        samples=agent.samples,
        iterations=iteration,
        samples_per_s=rate,
        wall_s=time.monotonic() - start,
        test=test,
        interrupted=stop,
    )


def _any_process(agent: Agent, signals: list[int]) -> int:
    """The signal that asked this process to stop, or another process: all must leave the loop together. 0: none did."""
    own = signals[0] if signals else 0
    if agent.processes.size == 1:
        return own
    total = agent.processes.sum(torch.tensor([float(own)], device=agent.env.device)).item()
    return own or (int(signal.SIGTERM) if total else 0)


def _output(
    agent: Agent,
    iteration: int,
    metrics: Metrics,
    start: float,
    out_dir: Path | None,
    logger: Logger | None,
    test_episodes: int,
    save_int_models: bool,
) -> TestResult:
    """Check, test, log and save."""
    values = {name: float(value) for name, value in metrics.items()}
    check_finite(agent, values, iteration)
    agent.env.engine.check_capacity()
    agent.processes.require_equal(agent)
    trained = statistics(agent.processes.sum(agent.train_returns.totals))
    agent.train_returns.clear_totals()
    training_diagnostics = _mean_diagnostics(agent)
    test = run_test(agent, test_episodes)
    if logger and out_dir:
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
        save_model(agent, out_dir / "model.pt")
        if save_int_models:
            save_model(agent, out_dir / f"model_{agent.samples:012d}.pt")
    return test


def _mean_diagnostics(agent: Agent) -> dict[str, float]:
    totals, count = agent.env.diagnostic_totals()
    count_tensor = torch.tensor([float(count)], dtype=torch.float64, device=agent.env.device)
    totals, count_tensor = agent.processes.sum(totals), agent.processes.sum(count_tensor)
    return dict(zip(agent.env.diagnostics, (totals / count_tensor.clamp(min=1.0)).tolist(), strict=True))


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
