"""Quaternion arithmetic on numpy arrays. Quaternions are ``xyzw`` along the last axis, unit length unless said."""

import numpy as np

from mimickit.errors import InputError


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product a b: the rotation b, then a. Shapes (..., 4) broadcast."""
    ax, ay, az, aw = np.moveaxis(a, -1, 0)
    bx, by, bz, bw = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors v (..., 3) rotated by q (..., 4)."""
    axis, w = q[..., :3], q[..., 3:]
    twice = 2.0 * np.cross(axis, v)
    return v + w * twice + np.cross(axis, twice)


def inverse(q: np.ndarray) -> np.ndarray:
    """The opposite rotations of q (..., 4)."""
    return q * np.array([-1.0, -1.0, -1.0, 1.0])


def heading(q: np.ndarray) -> np.ndarray:
    """Angle (N,) about the vertical from the world's x axis to where each rotation (N, 4) takes it, seen from above."""
    forward = rotate(q, np.array([1.0, 0.0, 0.0]))
    return np.arctan2(forward[..., 1], forward[..., 0])


def unit_and_continuous(q: np.ndarray, what: str) -> np.ndarray:
    """Recorded quaternions (N, 4) scaled to length 1, each with the sign nearer to the one before it.

    Raises `InputError` naming ``what`` and the frame when a length is too small or too large to be a rotation.
    """
    length = np.linalg.norm(q, axis=-1)
    bad = np.flatnonzero(~((length > 0.2) & (length < 5.0)))
    if bad.size:
        raise InputError(
            f"{what}: the quaternion of frame {bad[0]} has length {length[bad[0]]:.3g}; a rotation has length 1"
        )
    q = q / length[:, None]
    flips = np.sum(q[1:] * q[:-1], axis=-1) < 0.0
    sign = np.where(np.concatenate([[0], np.cumsum(flips)]) % 2 == 1, -1.0, 1.0)
    return q * sign[:, None]


def slerp(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """From a (N, 4) to b (N, 4) along the shorter arc; ``weight`` (N,) 0 gives a, 1 gives b (up to its sign)."""
    cosine = np.sum(a * b, axis=-1)
    b = np.where(cosine[:, None] < 0.0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    sine = np.sin(angle)
    straight = sine < 1e-7  # so near that the chord is the arc
    divisor = np.where(straight, 1.0, sine)
    weight_a = np.where(straight, 1.0 - weight, np.sin((1.0 - weight) * angle) / divisor)
    weight_b = np.where(straight, weight, np.sin(weight * angle) / divisor)
    q = weight_a[:, None] * a + weight_b[:, None] * b
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def from_exponential_map(v: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4) of axis-times-angle vectors (..., 3) in radians."""
    half = 0.5 * np.linalg.norm(v, axis=-1, keepdims=True)
    return np.concatenate([0.5 * np.sinc(half / np.pi) * v, np.cos(half)], axis=-1)


def to_exponential_map(q: np.ndarray) -> np.ndarray:
    """Axis-times-angle vectors (N, 3) of a track of quaternions (N, 4), with angles of at most pi.

    A half turn has two such vectors; the one nearer to the frame before is taken.
    """
    q = np.where(q[:, 3:] < 0.0, -q, q)
    sine = np.linalg.norm(q[:, :3], axis=-1)
    angle = 2.0 * np.arctan2(sine, q[:, 3])
    scale = np.where(sine < 1e-9, 2.0, angle / np.maximum(sine, 1e-9))
    v = scale[:, None] * q[:, :3]
    for i in np.flatnonzero(angle > np.pi - 1e-6):
        if i > 0 and np.dot(v[i], v[i - 1]) < 0.0:
            v[i] = -v[i]
    return v
