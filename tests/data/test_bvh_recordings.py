"""BVH files read as landmarks and made into clips, from files made up here and published clips written as BVH."""

import argparse
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.spatial.transform import Rotation

from mimickit.data.character import body_poses, load_character, lowest_points
from mimickit.data.characters import model_path
from mimickit.data.clip_file import motion_of_frames, read_clip
from mimickit.data.commands import convert
from mimickit.data.measure import ground_level
from mimickit.data.motion import Motion, resampled
from mimickit.data.readers import bvh
from mimickit.data.readers.bvh_text import joint_positions, parse
from mimickit.errors import InputError

# a person of 1.8 m in centimetres, y up, z forward, x to the left: joint, parent, offset
_LEGS = [("UpLeg", "Hips", (9, -2, 0)), ("Leg", "UpLeg", (0, -43, 0)), ("Foot", "Leg", (0, -41, 0))]
_ARMS = [("Shoulder", "Spine2", (3, 18, 0)), ("Arm", "Shoulder", (13, 0, 0)), ("ForeArm", "Arm", (29, 0, 0))]
_LIMBS = [*_LEGS, ("Toe", "Foot", (0, -6, 15)), *_ARMS, ("Hand", "ForeArm", (26, 0, 0))]
_MIDDLE = [("Spine", "Hips", (0, 10, 0)), ("Spine1", "Spine", (0, 12, 0)), ("Spine2", "Spine1", (0, 12, 0))]
_HEAD = [("Neck", "Spine2", (0, 22, 0)), ("Head", "Neck", (0, 10, 1))]
_SIDED = {name for name, _, _ in _LIMBS}


def _lafan1() -> list[tuple[str, str, tuple[float, float, float]]]:
    joints = [("Hips", "", (0.0, 92.0, 0.0)), *_MIDDLE, *_HEAD]
    for side, mirror in (("Left", 1), ("Right", -1)):
        for name, parent, (x, y, z) in _LIMBS:
            joints.append((side + name, side + parent if parent in _SIDED else parent, (mirror * x, y, z)))
    return joints


def _bvh_text(
    angles: Mapping[str, np.ndarray],
    root: np.ndarray,
    rename: Callable[[str], str] = lambda name: name,
    scale: float = 1.0,
    fps: float = 30.0,
) -> bytes:
    """A BVH of the LAFAN1 skeleton: ``angles`` (N, 3) in degrees about z, y and x, ``root`` (N, 3) in centimetres."""
    joints, order = _lafan1(), []

    def block(name: str, indent: str) -> list[str]:
        _, parent, offset = next(joint for joint in joints if joint[0] == name)
        order.append(name)
        channels = "Xposition Yposition Zposition " if not parent else ""
        count = 6 if not parent else 3
        lines = [f"{indent}{'JOINT' if parent else 'ROOT'} {rename(name)}", f"{indent}{{"]
        lines.append(f"{indent}\tOFFSET {' '.join(str(scale * value) for value in offset)}")
        lines.append(f"{indent}\tCHANNELS {count} {channels}Zrotation Yrotation Xrotation")
        children = [child for child, above, _ in joints if above == name]
        for child in children:
            lines += block(child, indent + "\t")
        if not children:
            lines += [f"{indent}\tEnd Site", f"{indent}\t{{", f"{indent}\t\tOFFSET 0 0 {3 * scale}", f"{indent}\t}}"]
        return [*lines, f"{indent}}}"]

    text = ["HIERARCHY", *block("Hips", ""), "MOTION", f"Frames: {len(root)}", f"Frame Time: {1 / fps:.6f}"]
    zero = np.zeros((len(root), 3))
    rows = np.concatenate([scale * root, *(angles.get(name, zero) for name in order)], axis=1)
    text += [" ".join(f"{value:.6f}" for value in row) for row in rows]
    return "\n".join(text).encode() + b"\n"


def _standing(frames: int = 2) -> np.ndarray:
    return np.tile([0.0, 92.0, 0.0], (frames, 1))


def _about(axis: int, degrees: np.ndarray) -> np.ndarray:
    """Columns for `_bvh_text` of a turn about x (0), y (1) or z (2)."""
    angles = np.zeros((len(degrees), 3))
    angles[:, 2 - axis] = degrees
    return angles


