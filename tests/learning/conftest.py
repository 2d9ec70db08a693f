"""A point mass to learn on, in place of a character and a physics engine, and agents for it."""

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mimickit.config.agent_config import ModelConfig, OptimizerConfig, PPOConfig
from mimickit.envs.terminations import Done
from mimickit.learning.ppo import PPOAgent
from mimickit.learning.processes import Processes

CPU = torch.device("cpu")


class PointMass:
    """N points in the plane, driven by their velocity; a step is rewarded by exp(-distance^2) to the origin.

    An episode is ``lengths[i]`` steps long in environment i, and ends by the time limit.
    """

    diagnostics: tuple[str, ...] = ()
    obs_size, action_size = 2, 2

    def __init__(self, num_envs: int, seed: int = 0, lengths: list[int] | None = None):
        self.num_envs, self.device = num_envs, CPU
        self.action_low, self.action_high = torch.full((2,), -2.0), torch.full((2,), 4.0)
        self.lengths = torch.tensor(lengths or [20] * num_envs)
        self.generator = torch.Generator().manual_seed(seed)
        self.step_count = torch.zeros(num_envs, dtype=torch.long)
        self.obs = torch.zeros(num_envs, 2)
        self.reward = torch.zeros(num_envs)
        self.done = torch.zeros(num_envs, dtype=torch.long)
        self.ever_not_finite = torch.zeros(num_envs, dtype=torch.bool)
        self.engine = SimpleNamespace(check_capacity=lambda: None, root_pos=self.obs, dof_pos=self.obs)
        self.actions: list[torch.Tensor] = []

    def reset(self) -> torch.Tensor:
        self.done = torch.ones(self.num_envs, dtype=torch.long)
        return self.reset_done()

    def step(self, action: torch.Tensor) -> torch.Tensor:
        self.actions.append(action)
        self.obs = self.obs + 0.25 * action.clamp(self.action_low, self.action_high)
        self.step_count += 1
        self.reward = torch.exp(-self.obs.square().sum(dim=-1))
        self.done = torch.where(self.step_count >= self.lengths, Done.TIME, Done.NULL)
        return self.obs

    def reset_done(self) -> torch.Tensor:
        ended = self.done != Done.NULL
        start = 2.0 * torch.rand(self.num_envs, 2, generator=self.generator) - 1.0
        self.obs = torch.where(ended.unsqueeze(-1), start, self.obs)
        self.step_count = torch.where(ended, 0, self.step_count)
        return self.obs

    def diagnostic_totals(self) -> tuple[torch.Tensor, int]:
        return torch.zeros(0), 0


CONFIG = PPOConfig(
    agent_name="PPO",
    model=ModelConfig(
        actor_net="fc_2layers_128units",
        actor_init_output_scale=0.01,
        actor_std_type="FIXED",
        action_std=0.1,
        critic_net="fc_2layers_128units",
    ),
    actor_optimizer=OptimizerConfig(type="SGD", learning_rate=0.01),
    critic_optimizer=OptimizerConfig(type="SGD", learning_rate=0.01),
    discount=0.9,
    steps_per_iter=16,
    iters_per_output=5,
    test_episodes=8,
    normalizer_samples=100_000,
    actor_epochs=3,
    actor_batch_size=4,
    critic_epochs=2,
    critic_batch_size=2,
    td_lambda=0.95,
    ppo_clip_ratio=0.2,
    norm_adv_clip=4.0,
    action_bound_weight=10.0,
    action_entropy_weight=0.0,
    action_reg_weight=0.0,
)


@pytest.fixture(autouse=True)
def one_thread():
    """These networks are too small to share between threads, which on a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


AgentMaker = Callable[..., PPOAgent]


def build_point_mass_agent(
    num_envs: int = 8,
    seed: int = 0,
    processes: Processes | None = None,
    lengths: list[int] | None = None,
    model: dict[str, Any] | None = None,
    **changes: Any,
) -> PPOAgent:
    """An agent with random weights from ``seed`` on ``num_envs`` point masses; ``changes`` replace config values."""
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, **(model or {})), **changes)
    torch.manual_seed(seed)
    env: Any = PointMass(num_envs, seed, lengths)
    return PPOAgent(config, env, processes or Processes(0, 1, CPU), seed + 1)


@pytest.fixture
def make_agent() -> AgentMaker:
    return build_point_mass_agent


@pytest.fixture
def config() -> PPOConfig:
    return CONFIG
