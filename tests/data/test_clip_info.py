"""What `info` measures, against motions whose figures are known by hand, and MuJoCo's distances."""

import argparse
import dataclasses
import pickle
import types
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from scipy.spatial.transform import Rotation

from mimickit.data.character import Character, body_poses, load_character, to_frames
from mimickit.data.characters import CHARACTERS, model_path
from mimickit.data.clip_file import guess_character, motion_of_frames, read_clip
from mimickit.data.commands import info, mirror, view
from mimickit.data.encoding import clip_bytes
from mimickit.data.measure import (
    FEET,
    dof_names,
    foot_tracks,
    ground_clearance,
    ground_level,
    joint_speeds,
    limit_violations,
    loop_seam,
    uprightness,
)
from mimickit.data.motion import Motion, lifted
from mimickit.errors import InputError

SOLE = 0.881416  # from the humanoid's root down to its soles when it stands straight
FRAMES, FPS = 31, 30.0
TIMES = np.arange(FRAMES) / FPS


@pytest.fixture(scope="session")
def character(assets: Path) -> Character:
    return load_character(model_path("humanoid", assets))


def _turning(axis: str, degrees: np.ndarray) -> np.ndarray:
    return Rotation.from_euler(axis, degrees[:, None], degrees=True).as_quat()


def _standing(character: Character, root: np.ndarray | None = None, wrap: bool = False, **joints: np.ndarray) -> Motion:
    """Upright for one second with the soles on the ground; ``root`` (31, 3) moves it from there."""
    straight = {3: _turning("x", np.zeros(FRAMES)), 1: np.zeros(FRAMES)}
    still = {body.name: straight[body.joint.dofs] for body in character.bodies if body.joint}
    pos = np.array([0.0, 0.0, SOLE]) + (np.zeros((FRAMES, 3)) if root is None else root)
    return Motion(TIMES, pos, _turning("x", np.zeros(FRAMES)), still | joints, wrap)


def _along(axis: int, values: np.ndarray) -> np.ndarray:
    way = np.zeros((FRAMES, 3))
    way[:, axis] = values
    return way


# ------------------------------------------------------------------------------------------------------------ ground


def test_sinking_and_floating_by_hand(character: Character) -> None:
    clearance = ground_clearance(character, _standing(character, _along(2, np.where(TIMES < 0.49, -0.04, 0.02))))
    assert clearance.worst_sink == pytest.approx(0.04, abs=1e-6)
    assert clearance.mean_sink == pytest.approx(0.04 * 15 / 31, abs=1e-6)
    assert clearance.mean_float == pytest.approx(0.02 * 16 / 31, abs=1e-6)


def test_heights_agree_with_mujocos_collisions(
    character: Character, ground_distance: Callable[[np.ndarray], np.ndarray]
) -> None:
    random = np.random.default_rng(3)
    frames = random.normal(scale=0.5, size=(8, 34)) + np.eye(34)[2] * 2.0
    motion = motion_of_frames(character, frames, 30.0, False, "random")
    np.testing.assert_allclose(ground_clearance(character, motion).heights, ground_distance(frames), atol=1e-5)


def test_the_ground_is_where_the_character_mostly_is() -> None:
    heights = np.concatenate([np.full(60, 0.03), np.linspace(0.05, 0.9, 40), [-0.11, -0.08]])
    assert ground_level(heights) == pytest.approx(0.03, abs=0.005)


# -------------------------------------------------------------------------------------------------------------- feet


def test_feet_that_stand_still_do_not_slip(character: Character) -> None:
    for foot in foot_tracks(character, _standing(character), FEET["humanoid"]):
        assert foot.stances == ((0, FRAMES - 1),)
        assert foot.total_slip == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("speed", [0.3, 2.0])
def test_sliding_on_both_feet_is_slip_however_fast(character: Character, speed: float) -> None:
    for foot in foot_tracks(character, _standing(character, _along(1, speed * TIMES)), FEET["humanoid"]):
        assert foot.mean_slip_speed(FPS) == pytest.approx(speed, rel=1e-6)
        assert foot.worst_stance_slip == pytest.approx(speed, rel=1e-6)  # of one second


@pytest.mark.parametrize("name", CHARACTERS)
def test_every_character_stands_on_its_feet(assets: Path, name: str) -> None:
    character = load_character(model_path(name, assets))
    motion = motion_of_frames(character, np.zeros((FRAMES, 6 + len(dof_names(character)))), FPS, False, name)
    motion = lifted(motion, -ground_clearance(character, motion).heights[0])
    tracks = foot_tracks(character, motion, FEET[name])
    assert [track.name for track in tracks] == list(FEET[name])
    assert all(track.stance.all() and track.heights.max() < 0.02 for track in tracks)


