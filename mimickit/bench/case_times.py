"""What the parts of a training take: start, rollouts, updates, and the GPU's memory."""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mimickit.config.case import Case
from mimickit.devices import compute_on
from mimickit.engines import BACKENDS
from mimickit.envs import Share, build_env
from mimickit.errors import InputError
from mimickit.learning.actor_critic import ActorCriticAgent
from mimickit.learning.agents import build_agent
from mimickit.learning.processes import Processes

SEED = 1
ROOM = ("contacts_per_env", "constraints_per_env")


class Timer:
    """Seconds of parts of the work on one device, and the most memory that was in use after any of them."""

    def __init__(self, device: torch.device):
        self.device = device
        self.peak_gb: float | None = None

    def __call__(self, function: Callable[[], Any]) -> tuple[Any, float]:
        """What ``function`` gave, and the seconds until the device had done it."""
        start = time.perf_counter()
        made = function()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - start
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.device)
            self.peak_gb = max(self.peak_gb or 0.0, (total - free) / 1e9)
        return made, seconds


def new_kernel_files(since: float) -> int:
    """Files that came into warp's kernel cache ``since`` a time of ``time.time``; 0 where this process has no warp."""
    warp = sys.modules.get("warp")
    if warp is None:
        return 0
    files = Path(warp.config.kernel_cache_dir).rglob("*")
    return sum(path.is_file() and path.stat().st_mtime > since for path in files)


def measure(case: Case, device: torch.device, warm_up: int, iterations: int) -> dict[str, Any]:
    """Build the case and train it for 1 + ``warm_up`` + ``iterations`` iterations; only the last ones are rates."""
    torch.manual_seed(SEED)
    timer = Timer(device)
    compute_on(device)
    backend = BACKENDS.get(case.engine.engine_name)  # without one the environment says what is wrong
    _, engine_import_s = timer(lambda: importlib.import_module(backend.module) if backend else None)
    _, context_s = timer(lambda: torch.zeros(1, device=device))
    env, build_s = timer(lambda: build_env(case.env, case.engine, Share(case.run.num_envs, device, SEED)))
    try:

        def make_agent() -> ActorCriticAgent:
            agent = build_agent(case.agent, env, Processes(0, 1, device), SEED)
            if not isinstance(agent, ActorCriticAgent):
                raise InputError(f"{case.run.arg_file}: its agent learns nothing, so there is no training to time")
            agent.begin_training()
            return agent

        agent, agent_s = timer(make_agent)
        _, first_s = timer(agent.iterate)
        for _ in range(warm_up):
            timer(agent.iterate)
        collect_s, update_s = [], []
        for _ in range(iterations):
            rollout, seconds = timer(agent.collect)
            collect_s.append(seconds)
            update_s.append(timer(lambda rollout=rollout: agent.update(rollout))[1])
        env.engine.check_capacity()
        return {
            "engine_import_s": engine_import_s,
            "context_s": context_s,
            "build_s": build_s,
            "agent_s": agent_s,
            "first_iteration_s": first_s,
            "collect_s": collect_s,
            "update_s": update_s,
            "samples_per_iteration": agent.samples_per_iteration,
            "peak_memory_gb": timer.peak_gb,
            "device_name": env.engine.device_name,
            "room": {name: getattr(env.engine, name) for name in ROOM if hasattr(env.engine, name)},
            "finite": not bool(env.ever_not_finite.any()),
        }
    finally:
        env.close()
