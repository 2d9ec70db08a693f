"""Users' own recordings made into clips: AMASS, GMR and joint tables, from small files made up here."""

import argparse
import io
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.spatial.transform import Rotation

from mimickit.data.__main__ import main
from mimickit.data.character import Character, body_poses, load_character, lowest_points, to_frames
from mimickit.data.characters import model_path
from mimickit.data.clip_file import motion_of_frames
from mimickit.data.commands import convert
from mimickit.data.conversion import UserRecording, converted
from mimickit.data.measure import dof_names, ground_level
from mimickit.data.motion import Motion
from mimickit.data.readers import amass, g1_arrays, gmr, isaaclab, joint_table
from mimickit.errors import InputError

Convert = Callable[..., list[str]]


@pytest.fixture
def run(assets: Path, tmp_path: Path, console: Console, capsys: pytest.CaptureFixture) -> Convert:
    """Run the command on a file's bytes; returns the lines it printed. The clip lies at ``clip.pkl``."""

    def run(data: bytes, *options: str) -> list[str]:
        file = tmp_path / "recording"
        file.write_bytes(data)
        parser = argparse.ArgumentParser()
        convert.add_arguments(parser)
        common = [str(file), "--output", str(tmp_path / "clip.pkl"), "--assets", str(assets)]
        convert.run(parser.parse_args([*common, *options]), console)
        return capsys.readouterr().out.splitlines()

    return run


def _clip(tmp_path: Path) -> dict[str, Any]:
    return pickle.loads((tmp_path / "clip.pkl").read_bytes())


# ------------------------------------------------------------------------------------------------------------- tables


@pytest.fixture(scope="session")
def g1(assets: Path) -> Character:
    return load_character(model_path("g1", assets))


@pytest.fixture(scope="session")
def g1_rows(g1: Character) -> np.ndarray:
    """Position, quaternion xyzw and 29 joints (6, 36)."""
    random = np.random.default_rng(4)
    root_rot = Rotation.from_rotvec(np.linspace([0.0, 0.1, 0.2], [0.2, 0.0, 0.6], 6)).as_quat()
    root_pos = np.linspace([1.0, 2.0, 0.9], [1.2, 2.0, 0.92], 6)
    return np.concatenate([root_pos, root_rot, np.cumsum(random.normal(scale=0.02, size=(6, 29)), axis=0)], axis=1)


def _csv(header: list[str] | None, rows: np.ndarray) -> bytes:
    lines = [",".join(header)] if header else []
    return "\n".join([*lines, *(",".join(repr(float(value)) for value in row) for row in rows), ""]).encode()


def _expected(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows[:, :3], Rotation.from_quat(rows[:, 3:7]).as_rotvec(), rows[:, 7:]], axis=1)


def test_a_table_without_a_header(g1: Character, g1_rows: np.ndarray) -> None:
    motion = joint_table.convert(_csv(None, g1_rows), "a.csv", g1, 30.0)
    np.testing.assert_allclose(to_frames(g1, motion), _expected(g1_rows), atol=1e-12)
    np.testing.assert_allclose(motion.times, np.arange(6) / 30)
    wxyz = np.concatenate([g1_rows[:, :3], g1_rows[:, [6, 3, 4, 5]], g1_rows[:, 7:]], axis=1)
    motion = joint_table.convert(_csv(None, wxyz), "a.csv", g1, 30.0, "wxyz")
    np.testing.assert_allclose(to_frames(g1, motion), _expected(g1_rows), atol=1e-12)


def test_a_table_with_its_columns_in_any_order(g1: Character, g1_rows: np.ndarray) -> None:
    names = ["root_x", "root_y", "root_z", "root_qx", "root_qy", "root_qz", "root_qw", *dof_names(g1), "time"]
    rows = np.concatenate([g1_rows, 5.0 + np.arange(6)[:, None] / 50.0], axis=1)
    order = np.random.default_rng(1).permutation(len(names))
    motion = joint_table.convert(_csv([names[i] for i in order], rows[:, order]), "a.csv", g1, None)
    np.testing.assert_allclose(to_frames(g1, motion), _expected(g1_rows), atol=1e-12)
    np.testing.assert_allclose(motion.times, np.arange(6) / 50)