def test_a_raised_foot_does_not_stand(character: Character) -> None:
    bent = {"left_thigh": _turning("y", np.full(FRAMES, -60.0)), "left_shin": np.full(FRAMES, np.radians(60.0))}
    left, right = foot_tracks(character, _standing(character, **bent), FEET["humanoid"])
    assert (left.name, left.stances, left.total_slip) == ("left", (), 0.0)
    assert right.stance.all()


def test_a_short_touch_is_no_stance(character: Character) -> None:
    touching = np.isin(np.arange(FRAMES), (10, 11))  # a thirtieth of a second
    degrees = np.where(touching, 0.0, 60.0)
    bent = {"left_thigh": _turning("y", -degrees), "left_shin": np.radians(degrees)}
    left, right = foot_tracks(character, _standing(character, **bent), FEET["humanoid"])
    assert (left.stances, left.stance.any()) == ((), False)
    assert left.heights[10] < 0.001
    assert right.stances == ((0, FRAMES - 1),)


def test_a_low_swing_beside_a_standing_foot_is_no_slip(character: Character) -> None:
    swing = _turning("y", np.linspace(6.0, -6.0, FRAMES))  # the straight leg's sole passes at 1 m/s, a little raised
    fast = dataclasses.replace(_standing(character, left_thigh=swing), times=TIMES / 6)
    left, right = foot_tracks(character, fast, FEET["humanoid"])
    assert left.heights.max() < 0.02
    assert left.stances == ()
    assert right.total_slip == pytest.approx(0.0, abs=1e-9)


def test_a_foot_that_rolls_over_its_edge_does_not_slip(assets: Path) -> None:
    # the whole body tips about the y axis over a sphere-footed leg: Go2's feet are balls of 22 mm
    character = load_character(model_path("go2", assets))
    joints = {b.name: np.zeros(FRAMES) for b in character.bodies if b.joint}
    still = Motion(TIMES, np.zeros((FRAMES, 3)), _turning("x", np.zeros(FRAMES)), joints, wrap=False)
    low = ground_clearance(character, still).heights[0]
    pitch = np.linspace(0.0, 0.2, FRAMES)
    tipped = Motion(TIMES, np.zeros((FRAMES, 3)), _turning("y", np.degrees(pitch)), joints, wrap=False)
    names = [body.name for body in character.bodies]
    foot = body_poses(character, tipped)[0][:, names.index("FL_foot")]
    start = body_poses(character, still)[0][0, names.index("FL_foot")]
    radius = start[2] - low
    centre = np.stack([start[0] + radius * pitch, np.full(FRAMES, start[1]), np.full(FRAMES, radius)], axis=-1)
    rolling = Motion(TIMES, centre - foot, tipped.root_rot, joints, wrap=False)
    front = foot_tracks(character, rolling, FEET["go2"])[0]
    assert front.stance.all()
    assert np.ptp(centre[:, 0]) > 0.004  # the ball's centre moves,
    assert front.total_slip < 2e-5  # the point that touches does not


# ------------------------------------------------------------------------------------------------- limits and speeds


def test_limits_passed_are_counted_and_measured(character: Character) -> None:
    knee = np.zeros(FRAMES)
    knee[4:7] = np.radians([-3.0, -5.0, -2.0])  # the knee bends from 0 to 160 degrees
    head = _turning("z", np.where(np.arange(FRAMES) == 20, 50.0, 0.0))  # 45 degrees either way
    found = limit_violations(character, _standing(character, left_shin=knee, head=head))
    assert sorted(violation.name for violation in found) == ["left_knee", "neck_z"]
    by_name = {violation.name: violation for violation in found}
    assert by_name["left_knee"].frames == 3
    assert by_name["left_knee"].worst_frame == 5
    assert np.degrees(by_name["left_knee"].worst) == pytest.approx(5.0)
    assert np.degrees(by_name["neck_z"].limit) == pytest.approx(45.0)
    assert np.degrees(by_name["neck_z"].value) == pytest.approx(50.0)
    assert by_name["neck_z"].worst_frame == 20


def test_limits_held_exactly_are_not_passed(character: Character) -> None:
    edge = np.full(FRAMES, np.radians(160.0) + 1e-6)
    assert limit_violations(character, _standing(character, left_shin=edge)) == ()