def test_bvh_joint_positions_against_scipy() -> None:
    random = np.random.default_rng(8)
    joints = _lafan1()
    angles = {name: random.uniform(-80, 80, (4, 3)) for name, _, _ in joints}
    root = random.uniform(-100, 100, (4, 3))
    read = parse(_bvh_text(angles, root), "a.bvh")
    found = dict(zip([joint.name for joint in read.joints], joint_positions(read).swapaxes(0, 1), strict=True))
    place, turn = {"Hips": root}, {"Hips": Rotation.from_euler("ZYX", angles["Hips"], degrees=True)}
    for name, parent, offset in joints[1:]:
        place[name] = place[parent] + turn[parent].apply(np.array(offset, dtype=float))
        turn[name] = turn[parent] * Rotation.from_euler("ZYX", angles[name], degrees=True)
    for name, positions in place.items():
        np.testing.assert_allclose(found[name], positions, atol=1e-4)
    assert read.joints[-1].name == "RightToe_end"
    assert read.frame_time == pytest.approx(1 / 30, abs=1e-6)


def test_bvh_landmarks_stand_in_our_world() -> None:
    read = bvh.convert(_bvh_text({}, _standing() + [0.0, 0.0, 50.0]), "a.bvh")
    marks = {name: track[0] for name, track in read.landmarks.positions.items()}
    assert marks["pelvis"] == pytest.approx([0.5, 0.0, 0.92])  # forward is x
    assert marks["left_hip"] == pytest.approx([0.5, 0.09, 0.90])  # left is y
    assert marks["right_ankle"] == pytest.approx([0.5, -0.09, 0.06])
    assert marks["left_toe"] == pytest.approx([0.65, 0.09, 0.0])
    assert marks["right_wrist"] == pytest.approx([0.5, -0.71, 1.44])
    assert marks["head"] == pytest.approx([0.51, 0.0, 1.58])
    assert (read.skeleton, read.unit, read.leg_length) == ("LAFAN1", "centimetres", pytest.approx(0.84))


def test_a_bvh_with_z_up_is_not_turned() -> None:
    lying = bvh.convert(_bvh_text({}, _standing()), "a.bvh", up="z")
    assert lying.landmarks.positions["pelvis"][0] == pytest.approx([0.0, 0.92, 0.0])


@pytest.mark.parametrize(
    ("per_centimetre", "unit"),
    [(1.0, "centimetres"), (0.01, "metres"), (1 / 2.54, "inches"), (0.45 / 2.54, "CMU's units"), (10.0, "millimetres")],
)
def test_the_unit_is_told_from_the_legs(per_centimetre: float, unit: str) -> None:
    read = bvh.convert(_bvh_text({}, _standing(), scale=per_centimetre), "a.bvh")
    assert read.unit == unit
    assert read.landmarks.positions["pelvis"][0, 2] == pytest.approx(0.92, abs=1e-4)


def test_a_leg_that_is_human_in_no_unit_needs_a_scale() -> None:
    data = _bvh_text({}, _standing(), scale=30.0)
    with pytest.raises(InputError, match="a.bvh: a leg is 2520 long .* say --scale"):
        bvh.convert(data, "a.bvh")
    assert bvh.convert(data, "a.bvh", scale=0.01 / 30).leg_length == pytest.approx(0.84)


_RENAMED = {
    "CMU": {"Neck": "Neck1", "LeftToe": "LeftToeBase", "RightToe": "RightToeBase"},
    "Mixamo": {"LeftToe": "LeftToeBase", "RightToe": "RightToeBase"},
    "Xsens": {"Spine2": "Chest4", "Spine1": "Chest3", "Spine": "Chest"}
    | {
        f"{side}{old}": f"{side}{new}"
        for side in ("Left", "Right")
        for old, new in (
            *(("UpLeg", "Hip"), ("Leg", "Knee"), ("Foot", "Ankle"), ("Shoulder", "Collar")),
            *(("Arm", "Shoulder"), ("ForeArm", "Elbow"), ("Hand", "Wrist")),
        )
    },
}


@pytest.mark.parametrize("skeleton", _RENAMED)
@pytest.mark.parametrize("prefix", ["", "mixamorig:", "Character1_"])
def test_other_skeletons_are_known_by_their_names(skeleton: str, prefix: str) -> None:
    def rename(name: str) -> str:
        return prefix + _RENAMED[skeleton].get(name, name)

    read = bvh.convert(_bvh_text({}, _standing(), rename), "a.bvh")
    usual = bvh.convert(_bvh_text({}, _standing()), "a.bvh")
    assert read.skeleton == skeleton
    for name, track in usual.landmarks.positions.items():
        if name != "chest":  # CMU's is the joint below
            np.testing.assert_allclose(read.landmarks.positions[name], track)


