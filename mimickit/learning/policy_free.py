"""The agent of cases without a policy, which look at clips or joints: it stays in the middle of the action range."""

import torch
from torch import Tensor

from mimickit.config.agent_config import PolicyFreeConfig
from mimickit.envs.char_env import CharEnv
from mimickit.envs.terminations import Done
from mimickit.learning.agent import Agent, Metrics
from mimickit.learning.processes import Processes


class PolicyFreeAgent(Agent):
    """Training runs the environment and gathers the mean and spread of its observations; the model file holds these."""

    def __init__(self, config: PolicyFreeConfig, env: CharEnv, processes: Processes, seed: int):
        super().__init__(config, env, processes)
        self.to(env.device)
        self._observations = torch.zeros(config.steps_per_iter, env.num_envs, env.obs_size, device=env.device)

    @torch.no_grad()
    def iterate(self) -> Metrics:
        env = self.env
        obs = env.obs
        rewards = torch.zeros((), device=env.device)
        for step_obs in self._observations:
            step_obs.copy_(obs)
            env.step(self.best_action(obs))
            rewards += env.reward.mean()
            self.train_returns.add(env.reward, env.done != Done.NULL)
            obs = env.reset_done()
        self.update_normalizer(self._observations)
        self.samples += self.samples_per_iteration
        return {"Reward_Mean": rewards / len(self._observations)}

    @torch.no_grad()
    def best_action(self, obs: Tensor) -> Tensor:
        return self._a_norm.unnormalize(torch.zeros(len(obs), self.env.action_size, device=obs.device))
