"""The commands of a case: prepare its data, train, test, render. Each is a process of its own."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ci.cases import Case
from ci.ladder import Rung, devices
from ci.options import Options

STAGES = ("train", "test", "viz")

# NCCL over sockets: slower, and it works on every machine the matrix meets.
TRAIN_ENVIRONMENT = {
    "NCCL_P2P_DISABLE": "1",
    "NCCL_IB_DISABLE": "1",
    "NCCL_CUMEM_ENABLE": "0",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
}
# What Mesa's software renderer must claim for the viewer to accept it.
VIZ_ENVIRONMENT = {"MESA_GL_VERSION_OVERRIDE": "3.3", "MESA_GLSL_VERSION_OVERRIDE": "330"}


@dataclass(frozen=True)
class Programs:
    """How the framework is started, from the repository root."""

    run: tuple[str, ...] = (sys.executable, "mimickit/run.py")
    data: tuple[str, ...] = (sys.executable, "-m", "mimickit.data")
    prior: tuple[str, ...] = (sys.executable, "-m", "mimickit.learning.smp_prior")
    checkpoint: tuple[str, ...] = (sys.executable, "-m", "mimickit.learning.checkpoint")


@dataclass(frozen=True)
class StageCommand:
    """One process to start: its command line, what it adds to the environment, where it writes, its deadline."""

    name: str
    argv: tuple[str, ...]
    log: Path
    out_dir: Path
    timeout: float  # seconds
    environment: Mapping[str, str] = field(default_factory=dict)


def data_command(case: Case, options: Options, programs: Programs, case_dir: Path) -> StageCommand:
    """Build the clips the case needs and does not have yet; its time limit is a training's (clips are downloaded)."""
    argv = (*programs.data, "ensure", "--case", case.arg_file)
    return StageCommand("data", argv, case_dir / "data.log", case_dir, options.profile.train_timeout)


def checkpoint_command(programs: Programs, attempt_dir: Path, timeout: float) -> StageCommand:
    """Load the trained model on its own and count what is in it."""
    argv = (*programs.checkpoint, str(attempt_dir / "train" / "model.pt"))
    return StageCommand("checkpoint", argv, attempt_dir / "checkpoint.log", attempt_dir / "train", timeout)


def train_command(case: Case, rung: Rung, options: Options, programs: Programs, attempt_dir: Path) -> StageCommand:
    """Train the rung's environments on all of the case's devices for the rung's samples."""
    specific = (
        *("--mode", "train", "--num_envs", str(rung.num_envs), "--max_samples", str(rung.max_samples)),
        *("--devices", *devices(case, options), "--video", "false"),
    )
    argv = _run_py("train", specific, case, rung, options, programs, attempt_dir)
    log, timeout = attempt_dir / "train.log", options.profile.train_timeout
    return StageCommand("train", argv, log, attempt_dir / "train", timeout, TRAIN_ENVIRONMENT)


def test_command(case: Case, rung: Rung, options: Options, programs: Programs, attempt_dir: Path) -> StageCommand:
    """Test the trained model on one device; no more environments than episodes, so that short ones do not crowd in."""
    episodes = options.profile.test_episodes
    specific = (
        *("--mode", "test", "--num_envs", str(min(rung.num_envs, episodes)), "--test_episodes", str(episodes)),
        *("--devices", devices(case, options)[0], "--video", "false"),
        *("--model_file", str(attempt_dir / "train" / "model.pt")),
    )
    argv = _run_py("test", specific, case, rung, options, programs, attempt_dir)
    return StageCommand("test", argv, attempt_dir / "test.log", attempt_dir / "test", options.profile.test_timeout)


def viz_command(case: Case, rung: Rung, options: Options, programs: Programs, attempt_dir: Path) -> StageCommand:
    """Record a test of the trained model in one environment."""
    specific = (
        *("--mode", "test", "--num_envs", "1", "--test_episodes", str(options.profile.viz_episodes)),
        *("--devices", devices(case, options)[0], "--video", "true"),
        *("--model_file", str(attempt_dir / "train" / "model.pt")),
    )
    argv = _run_py("viz", specific, case, rung, options, programs, attempt_dir)
    log, timeout = attempt_dir / "viz.log", options.profile.viz_timeout
    return StageCommand("viz", argv, log, attempt_dir / "viz", timeout, VIZ_ENVIRONMENT)


COMMANDS = {"train": train_command, "test": test_command, "viz": viz_command}


def _run_py(
    name: str,
    specific: tuple[str, ...],
    case: Case,
    rung: Rung,
    options: Options,
    programs: Programs,
    attempt_dir: Path,
) -> tuple[str, ...]:
    """mimickit/run.py with what all three stages share."""
    agent = ("--agent_config", rung.agent_config) if rung.agent_config else ()
    return (
        *programs.run,
        *("--arg_file", case.arg_file),
        *("--engine_config", options.engine_config),
        *agent,
        *specific,
        *("--visualize", "false", "--logger", "txt", "--rand_seed", str(options.seed)),
        *("--out_dir", str(attempt_dir / name)),
    )
