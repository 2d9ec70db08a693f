"""Smooth curves through key values that never pass beyond them."""

import numpy as np
from scipy.interpolate import BPoly


def _slopes(times: np.ndarray, values: np.ndarray, wrap: bool) -> np.ndarray:
    """Slopes (K, C) at the keys: zero where a value turns back, and at the ends of a curve that does not repeat.

    At most twice the flatter of the two neighbouring secants, for which the quintics below are still monotone.
    """
    secants = np.diff(values, axis=0) / np.diff(times)[:, None]
    if wrap:
        before, after = np.concatenate([secants[-1:], secants]), np.concatenate([secants, secants[:1]])
    else:
        still = np.zeros((1, values.shape[1]))
        before, after = np.concatenate([still, secants]), np.concatenate([secants, still])
    onward = before * after > 0.0
    mean = 0.5 * np.abs(before + after)
    limit = 2.0 * np.minimum(np.abs(before), np.abs(after))
    return np.where(onward, np.sign(after) * np.minimum(mean, limit), 0.0)


def through_keys(times: np.ndarray, values: np.ndarray, samples: np.ndarray, wrap: bool) -> np.ndarray:
    """Values (N, C) at ``samples`` (N,) of the curves through ``values`` (K, C) at ``times`` (K,), seconds.

    Each piece is a quintic without acceleration at its keys: from rest to rest it is the minimum-jerk move, and between
    two keys no curve leaves the interval of their values. Outside the keys the curve rests, or repeats with ``wrap``.
    """
    slopes = _slopes(times, values, wrap)
    keys = np.stack([values, slopes, np.zeros_like(values)], axis=1)
    if wrap:
        inside = times[0] + np.mod(samples - times[0], times[-1] - times[0])
    else:
        inside = np.clip(samples, times[0], times[-1])
    return BPoly.from_derivatives(times, list(keys))(inside)


def minimum_jerk(phase: np.ndarray) -> np.ndarray:
    """0 to 1 over phases 0 to 1, at rest at both ends; phases outside are held."""
    s = np.clip(phase, 0.0, 1.0)
    return s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