def test_a_table_of_ball_joints_holds_exponential_maps(assets: Path) -> None:
    humanoid = load_character(model_path("humanoid", assets))
    rows = np.random.default_rng(2).normal(scale=0.3, size=(3, 35))
    rows[:, 3:7] = Rotation.random(3, random_state=3).as_quat()
    motion = joint_table.convert(_csv(None, rows), "a.csv", humanoid, 30.0)
    np.testing.assert_allclose(to_frames(humanoid, motion)[:, 6:], rows[:, 7:], atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("root_qw", "root_w"), "missing: root_qw; not known: root_w"),
        (lambda text: text.replace("root_y", "root_x"), "missing: root_y; given twice: root_x"),
        (lambda text: text.replace("\n0.", "\n0.5,0.", 1), "line 2 has 37 columns, expected 36"),
        (lambda text: text.replace("\n0.0,", "\nzero,", 1), "line 2, column 1 is 'zero', expected a number"),
        (lambda text: text.split("\n")[0], "at least 2 rows of numbers, the table has 0"),
        (lambda text: "", "the table is empty"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(g1: Character, change: Callable[[str], str], message: str) -> None:
    names = [*("root_x", "root_y", "root_z", "root_qx", "root_qy", "root_qz", "root_qw"), *dof_names(g1)]
    text = _csv(names, np.zeros((3, 36))).decode()
    with pytest.raises(InputError, match=f"a.csv: .*{message}"):
        joint_table.convert(change(text).encode(), "a.csv", g1, 30.0)


def test_a_table_of_another_width_or_without_a_rate_is_refused(g1: Character, g1_rows: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"rows have 35 columns, but .*g1.xml needs 36: .* 29 joints"):
        joint_table.convert(_csv(None, g1_rows[:, :35]), "a.csv", g1, 30.0)
    with pytest.raises(InputError, match="say --fps, or add a column 'time'"):
        joint_table.convert(_csv(None, g1_rows), "a.csv", g1, None)


def _headed(g1: Character, rows: np.ndarray, **columns: np.ndarray) -> bytes:
    """The table with the header that its columns are in the order of; ``columns`` (N,) are further ones."""
    names = [*("root_x", "root_y", "root_z", "root_qx", "root_qy", "root_qz", "root_qw"), *dof_names(g1), *columns]
    return _csv(names, np.column_stack([rows, *columns.values()]))


def test_an_order_beside_a_header_is_refused(g1: Character, g1_rows: np.ndarray) -> None:
    for order in joint_table.QUATERNION_ORDERS:
        message = rf"a.csv: --quat-order {order} is for tables without a header; .*root_qw"
        with pytest.raises(InputError, match=message):
            joint_table.convert(_headed(g1, g1_rows), "a.csv", g1, 30.0, order)


def _seconds(tmp_path: Path) -> float:
    content = _clip(tmp_path)
    return (len(content["frames"]) - 1) / content["fps"]


def test_a_rate_said_aloud_beats_the_files_and_is_told(
    run: Convert, tmp_path: Path, g1: Character, g1_rows: np.ndarray
) -> None:
    options = ("--from", "csv", "--character", "g1")
    data = _headed(g1, g1_rows, time=5.0 + np.arange(6) / 10.0)
    assert not any("--fps" in line for line in run(data, *options))
    assert _seconds(tmp_path) == pytest.approx(0.5)
    lines = run(data, *options, "--fps", "5")
    assert any("--fps 5: the frames last 1 s, not 0.5 s as the file says" in line for line in lines)
    assert _seconds(tmp_path) == pytest.approx(1.0)
    assert not any("--fps" in line for line in run(data, *options, "--fps", "10"))  # as the file says
    assert not any("--fps" in line for line in run(_csv(None, g1_rows), *options, "--fps", "5"))  # it says nothing
    assert _seconds(tmp_path) == pytest.approx(1.0)
    lines = run(_gmr(g1_rows), "--from", "gmr", "--character", "g1", "--fps", "10")
    assert any("--fps 10: the frames last 0.5 s, not 0.167 s as the file says" in line for line in lines)
    lines = run(_amass(), "--from", "amass", "--character", "smpl", "--fps", "8")
    assert any("--fps 8: the frames last 0.5 s, not 0.0333 s as the file says" in line for line in lines)
    assert _seconds(tmp_path) == pytest.approx(0.5)


def test_quaternions_in_the_wrong_order_are_told(run: Convert, g1_rows: np.ndarray) -> None:
    options = ("--from", "csv", "--character", "g1", "--fps", "30")
    wxyz = np.concatenate([g1_rows[:, :3], g1_rows[:, [6, 3, 4, 5]], g1_rows[:, 7:]], axis=1)
    assert not any("warning" in line for line in run(_csv(None, g1_rows), *options))
    assert not any("warning" in line for line in run(_csv(None, wxyz), *options, "--quat-order", "wxyz"))
    lines = run(_csv(None, wxyz), *options)
    assert any("warning: " in line and "stands on its head" in line and "--quat-order" in line for line in lines)


def test_a_table_becomes_a_clip(run: Convert, tmp_path: Path, g1: Character, g1_rows: np.ndarray) -> None:
    options = ("--from", "csv", "--character", "g1", "--fps", "30")
    lines = run(_csv(None, g1_rows), *options, "--loop", "wrap")
    assert any("where it repeats" in line for line in lines)
    content = _clip(tmp_path)
    frames = np.array(content["frames"])
    assert (content["fps"], content["loop_mode"], frames.shape) == (60, 1, (11, 35))
    np.testing.assert_allclose(frames[::2, :2], g1_rows[:, :2], atol=1e-7)  # every other frame is a recorded one
    np.testing.assert_allclose(frames[::2, 3:], _expected(g1_rows)[:, 3:], atol=1e-7)
    assert abs(ground_level(lowest_points(g1, motion_of_frames(g1, frames, 60.0, True, "clip")))) < 1e-6
    run(_csv(None, g1_rows), *options, "--keep-height")
    np.testing.assert_allclose(np.array(_clip(tmp_path)["frames"])[::2, 2], g1_rows[:, 2], atol=1e-7)
    first = (tmp_path / "clip.pkl").read_bytes()
    run(_csv(None, g1_rows), *options, "--keep-height")
    assert (tmp_path / "clip.pkl").read_bytes() == first


# ---------------------------------------------------------------------------------------------------------------- GMR


def _gmr(rows: np.ndarray, **changes: Any) -> bytes:
    content = {"fps": 30, "root_pos": rows[:, :3], "root_rot": rows[:, 3:7], "dof_pos": rows[:, 7:]}
    content |= {"local_body_pos": None, "link_body_list": ["pelvis"]} | changes
    return pickle.dumps({key: value for key, value in content.items() if value is not ...})


def test_a_gmr_pickle(g1: Character, g1_rows: np.ndarray) -> None:
    motion = gmr.convert(_gmr(g1_rows), "a.pkl", g1)
    np.testing.assert_allclose(to_frames(g1, motion), _expected(g1_rows), atol=1e-12)
    np.testing.assert_allclose(motion.times, np.arange(6) / 30)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": ...}, "expected a dict with fps, root_pos, root_rot, dof_pos; found root_pos, root_rot"),
        ({"fps": -1}, "fps is -1.0, expected a positive number"),
        ({"fps": "fast"}, "fps is 'fast', expected a number"),
        ({"root_rot": np.zeros((6, 3))}, r"root_rot has shape \(6, 3\), expected \(N, 4\)"),
        ({"dof_pos": np.zeros((6, 23))}, r"dof_pos has shape \(6, 23\), expected \(N, 29\)"),
        ({"dof_pos": np.zeros((5, 29))}, "root_pos, root_rot and dof_pos have 6, 6 and 5 frames"),
        ({"root_pos": [["x"] * 3] * 6}, "root_pos is not an array of numbers"),
    ],
)
def test_a_gmr_pickle_of_another_layout_is_refused(
    g1: Character, g1_rows: np.ndarray, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"a.pkl: {message}"):
        gmr.convert(_gmr(g1_rows, **changes), "a.pkl", g1)


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.touch, (self.path,)


