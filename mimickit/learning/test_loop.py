"""Testing a policy: its mean actions, and every environment's first episodes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mimickit.envs.terminations import Done
from mimickit.errors import DivergenceError
from mimickit.learning.agent import Agent
from mimickit.learning.return_tracker import EpisodeStatistics, ReturnTracker, statistics

# Control steps between looks at whether all episodes have ended: each look waits for the device.
CHECK_EVERY = 10


@dataclass(frozen=True)
class TestResult:
    """Episode statistics over all processes, and the environment's diagnostics over all tested steps."""

    __test__ = False  # not a pytest class

    episodes: EpisodeStatistics
    diagnostics: dict[str, float]
    samples: int


@torch.no_grad()
def run_test(
    agent: Agent,
    num_episodes: int,
    on_step: Callable[[], None] | None = None,
    on_check: Callable[[int, EpisodeStatistics], None] | None = None,
) -> TestResult:
    """Run at least ``num_episodes`` episodes over all processes; the environment ends up in mid-episode.

    Every environment counts its first ``ceil(num_episodes / environments)`` episodes. Taking the episodes that end
    first would favour the short ones.

    Args:
        on_step: called after every control step, before ended environments are reset (drawing).
        on_check: called now and then with the samples so far and the statistics of this process.

    Raises:
        DivergenceError, CapacityError.
    """
    env, processes = agent.env, agent.processes
    per_env = math.ceil(num_episodes / (env.num_envs * processes.size))
    tracker = ReturnTracker(env.num_envs, env.device, max_episodes_per_env=per_env)
    env.diagnostic_totals()
    obs = env.reset()
    steps = 0
    while True:
        env.step(agent.best_action(obs))
        steps += 1
        tracker.add(env.reward, env.done != Done.NULL)
        if on_step:
            on_step()
        if steps % CHECK_EVERY == 0 or on_step:
            if on_check:
                on_check(steps * env.num_envs, statistics(tracker.totals))
            if tracker.all_counted():
                break
        obs = env.reset_done()
    env.engine.check_capacity()
    errors, count = (processes.sum(total) for total in env.diagnostic_totals())
    episodes = statistics(processes.sum(tracker.totals))
    if not math.isfinite(episodes.mean_return):
        raise DivergenceError(
            f"the mean return of {episodes.episodes} test episodes is {episodes.mean_return}, not finite"
        )
    means = (errors / count.clamp(min=1.0)).tolist()
    bad_envs = env.ever_not_finite.nonzero()
    if len(bad_envs) or not all(map(math.isfinite, means)):
        where = f"; the first is environment {int(bad_envs[0])}" if len(bad_envs) else ""
        raise DivergenceError(f"the test left {len(bad_envs)} of {env.num_envs} environments not finite{where}")
    return TestResult(
        episodes=episodes,
        diagnostics=dict(zip(env.diagnostics, means, strict=True)),
        samples=steps * env.num_envs * processes.size,
    )
