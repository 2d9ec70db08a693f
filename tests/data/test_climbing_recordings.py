"""Captured climbs: which joint is which, and whether hands and feet meet the boxes."""

import io
import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.data.fetch.download import read_member
from mimickit.data.files import default_cache
from mimickit.data.motion import LANDMARK_NAMES
from mimickit.data.readers import climbing
from mimickit.data.recipes.packages import HOLOSOMA_RETARGETING
from mimickit.errors import InputError

FOLDER = "holosoma_retargeting/demo_data/climb/mocap_climb_seq_{0}/"
FRAMES = {0: "f900-3700", 1: "f0-2422", 2: "f100-3110", 3: "f200-2600"}
SIDES = ("left", "right")


def saved(positions: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, positions)
    return buffer.getvalue()


def wavefront(*groups: np.ndarray) -> bytes:
    rows = [f"v {x:.8f} {y:.8f} {z:.8f}" for group in groups for x, y, z in group]
    return "\n".join(["# boxes", *rows, "f 1 2 3", ""]).encode()


def corners(center: tuple[float, ...], yaw: float, size: tuple[float, ...]) -> np.ndarray:
    """Corners (8, 3) in an order that means nothing."""
    signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    turned = Rotation.from_euler("z", yaw).apply(signs * size)
    return np.random.default_rng(1).permutation(turned + center)


def member(sequence: int, name: str) -> bytes:
    wheel = default_cache() / "wheels" / HOLOSOMA_RETARGETING.filename
    if not wheel.exists():
        pytest.skip(f"{wheel} was not downloaded")
    return read_member(wheel, FOLDER.format(sequence) + name)


def capture(sequence: int) -> bytes:
    return member(sequence, f"mocap_climb_seq_{sequence}_joint_positions_{FRAMES[sequence]}.npy")


def test_landmarks_are_the_recorded_positions() -> None:
    recorded = np.random.default_rng(0).normal(size=(5, 53, 3)).astype(np.float32)
    landmarks = climbing.convert(saved(recorded), "climb.npy")
    assert set(landmarks.positions) <= set(LANDMARK_NAMES)
    np.testing.assert_array_equal(landmarks.positions["pelvis"], recorded[:, 0])
    np.testing.assert_array_equal(landmarks.positions["right_toe"], recorded[:, 50])
    np.testing.assert_allclose(landmarks.times, np.arange(5) / 120)
    assert not landmarks.wrap


def test_arrays_of_another_layout_are_refused() -> None:
    broken = np.zeros((4, 53, 3))
    broken[2, 7, 1] = np.inf
    for data, message in (
        (b"", "not a numpy array"),
        (saved(np.zeros((4, 52, 3))), r"expected positions \(N, 53, 3\) .*found shape \(4, 52, 3\)"),
        (saved(np.zeros((1, 53, 3))), "at least 2 frames"),
        (saved(np.array([{"a": 1}])), "not a numpy array"),  # a pickle inside
        (saved(broken), "joint 7 of frame 2 is not a finite position"),
    ):
        with pytest.raises(InputError, match=f"climb.npy: .*{message}|climb.npy: {message}"):
            climbing.convert(data, "climb.npy")


@pytest.mark.parametrize("yaw", [0.0, 0.3, -0.7, 0.78])
@pytest.mark.parametrize("size", [(1.6, 0.48, 0.95), (0.4, 1.0, 0.2), (1.0, 1.0, 0.5)])
def test_boxes_come_back_as_they_were_made(yaw: float, size: tuple[float, ...]) -> None:
    first, second = (0.3, -0.6, 0.5 * size[2]), (4.0, 2.0, 1.0)
    found = climbing.boxes(wavefront(corners(first, yaw, size), corners(second, 0.1, (2.0, 1.0, 0.3))), "boxes.obj")
    assert len(found) == 2
    np.testing.assert_allclose(found[0].center, first, atol=1e-7)
    np.testing.assert_allclose(found[0].size, size, atol=1e-6)
    assert found[0].yaw == pytest.approx(yaw, abs=1e-6)
    np.testing.assert_allclose(found[1].size, (2.0, 1.0, 0.3), atol=1e-6)