@pytest.mark.parametrize("name", CHARACTERS)
def test_coordinates_are_named_as_in_the_model(assets: Path, name: str) -> None:
    model = mujoco.MjModel.from_xml_path(str(model_path(name, assets)))
    assert dof_names(load_character(model_path(name, assets))) == [model.joint(i).name for i in range(1, model.njnt)]


def test_joint_speeds_by_hand(character: Character) -> None:
    thigh = _turning("x", np.concatenate([np.zeros(10), np.full(21, 6.0)]))
    shin = np.radians(3.0) * np.arange(FRAMES)
    speeds = joint_speeds(_standing(character, left_thigh=thigh, right_shin=shin))
    assert speeds["left_thigh"].max() == pytest.approx(np.radians(6.0) * FPS)
    assert int(np.argmax(speeds["left_thigh"])) == 9
    assert speeds["right_shin"] == pytest.approx(np.full(FRAMES - 1, np.radians(90.0)))


@pytest.mark.parametrize("name", CHARACTERS)
@pytest.mark.parametrize(("axis", "degrees", "expected"), [("x", 0, 1.0), ("y", 90, 0.0), ("x", 180, -1.0)])
def test_who_stands_on_the_head_is_told_from_who_lies(
    assets: Path, name: str, axis: str, degrees: float, expected: float
) -> None:
    character = load_character(model_path(name, assets))
    frames = np.zeros((FRAMES, 6 + len(dof_names(character))))
    motion = motion_of_frames(character, frames, FPS, False, name)
    turned = dataclasses.replace(motion, root_rot=_turning(axis, np.full(FRAMES, float(degrees))))
    assert uprightness(character, turned) == pytest.approx(expected, abs=0.15 if expected == 0.0 else 1e-9)


def test_the_seam_names_what_jumps(character: Character) -> None:
    arm = _turning("z", np.linspace(0.0, -40.0, FRAMES))
    rising = _standing(character, _along(2, 0.1 * TIMES), wrap=True, left_upper_arm=arm)
    seam = loop_seam(rising)
    assert seam.joint == "left_upper_arm"
    assert np.degrees(seam.joint_jump) == pytest.approx(40.0)
    assert seam.root_rise == pytest.approx(0.1)
    assert seam.velocity_jump == pytest.approx(0.0, abs=1e-9)
    assert loop_seam(_standing(character, _along(0, TIMES), wrap=True)).root_rise == 0.0  # the way is no jump


# ------------------------------------------------------------------------------------------------------- the command


def _info(clip: Path, assets: Path, console: Console, *more: str) -> None:
    parser = argparse.ArgumentParser()
    info.add_arguments(parser)
    info.run(parser.parse_args([str(clip), "--assets", str(assets), *more]), console)


@pytest.fixture
def clip(tmp_path: Path, character: Character) -> Path:
    path = tmp_path / "humanoid_shuffle.pkl"
    knee = np.where(np.arange(FRAMES) == 7, np.radians(-12.0), 0.0)
    motion = _standing(character, _along(0, 0.2 * TIMES), wrap=True, right_shin=knee)
    path.write_bytes(clip_bytes(character, motion, FPS))
    return path


def test_the_command_prints_what_it_measured(
    clip: Path, assets: Path, console: Console, capsys: pytest.CaptureFixture
) -> None:
    _info(clip, assets, console)
    text = capsys.readouterr().out
    assert "1.00 s, 31 frames at 30 fps, repeats" in text
    assert "0.20 m/s on average" in text
    assert "right_knee by 12.0 deg in frame 7 (-12.0, limit 0.0); in 1 of 31 frames" in text
    assert "fastest: right_shin, 6.3 rad/s after frame 6" in text
    assert "left   stands once, 100% of the time; slips 20 cm/s, 20.0 cm in all" in text


def test_the_plot_is_a_picture(clip: Path, assets: Path, console: Console, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    _info(clip, assets, console, "--plot", str(first))
    _info(clip, assets, console, "--plot", str(second))
    with Image.open(first) as picture:
        assert min(picture.size) > 800
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels == [209, 36, 47]).all(axis=-1).any()  # the red of a passed limit
    assert first.read_bytes() == second.read_bytes()


def _command(module: types.ModuleType, assets: Path, console: Console, *arguments: str) -> None:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    module.run(parser.parse_args([*arguments, "--assets", str(assets)]), console)


