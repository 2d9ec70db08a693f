"""Time one case in a process of its own: ``python -m mimickit.bench.one_case --help``.

The last line printed is a JSON object: seconds of what comes before the first sample, seconds of every rollout and
every update with the device synchronised around them, and the GPU's memory.
"""

import time

STARTED = time.time()
START = time.perf_counter()  # before torch and the engines are imported

import argparse  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402

from mimickit.config.arguments import parse_run_arguments  # noqa: E402
from mimickit.config.case import Case, load_case  # noqa: E402
from mimickit.devices import check_device, compute_on  # noqa: E402
from mimickit.engines import BACKENDS  # noqa: E402
from mimickit.envs import Share, build_env  # noqa: E402
from mimickit.errors import InputError, classify, tell  # noqa: E402
from mimickit.learning.actor_critic import ActorCriticAgent  # noqa: E402
from mimickit.learning.agents import build_agent  # noqa: E402
from mimickit.learning.processes import Processes  # noqa: E402

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


def new_kernel_files() -> int:
    """Files that came into warp's kernel cache since this process began; 0 where it does not use warp."""
    warp = sys.modules.get("warp")
    if warp is None:
        return 0
    files = Path(warp.config.kernel_cache_dir).rglob("*")
    return sum(path.is_file() and path.stat().st_mtime > STARTED for path in files)


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


def main(argv: Sequence[str]) -> int:
    """The command; returns an exit code of ``mimickit/errors.py``."""
    imports_s = time.perf_counter() - START
    parser = argparse.ArgumentParser(prog="python -m mimickit.bench.one_case", description=__doc__)
    parser.add_argument("--arg-file", required=True, help="the case: a file in args/")
    parser.add_argument("--num-envs", type=int, required=True, help="environments")
    parser.add_argument("--device", required=True, help="cpu or cuda:N")
    parser.add_argument("--engine-config", help="engine file (default: the case's)")
    parser.add_argument("--warm-up", type=int, default=3, help="iterations after the first that do not count")
    parser.add_argument("--iterations", type=int, default=5, help="iterations that are timed")
    options = parser.parse_args(argv)
    words = ["--arg_file", options.arg_file, "--num_envs", str(options.num_envs), "--devices", options.device]
    if options.engine_config:
        words += ["--engine_config", options.engine_config]
    try:
        case = load_case(parse_run_arguments(words))
        found = measure(case, check_device(options.device), options.warm_up, options.iterations)
    except Exception as error:
        return tell(classify(error))[1]
    asked = {"arg_file": options.arg_file, "num_envs": options.num_envs, "device": options.device}
    print(json.dumps({**asked, "imports_s": imports_s, **found, "new_kernel_files": new_kernel_files()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
