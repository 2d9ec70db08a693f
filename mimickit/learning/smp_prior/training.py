"""Training a motion prior: clips' windows, noise at random levels, and a network that learns to see it."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mimickit.anim import load_character
from mimickit.anim.char_model import Kinematics
from mimickit.anim.motion_library import MotionLibrary
from mimickit.config.env_config import AMPEnvConfig
from mimickit.config.prior_config import PriorConfig
from mimickit.envs.motion_windows import ClipWindows, FrameLayout, observe_windows
from mimickit.errors import DivergenceError, InputError
from mimickit.learning.smp_prior.diffusion import add_noise, cosine_alpha_bars
from mimickit.learning.smp_prior.network import Denoiser
from mimickit.learning.smp_prior.prior import MotionPrior, WindowSpec

STATISTICS_WINDOWS = 20_000  # from which the channels' mean and standard deviation are taken
REPORT_EVERY = 100  # iterations; a report reads the loss back from the device


class WindowSource:
    """Windows out of an environment's clips as the environment observes them, without its physics.

    Args:
        step_dt: time between frames, s: the control step.

    Raises:
        InputError: a clip or the character cannot be read, or a key body is unknown.
    """

    def __init__(self, config: AMPEnvConfig, step_dt: float, device: torch.device):
        model = load_character(config.char_file)
        unknown = [name for name in config.key_bodies if name not in model.body_names]
        if unknown:
            raise InputError(
                f"key_bodies: '{unknown[0]}' is not a body of {config.char_file}; it has {', '.join(model.body_names)}"
            )
        self.device = device
        self.spec = WindowSpec.of(config, model, step_dt)
        kinematics = Kinematics(model, device)
        self._clips = ClipWindows(
            MotionLibrary.load(config.motion_file, kinematics, device),
            kinematics,
            FrameLayout.of(model, len(config.key_bodies), config.disc_dof_vel_obs),
            torch.tensor([model.body_index(name) for name in config.key_bodies], dtype=torch.long, device=device),
            config.num_disc_obs_steps,
            step_dt,
        )

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """``(count, S * F)``."""
        frames = self._clips.draw(count, generator)
        return observe_windows(frames, self._clips.layout, self.spec.track_root, self.spec.root_height_obs)


class AveragedWeights:
    """An average of a network's weights over its training; ``network`` holds it."""

    def __init__(self, network: nn.Module, config: PriorConfig):
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._decay, self._every, self._start = config.ema_decay, config.ema_every, config.ema_start

    @torch.no_grad()
    def update(self, network: nn.Module, iteration: int) -> None:
        """After iteration ``iteration`` (from 1): the weights themselves up to ``ema_start``, then every ``ema_every``
        iterations ``decay * average + (1 - decay) * weights``."""
        own, given = list(self.network.parameters()), list(network.parameters())
        if iteration <= self._start:
            torch._foreach_copy_(own, given)
        elif iteration % self._every == 0:
            torch._foreach_lerp_(own, given, 1.0 - self._decay)


@dataclass(frozen=True)
class LossReport:
    """Where a training is: mean loss of the iterations since the last report, and time since the start, s."""

    iteration: int
    loss: float
    elapsed: float


def channel_statistics(windows: Tensor, num_frames: int, min_std: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, at least ``min_std``, of every channel of windows ``(M, S * F)``: ``(F,)`` each."""
    frames = windows.unflatten(-1, (num_frames, -1)).flatten(0, 1)
    return frames.mean(dim=0), frames.std(dim=0, correction=0).clamp(min=min_std)


def denoising_loss(network: Denoiser, clean: Tensor, alpha_bars: Tensor, generator: torch.Generator) -> Tensor:
    """Mean absolute error of the predicted noise in normalised windows ``(M, S, F)``, each at a random noise level."""
    steps = torch.randint(len(alpha_bars), (len(clean),), generator=generator, device=clean.device)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    predicted = network(add_noise(clean, noise, alpha_bars[steps]), steps)
    return (predicted - noise).abs().mean()


def train_prior(
    source: WindowSource,
    config: PriorConfig,
    iterations: int,
    seed: int,
    report: Callable[[LossReport], None],
    stop: Sequence[int] = (),
) -> MotionPrior:
    """A prior of the source's clips; on a CPU the same seed gives the same weights.

    Args:
        iterations: to train for; ``config.iterations`` unless the caller wants fewer.
        report: called every 100 iterations and after the last.
        stop: looked at after every iteration; training ends when it is no longer empty.

    Raises:
        DivergenceError: the loss is not finite.
    """
    device, spec = source.device, source.spec
    torch.manual_seed(seed)
    generator = torch.Generator(device=device).manual_seed(seed)
    statistics = channel_statistics(source.draw(STATISTICS_WINDOWS, generator), spec.num_frames, config.min_std)
    network = MotionPrior.make_network(spec, config).to(device)
    average = AveragedWeights(network, config)
    prior = MotionPrior(average.network, *statistics, spec, config)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.0)
    alpha_bars = cosine_alpha_bars(config.num_diffusion_steps, device)
    start = time.monotonic()
    total, since = torch.zeros((), device=device), 0
    for iteration in range(1, iterations + 1):
        clean = prior.normalize(source.draw(config.batch_size, generator))
        loss = denoising_loss(network, clean, alpha_bars, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update(network, iteration)
        total += loss.detach()
        since += 1
        last = bool(stop) or iteration == iterations
        if last or iteration % REPORT_EVERY == 0:
            mean_loss = float(total) / since
            if not mean_loss < float("inf"):
                raise DivergenceError(f"iteration {iteration}: the loss is {mean_loss}, not finite")
            report(LossReport(iteration, mean_loss, time.monotonic() - start))
            total.zero_()
            since = 0
        if last:
            break
    prior.iterations = iteration
    return prior
