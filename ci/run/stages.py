"""The commands of a case: prepare its data, train, test, render. Each is a process of its own."""

import random
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ci.cases import Case
from ci.evidence.checks import Asked
from ci.ladder import Rung
from ci.options import Options
from ci.profiles import Profile
from ci.stage_kinds import ENVIRONMENTS, TRAININGS

# A long training that is told to end finishes its iteration, tests, and writes its state and its model.
LONG_GRACE = 300.0
PORTS = range(20_000, 32_000)  # below those that systems give out by themselves
STATE_NAME = "train_state.pt"
VIZ_NUM_ENVS = 1


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
    grace: float | None = None  # seconds between TERM and KILL; None: the usual

    @property
    def resumes(self) -> bool:
        """Whether it goes on with what is in its folder."""
        return "--resume" in self.argv


@dataclass(frozen=True)
class StageRequest:
    """What a stage's command is made of."""

    case: Case
    wanted: tuple[str, ...]  # the stages that the case goes through
    rung: Rung
    devices: tuple[str, ...]
    options: Options
    programs: Programs
    attempt_dir: Path

    def model(self, trained: str) -> str:
        """The model file of the training called ``trained``."""
        return str(self.attempt_dir / trained / "model.pt")


def data_command(case: Case, options: Options, programs: Programs, case_dir: Path) -> StageCommand:
    """Build the clips the case needs and does not have yet; its time limit is a training's (clips are downloaded)."""
    argv = (*programs.data, "ensure", "--case", case.arg_file)
    return StageCommand("data", argv, case_dir / "data.log", case_dir, options.profile.train_timeout)


def checkpoint_command(programs: Programs, attempt_dir: Path, trained: str, timeout: float) -> StageCommand:
    """Load a trained model on its own and count what is in it."""
    out_dir = attempt_dir / trained
    argv = (*programs.checkpoint, str(out_dir / "model.pt"))
    return StageCommand("checkpoint", argv, attempt_dir / f"checkpoint_{trained}.log", out_dir, timeout)


def train_command(request: StageRequest) -> StageCommand:
    """Train the rung's environments on all of the case's devices for the rung's samples."""
    limit = ("--max_samples", str(request.rung.max_samples), "--save_state", "false")
    return _training("train", request, limit, request.options.profile.train_timeout)


def long_command(request: StageRequest) -> StageCommand:
    """The long training, at the rung that the probe found; goes on where an earlier part of it left off.

    A budget in hours ends the training from inside, whole and with its model; its deadline is a training's later.
    """
    profile = request.options.profile
    limit: tuple[str, ...] = ()
    timeout = profile.long_timeout
    if profile.long_max_samples is not None:
        limit += ("--max_samples", str(profile.long_max_samples))
    seconds = _budget_seconds(profile)
    if seconds is not None:
        limit += ("--max_seconds", f"{seconds:g}")
        timeout = seconds + profile.train_timeout
    if (request.attempt_dir / "long" / STATE_NAME).is_file():
        limit += ("--resume", "true")
    return _training("long", request, limit, timeout, LONG_GRACE)


def test_command(request: StageRequest) -> StageCommand:
    """Test the trained model on one device; no more environments than episodes, so that short ones do not crowd in."""
    profile = request.options.profile
    specific = (
        *("--mode", "test", "--num_envs", str(_test_num_envs(request))),
        *("--test_episodes", str(profile.test_episodes)),
        *("--devices", request.devices[0], "--video", "false"),
        *("--model_file", request.model(last_training(request.wanted))),
    )
    return _stage("test", request, specific, profile.test_timeout)


def viz_command(request: StageRequest) -> StageCommand:
    """Record a test of the trained model."""
    profile = request.options.profile
    specific = (
        *("--mode", "test", "--num_envs", str(VIZ_NUM_ENVS), "--test_episodes", str(profile.viz_episodes)),
        *("--devices", request.devices[0], "--video", "true"),
        *("--model_file", request.model(last_training(request.wanted))),
    )
    return _stage("viz", request, specific, profile.viz_timeout)


COMMANDS = {"train": train_command, "long": long_command, "test": test_command, "viz": viz_command}


def _train_asked(request: StageRequest) -> Asked:
    return Asked(
        engine=request.options.engine_name,
        devices=request.devices,
        seed=request.options.seed,
        num_envs=request.rung.num_envs,
        samples=request.rung.max_samples,
    )


def _long_asked(request: StageRequest) -> Asked:
    profile = request.options.profile
    return replace(_train_asked(request), samples=profile.long_max_samples, max_seconds=_budget_seconds(profile))


def _test_asked(request: StageRequest) -> Asked:
    return Asked(
        engine=request.options.engine_name,
        devices=request.devices[:1],
        seed=request.options.seed,
        num_envs=_test_num_envs(request),
        episodes=request.options.profile.test_episodes,
        model_file=request.model(last_training(request.wanted)),
    )


def _viz_asked(request: StageRequest) -> Asked:
    return replace(_test_asked(request), num_envs=VIZ_NUM_ENVS, episodes=request.options.profile.viz_episodes)


# What the evidence of a stage is held to: what its command asks for.
ASKED: Mapping[str, Callable[[StageRequest], Asked]] = {
    "train": _train_asked,
    "long": _long_asked,
    "test": _test_asked,
    "viz": _viz_asked,
}


def last_training(stages: tuple[str, ...]) -> str:
    """The training whose model is tested."""
    return [name for name in stages if name in TRAININGS][-1]


def free_port() -> int:
    """A random TCP port that nobody listens on. Random, so that two who look at the same time find two."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"100 random ports between {PORTS.start} and {PORTS.stop} are all in use")


def _budget_seconds(profile: Profile) -> float | None:
    return None if profile.long_budget_hours is None else 3600.0 * profile.long_budget_hours


def _test_num_envs(request: StageRequest) -> int:
    return min(request.rung.num_envs, request.options.profile.test_episodes)


def _training(
    name: str, request: StageRequest, limit: tuple[str, ...], timeout: float, grace: float | None = None
) -> StageCommand:
    specific = (
        *("--mode", "train", "--num_envs", str(request.rung.num_envs), *limit),
        *("--devices", *request.devices, "--video", "false"),
    )
    if len(request.devices) > 1:
        specific += ("--master_port", str(free_port()))
    return _stage(name, request, specific, timeout, grace)


def _stage(
    name: str,
    request: StageRequest,
    specific: tuple[str, ...],
    timeout: float,
    grace: float | None = None,
) -> StageCommand:
    """mimickit/run.py with what all stages share."""
    rung, options = request.rung, request.options
    out_dir = request.attempt_dir / name
    argv = (
        *request.programs.run,
        *("--arg_file", request.case.arg_file),
        *("--engine_config", options.engine_config),
        *(("--agent_config", rung.agent_config) if rung.agent_config else ()),
        *specific,
        *("--visualize", "false", "--logger", "txt", "--rand_seed", str(options.seed)),
        *("--out_dir", str(out_dir)),
    )
    log = request.attempt_dir / f"{name}.log"
    return StageCommand(name, argv, log, out_dir, timeout, ENVIRONMENTS[name], grace)
