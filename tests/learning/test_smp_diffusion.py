"""Noise schedule, noising and sampling of a motion prior, against formulas worked out with numpy."""

import math

import numpy as np
import pytest
import torch

from mimickit.learning.smp_prior.diffusion import add_noise, cosine_alpha_bars, draw_samples


def cosine(fraction: float) -> float:
    """Nichol and Dhariwal's curve with their offset."""
    return math.cos((fraction + 0.008) / 1.008 * math.pi / 2) ** 2


def test_the_schedule_is_a_squared_cosine() -> None:
    bars = cosine_alpha_bars(50).tolist()
    assert len(bars) == 50
    # All but the last step are the curve itself, 1 at time 0; here at the published steps, and by a calculator.
    for step in (0, 8, 15, 22, 48):
        assert bars[step] == pytest.approx(cosine((step + 1) / 50) / cosine(0.0), rel=1e-5)
    assert [bars[0], bars[8], bars[22]] == pytest.approx([0.99825, 0.91674, 0.55607], abs=1e-5)
    assert cosine_alpha_bars(4)[1].item() == pytest.approx(0.4938, abs=1e-4)


def test_the_last_step_would_leave_nothing_and_is_held_back() -> None:
    # cos(pi / 2) = 0, so beta would be 1.
    bars = cosine_alpha_bars(50)
    assert (bars[49] / bars[48]).item() == pytest.approx(0.001, rel=1e-4)
    assert (bars > 0).all()
    assert (bars.diff() < 0).all()


def test_a_noised_sample_keeps_its_share_of_the_clean_one() -> None:
    # 0.36: 0.6 of the clean one and sqrt(0.64) = 0.8 of the noise; 1: clean.
    clean, noise = torch.tensor([[2.0, -1.0], [2.0, -1.0]]), torch.tensor([[1.0, 0.5], [1.0, 0.5]])
    noisy = add_noise(clean, noise, torch.tensor([0.36, 1.0]))
    np.testing.assert_allclose(noisy, [[2.0, -0.2], [2.0, -1.0]], atol=1e-6)
    np.testing.assert_allclose(add_noise(clean, noise, torch.tensor(0.36))[1], [2.0, -0.2], atol=1e-6)


def test_noised_samples_have_the_mean_and_spread_of_their_level() -> None:
    generator = torch.Generator().manual_seed(0)
    bars = cosine_alpha_bars(50)[[8, 22]]
    noise = torch.randn(2, 40_000, generator=generator)
    noisy = add_noise(torch.full((2, 40_000), 1.5), noise, bars)
    np.testing.assert_allclose(noisy.mean(dim=1), 1.5 * bars.sqrt(), atol=0.02)
    np.testing.assert_allclose(noisy.var(dim=1), 1.0 - bars, rtol=0.03)


def chain_of_gaussians(bars: np.ndarray, mean: float, std: float) -> tuple[float, float]:
    """Mean and standard deviation of what the sampler draws with the exact denoiser of N(mean, std^2).

    Each step's posterior is worked out by adding precisions: of the noisier sample as a measurement of the cleaner one,
    and of the cleaner one given the clean sample.
    """
    chain_mean, chain_variance = 0.0, 1.0
    for step in range(len(bars) - 1, 0, -1):
        alpha, before = bars[step] / bars[step - 1], bars[step - 1]
        posterior_variance = 1.0 / (alpha / (1.0 - alpha) + 1.0 / (1.0 - before))
        slope_of_noisy = posterior_variance * math.sqrt(alpha) / (1.0 - alpha)
        slope_of_clean = posterior_variance * math.sqrt(before) / (1.0 - before)
        # E[clean | noisy] is linear in the noisy sample.
        gain = std**2 * math.sqrt(bars[step]) / (bars[step] * std**2 + 1.0 - bars[step])
        offset = mean - gain * math.sqrt(bars[step]) * mean
        slope = slope_of_noisy + slope_of_clean * gain
        chain_mean = slope * chain_mean + slope_of_clean * offset
        chain_variance = slope**2 * chain_variance + posterior_variance
    # The last step is the expected clean sample itself.
    gain = std**2 * math.sqrt(bars[0]) / (bars[0] * std**2 + 1.0 - bars[0])
    return gain * chain_mean + mean - gain * math.sqrt(bars[0]) * mean, gain * math.sqrt(chain_variance)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.5), (-1.0, 1.3), (2.0, 0.2)])
def test_with_the_exact_denoiser_the_samples_are_those_of_the_gaussian(mean: float, std: float) -> None:
    bars = cosine_alpha_bars(50)
    asked = []

    def predict(noisy: torch.Tensor, step: int) -> torch.Tensor:
        """E[noise | noisy sample] of N(mean, std^2)."""
        asked.append(step)
        bar = bars[step]
        return (1.0 - bar).sqrt() * (noisy - bar.sqrt() * mean) / (bar * std**2 + 1.0 - bar)

    samples = draw_samples(predict, bars, (200, 100), torch.Generator().manual_seed(1))
    assert samples.shape == (200, 100)
    assert asked == list(range(49, -1, -1))
    expected_mean, expected_std = chain_of_gaussians(bars.double().numpy(), mean, std)
    # Four standard errors of 20,000 samples.
    assert samples.mean().item() == pytest.approx(expected_mean, abs=4.0 * std / math.sqrt(20_000))
    assert samples.std().item() == pytest.approx(expected_std, rel=4.0 / math.sqrt(40_000))
    # And that is the Gaussian, but for a spread that 50 steps make up to an eighth too narrow.
    assert expected_mean == pytest.approx(mean, abs=1e-4)
    assert 0.87 * std < expected_std < std


def test_a_bad_denoiser_cannot_throw_samples_far_away() -> None:
    samples = draw_samples(
        lambda noisy, step: -3.0 * noisy, cosine_alpha_bars(50), (500,), torch.Generator().manual_seed(2)
    )
    assert samples.abs().max() <= 5.0 + 1e-5
    assert samples.abs().max() > 4.9


def test_the_same_generator_draws_the_same_samples() -> None:
    def draw(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return draw_samples(lambda noisy, step: 0.5 * noisy, cosine_alpha_bars(10), (3, 2), generator)

    assert torch.equal(draw(4), draw(4))
    assert not torch.equal(draw(4), draw(5))
