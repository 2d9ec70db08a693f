"""Typed settings of the learning methods, one class for each ``agent_name``."""

from dataclasses import dataclass
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


AGENT_CONFIGS: dict[str, type[AgentConfig]] = {
    "AWR": AWRConfig,
    "LCP": LCPConfig,
    "PPO": PPOConfig,
}
