"""Resampling and checks of recorded motions, with numbers worked out by hand."""

import dataclasses

import numpy as np
import pytest

from mimickit.data.motion import Landmarks, Motion, checked_motion, lifted, resampled
from mimickit.errors import InputError


def _turn_z(degrees: list[float]) -> np.ndarray:
    half = np.radians(degrees) / 2
    return np.stack([0 * half, 0 * half, np.sin(half), np.cos(half)], axis=-1)


@pytest.fixture
def quarter_turn() -> Motion:
    """0 to 90 degrees about z in 0.1 s and back in 0.05 s, walking 0.3 m in all, a hinge going 0, 0.6, 0."""
    return Motion(
        times=np.array([0.0, 0.1, 0.15]),
        root_pos=np.array([[0.0, 0.0, 1.0], [0.2, 0.0, 1.0], [0.3, 0.0, 1.0]]),
        root_rot=_turn_z([0, 90, 0]),
        joints={"ball": _turn_z([0, 90, 0]), "hinge": np.array([0.0, 0.6, 0.0])},
        wrap=True,
    )


def test_positions_angles_and_rotations_between_frames(quarter_turn: Motion) -> None:
    motion = resampled(quarter_turn, 60)  # 9 steps: 6 up, 3 down
    assert motion.duration == pytest.approx(9 / 60)
    np.testing.assert_allclose(np.diff(motion.times), 1 / 60)
    np.testing.assert_allclose(motion.root_pos[:, 0], np.arange(10) / 30, atol=1e-12)
    np.testing.assert_allclose(motion.joints["hinge"], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.4, 0.2, 0], atol=1e-12)
    degrees = [0, 15, 30, 45, 60, 75, 90, 60, 30, 0]
    np.testing.assert_allclose(motion.joints["ball"], _turn_z(degrees), atol=1e-12)
    np.testing.assert_allclose(motion.root_rot, _turn_z(degrees), atol=1e-12)
    assert motion.wrap


def test_both_ends_are_kept_when_the_length_is_no_whole_number_of_frames(quarter_turn: Motion) -> None:
    slower = dataclasses.replace(quarter_turn, times=quarter_turn.times * 1.02)  # 9.18 steps
    motion = resampled(slower, 60)
    assert len(motion.times) == 10
    np.testing.assert_allclose(motion.root_pos[[0, -1]], quarter_turn.root_pos[[0, -1]], atol=1e-12)


def test_frames_already_at_the_rate_are_not_changed(quarter_turn: Motion) -> None:
    even = dataclasses.replace(quarter_turn, times=np.array([0.0, 1 / 60, 2 / 60]))
    motion = resampled(even, 60)
    np.testing.assert_allclose(motion.root_pos, even.root_pos, atol=1e-12)
    np.testing.assert_allclose(motion.joints["ball"], even.joints["ball"], atol=1e-12)


def test_a_sign_flip_in_the_recording_does_not_turn_the_long_way(quarter_turn: Motion) -> None:
    flipped = dict(quarter_turn.joints)
    flipped["ball"] = flipped["ball"] * np.array([[1.0], [-1.0], [1.0]])
    motion = resampled(checked_motion(dataclasses.replace(quarter_turn, joints=flipped), "test"), 60)
    np.testing.assert_allclose(motion.joints["ball"], resampled(quarter_turn, 60).joints["ball"], atol=1e-12)


def test_lift_moves_only_up(quarter_turn: Motion) -> None:
    np.testing.assert_allclose(
        lifted(quarter_turn, 0.25).root_pos - quarter_turn.root_pos, [[0, 0, 0.25]] * 3, atol=1e-12
    )


def test_a_section_cuts_everything_and_starts_at_zero(quarter_turn: Motion) -> None:
    motion = quarter_turn.section(1, 3)
    assert {len(track) for track in (motion.times, motion.root_pos, motion.root_rot, *motion.joints.values())} == {2}
    np.testing.assert_allclose(motion.times, quarter_turn.times[1:] - quarter_turn.times[1])
    np.testing.assert_array_equal(motion.root_pos, quarter_turn.root_pos[1:])
    repeating = dataclasses.replace(quarter_turn, wrap=True)
    assert [repeating.section(0, 3).wrap, repeating.section(0, 2).wrap] == [True, False]


def test_landmarks_are_cut_and_resampled_linearly() -> None:
    times = np.array([0.0, 0.1, 0.2])
    landmarks = Landmarks(times, {"head": np.array([[0.0, 0, 1], [1.0, 0, 1], [1.0, 3, 1]])}, wrap=False)
    fine = resampled(landmarks, 60)
    assert len(fine.times) == 13
    np.testing.assert_allclose(fine.positions["head"][[3, 9]], [[0.5, 0, 1], [1.0, 1.5, 1]], atol=1e-12)
    cut = landmarks.section(1, 3)
    np.testing.assert_allclose(cut.times, [0.0, 0.1])
    np.testing.assert_array_equal(cut.positions["head"], [[1.0, 0, 1], [1.0, 3, 1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.array([0.0, 0.1, 0.1])}, "frame 2 breaks that"),
        ({"times": np.array([0.5, 0.6, 0.7])}, "frame 0 breaks that"),
        ({"root_pos": np.array([[0, 0, 1.0], [0, np.nan, 1.0], [0, 0, 1.0]])}, "root position .* frame 1"),
        ({"joints": {"hinge": np.array([0.0, 0.1, np.inf])}}, "joint hinge .* frame 2"),
        ({"joints": {"hinge": np.array([0.0, 0.1])}}, "joint hinge has 2 frames, the times have 3"),
        ({"root_rot": np.zeros((3, 4))}, "root rotation: the quaternion of frame 0"),
    ],
)
def test_bad_recordings_are_named(quarter_turn: Motion, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"hop.txt: .*{message}"):
        checked_motion(dataclasses.replace(quarter_turn, **change), "hop.txt")


def test_a_single_frame_is_no_motion(quarter_turn: Motion) -> None:
    with pytest.raises(InputError, match="at least 2 frames, this one has 1"):
        checked_motion(quarter_turn.section(0, 1), "hop.txt")
