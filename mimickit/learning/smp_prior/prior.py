"""A motion prior: a denoiser of windows of motion, what its channels are divided by, and what windows it knows."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mimickit.anim.char_model import CharModel
from mimickit.config.env_config import AMPEnvConfig
from mimickit.config.prior_config import PriorConfig
from mimickit.envs.motion_windows import FrameLayout
from mimickit.errors import InputError, MissingDataError
from mimickit.learning.checkpoint import load_model, load_state, save_model
from mimickit.learning.smp_prior.diffusion import add_noise, cosine_alpha_bars, draw_samples
from mimickit.learning.smp_prior.network import Denoiser

DESCRIPTION = "_extra_state"  # torch's name for what get_extra_state tells
TRAIN_COMMAND = "python -m mimickit.learning.smp_prior --arg_file args/CASE.txt"


@dataclass(frozen=True)
class WindowSpec:
    """What a window is made of; a prior judges only windows like those it was trained on.

    character: the character's file, for messages: two characters are the same when their bodies are.
    step_dt: time between frames, s. The other fields are those of the environment's settings.
    """

    character: str = field(compare=False)
    body_names: tuple[str, ...]
    key_bodies: tuple[str, ...]
    num_frames: int
    num_channels: int
    track_root: bool
    root_height_obs: bool
    step_dt: float

    @classmethod
    def of(cls, config: AMPEnvConfig, model: CharModel, step_dt: float) -> "WindowSpec":
        return cls(
            character=config.char_file.as_posix(),
            body_names=model.body_names,
            key_bodies=config.key_bodies,
            num_frames=config.num_disc_obs_steps,
            num_channels=FrameLayout.of(model, len(config.key_bodies), config.disc_dof_vel_obs).obs_size,
            track_root=config.enable_tar_obs and config.global_obs,
            root_height_obs=config.root_height_obs,
            step_dt=step_dt,
        )

    def differences(self, other: "WindowSpec") -> list[str]:
        """Where this is not ``other``, in words; empty when the windows are alike."""
        if self.body_names != other.body_names:
            return [f"the character {self.character} instead of {other.character}"]
        names = [spec.name for spec in fields(self) if spec.compare]
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in names]
        return [f"{name} {_words(mine)} instead of {_words(theirs)}" for name, mine, theirs in pairs if mine != theirs]


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


class MotionPrior(nn.Module):
    """Judges and draws windows of S frames with F channels.

    Its ``state_dict`` is its file: the network's weights, the channels' mean and standard deviation, and what
    `get_extra_state` tells, so that a prior is a model file like any other.

    Attributes:
        network: the denoiser, whose weights are not trained here.
        iterations: that it was trained for, of ``config.iterations``.
        alpha_bars: ``(T,)``.
    """

    _mean: Tensor
    _std: Tensor
    alpha_bars: Tensor

    def __init__(
        self,
        network: Denoiser,
        mean: Tensor,
        std: Tensor,
        spec: WindowSpec,
        config: PriorConfig,
        iterations: int = 0,
    ):
        super().__init__()
        self.spec, self.config, self.iterations = spec, config, iterations
        self.network = network
        self.register_buffer("_mean", mean)
        self.register_buffer("_std", std)
        self.register_buffer("alpha_bars", cosine_alpha_bars(config.num_diffusion_steps), persistent=False)
        self.to(mean.device)
        self.requires_grad_(False)

    @staticmethod
    def make_network(spec: WindowSpec, config: PriorConfig) -> Denoiser:
        """An untrained network, with weights from torch's global generator."""
        return Denoiser(spec.num_frames, spec.num_channels, config.num_layers, config.num_heads, config.head_size)

    @classmethod
    def load(cls, path: Path, spec: WindowSpec, device: torch.device | str = "cpu") -> "MotionPrior":
        """The prior in the file ``path``, for windows as ``spec`` says.

        Raises:
            InputError: missing, damaged, no prior, or one for other windows.
        """
        if not path.exists():
            raise MissingDataError(
                f"{path}: no such motion prior; train it with `{TRAIN_COMMAND}`, naming the case's arg file"
            )
        known, config, iterations = _read_description(path)
        differences = known.differences(spec)
        if differences:
            raise InputError(
                f"{path}: this prior was trained for other windows of motion than the environment's: "
                f"{'; '.join(differences)}. `{TRAIN_COMMAND}` trains one that fits"
            )
        blank = torch.zeros(spec.num_channels)
        prior = cls(cls.make_network(known, config), blank, blank.clone(), known, config, iterations)
        load_model(prior, path)
        return prior.to(device)

    def get_extra_state(self) -> Tensor:
        """The description of the prior (`spec`, `config`, `iterations`) as the bytes of a JSON text."""
        description = {"spec": asdict(self.spec), "config": asdict(self.config), "iterations": self.iterations}
        return torch.tensor(list(json.dumps(description).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing: a prior is made from its description, before its weights are copied."""

    def save(self, path: Path) -> None:
        """Write the prior's file; atomic."""
        save_model(self, path)

    def normalize(self, windows: Tensor) -> Tensor:
        """Windows as observed ``(M, S * F)`` to channels of mean 0 and standard deviation 1, ``(M, S, F)``."""
        return (windows.unflatten(-1, (self.spec.num_frames, -1)) - self._mean) / self._std

    def unnormalize(self, windows: Tensor) -> Tensor:
        """Inverse of `normalize`."""
        return (windows * self._std + self._mean).flatten(1)

    @torch.no_grad()
    def noise_errors(self, windows: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """How badly the prior tells noise from motion: the mean squared error of the noise it sees in noised windows.

        Args:
            windows: ``(M, S * F)``, as observed; step: the noise level, 0 to T - 1.

        Returns:
            ``(M,)``.
        """
        clean = self.normalize(windows)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        noisy = add_noise(clean, noise, self.alpha_bars[step])
        return (self.predict_noise(noisy, step) - noise).square().mean(dim=(1, 2))

    def draw_windows(self, count: int, generator: torch.Generator) -> Tensor:
        """``count`` new windows ``(count, S * F)``, as an environment would observe them."""
        shape = (count, self.spec.num_frames, self.spec.num_channels)
        return self.unnormalize(draw_samples(self.predict_noise, self.alpha_bars, shape, generator))

    def predict_noise(self, noisy: Tensor, step: int) -> Tensor:
        """The noise in normalised windows ``(M, S, F)`` that are all at one noise level."""
        return self.network(noisy, torch.full((1,), step, device=noisy.device))


def _read_description(path: Path) -> tuple[WindowSpec, PriorConfig, int]:
    """What a prior's file says of itself: its windows, its settings, the iterations it was trained for."""
    state = load_state(path)
    if DESCRIPTION not in state:
        raise InputError(
            f"{path}: a model file, but not of a motion prior as `{TRAIN_COMMAND}` trains it; priors of other "
            "frameworks cannot be read"
        )
    try:
        description = json.loads(bytes(state[DESCRIPTION].tolist()))
        spec = {name: tuple(value) if isinstance(value, list) else value for name, value in description["spec"].items()}
        return WindowSpec(**spec), PriorConfig(**description["config"]), int(description["iterations"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: the description of this motion prior cannot be read ({type(error).__name__}: {error}); "
            f"`{TRAIN_COMMAND}` trains it anew"
        ) from None
