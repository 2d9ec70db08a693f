"""Typed settings of a motion prior: the network that judges windows of motion, and how it is trained."""

from dataclasses import dataclass
from pathlib import Path

from mimickit.config.schema import build, read_yaml, require


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """A diffusion model of windows of motion (Mu 2025).

    num_layers, num_heads, head_size: of the transformer; it is ``num_heads * head_size`` wide.
    num_diffusion_steps: noise levels from a clean window to noise.
    min_std: least standard deviation a channel is divided by, in the channel's unit.
    batch_size, learning_rate, iterations: of the training.
    ema_decay, ema_every, ema_start: the weights that are kept are an average over the training: the weights
        themselves up to iteration ``ema_start``, from then on moved every ``ema_every`` iterations by
        ``1 - ema_decay`` of the way to the weights.
    """

    num_layers: int
    num_heads: int
    head_size: int
    num_diffusion_steps: int
    min_std: float
    batch_size: int
    learning_rate: float
    iterations: int
    ema_decay: float
    ema_every: int
    ema_start: int

    def __post_init__(self) -> None:
        counts = ("num_layers", "num_heads", "head_size", "batch_size", "iterations", "ema_every")
        require(
            ("num_diffusion_steps", self.num_diffusion_steps >= 2, "at least 2"),
            ("head_size", self.num_heads * self.head_size % 2 == 0, "even when num_heads is odd"),
            ("min_std", self.min_std > 0, "greater than 0"),
            ("learning_rate", self.learning_rate > 0, "greater than 0"),
            ("ema_decay", 0 <= self.ema_decay < 1, "at least 0 and less than 1"),
            ("ema_start", self.ema_start >= 0, "at least 0"),
            *[(key, getattr(self, key) >= 1, "at least 1") for key in counts],
        )


def load_prior_config(path: Path) -> PriorConfig:
    """The settings in the YAML file ``path``; InputError for anything unknown, missing or out of range."""
    return build(PriorConfig, read_yaml(path))
