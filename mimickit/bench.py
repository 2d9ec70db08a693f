"""Measure speed on this machine: ``nox -s bench`` (``python -m mimickit.bench --help``).

Two things are only ever compared within one run, in turns, so that a machine whose speed drifts does not decide the
outcome; the table gives the median of the ratios and their spread. Exit code 1 when a bound is missed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case
from mimickit.envs import Share, build_env
from mimickit.learning.agents import build_agent
from mimickit.learning.ppo import PPOAgent
from mimickit.learning.processes import Processes

CASE = "deepmimic_humanoid_ppo_args.txt"
PHYSICS_STEPS = 12  # control steps of a comparison of the engines: some falls begin, the ground is met
SHORT_TURNS = 4
ENGINE_RATIO = 20.0  # the MuJoCo engine against Newton's kernels on the CPU
AROUND_RATIO = 1.0  # environment and policy against the physics they stand around
E2E_SECONDS = 90.0
NOXFILE_SECONDS = 0.3


@dataclass(frozen=True)
class Figure:
    """One line of the table: repeated measurements, and the bound on their median."""

    name: str
    unit: str
    values: list[float]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def ok(self) -> bool:
        """Within the bound; a figure without one is for information."""
        above = self.at_least is None or self.median >= self.at_least
        return above and (self.at_most is None or self.median <= self.at_most)

    @property
    def bound(self) -> str:
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}" if self.at_most is not None else ""


def make_agent(engine: str, num_envs: int) -> PPOAgent:
    """The humanoid case on one engine, on the CPU."""
    run = parse_run_arguments(
        f"--arg_file args/{CASE} --num_envs {num_envs} --devices cpu "
        f"--engine_config data/engines/{engine}_engine.yaml".split()
    )
    case = load_case(run)
    env = build_env(case.env, case.engine, Share(num_envs, torch.device("cpu"), seed=0))
    assert case.agent is not None
    agent = build_agent(case.agent, env, Processes(0, 1, torch.device("cpu")), seed=1)
    agent.begin_training()
    return agent


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def physics_steps(agent: PPOAgent, count: int, seed: int) -> float:
    """Seconds per control step of the engine alone, from the episodes that ``seed`` draws towards the zero pose."""
    agent.env.generator.manual_seed(seed)
    agent.restart_episodes()
    action = torch.zeros(agent.env.num_envs, agent.env.action_size)

    def run() -> None:
        for _ in range(count):
            agent.env.engine.step(action)

    return seconds(run) / count


def measure_engines(num_envs: int, repeats: int, console: Console) -> list[Figure]:
    """Physics of both engines, and the rollout and update of the MuJoCo one."""
    with console.status("building both engines (the first Newton run on a machine compiles its kernels)"):
        mujoco, newton = make_agent("mujoco", num_envs), make_agent("newton", num_envs)
        mujoco.collect()
        newton_warm_up = seconds(lambda: newton.env.engine.step(newton.best_action(newton.env.obs)))
    console.print(f"first Newton step: {newton_warm_up:.1f} s")
    rollout_steps = mujoco.config.steps_per_iter
    physics, newton_rates, ratios, around, train_rates = [], [], [], [], []
    for repeat in track(range(repeats), "measuring", console=console):
        mujoco.restart_episodes()
        mujoco.collect()
        # The physics inside a rollout is timed there: contacts, and so its cost, differ from state to state.
        spent = [0.0]
        step = mujoco.env.engine.step

        def timed(action: torch.Tensor, step: Callable = step, spent: list[float] = spent) -> None:
            spent[0] += seconds(lambda: step(action))

        mujoco.env.engine.step = timed
        total = seconds(mujoco.collect)
        mujoco.env.engine.step = step
        around.append((total - spent[0]) / spent[0])
        train_rates.append(num_envs * rollout_steps / seconds(mujoco.iterate))
        # Both engines from the same poses, under the same targets; the two environments draw the same random numbers.
        # MuJoCo's turn is so short that one hiccup of the machine would decide it, so it has several around Newton's.
        before = [physics_steps(mujoco, PHYSICS_STEPS, repeat) for _ in range(SHORT_TURNS)]
        newton_time = physics_steps(newton, PHYSICS_STEPS, repeat)
        after = [physics_steps(mujoco, PHYSICS_STEPS, repeat) for _ in range(SHORT_TURNS)]
        mujoco_time = statistics.median([*before, *after])
        physics.append(num_envs / mujoco_time)
        newton_rates.append(num_envs / newton_time)
        ratios.append(newton_time / mujoco_time)
    return [
        Figure("mujoco engine, physics", "env steps/s", physics),
        Figure("newton engine on the CPU, physics", "env steps/s", newton_rates),
        Figure("mujoco over newton", "x", ratios, at_least=ENGINE_RATIO),
        Figure("environment and policy over physics", "x", around, at_most=AROUND_RATIO),
        Figure("training, mujoco engine", "samples/s", train_rates),
    ]


def measure_commands(repeats: int, console: Console) -> list[Figure]:
    """Whole commands: the case end to end with warm caches, and importing the noxfile."""
    with console.status("running the case end to end"):
        command = [sys.executable, "-m", "ci", "e2e", "--engine-config", "data/engines/mujoco_engine.yaml"]
        command += ["--devices-train", "cpu", "--profile", "smoke", CASE]
        e2e = seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    code = "import time; start = time.perf_counter(); import noxfile; print(time.perf_counter() - start)"
    noxfile = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]
    return [
        Figure("the case end to end", "s", [e2e], at_most=E2E_SECONDS),
        Figure("import noxfile", "s", noxfile, at_most=NOXFILE_SECONDS),
    ]


def print_table(figures: list[Figure], console: Console) -> None:
    """Median, spread and bound of every figure."""
    table = Table("figure", "median", "min", "max", "unit", "bound", "verdict", title="Speed")
    for figure in figures:
        numbers = [
            f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
            for value in (figure.median, min(figure.values), max(figure.values))
        ]
        verdict = "" if not figure.bound else "ok" if figure.ok else "MISSED"
        table.add_row(figure.name, *numbers, figure.unit, figure.bound, verdict)
    console.print(table)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m mimickit.bench", description=__doc__)
    parser.add_argument("--num-envs", type=int, default=64, help="worlds (default 64)")
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each figure (default 7)")
    parser.add_argument("--skip-e2e", action="store_true", help="leave out the whole commands")
    parser.add_argument("--output", type=Path, default=Path("output/bench/bench.json"), help="where the JSON goes")
    options = parser.parse_args(argv)
    console = Console()
    figures = measure_engines(options.num_envs, options.repeats, console)
    if not options.skip_e2e:
        figures += measure_commands(options.repeats, console)
    print_table(figures, console)
    record = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "num_envs": options.num_envs,
        "date": time.strftime("%Y-%m-%d"),
        "figures": [{**asdict(figure), "median": figure.median, "ok": figure.ok} for figure in figures],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {options.output}")
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
