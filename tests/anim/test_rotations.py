"""Rotations against scipy, in float64 where the formula is tested and in float32 where the precision is."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from mimickit.anim import rotations as rot

COUNT = 200


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)


def quats(rotation: Rotation) -> torch.Tensor:
    return tensor(rotation.as_quat())


def assert_same_rotation(actual: torch.Tensor, expected: Rotation, tolerance: float = 1e-9) -> None:
    """Equal up to the sign of the quaternion, and of unit length."""
    actual_np, expected_np = actual.numpy(), expected.as_quat()
    sign = np.sign((actual_np * expected_np).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(actual_np * sign, expected_np, atol=tolerance, rtol=0)


def test_product_conjugate_and_rotation_of_vectors(random: np.random.Generator) -> None:
    a, b = Rotation.random(COUNT, rng=random), Rotation.random(COUNT, rng=random)
    vectors = random.normal(size=(COUNT, 3))
    assert_same_rotation(rot.quat_mul(quats(a), quats(b)), a * b)
    assert_same_rotation(rot.quat_conjugate(quats(a)), a.inv())
    np.testing.assert_allclose(rot.quat_rotate(quats(a), tensor(vectors)), a.apply(vectors), atol=1e-12)


def test_a_product_turns_by_the_right_factor_first() -> None:
    quarter_z, quarter_x = Rotation.from_euler("z", 90, degrees=True), Rotation.from_euler("x", 90, degrees=True)
    product = rot.quat_mul(quats(quarter_x), quats(quarter_z))
    turned = rot.quat_rotate(product, tensor([1.0, 0.0, 0.0]))  # z takes x to y, then x takes y to z
    np.testing.assert_allclose(turned, [0.0, 0.0, 1.0], atol=1e-12)


@pytest.mark.parametrize(("q_shape", "v_shape"), [((5, 1), (1, 7)), ((), (7,)), ((5,), ()), ((5, 7), (7,))])
def test_leading_dimensions_broadcast(q_shape: tuple, v_shape: tuple, random: np.random.Generator) -> None:
    q = random.normal(size=(*q_shape, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    v = random.normal(size=(*v_shape, 3))
    full = np.broadcast_shapes(q_shape, v_shape)
    flat_q = np.broadcast_to(q, (*full, 4)).reshape(-1, 4).copy()
    flat_v = np.broadcast_to(v, (*full, 3)).reshape(-1, 3).copy()
    expected = Rotation.from_quat(flat_q).apply(flat_v).reshape(*full, 3)
    np.testing.assert_allclose(rot.quat_rotate(tensor(q), tensor(v)), expected, atol=1e-12)
    other = np.broadcast_to([0.0, 0.0, 0.0, 1.0], (*v_shape, 4))
    assert rot.quat_mul(tensor(q), tensor(other)).shape == (*full, 4)


ANGLES = [0.0, 1e-12, 1e-8, 9e-7, 1.1e-6, 1e-4, 0.1, 1.0, math.pi - 1e-3, math.pi - 1e-7, math.pi]


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_exponential_maps_near_zero_and_near_pi(
    angle: float, dtype: torch.dtype, tolerance: float, random: np.random.Generator
) -> None:
    axis = random.normal(size=(20, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    exp_map = torch.tensor(axis * angle, dtype=dtype)
    quat = rot.quat_from_exp_map(exp_map)
    assert_same_rotation(quat.double(), Rotation.from_rotvec(axis * angle), tolerance)
    back = rot.quat_to_exp_map(quat).double().numpy()
    # At pi an axis and its opposite are one rotation, so compare rotations, and the numbers only below it.
    assert (Rotation.from_rotvec(back) * Rotation.from_rotvec(axis * angle).inv()).magnitude().max() < 4 * tolerance
    if angle < 3.0:
        np.testing.assert_allclose(back, axis * angle, atol=4 * tolerance, rtol=4 * tolerance)


def test_an_exponential_map_past_pi_comes_back_the_short_way() -> None:
    back = rot.quat_to_exp_map(rot.quat_from_exp_map(tensor([0.0, 4.0, 0.0])))
    np.testing.assert_allclose(back, [0.0, 4.0 - 2 * math.pi, 0.0], atol=1e-12)


def test_both_signs_of_a_quaternion_are_one_exponential_map(random: np.random.Generator) -> None:
    q = quats(Rotation.random(COUNT, rng=random))
    torch.testing.assert_close(rot.quat_to_exp_map(q), rot.quat_to_exp_map(-q))
    np.testing.assert_allclose(rot.quat_to_exp_map(q), Rotation.from_quat(q.numpy()).as_rotvec(), atol=1e-9)


def test_axis_and_angle(random: np.random.Generator) -> None:
    axis = random.normal(size=(COUNT, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = random.uniform(-6, 6, size=COUNT)
    assert_same_rotation(
        rot.quat_from_axis_angle(tensor(axis), tensor(angle)), Rotation.from_rotvec(axis * angle[:, None])
    )
    assert rot.quat_from_axis_angle(tensor([0.0, 0.0, 1.0]), tensor(angle)).shape == (COUNT, 4)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.7, 3.0, math.pi])
def test_angles_between_rotations(angle: float, random: np.random.Generator) -> None:
    a = Rotation.random(COUNT, rng=random)
    axis = random.normal(size=(COUNT, 3))
    b = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis, axis=-1, keepdims=True)) * a
    for sign in (1, -1):
        np.testing.assert_allclose(rot.quat_difference_angle(quats(a), sign * quats(b)), angle, atol=1e-7)
    np.testing.assert_allclose(rot.quat_angle(quats(a)), a.magnitude(), atol=1e-9)


def test_small_angles_survive_float32() -> None:
    a = rot.quat_from_exp_map(torch.tensor([0.3, -0.2, 0.9]))
    b = rot.quat_mul(rot.quat_from_exp_map(torch.tensor([1e-4, 0.0, 0.0])), a)
    assert abs(rot.quat_difference_angle(a, b).item() - 1e-4) < 1e-6  # an arc cosine would give 0 or 3e-4


def test_tan_norm_is_two_columns_of_the_matrix(random: np.random.Generator) -> None:
    rotation = Rotation.random(COUNT, rng=random)
    matrix = rotation.as_matrix()
    expected = np.concatenate([matrix[:, :, 0], matrix[:, :, 2]], axis=-1)
    np.testing.assert_allclose(rot.quat_to_tan_norm(quats(rotation)), expected, atol=1e-12)


@pytest.mark.parametrize("angle", [1e-7, 1e-3, 2.1e-3, 0.5, 2.0, 3.1])
def test_slerp(angle: float, random: np.random.Generator) -> None:
    a = Rotation.random(rng=random)
    b = a * Rotation.from_rotvec([0.0, 0.6 * angle, 0.8 * angle])
    blends = np.linspace(0.0, 1.0, 11)
    expected = Slerp([0.0, 1.0], Rotation.concatenate([a, b]))(blends)
    for sign in (1, -1):  # of the two quaternions of b, one is on the far side
        actual = rot.slerp(quats(a).expand(11, 4), sign * quats(b).expand(11, 4), tensor(blends).unsqueeze(-1))
        assert_same_rotation(actual, expected)


def test_slerp_in_float32_keeps_its_ends_and_its_length() -> None:
    a = rot.quat_from_exp_map(torch.tensor([[0.1, 0.2, 0.3]]))
    for step in (0.0, 1e-5, 1e-3, 0.1):
        b = rot.quat_mul(a, rot.quat_from_exp_map(torch.tensor([[step, 0.0, 0.0]])))
        torch.testing.assert_close(rot.slerp(a, b, torch.zeros(1, 1)), a, atol=3e-7, rtol=0)
        torch.testing.assert_close(rot.slerp(a, b, torch.ones(1, 1)), b, atol=3e-7, rtol=0)
        assert abs(rot.slerp(a, b, torch.full((1, 1), 0.3)).norm().item() - 1.0) < 3e-7


def test_heading_is_where_the_turned_x_axis_points(random: np.random.Generator) -> None:
    rotation = Rotation.random(COUNT, rng=random)
    forward = rotation.apply([1.0, 0.0, 0.0])
    angle = np.arctan2(forward[:, 1], forward[:, 0])
    np.testing.assert_allclose(rot.heading_angle(quats(rotation)), angle, atol=1e-9)
    assert_same_rotation(rot.heading_quat(quats(rotation)), Rotation.from_euler("z", angle[:, None]))
    levelled = Rotation.from_quat(rot.heading_inverse(quats(rotation)).numpy()).apply(forward)
    np.testing.assert_allclose(levelled[:, 1], 0.0, atol=1e-9)
    assert (levelled[:, 0] > 0).all()


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [((0, 0, 90), 90), ((80, 0, 0), 0), ((0, 80, 0), 0), ((0, 100, 0), 180), ((180, 0, 30), 30)],
)
def test_heading_by_hand(degrees: tuple[float, float, float], expected: float) -> None:
    """Rolling or pitching leaves it alone; pitching past vertical makes x point backwards."""
    q = quats(Rotation.from_euler("xyz", degrees, degrees=True))  # about the world's axes
    difference = math.degrees(rot.heading_angle(q).item()) - expected
    assert abs((difference + 180) % 360 - 180) < 1e-9