def test_code_in_a_gmr_pickle_is_not_run(g1: Character, g1_rows: np.ndarray, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    with pytest.raises(InputError, match="a.pkl: not a pickle of numbers .*names the code"):
        gmr.convert(_gmr(g1_rows, link_body_list=_Trap(trap)), "a.pkl", g1)
    assert not trap.exists()
    with pytest.raises(InputError, match="not a pickle of numbers"):
        gmr.convert(_gmr(g1_rows)[:-20], "a.pkl", g1)


# -------------------------------------------------------------------------------------------------------------- AMASS


def _amass(**changes: Any) -> bytes:
    """A person who stands and looks along the world's x axis (z up), then bends the left elbow."""
    poses = np.zeros((5, 156))
    poses[:, :3] = Rotation.from_euler("ZX", [90, 90], degrees=True).as_rotvec()  # y up to z up, then to face x
    poses[:, 18 * 3 + 1] = np.linspace(0.0, -1.2, 5)  # SMPL's left elbow bends about its vertical
    content = {"poses": poses, "trans": np.tile([0.5, 0.2, 1.3], (5, 1)), "mocap_framerate": np.array(120.0)}
    content |= {"gender": np.array("female"), "betas": np.zeros(16)} | changes
    file = io.BytesIO()
    np.savez(file, **{key: value for key, value in content.items() if value is not ...})
    return file.getvalue()


def test_an_amass_person_stands_upright_and_looks_ahead(assets: Path) -> None:
    smpl = load_character(model_path("smpl", assets))
    motion = amass.convert(_amass(), "a.npz")
    positions, _ = body_poses(smpl, motion)
    place = {body.name: positions[:, index] - positions[:, 0] for index, body in enumerate(smpl.bodies)}
    assert place["Head"][0, 2] > 0.4
    assert place["L_Ankle"][0, 2] < -0.6
    assert place["L_Hip"][0, 1] > 0.03 > -0.03 > place["R_Hip"][0, 1]
    assert place["L_Toe"][0, 0] > place["L_Ankle"][0, 0] + 0.05
    assert place["L_Wrist"][-1, 0] > place["L_Wrist"][0, 0] + 0.15  # the forearm comes forward
    assert place["R_Wrist"][-1] == pytest.approx(place["R_Wrist"][0])
    np.testing.assert_allclose(motion.times, np.arange(5) / 120)


def test_the_other_spelling_of_the_rate() -> None:
    motion = amass.convert(_amass(mocap_framerate=..., mocap_frame_rate=np.array(60)), "a.npz")
    np.testing.assert_allclose(motion.times, np.arange(5) / 60)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trans": ..., "mocap_framerate": ...},
            "there is no trans, no mocap_framerate or mocap_frame_rate, only betas, gender, poses",
        ),
        ({"mocap_framerate": np.array(0.0)}, "mocap_framerate is 0.0, expected one positive number"),
        ({"poses": np.zeros((5, 64))}, "poses"),
        ({"trans": np.zeros((4, 3))}, "pelvis positions"),
        ({"poses": np.array([[None] * 66] * 5)}, "poses cannot be read"),
        ({"trans": np.full((5, 3), "left")}, "trans holds <U4, expected numbers"),
        ({"mocap_framerate": np.array([120.0, 60.0])}, "mocap_framerate is .* expected one positive number"),
    ],
)
def test_an_amass_archive_of_another_layout_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"a.npz: .*{message}"):
        amass.convert(_amass(**changes), "a.npz")


