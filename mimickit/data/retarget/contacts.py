"""When feet and hands rest on something, and paths of feet that stay where they rest."""

import dataclasses

import numpy as np

from mimickit.data.measure import runs


@dataclasses.dataclass(frozen=True)
class Touch:
    """When a point counts as resting, for a leg of one metre: it starts near and slow, and lasts until far or fast."""

    near: float  # metres from what it rests on
    far: float
    slow: float  # m/s
    fast: float


FOOT = Touch(near=0.09, far=0.12, slow=0.55, fast=0.8)
HAND = Touch(near=0.09, far=0.13, slow=1.0, fast=1.4)  # a recorded wrist moves while the palm rests
_DEEPEST = 0.04  # metres, for a leg of one metre: recorded feet and hands sink in a little
_SHORTEST = 0.06  # seconds: shorter touches are noise, shorter gaps are none


def frames_apart(flags: np.ndarray) -> np.ndarray:
    """How many frames each of (N,) is away from the nearest flagged one; infinite without any."""
    flagged = np.flatnonzero(flags)
    if not flagged.size:
        return np.full(len(flags), np.inf)
    return np.abs(np.arange(len(flags))[:, None] - flagged).min(axis=1).astype(float)


def smoothed(values: np.ndarray, frames: float) -> np.ndarray:
    """(N,) or (N, K) values averaged over time with a bell of standard deviation ``frames``, ends held."""
    reach = int(np.ceil(3.0 * frames))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(frames, 1e-6)) ** 2)
    bell /= bell.sum()
    padded = np.concatenate([np.repeat(values[:1], reach, axis=0), values, np.repeat(values[-1:], reach, axis=0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return windows @ bell


def upper_envelope(heights: np.ndarray, frames: float) -> np.ndarray:
    """A course (N,) as smooth as `smoothed` makes it, that nowhere falls much below ``heights``."""
    reach = int(2 * frames)
    padded = np.pad(heights, reach, mode="edge")
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    return smoothed(highest, frames)


def nearest_support(heights: np.ndarray, supports: np.ndarray) -> np.ndarray:
    """For heights (N,) that of the nearest of the ``supports`` (S,)."""
    return supports[np.argmin(np.abs(heights[:, None] - supports), axis=1)]


def find_contacts(
    times: np.ndarray, points: np.ndarray, supports: np.ndarray, touch: Touch, leg_length: float
) -> np.ndarray:
    """Frames (N,) in which a point (N, 3) rests on one of the heights ``supports`` (S,), as ``touch`` has it."""
    height = points[:, 2] - nearest_support(points[:, 2], supports)
    speed = np.linalg.norm(np.gradient(points, times, axis=0), axis=1)
    above = height > -_DEEPEST * leg_length  # what hangs beside a box does not rest on it
    starts = above & (height < touch.near * leg_length) & (speed < touch.slow * leg_length)
    stays = above & (height < touch.far * leg_length) & (speed < touch.fast * leg_length)
    resting = np.zeros(len(times), dtype=bool)
    for first, last in runs(stays):
        inside = np.flatnonzero(starts[first:last])
        if inside.size:
            resting[first + inside[0] : last] = True
    step = times[1] - times[0]
    for value in (False, True):  # close short gaps, then drop short touches
        for first, last in runs(resting == value):
            inner = first > 0 and last < len(times)
            if (last - first) * step < _SHORTEST and (inner or value):
                resting[first:last] = not value
    return resting


def between_runs(flags: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values`` (N, K) where flagged; elsewhere an eased passage from the last flagged value to the next.

    Before the first and after the last flagged frame the value is held; without any it is zero.
    """
    result = np.zeros_like(values)
    marked = runs(flags)
    if not marked:
        return result
    result[flags] = values[flags]
    result[: marked[0][0]] = values[marked[0][0]]
    result[marked[-1][1] :] = values[marked[-1][1] - 1]
    for (_, end), (start, _) in zip(marked, marked[1:], strict=False):
        s = np.arange(1, start - end + 1) / (start - end + 1)
        ease = (s * s * (3.0 - 2.0 * s))[:, None]
        result[end:start] = (1.0 - ease) * values[end - 1] + ease * values[start]
    return result


def rolled_path(
    wanted: np.ndarray, arms: np.ndarray, reach: np.ndarray, resting: np.ndarray, ground: np.ndarray
) -> np.ndarray:
    """Path (N, 3) of a foot or hand that, while it rests, neither slips nor sinks, and else follows ``wanted`` (N, 3).

    ``arms`` (N, P, 3) lead from the path to the points that can rest, ``resting`` (N, P) says when they do, ``ground``
    (N,) what height they rest on, ``reach`` (N,) how far the foot or hand reaches below the path. While any point
    rests, the path rolls over those that do: they keep their place from frame to frame. Each rest lies, on average,
    where ``wanted`` has it.
    """
    any_rests = resting.any(axis=1)
    correction = np.zeros_like(wanted)
    for first, last in runs(any_rests):
        path = wanted[first:last].copy()
        for i in range(first, last - 1):
            held = resting[i] & resting[i + 1]
            if held.any():
                step = -(arms[i + 1, held, :2] - arms[i, held, :2]).mean(axis=0)
            else:
                step = wanted[i + 1, :2] - wanted[i, :2]
            path[i + 1 - first, :2] = path[i - first, :2] + step
        path[:, :2] += (wanted[first:last, :2] - path[:, :2]).mean(axis=0)
        path[:, 2] = ground[first:last] + reach[first:last]
        correction[first:last] = path - wanted[first:last]
    return wanted + between_runs(any_rests, correction)
