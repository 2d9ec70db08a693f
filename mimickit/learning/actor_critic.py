"""What the policy-gradient methods share: roll out, value, form returns and advantages, take gradient steps.

One iteration: roll the policy out, value what was seen, form returns and advantages, take gradient steps on the value
function and on the method's policy loss, then let the new observations into the normaliser.
"""

import abc
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mimickit.config.agent_config import ActorCriticConfig, OptimizerConfig
from mimickit.envs.char_env import CharEnv
from mimickit.envs.terminations import Done
from mimickit.learning.agent import Agent, Metrics
from mimickit.learning.gradient_steps import GradientSteps, Loss
from mimickit.learning.networks import ActorCritic, DiagonalGaussian
from mimickit.learning.processes import Processes
from mimickit.learning.returns import bootstrap_values, td_lambda_returns
from mimickit.learning.rollout import Rollout, minibatches
from mimickit.learning.step_graphs import GraphMemory, StepGraphs

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter], OptimizerConfig], torch.optim.Optimizer]] = {
    "SGD": lambda parameters, config: torch.optim.SGD(
        parameters, lr=config.learning_rate, momentum=0.9, weight_decay=config.weight_decay
    ),
    "Adam": lambda parameters, config: torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        capturable=parameters[0].is_cuda,  # counts its steps on the device, as a CUDA graph must
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
    count = advantage.new_full((1,), advantage.numel(), dtype=torch.float64)
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
        # Of control steps and gradient steps, which are CUDA graphs on a GPU.
        self._graph_memory: GraphMemory | None = None
        self._step_graphs: StepGraphs | None = None
        self._gradient_steps: dict[Loss, GradientSteps] = {}

    def build_modules(self) -> None:
        """Make the networks, and what else belongs into the model file."""
        self._model = ActorCritic(self.config.model, self.env.obs_size, self.env.action_size)

    def begin_training(self) -> None:
        env = self.env
        self._gradient_steps.clear()  # their graphs know the buffers of an earlier training
        self.rollout = Rollout(self.config.steps_per_iter, env.num_envs, env.obs_size, env.action_size, env.device)
        if env.device.type == "cuda" and env.engine.config.cuda_graph:
            self._graph_memory = GraphMemory()
            self._step_graphs = StepGraphs(
                self._act,
                env.simulate,
                self._see,
                (self.generator, env.generator),
                {"env": env, "agent": self},
                self._graph_memory,
            )
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
            saved = copy.deepcopy(state["optimizers"][name])
            for group in saved["param_groups"]:  # of this device, not of the one that the training was on
                group |= {key: value for key, value in optimizer.defaults.items() if key == "capturable"}
            optimizer.load_state_dict(saved)
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
        rollout = self.rollout
        assert rollout is not None, "begin_training comes first"
        rollout.begin()
        step = self._step_graphs or self._take_step
        if self._step_graphs:
            self._step_graphs.require_places()
        for _ in range(rollout.num_steps):
            step()
        return rollout

    def _take_step(self) -> None:
        self._act()
        self.env.simulate()
        self._see()

    def _act(self) -> None:
        """What comes before the physics of a step: the policy's action, noted and handed over."""
        rollout, env = self.rollout, self.env
        self.begin_step()
        distribution = self.policy(env.obs)
        norm_action = distribution.sample(self.generator)
        rollout.write(rollout.obs, env.obs)
        rollout.write(rollout.norm_action, norm_action)
        rollout.write(rollout.log_prob, distribution.log_prob(norm_action))
        env.drive(self._a_norm.unnormalize(norm_action))

    def _see(self) -> None:
        """What comes after it: what became of the action, noted, and new episodes where one ended."""
        rollout, env = self.rollout, self.env
        rollout.write(rollout.next_obs, env.finish_step())
        rollout.write(rollout.reward, env.reward)
        rollout.write(rollout.done, env.done)
        self.record_step()
        self.train_returns.add(env.reward, env.done != Done.NULL)
        env.reset_done()
        rollout.advance()

    def begin_step(self) -> None:
        """Called before every action, in training and in tests. Captured: see `captured` for what that asks."""

    def record_step(self) -> None:
        """Called after each step of a rollout, before ended environments are reset; see `Rollout.write`, and `captured`
        for what being captured asks."""

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
        """The loss of a minibatch, and what to log of it; ``distribution`` is the policy at its observations. Captured:
        see `GradientSteps`."""

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

    def descend(self, name: str, loss: Loss, data: Sequence[Tensor], batch_size: int, epochs: int) -> Metrics:
        """Epochs of gradient steps on shuffled minibatches; the means over all steps of what ``loss`` reports.

        Args:
            name: of the optimizer, in ``optimizers``, that moves the weights.
            loss: see `GradientSteps`; the same function at every call.
            data: ``(M, ...)`` each.
        """
        steps = self._gradient_steps.get(loss)
        if steps is None:
            optimizer = self.optimizers()[name]
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            generators = (self.generator, self.env.generator)
            steps = GradientSteps(loss, optimizer, parameters, self.processes, generators, self._graph_memory)
            self._gradient_steps[loss] = steps
        return steps(data, minibatches(len(data[0]), batch_size, epochs, self.generator))

    def update_critic(self, inputs: Tensor, returns: Tensor) -> Metrics:
        """Gradient steps on the squared error of the value function."""
        config = self.config
        batch_size = config.critic_batch_size * self.env.num_envs
        return self.descend("critic", self._critic_loss, (inputs, returns), batch_size, config.critic_epochs)

    def _critic_loss(self, inputs: Tensor, returns: Tensor) -> tuple[Tensor, Metrics]:
        error = (returns - self._model.critic(inputs)).square().mean()
        return self.critic_loss_weight * error, {"Critic_Loss": error}

    def update_actor(self, samples: PolicySamples) -> Metrics:
        """Gradient steps on the policy's loss and its extra losses."""
        config = self.config
        batch_size = config.actor_batch_size * self.env.num_envs
        data = (samples.norm_obs, samples.norm_action, samples.log_prob, samples.advantage)
        return self.descend("actor", self._actor_loss, data, batch_size, config.actor_epochs)

    def _actor_loss(
        self, norm_obs: Tensor, norm_action: Tensor, log_prob: Tensor, advantage: Tensor
    ) -> tuple[Tensor, Metrics]:
        config = self.config
        samples = PolicySamples(norm_obs.requires_grad_(self.needs_obs_gradient), norm_action, log_prob, advantage)
        distribution = self._model.actor(samples.norm_obs)
        total, terms = self.policy_loss(samples, distribution)
        bound = action_bound_loss(distribution)
        entropy = distribution.entropy().mean()
        total = total + config.action_bound_weight * bound - config.action_entropy_weight * entropy
        if config.action_reg_weight:
            total = total + config.action_reg_weight * distribution.mean.square().sum(dim=-1).mean()
        return total, {**terms, "Action_Bound_Loss": bound, "Action_Entropy": entropy}
