"""Point masses to learn on, in place of a character and a physics engine, and agents for them."""

import dataclasses
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mimickit.config.agent_config import (
    AMPConfig,
    ASEConfig,
    ASEModelConfig,
    DiscriminatorModelConfig,
    ModelConfig,
    OptimizerConfig,
    PPOConfig,
)
from mimickit.envs.terminations import Done
from mimickit.learning.agents import build_agent
from mimickit.learning.amp import AMPAgent
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

    def drive(self, action: torch.Tensor) -> None:
        self.driven_by = action

    def simulate(self) -> None:
        pass

    def finish_step(self) -> torch.Tensor:
        return self.step(self.driven_by)

    def reset_done(self) -> torch.Tensor:
        ended = self.done != Done.NULL
        start = 2.0 * torch.rand(self.num_envs, 2, generator=self.generator) - 1.0
        self.obs = torch.where(ended.unsqueeze(-1), start, self.obs)
        self.step_count = torch.where(ended, 0, self.step_count)
        return self.obs

    def diagnostic_totals(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(0), torch.zeros(1)


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


class RestingPoints(PointMass):
    """Points whose last three positions a discriminator sees; in the demos they tremble at a place."""

    config = SimpleNamespace(env_name="amp")
    control_dt = 0.1
    disc_obs_size = 6
    place, tremor = torch.tensor([1.0, -0.5]), 0.12

    def __init__(self, num_envs: int, seed: int = 0, lengths: list[int] | None = None):
        super().__init__(num_envs, seed, lengths)
        self.action_low, self.action_high = torch.full((2,), -2.0), torch.full((2,), 2.0)
        self.history = torch.zeros(num_envs, 3, 2)

    @property
    def time(self) -> torch.Tensor:
        return self.step_count * self.control_dt

    def sample_demo(self, count: int) -> torch.Tensor:
        return (self.place + self.tremor * torch.randn(count, 3, 2, generator=self.generator)).flatten(1)

    def observe_window(self) -> torch.Tensor:
        return self.history.flatten(1)

    def frame(self, before: torch.Tensor) -> torch.Tensor:
        return self.obs

    def step(self, action: torch.Tensor) -> torch.Tensor:
        before = self.obs
        super().step(action)
        self.history = torch.cat((self.history[:, 1:], self.frame(before).unsqueeze(1)), dim=1)
        return self.obs

    def reset_done(self) -> torch.Tensor:
        ended, before = self.done != Done.NULL, self.obs
        super().reset_done()
        start = self.frame(torch.where(ended[:, None], self.obs, before)).unsqueeze(1).expand(-1, 3, -1)
        self.history = torch.where(ended[:, None, None], start, self.history)
        return self.obs


class HeadingPoints(RestingPoints):
    """Points whose last three displacements are seen; in the demos these are 0.3 long, in any one direction."""

    config = SimpleNamespace(env_name="ase")

    def sample_demo(self, count: int) -> torch.Tensor:
        angle = 2.0 * math.pi * torch.rand(count, 1, generator=self.generator)
        return 0.3 * torch.cat((angle.cos(), angle.sin()), dim=-1).repeat(1, 3)

    def frame(self, before: torch.Tensor) -> torch.Tensor:
        return self.obs - before


class FollowingPoints(PointMass):
    """Points beside a reference that circles the origin 0.3 rad a step; seen are both, judged is their difference."""

    config = SimpleNamespace(env_name="add")
    obs_size = 4
    disc_obs_size = 2

    def __init__(self, num_envs: int, seed: int = 0, lengths: list[int] | None = None):
        super().__init__(num_envs, seed, lengths)
        self.action_low, self.action_high = torch.full((2,), -2.0), torch.full((2,), 2.0)
        self.angle = torch.zeros(num_envs)
        self.obs = torch.zeros(num_envs, 4)

    def observed(self, position: torch.Tensor) -> torch.Tensor:
        return torch.cat((position, self.angle.cos()[:, None], self.angle.sin()[:, None]), dim=-1)

    def observe_difference(self) -> torch.Tensor:
        return self.obs[:, 2:] - self.obs[:, :2]

    def step(self, action: torch.Tensor) -> torch.Tensor:
        self.angle = self.angle + 0.3
        position = self.obs[:, :2] + 0.25 * action.clamp(self.action_low, self.action_high)
        self.obs = self.observed(position)
        self.step_count += 1
        self.reward = torch.zeros(self.num_envs)
        self.done = torch.where(self.step_count >= self.lengths, Done.TIME, Done.NULL)
        return self.obs

    def reset_done(self) -> torch.Tensor:
        ended = self.done != Done.NULL
        angle = 2.0 * math.pi * torch.rand(self.num_envs, generator=self.generator)
        self.angle = torch.where(ended, angle, self.angle)
        reference = self.observed(self.obs[:, :2])[:, 2:]
        self.obs = self.observed(torch.where(ended[:, None], reference, self.obs[:, :2]))
        self.step_count = torch.where(ended, 0, self.step_count)
        return self.obs


STYLE_KINDS: dict[str, tuple[type[AMPConfig], type[ModelConfig], type[PointMass]]] = {
    "AMP": (AMPConfig, DiscriminatorModelConfig, RestingPoints),
    "ADD": (AMPConfig, DiscriminatorModelConfig, FollowingPoints),
    "ASE": (ASEConfig, ASEModelConfig, HeadingPoints),
}
STYLE_VALUES: dict[str, Any] = {
    "disc_optimizer": OptimizerConfig(type="SGD", learning_rate=0.01),
    "disc_epochs": 2,
    "disc_batch_size": 4,
    "disc_buffer_size": 1000,
    "disc_replay_samples": 50,
    "disc_logit_reg": 0.01,
    "disc_grad_penalty": 1.0,
    "disc_reward_scale": 2.0,
    "task_reward_weight": 0.0,
    "disc_reward_weight": 1.0,
}
SKILL_VALUES: dict[str, Any] = {
    "enc_optimizer": OptimizerConfig(type="SGD", learning_rate=0.01),
    "enc_epochs": 2,
    "enc_batch_size": 4,
    "diversity_weight": 0.01,
    "diversity_tar": 1.0,
    "latent_time_min": 0.5,
    "latent_time_max": 1.5,
    "enc_reward_weight": 0.5,
}


def build_style_agent(
    name: str,
    num_envs: int = 8,
    seed: int = 0,
    processes: Processes | None = None,
    lengths: list[int] | None = None,
    model: dict[str, Any] | None = None,
    env: Any = None,
    **changes: Any,
) -> AMPAgent:
    """An AMP, ADD or ASE agent with random weights from ``seed`` on points of its kind, or on ``env``."""
    config_class, model_class, env_class = STYLE_KINDS[name]
    skill = config_class is ASEConfig
    networks = vars(CONFIG.model) | {"disc_net": "fc_2layers_128units"}
    networks |= ({"enc_net": "fc_2layers_128units", "latent_dim": 2} if skill else {}) | (model or {})
    values = vars(CONFIG) | STYLE_VALUES | (SKILL_VALUES if skill else {}) | changes
    config = config_class(**{**values, "agent_name": name, "model": model_class(**networks)})
    torch.manual_seed(seed)
    env = env or env_class(num_envs, seed, lengths)
    agent = build_agent(config, env, processes or Processes(0, 1, CPU), seed + 1)
    assert isinstance(agent, AMPAgent)
    return agent


@pytest.fixture
def make_style_agent() -> Callable[..., AMPAgent]:
    return build_style_agent
