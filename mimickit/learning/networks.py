"""Policy and value networks, with the parameter names of published checkpoints."""

import math

import torch
from torch import Tensor, nn

from mimickit.config.agent_config import ASEModelConfig, DiscriminatorModelConfig, ModelConfig

# Output weights of the discriminator and the encoder start uniform in plus or minus these.
DISC_INIT_OUTPUT_SCALE = 1.0
ENC_INIT_OUTPUT_SCALE = 0.1

HIDDEN_SIZES = {
    "fc_2layers_128units": (128, 64),
    "fc_2layers_256units": (256, 128),
    "fc_2layers_512units": (512, 256),
    "fc_2layers_1024units": (1024, 512),
    "fc_3layers_1024units": (1024, 1024, 512),
}


def build_hidden_layers(name: str, input_size: int) -> tuple[nn.Sequential, int]:
    """The ReLU layers a network name stands for, biases 0, and their output size."""
    layers: list[nn.Module] = []
    size = input_size
    for width in HIDDEN_SIZES[name]:
        linear = nn.Linear(size, width)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
        size = width
    return nn.Sequential(*layers), size


def build_output_layer(input_size: int, output_size: int, scale: float) -> nn.Linear:
    """A linear layer with weights uniform in +-``scale`` and biases 0."""
    linear = nn.Linear(input_size, output_size)
    nn.init.uniform_(linear.weight, -scale, scale)
    nn.init.zeros_(linear.bias)
    return linear


class DiagonalGaussian:
    """A batch of normal distributions with independent components: ``mean`` and ``log_std`` ``(..., A)``."""

    def __init__(self, mean: Tensor, log_std: Tensor):
        self.mean = mean
        self.log_std = log_std

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(self.mean.shape, device=self.mean.device, generator=generator)
        return self.mean + torch.exp(self.log_std) * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of ``value (..., A)``, shape ``(...)``."""
        deviation = (value - self.mean) * torch.exp(-self.log_std)
        per_component = -0.5 * deviation.square() - self.log_std - 0.5 * math.log(2.0 * math.pi)
        return per_component.sum(dim=-1)

    def entropy(self) -> Tensor:
        """Shape ``(...)``."""
        per_component = self.log_std + 0.5 * math.log(2.0 * math.pi * math.e)
        return per_component.expand_as(self.mean).sum(dim=-1)


class GaussianHead(nn.Module):
    """From features to a Gaussian over normalised actions.

    The log standard deviation is a constant (``FIXED``), one learned vector (``CONSTANT``) or a second linear layer
    (``VARIABLE``).
    """

    def __init__(self, input_size: int, action_size: int, config: ModelConfig):
        super().__init__()
        self._mean_net = build_output_layer(input_size, action_size, config.actor_init_output_scale)
        log_std = math.log(config.action_std)
        self._logstd_net: nn.Parameter | nn.Linear
        if config.actor_std_type == "VARIABLE":
            linear = nn.Linear(input_size, action_size)
            nn.init.uniform_(linear.weight, -config.actor_init_output_scale, config.actor_init_output_scale)
            nn.init.constant_(linear.bias, log_std)
            self._logstd_net = linear
        else:
            learned = config.actor_std_type == "CONSTANT"
            self._logstd_net = nn.Parameter(torch.full((action_size,), log_std), requires_grad=learned)

    def forward(self, features: Tensor) -> DiagonalGaussian:
        mean = self._mean_net(features)
        head = self._logstd_net
        log_std = head(features) if isinstance(head, nn.Linear) else head.expand_as(mean)
        return DiagonalGaussian(mean, log_std)


class ActorCritic(nn.Module):
    """Separate policy and value networks over normalised observations."""

    def __init__(self, config: ModelConfig, obs_size: int, action_size: int):
        super().__init__()
        self._actor_layers, features = build_hidden_layers(config.actor_net, obs_size)
        self._action_dist = GaussianHead(features, action_size, config)
        self._critic_layers, features = build_hidden_layers(config.critic_net, obs_size)
        self._critic_out = nn.Linear(features, 1)
        nn.init.zeros_(self._critic_out.bias)

    def actor(self, norm_obs: Tensor) -> DiagonalGaussian:
        """Distribution of normalised actions for ``(..., obs_size)``."""
        return self._action_dist(self._actor_layers(norm_obs))

    def critic(self, norm_obs: Tensor) -> Tensor:
        """Values ``(...)`` for ``(..., obs_size)``."""
        return self._critic_out(self._critic_layers(norm_obs)).squeeze(-1)

    def actor_parameters(self) -> list[nn.Parameter]:
        """What the policy's optimizer moves."""
        return [p for p in (*self._actor_layers.parameters(), *self._action_dist.parameters()) if p.requires_grad]

    def critic_parameters(self) -> list[nn.Parameter]:
        """What the value function's optimizer moves."""
        return [*self._critic_layers.parameters(), *self._critic_out.parameters()]


class DiscriminatorModel(ActorCritic):
    """Policy, value function and a discriminator of normalised windows of motion, or of differences (AMP, ADD)."""

    def __init__(self, config: DiscriminatorModelConfig, obs_size: int, action_size: int, disc_obs_size: int):
        super().__init__(config, obs_size, action_size)
        self._disc_layers, features = build_hidden_layers(config.disc_net, disc_obs_size)
        self._disc_logits = build_output_layer(features, 1, DISC_INIT_OUTPUT_SCALE)

    def discriminator(self, norm_disc_obs: Tensor) -> Tensor:
        """Logits ``(...)`` for ``(..., disc_obs_size)``: high for what looks like the reference motion."""
        return self._disc_logits(self._disc_layers(norm_disc_obs)).squeeze(-1)

    @property
    def logit_weight(self) -> Tensor:
        """Weights of the discriminator's last layer."""
        return self._disc_logits.weight

    def discriminator_parameters(self) -> list[nn.Parameter]:
        """What the discriminator's optimizer moves."""
        return [*self._disc_layers.parameters(), *self._disc_logits.parameters()]


class SkillModel(DiscriminatorModel):
    """A discriminator model whose policy and value also see a latent, and an encoder from windows to latents (ASE)."""

    def __init__(self, config: ASEModelConfig, obs_size: int, action_size: int, disc_obs_size: int):
        super().__init__(config, obs_size + config.latent_dim, action_size, disc_obs_size)
        self._enc_layers, features = build_hidden_layers(config.enc_net, disc_obs_size)
        self._enc_out = build_output_layer(features, config.latent_dim, ENC_INIT_OUTPUT_SCALE)

    def encoder(self, norm_disc_obs: Tensor) -> Tensor:
        """Unit vectors ``(..., latent_dim)`` for ``(..., disc_obs_size)``."""
        return nn.functional.normalize(self._enc_out(self._enc_layers(norm_disc_obs)), dim=-1)

    def encoder_parameters(self) -> list[nn.Parameter]:
        """What the encoder's optimizer moves."""
        return [*self._enc_layers.parameters(), *self._enc_out.parameters()]
