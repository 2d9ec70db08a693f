"""Quaternion arithmetic against scipy, and hand-worked edges."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from mimickit.data.quaternions import (
    from_exponential_map,
    multiply,
    rotate,
    slerp,
    to_exponential_map,
    unit_and_continuous,
)
from mimickit.errors import InputError


def _same_rotation(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(np.abs(np.sum(a * b, axis=-1)), 1.0, atol=1e-12)


def test_product_and_rotation_agree_with_scipy() -> None:
    a, b = Rotation.random(50, random_state=1), Rotation.random(50, random_state=2)
    v = np.random.default_rng(3).normal(size=(50, 3))
    _same_rotation(multiply(a.as_quat(), b.as_quat()), (a * b).as_quat())
    np.testing.assert_allclose(rotate(a.as_quat(), v), a.apply(v), atol=1e-12)


def test_exponential_maps_agree_with_scipy() -> None:
    q = Rotation.random(200, random_state=4)
    np.testing.assert_allclose(to_exponential_map(q.as_quat()), q.as_rotvec(), atol=1e-12)
    v = np.random.default_rng(5).normal(scale=3.0, size=(200, 3))
    _same_rotation(from_exponential_map(v), Rotation.from_rotvec(v).as_quat())


def test_small_angles_keep_their_digits() -> None:
    v = np.array([[1e-12, 0.0, 0.0], [0.0, 3e-8, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(to_exponential_map(from_exponential_map(v)), v, rtol=1e-9, atol=0.0)


def test_half_turns_keep_the_direction_of_the_frame_before() -> None:
    # about -z: 170, 175, then exactly 180 degrees, which may as well be written about +z
    angles = np.radians([-170.0, -175.0, -180.0])
    q = np.stack([0 * angles, 0 * angles, np.sin(angles / 2), np.cos(angles / 2)], axis=-1)
    q[2] = [0.0, 0.0, 1.0, 0.0]
    np.testing.assert_allclose(to_exponential_map(q)[:, 2], angles, atol=1e-12)


def test_angles_never_exceed_a_half_turn() -> None:
    q = from_exponential_map(np.array([[0.0, 0.0, 3.5], [0.0, 2.0 * np.pi, 0.0]]))
    np.testing.assert_allclose(to_exponential_map(q), [[0, 0, 3.5 - 2 * np.pi], [0, 0, 0]], atol=1e-12)


def test_slerp_agrees_with_scipy() -> None:
    a, b = Rotation.random(40, random_state=6), Rotation.random(40, random_state=7)
    weight = np.random.default_rng(8).uniform(size=40)
    expected = [Slerp([0, 1], Rotation.concatenate([a[i], b[i]]))(w).as_quat() for i, w in enumerate(weight)]
    _same_rotation(slerp(a.as_quat(), b.as_quat(), weight), np.array(expected))
    _same_rotation(slerp(a.as_quat(), -b.as_quat(), weight), np.array(expected))


def test_normalising_scales_and_keeps_signs_continuous() -> None:
    q = Rotation.from_euler("z", [[0], [20], [40], [60]], degrees=True).as_quat()
    recorded = q * np.array([[1.0], [-0.8], [-1.1], [1.05]])
    np.testing.assert_allclose(unit_and_continuous(recorded, "joint"), q, atol=1e-12)


def test_a_vanishing_quaternion_is_named() -> None:
    q = np.tile([0.0, 0.0, 0.0, 1.0], (4, 1))
    q[2] = 0.0
    with pytest.raises(InputError, match=r"left knee: the quaternion of frame 2 has length 0"):
        unit_and_continuous(q, "left knee")