def _array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize("reader", [amass, isaaclab, g1_arrays], ids=["amass", "isaaclab", "g1_arrays"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_array(np.zeros((5, 66))), r"found a single array \(.npy\)"),
        (b"PK nothing", "found another kind of file, or one that is cut off"),
        (_amass()[:-30], "found another kind of file, or one that is cut off"),
        (_amass().replace(b"NUMPY", b"NUMPI"), "cannot be read|there is no"),
    ],
    ids=["npy", "text", "cut", "damaged"],
)
def test_what_is_no_archive_is_refused(reader: types.ModuleType, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"a.file: .*({message})"):
        reader.convert(data, "a.file")


def test_an_amass_archive_becomes_a_clip(run: Convert, tmp_path: Path) -> None:
    lines = run(_amass(), "--from", "amass", "--character", "smpl")
    content = _clip(tmp_path)
    assert (content["fps"], np.array(content["frames"]).shape) == (60, (3, 75))
    assert any(line.startswith("wrote") for line in lines)


# -------------------------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"nothing", ("bvh", "humanoid"), "expected HIERARCHY"),
        (b"nothing", ("gmr", "g1"), "not a pickle of numbers"),
        (b"nothing", ("amass", "smpl"), "expected a numpy archive"),
        (_array(np.zeros((5, 66))), ("amass", "smpl"), "found a single array"),
        (b"1,2,3", ("csv", "g1"), "rows have 3 columns"),
        (b"1,2,3", ("csv", "g1", "--up", "z"), "--up means nothing for --from csv, only for bvh"),
        (b"1,2,3", ("bvh", "g1", "--source-character", "g1"), "means nothing for --from bvh, only for gmr and csv"),
    ],
)
def test_nothing_is_written_for_bad_input(
    run: Convert, tmp_path: Path, data: bytes, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "clip.pkl").write_bytes(b"mine")
    kind, character, *more = options
    with pytest.raises(InputError, match=message):
        run(data, "--from", kind, "--character", character, *more)
    assert (tmp_path / "clip.pkl").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.pkl", "recording"]


