"""Noise added to samples in steps, and taken away again (DDPM, Ho 2020), with a squared-cosine schedule.

Step ``t`` of T is the noise level of ``alpha_bar[t]``: a noised sample is ``sqrt(alpha_bar) * clean + sqrt(1 -
alpha_bar) * noise``. Step 0 is nearly clean, step T - 1 nearly noise.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

COSINE_OFFSET = 0.008  # keeps the first steps' noise from being too small to notice
MAX_BETA = 0.999  # of one step, so that the last one can be undone
# Predicted clean samples of normalised channels are held within this many standard deviations: at the noisiest steps
# a small error of the predicted noise would be magnified a thousandfold.
CLEAN_BOUND = 5.0


def cosine_alpha_bars(num_steps: int, device: torch.device | str = "cpu") -> Tensor:
    """Share of the clean sample's variance that is left at each step, ``(T,)`` (Nichol, Dhariwal 2021, equation 17).

    ``alpha_bar`` would be ``f(t + 1) / f(0)`` with ``f(t) = cos^2((t / T + 0.008) / 1.008 * pi / 2)``; a step's
    ``beta = 1 - alpha_bar[t] / alpha_bar[t - 1]`` is held to at most 0.999.
    """
    times = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    curve = torch.cos((times + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * (0.5 * math.pi)).square()
    betas = (1.0 - curve[1:] / curve[:-1]).clamp(max=MAX_BETA)
    return torch.cumprod(1.0 - betas, dim=0).to(device=device, dtype=torch.float32)


def add_noise(clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Noised samples of the shape of ``clean`` and ``noise``, ``(M, ...)`` (Ho 2020, equation 4).

    Args:
        alpha_bar: ``(M,)`` or ``()``.
    """
    alpha_bar = alpha_bar.reshape(alpha_bar.shape + (1,) * (clean.dim() - alpha_bar.dim()))
    return alpha_bar.sqrt() * clean + (1.0 - alpha_bar).sqrt() * noise


@torch.no_grad()
def draw_samples(
    predict_noise: Callable[[Tensor, int], Tensor],
    alpha_bars: Tensor,
    shape: Sequence[int],
    generator: torch.Generator,
) -> Tensor:
    """Samples of ``shape``, drawn from pure noise by taking it away step by step (Ho 2020, algorithm 2).

    Each step draws from the posterior of the less noisy sample given the predicted clean one (equation 7), which is
    held within +-5.

    Args:
        predict_noise: the noise in samples ``(M, ...)`` at step ``t``.
        alpha_bars: ``(T,)``, see :func:`cosine_alpha_bars`.
    """
    device = alpha_bars.device
    sample = torch.randn(shape, generator=generator, device=device)
    before = torch.cat((torch.ones(1, device=device), alpha_bars[:-1]))
    for t in range(len(alpha_bars) - 1, -1, -1):
        alpha_bar, alpha_bar_before = alpha_bars[t], before[t]
        beta = 1.0 - alpha_bar / alpha_bar_before
        noise = predict_noise(sample, t)
        clean = (sample - (1.0 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()
        clean = clean.clamp(-CLEAN_BOUND, CLEAN_BOUND)
        clean_share = alpha_bar_before.sqrt() * beta / (1.0 - alpha_bar)
        sample_share = (1.0 - beta).sqrt() * (1.0 - alpha_bar_before) / (1.0 - alpha_bar)
        variance = beta * (1.0 - alpha_bar_before) / (1.0 - alpha_bar)
        fresh = torch.randn(shape, generator=generator, device=device)
        sample = clean_share * clean + sample_share * sample + variance.sqrt() * fresh
    return sample
