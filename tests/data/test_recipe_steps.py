"""Steps of recipes: each on a small motion, against numbers worked out here."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.data.motion import Landmarks, Motion
from mimickit.data.quaternions import heading
from mimickit.data.steps import CloseLoop, Homed, Mirror, Once, Placed, Section, Speed, Take
from mimickit.errors import InputError

NOWHERE = Path("nowhere")
COUNT = 61


@pytest.fixture
def walk() -> Motion:
    """Two seconds at 30 frames per second, along a curve, ending in another pose than it began."""
    times = np.arange(COUNT) / 30.0
    yaw = 0.7 + 0.2 * times
    root_pos = np.stack([1.0 + 0.8 * times, 2.0 - 0.3 * times, 0.9 + 0.01 * times], axis=1)
    tilt = Rotation.from_euler("zy", np.stack([yaw, 0.05 * times], axis=1))
    ball = Rotation.from_rotvec(np.stack([0.3 * times, 0.1 - 0.2 * times, 0.4 * np.sin(times)], axis=1))
    joints = {"ball": ball.as_quat(), "hinge": 0.2 + 0.15 * times}
    return Motion(times, root_pos, tilt.as_quat(), joints, wrap=False)


def applied(step, motion, character: str | None = "humanoid"):
    return step.apply(Take(motion, character, "walk.txt"), NOWHERE)


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (Rotation.from_quat(a).inv() * Rotation.from_quat(b)).magnitude()


def test_a_section_beyond_the_recording_is_named(walk: Motion) -> None:
    assert len(applied(Section(10, COUNT), walk).motion.times) == COUNT - 10
    with pytest.raises(InputError, match=r"walk.txt: the recipe keeps frames 0 to 62 of a recording that has 61"):
        applied(Section(0, 62), walk)


def test_speed_shortens_the_time_and_nothing_else(walk: Motion) -> None:
    fast = applied(Speed(1.6), walk).motion
    assert fast.duration == pytest.approx(2.0 / 1.6)
    np.testing.assert_array_equal(fast.root_pos, walk.root_pos)


def test_a_homed_clip_starts_at_the_origin_along_x_in_the_same_shape(walk: Motion) -> None:
    homed = applied(Homed(), walk).motion
    np.testing.assert_allclose(homed.root_pos[0], [0.0, 0.0, 0.9], atol=1e-12)
    assert heading(homed.root_rot)[0] == pytest.approx(0.0, abs=1e-12)
    steps = np.diff(walk.root_pos, axis=0)
    turned = Rotation.from_euler("z", -0.7).apply(steps)
    np.testing.assert_allclose(np.diff(homed.root_pos, axis=0), turned, atol=1e-12)
    back = Rotation.from_euler("z", 0.7) * Rotation.from_quat(homed.root_rot)
    np.testing.assert_allclose(angle_between(back.as_quat(), walk.root_rot), 0.0, atol=1e-7)


def test_a_placed_clip_is_turned_about_the_origin_then_moved(walk: Motion) -> None:
    placed = applied(Placed(np.pi / 2, 3.0, -1.0), walk).motion
    x, y, z = walk.root_pos.T
    np.testing.assert_allclose(placed.root_pos, np.stack([3.0 - y, -1.0 + x, z], axis=1), atol=1e-12)
    np.testing.assert_allclose(heading(placed.root_rot), heading(walk.root_rot) + np.pi / 2, atol=1e-9)


def test_a_closed_loop_ends_in_its_first_pose_and_keeps_what_came_before(walk: Motion) -> None:
    closed = applied(CloseLoop(0.5), walk).motion
    assert closed.wrap
    assert angle_between(closed.joints["ball"][-1:], walk.joints["ball"][:1])[0] == pytest.approx(0.0, abs=1e-6)
    assert angle_between(closed.root_rot[-1:], walk.root_rot[:1])[0] == pytest.approx(0.0, abs=1e-6)
    assert closed.joints["hinge"][-1] == pytest.approx(0.2)
    assert closed.root_pos[-1, 2] == pytest.approx(0.9)
    early = walk.times <= 1.5 + 1e-9
    np.testing.assert_array_equal(closed.joints["hinge"][early], walk.joints["hinge"][early])
    np.testing.assert_allclose(angle_between(closed.joints["ball"], walk.joints["ball"])[early], 0.0, atol=1e-7)
    np.testing.assert_array_equal(closed.root_pos[:, :2], walk.root_pos[:, :2])  # the way travelled is added on replay
    halfway = int(np.argmin(np.abs(walk.times - 1.75)))  # 52.5 frames: the fade is 0.5 between two of them
    seam = walk.joints["hinge"][-1] - 0.2
    faded = (walk.joints["hinge"] - closed.joints["hinge"])[[halfway, halfway + 1]] / seam
    assert faded[0] < 0.5 < faded[1]


def test_once_ends_a_loop(walk: Motion) -> None:
    assert not applied(Once(), dataclasses.replace(walk, wrap=True)).motion.wrap


def test_landmarks_have_no_joints_yet(walk: Motion) -> None:
    landmarks = Landmarks(walk.times, {"head": walk.root_pos}, wrap=False)
    assert len(applied(Section(0, 5), landmarks, None).motion.times) == 5
    for step in (Mirror(), Homed(), CloseLoop(0.5)):
        with pytest.raises(InputError, match=r"walk.txt: landmarks have no joints yet; Retarget comes first"):
            applied(step, landmarks, None)
