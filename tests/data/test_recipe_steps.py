"""Steps of recipes: each on a small motion, against numbers worked out here."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.data.character import Character, load_character, lowest_points
from mimickit.data.characters import model_path
from mimickit.data.motion import Landmarks, Motion
from mimickit.data.quaternions import heading
from mimickit.data.steps import CloseLoop, Homed, LevelGround, Mirror, Once, Placed, Section, Speed, Take, Without
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


def applied(step, motion, character: str | None = "humanoid", assets: Path = NOWHERE):
    return step.apply(Take(motion, character, "walk.txt"), assets)


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (Rotation.from_quat(a).inv() * Rotation.from_quat(b)).magnitude()


def test_a_section_beyond_the_recording_is_named(walk: Motion) -> None:
    assert len(applied(Section(10, COUNT), walk).motion.times) == COUNT - 10
    with pytest.raises(InputError, match=r"walk.txt: the recipe keeps frames 0 to 62 of a recording that has 61"):
        applied(Section(0, 62), walk)


def test_what_is_left_out_leaves_no_gap(walk: Motion) -> None:
    motion = applied(Without(20, 50), walk).motion
    np.testing.assert_allclose(motion.times, np.arange(31) / 30.0, atol=1e-12)  # frame 50 follows frame 19
    kept = [*range(20), *range(50, COUNT)]
    np.testing.assert_array_equal(motion.root_pos, walk.root_pos[kept])
    np.testing.assert_array_equal(motion.root_rot, walk.root_rot[kept])
    for name, track in walk.joints.items():
        np.testing.assert_array_equal(motion.joints[name], track[kept])
    assert not applied(Without(20, 50), dataclasses.replace(walk, wrap=True)).motion.wrap
    start = applied(Without(0, 60), walk).motion
    assert (start.times.tolist(), len(start.root_pos)) == ([0.0], 1)


@pytest.mark.parametrize(("first", "end"), [(5, 300), (5, COUNT), (-3, 10), (10, 10)])
def test_frames_that_cannot_be_left_out_are_named(walk: Motion, first: int, end: int) -> None:
    message = rf"walk.txt: the recipe leaves out frames {first} to {end}, .* of a recording that has 61"
    with pytest.raises(InputError, match=message):
        applied(Without(first, end), walk)


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


def test_a_loop_is_not_closed_over_more_than_there_is(walk: Motion) -> None:
    whole = applied(CloseLoop(2.0), walk).motion
    np.testing.assert_array_equal(whole.root_pos[0], walk.root_pos[0])
    assert angle_between(whole.joints["ball"][:1], walk.joints["ball"][:1])[0] == pytest.approx(0.0, abs=1e-7)
    for seconds in (2.01, 0.0):
        message = rf"walk.txt: the recipe closes a loop over {seconds:g} s of a motion of 2.00 s"
        with pytest.raises(InputError, match=message):
            applied(CloseLoop(seconds), walk)


def test_once_ends_a_loop(walk: Motion) -> None:
    assert not applied(Once(), dataclasses.replace(walk, wrap=True)).motion.wrap


def test_landmarks_have_no_joints_yet(walk: Motion) -> None:
    landmarks = Landmarks(walk.times, {"head": walk.root_pos}, wrap=False)
    assert len(applied(Section(0, 5), landmarks, None).motion.times) == 5
    for step in (Mirror(), Homed(), CloseLoop(0.5)):
        with pytest.raises(InputError, match=r"walk.txt: landmarks have no joints yet; Retarget comes first"):
            applied(step, landmarks, None)


# ------------------------------------------------------------------------------------------------- level ground


@pytest.fixture(scope="module")
def humanoid_character(assets: Path) -> Character:
    return load_character(model_path("humanoid", assets))


@pytest.fixture
def standing(humanoid_character: Character):
    """Upright at the heights given, metres between the soles and z = 0, at 30 frames per second."""

    def motion(heights: np.ndarray, wrap: bool = False) -> Motion:
        count = len(heights)
        still = {3: np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)), 1: np.zeros(count)}
        joints = {body.name: still[body.joint.dofs] for body in humanoid_character.bodies if body.joint}
        upright = Motion(np.arange(count) / 30.0, np.zeros((count, 3)), still[3], joints, wrap)
        sole = lowest_points(humanoid_character, upright)[0]
        places = np.stack([0.1 * np.arange(count), np.zeros(count), heights - sole], axis=1)
        return dataclasses.replace(upright, root_pos=places)

    return motion


def test_ground_that_rises_is_levelled(humanoid_character: Character, standing, assets: Path) -> None:
    count = 181
    slope = 0.05 + 0.02 * np.arange(count) / 30.0  # 2 cm in a second
    flight = np.zeros(count)
    flight[70:80] = 0.3 * np.sin(np.linspace(0.0, np.pi, 10))  # a third of a second off the ground
    before = standing(slope + flight)
    after = applied(LevelGround(1.0), before, assets=assets).motion
    low = lowest_points(humanoid_character, after)
    inside = slice(30, count - 30)  # a window away from the ends, which hold their height
    # the lowest point of a window on a slope is at its lower end, half a window (1 cm) under its middle
    np.testing.assert_allclose(np.delete(low, np.arange(40, 110))[30:-30], 0.01, atol=1e-6)
    assert (low - flight)[inside].min() > 0.0
    assert (low - flight)[inside].max() < 0.03
    assert low[75] > 0.29  # the flight is still one
    np.testing.assert_array_equal(after.root_pos[:, :2], before.root_pos[:, :2])
    np.testing.assert_array_equal(after.root_rot, before.root_rot)


@pytest.mark.parametrize("seconds", [0.4, 1.5, 5.0])
def test_a_window_may_be_longer_than_the_loop(
    humanoid_character: Character, standing, assets: Path, seconds: float
) -> None:
    phase = np.linspace(0.0, 2.0 * np.pi, 39)  # 1.27 s, its last frame the first one
    waves = 0.03 - 0.01 * np.cos(phase + 0.8) + 0.004 * np.sin(2.0 * phase)
    before = standing(waves, wrap=True)
    after = applied(LevelGround(seconds), before, assets=assets).motion
    low = lowest_points(humanoid_character, after)
    assert low[0] == pytest.approx(low[-1], abs=1e-9)
    half = round(0.5 * seconds * 30.0)
    cycle = waves[:-1]
    turns = [np.roll(cycle, shift) for shift in range(-half, half + 1)]
    ground = np.min(turns, axis=0)
    ground = np.mean([np.roll(ground, shift) for shift in range(-half, half + 1)], axis=0)
    np.testing.assert_allclose(low[:-1], cycle - ground, atol=1e-9)


def test_level_ground_stays_as_it_is(standing, assets: Path) -> None:
    before = standing(np.zeros(40))
    after = applied(LevelGround(0.5), before, assets=assets).motion
    np.testing.assert_allclose(after.root_pos, before.root_pos, atol=1e-12)
