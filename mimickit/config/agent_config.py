"""Typed settings of the learning methods, one class for each ``agent_name``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mimickit.config.schema import require

NetworkName = Literal[
    "fc_2layers_128units", "fc_2layers_256units", "fc_2layers_512units", "fc_2layers_1024units", "fc_3layers_1024units"
]


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """``SGD`` has momentum 0.9; ``Adam`` is AdamW."""

    type: Literal["SGD", "Adam"]
    learning_rate: float
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        require(
            ("learning_rate", self.learning_rate > 0, "greater than 0"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Policy and value networks.

    actor_init_output_scale: the policy's output weights start uniform in plus or minus this.
    actor_std_type, action_std: the policy's standard deviation of normalised actions and what it may depend on:
        ``FIXED`` nothing, ``CONSTANT`` a learned value, ``VARIABLE`` the observation.
    """

    actor_net: NetworkName
    actor_init_output_scale: float
    actor_std_type: Literal["FIXED", "CONSTANT", "VARIABLE"]
    action_std: float
    critic_net: NetworkName

    def __post_init__(self) -> None:
        require(
            ("actor_init_output_scale", self.actor_init_output_scale > 0, "greater than 0"),
            ("action_std", self.action_std > 0, "greater than 0"),
        )


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What every agent has.

    steps_per_iter: control steps each environment takes per iteration.
    iters_per_output, test_episodes: iterations between tests (and log rows), and episodes of one test.
    normalizer_samples: observations after which the normaliser is frozen.
    """

    agent_name: str
    steps_per_iter: int
    iters_per_output: int
    test_episodes: int
    normalizer_samples: int

    def __post_init__(self) -> None:
        counts = ("steps_per_iter", "iters_per_output", "test_episodes")
        require(
            ("normalizer_samples", self.normalizer_samples >= 0, "at least 0"),
            *[(key, getattr(self, key) >= 1, "at least 1") for key in counts],
        )


@dataclass(frozen=True, kw_only=True)
class PolicyFreeConfig(AgentConfig):
    """No policy: what a case without an ``agent_config`` runs with."""

    agent_name: str = "policy_free"
    steps_per_iter: int = 32
    iters_per_output: int = 100
    test_episodes: int = 1
    normalizer_samples: int = 100_000_000


@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig(AgentConfig):
    """What the policy-gradient methods share.

    *_epochs: passes over an iteration's samples. *_batch_size: minibatch size for each environment.
    td_lambda: of the TD(lambda) returns.
    action_bound_weight, action_entropy_weight, action_reg_weight: weights of the policy's extra losses.
    """

    model: ModelConfig
    actor_optimizer: OptimizerConfig
    critic_optimizer: OptimizerConfig
    discount: float
    actor_epochs: int
    actor_batch_size: int
    critic_epochs: int
    critic_batch_size: int
    td_lambda: float
    action_bound_weight: float
    action_entropy_weight: float
    action_reg_weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        batches = ("actor_epochs", "actor_batch_size", "critic_epochs", "critic_batch_size")
        weights = ("action_bound_weight", "action_entropy_weight", "action_reg_weight")
        require(
            ("discount", 0 <= self.discount < 1, "at least 0 and less than 1"),
            ("td_lambda", 0 <= self.td_lambda <= 1, "between 0 and 1"),
            *[(key, getattr(self, key) >= 1, "at least 1") for key in batches],
            *[(key, getattr(self, key) >= 0, "at least 0") for key in weights],
        )


@dataclass(frozen=True, kw_only=True)
class PPOConfig(ActorCriticConfig):
    """Proximal policy optimisation (Schulman 2017).

    norm_adv_clip: bound on normalised advantages.
    """

    ppo_clip_ratio: float
    norm_adv_clip: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            ("ppo_clip_ratio", self.ppo_clip_ratio > 0, "greater than 0"),
            ("norm_adv_clip", self.norm_adv_clip > 0, "greater than 0"),
        )


@dataclass(frozen=True, kw_only=True)
class LCPConfig(PPOConfig):
    """Lipschitz-constrained policies (Chen 2024).

    lcp_weight: weight of the squared gradient of the policy's log density by what it sees.
    """

    lcp_weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(("lcp_weight", self.lcp_weight >= 0, "at least 0"))


@dataclass(frozen=True, kw_only=True)
class AWRConfig(ActorCriticConfig):
    """Advantage-weighted regression (Peng 2019).

    awr_temp: temperature of the weights. a_weight_clip: their upper bound.
    """

    awr_temp: float
    a_weight_clip: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            ("awr_temp", self.awr_temp > 0, "greater than 0"),
            ("a_weight_clip", self.a_weight_clip > 0, "greater than 0"),
        )


@dataclass(frozen=True, kw_only=True)
class DiscriminatorModelConfig(ModelConfig):
    """Policy, value and discriminator networks."""

    disc_net: NetworkName


@dataclass(frozen=True, kw_only=True)
class AMPConfig(PPOConfig):
    """Adversarial motion priors (Peng 2021), and adversarial differential discriminators (Zhang, Peng 2025).

    disc_*: optimizer, epochs and batch size (for each environment) of the discriminator.
    disc_buffer_size, disc_replay_samples: samples that the replay buffer holds, and that an iteration adds to it.
    disc_logit_reg, disc_grad_penalty: weights of the squared logit weights and of the gradient penalty.
    disc_reward_scale: factor of the discriminator's reward.
    task_reward_weight, disc_reward_weight: weights of the environment's reward and the discriminator's.
    """

    model: DiscriminatorModelConfig
    disc_optimizer: OptimizerConfig
    disc_epochs: int
    disc_batch_size: int
    disc_buffer_size: int
    disc_replay_samples: int
    disc_logit_reg: float
    disc_grad_penalty: float
    disc_reward_scale: float
    task_reward_weight: float
    disc_reward_weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("disc_epochs", "disc_batch_size", "disc_buffer_size", "disc_replay_samples")
        weights = ("disc_logit_reg", "disc_grad_penalty", "disc_reward_scale", "task_reward_weight")
        room = self.disc_buffer_size
        require(
            ("disc_replay_samples", self.disc_replay_samples <= room, f"at most disc_buffer_size ({room})"),
            *[(key, getattr(self, key) >= 1, "at least 1") for key in counts],
            *[(key, getattr(self, key) >= 0, "at least 0") for key in (*weights, "disc_reward_weight")],
        )


@dataclass(frozen=True, kw_only=True)
class ASEModelConfig(DiscriminatorModelConfig):
    """Networks with an encoder; latent_dim: numbers in a latent."""

    enc_net: NetworkName
    latent_dim: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require(("latent_dim", self.latent_dim >= 2, "at least 2"))


@dataclass(frozen=True, kw_only=True)
class ASEConfig(AMPConfig):
    """Adversarial skill embeddings (Peng 2022).

    enc_*: optimizer, epochs and batch size (for each environment) of the encoder.
    diversity_weight, diversity_tar: weight of the diversity loss, and the change of action it wants for a change of
        latent.
    latent_time_min, latent_time_max: s until another latent is drawn, uniform.
    enc_reward_weight: weight of the encoder's reward.
    """

    model: ASEModelConfig
    enc_optimizer: OptimizerConfig
    enc_epochs: int
    enc_batch_size: int
    diversity_weight: float
    diversity_tar: float
    latent_time_min: float
    latent_time_max: float
    enc_reward_weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = ("diversity_weight", "diversity_tar", "latent_time_min", "enc_reward_weight")
        low = self.latent_time_min
        require(
            ("enc_epochs", self.enc_epochs >= 1, "at least 1"),
            ("enc_batch_size", self.enc_batch_size >= 1, "at least 1"),
            ("latent_time_max", self.latent_time_max >= low, f"at least latent_time_min ({low:g} s)"),
            *[(key, getattr(self, key) >= 0, "at least 0") for key in weights],
        )


@dataclass(frozen=True, kw_only=True)
class SMPConfig(PPOConfig):
    """Score-matching motion priors (2025).

    smp_prior_model: the trained prior; smp_prior_cfg: the YAML file it is trained with, by
        ``python -m mimickit.learning.smp_prior``.
    diffusion_steps: noise levels at which the prior judges a window. smp_eval_batch_size: windows it judges at once.
    sds_loss_scale: of the mean normalised error in the reward's exponent. sds_normalizer_samples: windows after which
        the errors' running means are frozen.
    enable_gsi: start episodes in windows drawn from the prior instead of clips.
    task_reward_weight, smp_reward_weight: weights of the environment's reward and the prior's.
    critic_loss_weight: factor of the value function's loss.
    """

    smp_prior_cfg: Path
    smp_prior_model: Path
    smp_eval_batch_size: int
    sds_loss_scale: float
    diffusion_steps: tuple[int, ...]
    sds_normalizer_samples: int = 100_000_000
    enable_gsi: bool
    task_reward_weight: float
    smp_reward_weight: float
    critic_loss_weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = self.diffusion_steps
        weights = ("sds_loss_scale", "task_reward_weight", "smp_reward_weight", "critic_loss_weight")
        require(
            ("smp_eval_batch_size", self.smp_eval_batch_size >= 1, "at least 1"),
            ("diffusion_steps", bool(steps) and min(steps, default=0) >= 0, "a list of steps of at least 0"),
            ("diffusion_steps", len(set(steps)) == len(steps), "a list of different steps"),
            ("sds_normalizer_samples", self.sds_normalizer_samples >= 1, "at least 1"),
            *[(key, getattr(self, key) >= 0, "at least 0") for key in weights],
        )


AGENT_CONFIGS: dict[str, type[AgentConfig]] = {
    "ADD": AMPConfig,
    "AMP": AMPConfig,
    "ASE": ASEConfig,
    "AWR": AWRConfig,
    "LCP": LCPConfig,
    "PPO": PPOConfig,
    "SMP": SMPConfig,
}