def test_outputs_that_cannot_be_are_found_before_the_clip_is_read(
    assets: Path, console: Console, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "nowhere.pkl")
    (tmp_path / "taken").write_bytes(b"")
    inside = str(tmp_path / "taken" / "a.file")
    for module, *options in ((info, "--plot"), (mirror,)):
        with pytest.raises(InputError, match=f"{tmp_path} is a folder; name the file to write"):
            _command(module, assets, console, nowhere, *options, str(tmp_path))
        with pytest.raises(InputError, match=rf"cannot write {inside}: .*taken is a file, not a folder"):
            _command(module, assets, console, nowhere, *options, inside)
    (tmp_path / "film").write_bytes(b"")
    with pytest.raises(InputError, match="film: .*film is a file, not a folder"):
        _command(view, assets, console, nowhere, "--video", str(tmp_path / "film"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film", "taken"]


@pytest.mark.parametrize("place", [("a", "b", "c"), ("0", "0", "x"), ("0", "nan", "0"), ("inf", "0", "0")])
def test_a_place_that_is_no_numbers_is_named(
    clip: Path, assets: Path, console: Console, place: tuple[str, str, str]
) -> None:
    message = f"--prop box.xml {' '.join(place)}: expected a file and three numbers, metres"
    with pytest.raises(InputError, match=message):
        _command(view, assets, console, str(clip), "--prop", "box.xml", *place)


@pytest.mark.parametrize("name", CHARACTERS)
def test_a_clip_tells_its_character(tmp_path: Path, assets: Path, name: str) -> None:
    entry, columns = CHARACTERS[name], 6 + len(dof_names(load_character(model_path(name, assets))))
    assert guess_character(tmp_path / entry.motions / "walk.pkl", -1, assets) == name
    assert guess_character(tmp_path / f"{entry.prefix}_walk.pkl", -1, assets) == name
    assert guess_character(tmp_path / "walk.pkl", columns, assets) == name


def test_a_clip_that_tells_nothing_needs_a_name(tmp_path: Path, assets: Path) -> None:
    with pytest.raises(InputError, match=r"no character in .* has 99 numbers .* say --character"):
        guess_character(tmp_path / "walk.pkl", 99, assets)
    twins = tmp_path / "assets"
    for folder in ("humanoid/humanoid.xml", "g1/g1.xml"):
        (twins / folder).parent.mkdir(parents=True)
        (twins / folder).write_text(model_path("humanoid", assets).read_text())
    with pytest.raises(InputError, match="humanoid, g1 all have 34 numbers"):
        guess_character(tmp_path / "walk.pkl", 34, twins)


def test_a_clip_of_another_character_is_refused(clip: Path, assets: Path) -> None:
    with pytest.raises(InputError, match=r"34 numbers, but g1 needs 35 .*; it fits humanoid: say --character"):
        read_clip(clip, "g1", assets)


def test_a_number_that_is_not_finite_is_named(clip: Path, assets: Path) -> None:
    content = pickle.loads(clip.read_bytes())
    content["frames"][5][21] = float("nan")
    clip.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"1 numbers are not finite; the first is frame 5, .*\(column 21\) = nan"):
        read_clip(clip, None, assets)


def test_reading_a_clip_gives_back_what_was_written(clip: Path, character: Character, assets: Path) -> None:
    read = read_clip(clip, None, assets)
    assert (read.name, read.fps, read.motion.wrap, read.notes) == ("humanoid", 30.0, True, ())
    np.testing.assert_allclose(to_frames(character, read.motion), pickle.loads(clip.read_bytes())["frames"], atol=1e-8)
    assert clip_bytes(character, read.motion, read.fps) == clip.read_bytes()


def test_every_published_clip_is_measured(published: Path, console: Console, capsys: pytest.CaptureFixture) -> None:
    clips = sorted((published / "motions").glob("*/*.pkl"))
    for clip in clips:
        _info(clip, published / "assets", console)
    text = capsys.readouterr().out
    assert text.count("length") == len(clips) > 30
    assert "joint 'head' is NaN in all 125 frames" in text


def test_the_published_walk_hardly_slips(published: Path) -> None:
    """Feet of a recorded walk stand; a measure that took the low swing for a stance would say 1 m/s."""
    clip = read_clip(published / "motions" / "humanoid" / "humanoid_walk.pkl", None, published / "assets")
    for foot in foot_tracks(clip.character, clip.motion, FEET["humanoid"]):
        assert 0.4 < foot.stance.mean() < 0.65
        assert foot.mean_slip_speed(clip.fps) < 0.15
