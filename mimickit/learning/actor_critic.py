"""What the policy-gradient methods share: roll out, value, form returns and advantages, take gradient steps.

One iteration: roll the policy out, value what was seen, form returns and advantages, take gradient steps on the value
function and on the method's policy loss, then let the new observations into the normaliser.
"""

import abc
import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mimickit.config.agent_config import ActorCriticConfig, OptimizerConfig
from mimickit.envs.char_env import CharEnv
from mimickit.envs.terminations import Done
from mimickit.learning.agent import Agent, Metrics
from mimickit.learning.networks import ActorCritic, DiagonalGaussian
from mimickit.learning.processes import Processes
from mimickit.learning.returns import bootstrap_values, td_lambda_returns
from mimickit.learning.rollout import Rollout, minibatches

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter], OptimizerConfig], torch.optim.Optimizer]] = {
    "SGD": lambda parameters, config: torch.optim.SGD(
        parameters, lr=config.learning_rate, momentum=0.9, weight_decay=config.weight_decay
    ),
    "Adam": lambda parameters, config: torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay
    ),
}


def build_optimizer(config: OptimizerConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """``SGD`` has momentum 0.9; ``Adam`` means AdamW."""
    return OPTIMIZERS[config.type](parameters, config)


def action_bound_loss(distribution: DiagonalGaussian) -> Tensor:
    """Squared excess of the mean beyond [-1, 1], summed over DoFs and averaged over samples."""
    excess = distribution.mean - distribution.mean.clamp(-1.0, 1.0)
    return excess.square().sum(dim=-1).mean()


def normalized_advantages(advantage: Tensor, processes: Processes) -> tuple[Tensor, Tensor, Tensor]:
    """Advantages of all processes brought to mean 0 and standard deviation 1; mean and std."""
    count = torch.tensor([float(advantage.numel())], dtype=torch.float64, device=advantage.device)
    double = advantage.double()
    total, square_total, samples = processes.sum(
        torch.cat((double.sum().view(1), double.square().sum().view(1), count))
    )
    mean = total / samples
    std = (square_total / samples - mean.square()).clamp(min=0.0).sqrt()
    normalized = (double - mean) / std.clamp(min=1e-5)
    return normalized.float(), mean.float(), std.float()


@dataclass(frozen=True)
class PolicySamples:
    """What the policy learns from, over M samples.

    Attributes:
        norm_obs: ``(M, obs_size)``, normalised; norm_action ``(M, action_size)`` what was done there.
        log_prob: ``(M,)`` the action's log density when it was drawn.
        advantage: ``(M,)`` as `ActorCriticAgent.scale_advantages` left it.
    """

    norm_obs: Tensor
    norm_action: Tensor
    log_prob: Tensor
    advantage: Tensor

    def at(self, index: Tensor) -> "PolicySamples":
        """The samples at ``index``."""
        return PolicySamples(self.norm_obs[index], self.norm_action[index], self.log_prob[index], self.advantage[index])


class ActorCriticAgent(Agent):
    """Policy, value function, normalisers and optimizers over one environment.

    The model file has ``_obs_norm``, ``_a_norm`` and ``_model``. A method says how advantages are scaled and what the
    policy's loss is.
    """

    config: ActorCriticConfig
    needs_obs_gradient = False
    critic_loss_weight = 1.0

    def __init__(self, config: ActorCriticConfig, env: CharEnv, processes: Processes, seed: int):
        super().__init__(config, env, processes)
        self.build_modules()
        self.to(env.device)
        processes.broadcast(self.state_dict().values())
        self.actor_optimizer = build_optimizer(config.actor_optimizer, self._model.actor_parameters())
        self.critic_optimizer = build_optimizer(config.critic_optimizer, self._model.critic_parameters())
        self.generator = torch.Generator(device=env.device).manual_seed(seed)
        self.rollout: Rollout | None = None

    def build_modules(self) -> None:
        """Make the networks, and what else belongs into the model file."""
        self._model = ActorCritic(self.config.model, self.env.obs_size, self.env.action_size)

    def begin_training(self) -> None:
        env = self.env
        self.rollout = Rollout(self.config.steps_per_iter, env.num_envs, env.obs_size, env.action_size, env.device)
        super().begin_training()

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All that move weights, by what they move."""
        return {"actor": self.actor_optimizer, "critic": self.critic_optimizer}

    def training_state(self) -> dict[str, Any]:
        return super().training_state() | {
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers().items()},
            "generator": self.generator.get_state(),
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        super().load_training_state(state)
        for name, optimizer in self.optimizers().items():
            # An optimizer would keep the given tensors, and write into them.
            optimizer.load_state_dict(copy.deepcopy(state["optimizers"][name]))
        self.generator.set_state(state["generator"])

    def policy(self, obs: Tensor) -> DiagonalGaussian:
        """Distribution of normalised actions for the environment's current raw observations ``(N, obs_size)``."""
        return self._model.actor(self._obs_norm.normalize(obs))

    @torch.no_grad()
    def best_action(self, obs: Tensor) -> Tensor:
        """The policy's mean action."""
        self.begin_step()
        return self._a_norm.unnormalize(self.policy(obs).mean)

    def iterate(self) -> Metrics:
        rollout = self.collect()
        metrics = self.update(rollout)
        self.samples += self.samples_per_iteration
        return metrics

    @torch.no_grad()
    def collect(self) -> Rollout:
        """Fill the buffer with the current policy's experience."""
        rollout, env = self.rollout, self.env
        assert rollout is not None, "begin_training comes first"
        obs = env.obs
        for t in range(rollout.num_steps):
            self.begin_step()
            distribution = self.policy(obs)
            norm_action = distribution.sample(self.generator)
            rollout.obs[t] = obs
            rollout.norm_action[t] = norm_action
            rollout.log_prob[t] = distribution.log_prob(norm_action)
            rollout.next_obs[t] = env.step(self._a_norm.unnormalize(norm_action))
            rollout.reward[t] = env.reward
            rollout.done[t] = env.done
            self.record_step(t)
            self.train_returns.add(env.reward, env.done != Done.NULL)
            obs = env.reset_done()
        return rollout

    def begin_step(self) -> None:
        """Called before every action, in training and in tests."""

    def record_step(self, t: int) -> None:
        """Called after step ``t`` of a rollout, before ended environments are reset."""

    def shape_rewards(self, rollout: Rollout) -> Metrics:
        """Add to the environment's rewards in ``rollout.reward`` what the method rewards itself."""
        return {}

    def policy_inputs(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """What the networks were given at every step of a rollout and would be given after it, ``(T, N, ...)``."""
        return self._obs_norm.normalize(rollout.obs), self._obs_norm.normalize(rollout.next_obs)

    @abc.abstractmethod
    def scale_advantages(self, normalized: Tensor) -> Tensor:
        """What the policy's loss sees of normalised advantages, elementwise."""

    @abc.abstractmethod
    def policy_loss(self, samples: PolicySamples, distribution: DiagonalGaussian) -> tuple[Tensor, Metrics]:
        """The loss of a minibatch, and what to log of it; ``distribution`` is the policy at its observations."""

    def update(self, rollout: Rollout) -> Metrics:
        """Learn from a rollout."""
        metrics = self.shape_rewards(rollout)
        inputs, next_inputs = self.policy_inputs(rollout)
        returns, advantage = self.returns_and_advantages(rollout, inputs, next_inputs)
        normalized, advantage_mean, advantage_std = normalized_advantages(advantage, self.processes)
        flat_inputs = rollout.flat(inputs)
        metrics |= self.update_critic(flat_inputs, rollout.flat(returns))
        metrics |= self.update_actor(
            PolicySamples(
                flat_inputs,
                rollout.flat(rollout.norm_action),
                rollout.flat(rollout.log_prob),
                rollout.flat(self.scale_advantages(normalized)),
            )
        )
        self.update_normalizer(rollout.obs)
        return metrics | {
            "Adv_Mean": advantage_mean,
            "Adv_Std": advantage_std,
            "Value_Mean": (returns - advantage).mean(),
            "Reward_Mean": rollout.reward.mean(),
        }

    @torch.no_grad()
    def returns_and_advantages(self, rollout: Rollout, inputs: Tensor, next_inputs: Tensor) -> tuple[Tensor, Tensor]:
        """TD(lambda) returns and their difference to the value function, ``(T, N)`` each."""
        values = self._model.critic(inputs)
        next_values = bootstrap_values(self._model.critic(next_inputs), rollout.done)
        returns = td_lambda_returns(
            rollout.reward, next_values, rollout.done, self.config.discount, self.config.td_lambda
        )
        return returns, returns - values

    def update_critic(self, inputs: Tensor, returns: Tensor) -> Metrics:
        """Gradient steps on the squared error of the value function."""
        config = self.config

        def loss(batch: Tensor) -> tuple[Tensor, Metrics]:
            error = (returns[batch] - self._model.critic(inputs[batch])).square().mean()
            return self.critic_loss_weight * error, {"Critic_Loss": error}

        parameters = self._model.critic_parameters()
        batch_size = config.critic_batch_size * self.env.num_envs
        return self.descend(self.critic_optimizer, parameters, loss, len(inputs), batch_size, config.critic_epochs)

    def update_actor(self, samples: PolicySamples) -> Metrics:
        """Gradient steps on the policy's loss and its extra losses."""
        config = self.config

        def loss(batch: Tensor) -> tuple[Tensor, Metrics]:
            chosen = samples.at(batch)
            chosen.norm_obs.requires_grad_(self.needs_obs_gradient)
            distribution = self._model.actor(chosen.norm_obs)
            total, terms = self.policy_loss(chosen, distribution)
            bound = action_bound_loss(distribution)
            entropy = distribution.entropy().mean()
            total = total + config.action_bound_weight * bound - config.action_entropy_weight * entropy
            if config.action_reg_weight:
                total = total + config.action_reg_weight * distribution.mean.square().sum(dim=-1).mean()
            return total, {**terms, "Action_Bound_Loss": bound, "Action_Entropy": entropy}

        parameters = self._model.actor_parameters()
        batch_size = config.actor_batch_size * self.env.num_envs
        return self.descend(
            self.actor_optimizer, parameters, loss, len(samples.norm_obs), batch_size, config.actor_epochs
        )

    def descend(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: list[nn.Parameter],
        loss: Callable[[Tensor], tuple[Tensor, Metrics]],
        num_samples: int,
        batch_size: int,
        epochs: int,
    ) -> Metrics:
        """Epochs of gradient steps on shuffled minibatches; the means over all steps of what ``loss`` reports.

        Args:
            loss: of the samples at given indices: what to descend, and what to log.
        """
        totals: Metrics = {}
        batches = minibatches(num_samples, batch_size, epochs, self.generator)
        for batch in batches:
            value, terms = loss(batch)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            self.processes.average_gradients(parameters)
            optimizer.step()
            for name, term in terms.items():
                totals[name] = totals.get(name, 0.0) + term.detach()
        return {name: total / len(batches) for name, total in totals.items()}