def test_a_box_turned_further_is_told_by_its_other_edge() -> None:
    (box,) = climbing.boxes(wavefront(corners((0.0, 0.0, 0.1), np.radians(80), (0.4, 1.0, 0.2))), "boxes.obj")
    assert box.yaw == pytest.approx(np.radians(-10))
    np.testing.assert_allclose(box.size, (1.0, 0.4, 0.2), atol=1e-6)


def test_what_is_no_upright_box_is_refused() -> None:
    upright = corners((0.0, 0.0, 0.5), 0.2, (1.0, 0.6, 1.0))
    leaning = upright + np.where(upright[:, 2:] > 0.5, [0.2, 0.0, 0.0], 0.0)
    tilted = Rotation.from_euler("x", 0.5).apply(upright)
    for data, message in (
        (wavefront(upright, leaning), r"boxes.obj, box 2: a corner is 0\.\d+ m away from where an upright box has it"),
        (wavefront(upright, tilted), "boxes.obj, box 2: .* upright box"),
        (wavefront(upright[:7]), "boxes.obj: 7 corners; expected boxes of 8 corners"),
        (b"nothing", "boxes.obj: 0 corners"),
        (b"v 1 2 x", "boxes.obj: not a Wavefront file"),
    ):
        with pytest.raises(InputError, match=message):
            climbing.boxes(data, "boxes.obj")


@pytest.mark.parametrize("sequence", FRAMES)
def test_limbs_are_rigid_equal_on_both_sides_and_on_their_side(sequence: int) -> None:
    positions = climbing.convert(capture(sequence), "climb.npy").positions
    limbs = (("hip", "knee"), ("knee", "ankle"), ("ankle", "toe"), ("shoulder", "elbow"), ("elbow", "wrist"))
    for upper, lower in limbs:
        lengths = [
            np.linalg.norm(positions[f"{side}_{upper}"] - positions[f"{side}_{lower}"], axis=-1) for side in SIDES
        ]
        assert max(np.std(length) for length in lengths) < 0.002
        assert abs(lengths[0].mean() - lengths[1].mean()) < 0.005
    heights = [positions[name][:, 2] for name in ("pelvis", "chest", "neck", "head")]
    assert all(np.mean(upper > lower) > 0.95 for lower, upper in itertools.pairwise(heights))
    forward = sum(positions[f"{side}_toe"] - positions[f"{side}_ankle"] for side in SIDES)
    left = positions["left_hip"] - positions["right_hip"]
    assert np.mean(forward[:, 0] * left[:, 1] > forward[:, 1] * left[:, 0]) > 0.98


@pytest.mark.parametrize("sequence", FRAMES)
def test_toes_rest_on_the_boxes_at_full_size(sequence: int) -> None:
    """The toe joint of a foot that stands still over a box is 0 to 6 cm above its top."""
    positions = climbing.convert(capture(sequence), "climb.npy").positions
    found = climbing.boxes(member(sequence, "multi_boxes.obj"), "boxes.obj")
    on_boxes = 0
    for side in SIDES:
        toe = positions[f"{side}_toe"]
        still = np.linalg.norm(np.gradient(toe, 1 / 120, axis=0), axis=-1) < 0.05
        for box in found:
            own = Rotation.from_euler("z", -box.yaw).apply(toe - box.center)
            over = np.all(np.abs(own) < np.array(box.size) / 2 + [0.0, 0.0, 0.3], axis=1) & (
                own[:, 2] > 0.5 * box.size[2] - 0.05
            )
            height = own[still & over, 2] - 0.5 * box.size[2]
            if height.size:
                on_boxes += height.size
                assert 0.0 < np.median(height) < 0.06
    assert on_boxes > 1000
