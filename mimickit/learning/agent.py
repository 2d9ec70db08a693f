"""What all agents share: one environment, normalisers of observations and actions, and counts of what was seen."""

import abc
from typing import Any

import torch
from torch import Tensor, nn

from mimickit.config.agent_config import AgentConfig
from mimickit.config.env_config import ENV_CONFIGS, CharEnvConfig
from mimickit.envs.char_env import CharEnv
from mimickit.errors import InputError
from mimickit.learning.normalizer import Normalizer
from mimickit.learning.processes import Processes
from mimickit.learning.return_tracker import ReturnTracker

Metrics = dict[str, Tensor]


def require_view(agent_name: str, env: CharEnv, view: str, kind: type[CharEnvConfig]) -> None:
    """InputError unless ``env`` has the method ``view``, as the environments with settings of ``kind`` have."""
    if not hasattr(env, view):
        fitting = ", ".join(sorted(name for name, config in ENV_CONFIGS.items() if issubclass(config, kind)))
        raise InputError(
            f"agent_name '{agent_name}' does not fit env_name '{env.config.env_name}', which has nothing that it could "
            f"judge; it needs an environment of the kind {fitting}"
        )


class Agent(nn.Module, abc.ABC):
    """Acts in one environment, and changes by what it sees there.

    The module's ``state_dict`` is the model file.

    Attributes:
        samples: control steps of all environments and processes so far.
        train_returns: of the episodes that end in training.
    """

    def __init__(self, config: AgentConfig, env: CharEnv, processes: Processes):
        super().__init__()
        self.config = config
        self.env = env
        self.processes = processes
        self._obs_norm = Normalizer(env.obs_size)
        self._a_norm = Normalizer(env.action_size)
        self._a_norm.set_range(env.action_low.cpu(), env.action_high.cpu())
        self.train_returns = ReturnTracker(env.num_envs, env.device)
        self.samples = 0
        self.normalizer_samples = 0

    @property
    def samples_per_iteration(self) -> int:
        """Over all processes."""
        return self.config.steps_per_iter * self.env.num_envs * self.processes.size

    def begin_training(self) -> None:
        """Allocate what training needs, and start episodes."""
        self.normalizer_samples = self._obs_norm.count
        self.restart_episodes()

    def restart_episodes(self) -> None:
        """Start all episodes anew; those under way do not count in the training return."""
        self.env.reset()
        self.train_returns.restart()

    def training_state(self) -> dict[str, Any]:
        """What learning depends on between two iterations: tensors and plain numbers, in nested dicts.

        It is what `restart_episodes` does not make anew, and its tensors may be the agent's own.
        """
        return {
            "model": dict(self.state_dict()),
            "samples": self.samples,
            "normalizer_samples": self.normalizer_samples,
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Take over what `training_state` told, after `begin_training`."""
        self.load_state_dict(state["model"])
        self.samples = state["samples"]
        self.normalizer_samples = state["normalizer_samples"]

    @abc.abstractmethod
    def iterate(self) -> Metrics:
        """One iteration; returns diagnostics as tensors on the device."""

    @abc.abstractmethod
    def best_action(self, obs: Tensor) -> Tensor:
        """What to do in a test: actions ``(N, action_size)`` in physical units for observations ``(N, obs_size)``."""

    @torch.no_grad()
    def update_normalizer(self, observations: Tensor) -> None:
        """Let ``(T, N, obs_size)`` into the statistics, until enough have been seen."""
        if self.normalizer_samples >= self.config.normalizer_samples:
            return
        for obs in observations:
            self._obs_norm.record(obs)
        self._obs_norm.update(self.processes.sum(self._obs_norm.new_statistics()))
        self.normalizer_samples += self.samples_per_iteration