def test_an_unknown_skeleton_is_described() -> None:
    data = _bvh_text({}, _standing(), lambda name: name.replace("ForeArm", "Elbow9").replace("LeftToe", "Zeh"))
    lacking = "LeftForeArm, RightForeArm, LeftToe"
    message = rf"a.bvh: .* Nearest is LAFAN1, .* no joint {lacking}\. .* the file has the joints Hips, Spine, .* Zeh"
    with pytest.raises(InputError, match=message):
        bvh.convert(data, "a.bvh")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIRARCHY", "line 1: expected HIERARCHY, found 'HIRARCHY'"),
        ("OFFSET 0 10 0", "OFFSET 0 ten 0", "line 8: expected an offset, found 'ten'"),
        ("Xposition", "Xplace", "line 5: expected Xposition or"),
        ("CHANNELS 3", "CHANNELS 2", "expected JOINT or End or }, found 'Xrotation'"),
        ("Frames: 2", "Frames: 3", "says it has 3 frames, but 2 follow"),
        ("Frames: 2", "Frames: 0", "line 133: the file says it has no frames"),
        *(
            ("Frames: 2", f"Frames: {count}", f"line 133: expected the number of frames, found '{count}'")
            for count in ("nan", "inf", "2.0", "-2")
        ),
        *(
            ("CHANNELS 3", f"CHANNELS {count}", f"line 9: expected the number of channels, found '{count}'")
            for count in ("inf", "nan", "3.5", "-3", "three")
        ),
        ("OFFSET 0 10 0", "OFFSET 0 nan 0", "line 8: expected an offset, found 'nan'"),
        ("Frame Time: 0.033333", "Frame Time: inf", "line 134: expected the time of a frame, found 'inf'"),
        ("Frame Time: 0.033333", "Frame Time: -0.1", "the frame time is -0.1"),
        ("Frame Time: 0.033333", "Frame Time: 0", "the frame time is 0.0"),
        ("92.000000", "nan", "frame 0. has a number that is not finite"),
        ("92.000000", "up", "is not a row of numbers"),
        ("92.000000 0.000000", "92.000000", "numbers, the joints have 69 channels"),
        ("MOTION", "", "expected MOTION"),
    ],
)
def test_a_damaged_bvh_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    text = _bvh_text({}, _standing()).decode().replace("OFFSET 0.0 10.0 0.0", "OFFSET 0 10 0")
    assert old in text
    with pytest.raises(InputError, match=f"a.bvh: .*{message}"):
        parse(text.replace(old, new, 1).encode(), "a.bvh")


def test_a_bvh_cut_off_in_its_skeleton_is_refused() -> None:
    data = _bvh_text({}, _standing())
    with pytest.raises(InputError, match="a.bvh: the file ends where"):
        parse(data[: data.index(b"LeftLeg")], "a.bvh")
    with pytest.raises(InputError, match="not a text file"):
        parse(b"\xff\xfe\x00BVH", "a.bvh")


def _convert(data: bytes, tmp_path: Path, assets: Path, console: Console, *more: str) -> dict[str, Any]:
    """What the command writes for the humanoid."""
    (tmp_path / "a.bvh").write_bytes(data)
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    files = [str(tmp_path / "a.bvh"), "--output", str(tmp_path / "clip.pkl"), "--assets", str(assets)]
    convert.run(parser.parse_args([*files, "--from", "bvh", "--character", "humanoid", *more]), console)
    return pickle.loads((tmp_path / "clip.pkl").read_bytes())


