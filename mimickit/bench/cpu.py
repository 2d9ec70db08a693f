"""Speed on the CPU: both engines, the humanoid case around them, and whole commands.

Two things are only ever compared within one run, in turns, so that a machine whose speed drifts does not decide the
outcome; the table gives the median of the ratios and their spread.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from mimickit.bench.figures import Figure, figure_as_json, print_table
from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case
from mimickit.envs import Share, build_env
from mimickit.files import write_atomically
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


def seconds_in_engine(agent: PPOAgent) -> tuple[float, float]:
    """Seconds of a rollout, and of the engine's part of it.

    The physics is timed there, and not by itself: contacts, and so its cost, differ from state to state.
    """
    engine, spent = agent.env.engine, [0.0]
    parts = {name: getattr(engine, name) for name in ("drive", "simulate", "read_state")}

    def timed(part: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: torch.Tensor) -> None:
            spent[0] += seconds(lambda: part(*arguments))

        return run

    for name, part in parts.items():
        setattr(engine, name, timed(part))
    total = seconds(agent.collect)
    for name in parts:
        delattr(engine, name)  # what was set hides the method
    return total, spent[0]


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
        total, spent = seconds_in_engine(mujoco)
        around.append((total - spent) / spent)
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


def run_cpu(num_envs: int, repeats: int, skip_e2e: bool, output: Path, console: Console) -> int:
    """Measure, print the table, write the JSON file ``output``; 1 when a bound is missed, otherwise 0."""
    figures = measure_engines(num_envs, repeats, console)
    if not skip_e2e:
        figures += measure_commands(repeats, console)
    record = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "num_envs": num_envs,
        "date": time.strftime("%Y-%m-%d"),
        "figures": [figure_as_json(figure) for figure in figures],
    }
    write_atomically(output, (json.dumps(record, indent=1) + "\n").encode())
    console.print(f"written to {output}")
    print_table(figures, console)
    return 0 if all(figure.ok for figure in figures) else 1
