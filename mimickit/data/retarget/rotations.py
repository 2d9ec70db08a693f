"""Rotations that body landmarks ask for, on top of `mimickit.data.quaternions`. Quaternions are ``xyzw``."""

import numpy as np

from mimickit.data.quaternions import multiply, rotate, slerp, unit_and_continuous

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


def unit(v: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) scaled to length 1; vectors of no length stay as they are."""
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return v / np.where(length > 1e-12, length, 1.0)


def shortest_arc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotations (..., 4) that take directions a to directions b, both (..., 3) and of length 1."""
    a, b = np.broadcast_arrays(a, b)
    w = 1.0 + np.sum(a * b, axis=-1, keepdims=True)
    q = np.concatenate([np.cross(a, b), w], axis=-1)
    opposite = w[..., 0] < 1e-9
    if np.any(opposite):  # any axis at right angles to a makes the half turn
        helper = np.where(np.abs(a[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        half_turn = np.concatenate([unit(np.cross(a, helper)), np.zeros_like(w)], axis=-1)
        q = np.where(opposite[..., None], half_turn, q)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def from_axes(first: int, first_axis: np.ndarray, second: int, second_hint: np.ndarray) -> np.ndarray:
    """Rotations (N, 4) whose axis number ``first`` is ``first_axis`` and whose axis ``second`` is nearest to the hint.

    Axes are 0, 1, 2 for x, y, z; the vectors are (N, 3). The hint must not be parallel to the first axis.
    """
    axes: list[np.ndarray] = [np.empty(0)] * 3
    axes[first] = unit(first_axis)
    axes[second] = unit(second_hint - np.sum(second_hint * axes[first], axis=-1, keepdims=True) * axes[first])
    third = 3 - first - second
    cross = np.cross(axes[(third + 1) % 3], axes[(third + 2) % 3])
    axes[third] = cross
    matrix = np.stack(axes, axis=-1)
    return _from_matrix(matrix)


def _from_matrix(m: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4) of rotation matrices (N, 3, 3), signs continuous."""
    # the four rows are the quaternion times each of its own components; the longest is the best conditioned
    trace = np.trace(m, axis1=-2, axis2=-1)
    d = np.diagonal(m, axis1=-2, axis2=-1)
    x = np.stack([1 + 2 * d[:, 0] - trace, m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 2, 1] - m[:, 1, 2]])
    y = np.stack([m[:, 0, 1] + m[:, 1, 0], 1 + 2 * d[:, 1] - trace, m[:, 1, 2] + m[:, 2, 1], m[:, 0, 2] - m[:, 2, 0]])
    z = np.stack([m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1], 1 + 2 * d[:, 2] - trace, m[:, 1, 0] - m[:, 0, 1]])
    w = np.stack([m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1], 1 + trace])
    candidates = np.stack([x, y, z, w]).transpose(2, 0, 1)
    longest = np.argmax(np.linalg.norm(candidates, axis=-1), axis=-1)
    q = candidates[np.arange(len(m)), longest]
    return unit_and_continuous(q / np.linalg.norm(q, axis=-1, keepdims=True), "rotation of a segment")


def level(q: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Rotations (N, 4) turned towards those with a vertical z axis; ``amount`` (N,) 0 leaves them, 1 levels them."""
    up = rotate(q, np.array([0.0, 0.0, 1.0]))
    return slerp(q, multiply(shortest_arc(up, np.array([0.0, 0.0, 1.0])), q), amount)