@pytest.mark.parametrize("option", ["--fps", "--scale"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "fast"])
def test_a_number_that_must_be_positive_says_so(
    run: Convert, capsys: pytest.CaptureFixture, option: str, value: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(b"", "--from", "bvh", "--character", "g1", f"{option}={value}")
    assert stop.value.code == 2
    assert f"argument {option}: must be a number above 0, not '{value}'" in capsys.readouterr().err


def test_an_output_that_cannot_be_is_found_before_the_recording_is_read(run: Convert, tmp_path: Path) -> None:
    options = ("--from", "bvh", "--character", "g1", "--output")
    with pytest.raises(InputError, match="is a folder; name the file to write"):
        run(b"nothing", *options, str(tmp_path))
    with pytest.raises(InputError, match=r"recording is a file, not a folder"):
        run(b"nothing", *options, str(tmp_path / "recording" / "clip.pkl"))
    assert [path.name for path in tmp_path.iterdir()] == ["recording"]


def test_a_clip_that_is_replaced_is_told(run: Convert, g1_rows: np.ndarray) -> None:
    options = ("--from", "gmr", "--character", "g1")
    told = "in place of the file that was there"
    assert [any(told in line for line in run(_gmr(g1_rows), *options)) for _ in range(2)] == [False, True]


def test_the_help_speaks_of_licences(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    assert "licence stays in force" in capsys.readouterr().out


def test_numbers_that_are_not_finite_are_named(assets: Path, g1: Character, g1_rows: np.ndarray) -> None:
    rows = g1_rows.copy()
    rows[3, 10] = np.nan
    motion = joint_table.convert(_csv(None, rows), "a.csv", g1, 30.0)
    with pytest.raises(InputError, match="a.csv: joint left_knee_link is not a finite number in frame 3"):
        converted(UserRecording(motion, "g1", "a.csv"), "g1", 60, False, False, assets)


def test_a_quaternion_of_no_length_is_named(assets: Path, g1: Character, g1_rows: np.ndarray) -> None:
    rows = g1_rows.copy()
    rows[2, 3:7] = 0.0
    motion: Motion = joint_table.convert(_csv(None, rows), "a.csv", g1, 30.0)
    with pytest.raises(InputError, match="a.csv: root rotation: the quaternion of frame 2 has length 0"):
        converted(UserRecording(motion, "g1", "a.csv"), "g1", 60, False, False, assets)