def test_a_bvh_becomes_a_clip_of_the_humanoid(
    tmp_path: Path, assets: Path, console: Console, capsys: pytest.CaptureFixture
) -> None:
    count = 40
    bend = 30.0 - 30.0 * np.cos(np.linspace(0.0, 2.0 * np.pi, count))  # degrees; a squat there and back
    angles = {}
    for side in ("Left", "Right"):  # x points left: a positive turn about it takes the leg back
        angles[f"{side}UpLeg"], angles[f"{side}Leg"] = _about(0, -bend / 2), _about(0, bend)
        angles[f"{side}Foot"] = _about(0, -bend / 2)
        angles[f"{side}Arm"] = _about(2, np.full(count, -80.0 if side == "Left" else 80.0))
    root = _standing(count)
    root[:, 1] = 8.0 + 43 * np.cos(np.radians(bend / 2)) + 41 * np.cos(np.radians(bend / 2)) + 20.0  # floats 20 cm
    content = _convert(_bvh_text(angles, root), tmp_path, assets, console)
    assert "skeleton of LAFAN1; lengths in centimetres: legs of 0.84 m" in capsys.readouterr().out
    assert (content["fps"], content["loop_mode"], len(content["frames"])) == (60, 0, round(39 / 30 * 60) + 1)
    character = load_character(model_path("humanoid", assets))
    motion = motion_of_frames(character, np.array(content["frames"]), 60.0, False, "clip")
    low = lowest_points(character, motion)
    assert abs(ground_level(low)) < 0.002
    assert np.abs(low).mean() < 0.02
    middle = len(content["frames"]) // 2
    for side in ("left", "right"):
        assert np.degrees(motion.joints[f"{side}_shin"][middle]) == pytest.approx(60.0, abs=10.0)
        assert abs(np.degrees(motion.joints[f"{side}_shin"][0])) < 12.0
    names = [body.name for body in character.bodies]
    positions, _ = body_poses(character, motion)
    hand, shoulder = positions[:, names.index("left_hand")], positions[:, names.index("left_upper_arm")]
    assert (hand[:, 2] < shoulder[:, 2] - 0.4).all()  # the arms hang
    assert (positions[:, names.index("left_foot"), 1] > positions[:, names.index("right_foot"), 1]).all()


def test_a_bvh_read_with_the_wrong_axis_up_is_told(
    tmp_path: Path, assets: Path, console: Console, capsys: pytest.CaptureFixture
) -> None:
    hanging = {f"{side}Arm": _about(2, np.full(8, sign * 80.0)) for side, sign in (("Left", -1), ("Right", 1))}
    standing = _bvh_text(hanging, _standing(8))
    _convert(standing, tmp_path, assets, console)
    assert "warning" not in capsys.readouterr().out
    _convert(standing, tmp_path, assets, console, "--up", "z")
    assert "lies, crawls or stands on its head. If the recorded one does not, another axis" in capsys.readouterr().out
    feet_up = _bvh_text({**hanging, "Hips": _about(2, np.full(8, 180.0))}, _standing(8))
    _convert(feet_up, tmp_path, assets, console)
    assert "warning" in capsys.readouterr().out


def _as_bvh(motion: Motion, fps: float) -> bytes:
    """A motion of the humanoid on the skeleton above: both rest in a T-pose, so rotations only change their frame."""

    def angles(turn: Rotation) -> np.ndarray:  # our x, y, z are the file's z, x, y
        return Rotation.from_rotvec(turn.as_rotvec()[:, [1, 2, 0]]).as_euler("ZYX", degrees=True)

    def hinge(axis: str, track: np.ndarray) -> np.ndarray:
        return angles(Rotation.from_euler(axis, track[:, None]))

    def ball(track: np.ndarray) -> np.ndarray:
        return angles(Rotation.from_quat(track))

    joints = motion.joints
    columns = {"Hips": ball(motion.root_rot), "Spine": ball(joints["torso"]), "Neck": ball(joints["head"])}
    for side in ("left", "right"):
        for body, joint in (("upper_arm", "Arm"), ("thigh", "UpLeg"), ("foot", "Foot")):
            columns[side.capitalize() + joint] = ball(joints[f"{side}_{body}"])
        columns[f"{side.capitalize()}ForeArm"] = hinge("z", joints[f"{side}_lower_arm"])
        columns[f"{side.capitalize()}Leg"] = hinge("y", joints[f"{side}_shin"])
    return _bvh_text(columns, 100.0 * motion.root_pos[:, [1, 2, 0]], fps=fps)


@pytest.mark.parametrize(("name", "metres"), [("walk", 0.01), ("spinkick", 0.025)])
def test_a_clip_written_as_bvh_comes_back(
    tmp_path: Path, assets: Path, published: Path, console: Console, name: str, metres: float
) -> None:
    clip = read_clip(published / "motions" / "humanoid" / f"humanoid_{name}.pkl", "humanoid", assets)
    content = _convert(_as_bvh(clip.motion, clip.fps), tmp_path, assets, console)
    back = motion_of_frames(clip.character, np.array(content["frames"]), 60.0, False, "clip")
    before, _ = body_poses(clip.character, resampled(clip.motion, 60))
    after, _ = body_poses(clip.character, back)
    apart = np.linalg.norm((after - after[:, :1]) - (before - before[:, :1]), axis=-1)
    assert apart.mean() < metres  # from positions alone, on other bones
