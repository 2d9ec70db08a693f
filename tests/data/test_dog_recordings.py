"""Quadruped recordings: where the Go2's feet come to be, against a Laikago that MuJoCo moves in its own frame."""

import json
import pickle
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.data.character import Character, body_poses, check_joints, load_character
from mimickit.data.fetch.download import read_member
from mimickit.data.files import default_cache
from mimickit.data.motion import Motion, checked_motion
from mimickit.data.quadruped import LEGS, check_limits, leg_angles, leg_joints, within_limits
from mimickit.data.readers import dog
from mimickit.data.recipes.packages import MOTION_IMITATION
from mimickit.errors import InputError

FEET = ("FR", "FL", "RR", "RL")
MEMBER = "motion_imitation-0.0.6/motion_imitation/data/motions/{}.txt"
LEG_RATIO = 0.426 / (np.hypot(0.1422, 0.20833) + np.hypot(0.022, 0.25))


def _laikago_leg(name: str) -> str:
    """A leg in the robot's own frame: x left, y up, z forward."""
    left = 1 if name[1] == "L" else -1
    forward = 0.242889 if name[0] == "F" else -0.194401
    thigh = 0.055855 if left > 0 else -0.053565
    return f"""
        <body pos="{left * 0.0817145} 0 {forward}"><joint axis="0 0 {left}"/><geom size=".01"/>
          <body pos="{thigh} 0 0"><joint axis="1 0 0"/><geom size=".01"/>
            <body pos="{-left * 0.02069} -0.20833 -0.1422"><joint axis="1 0 0"/><geom size=".01"/>
              <body name="{name}" pos="0 -0.25 -0.022"><geom size=".03"/></body>
            </body>
          </body>
        </body>"""


LAIKAGO = f"""<mujoco><worldbody><body><freejoint/><geom size=".1"/>{"".join(map(_laikago_leg, FEET))}
    </body></worldbody></mujoco>"""


def laikago_feet(frames: np.ndarray) -> np.ndarray:
    """World positions (N, 4, 3) in the order of `FEET`, for rows of 19 numbers with z up."""
    model = mujoco.MjModel.from_xml_string(LAIKAGO)
    data = mujoco.MjData(model)
    feet = []
    for frame in frames:
        data.qpos[:] = np.concatenate([frame[:3], frame[[6, 3, 4, 5]], frame[7:]])
        mujoco.mj_kinematics(model, data)
        feet.append([data.body(name).xpos.copy() for name in FEET])
    return np.array(feet)


def go2_feet(go2: Character, motion: Motion) -> np.ndarray:
    names = [body.name for body in go2.bodies]
    return body_poses(go2, motion)[0][:, [names.index(f"{name}_foot") for name in FEET]]


@pytest.fixture(scope="module")
def go2(assets: Path) -> Character:
    return load_character(assets / "go2" / "go2.xml")


@pytest.fixture
def frames() -> np.ndarray:
    """Made-up frames (9, 19) of a robot that turns, rolls and pitches while its legs, bent, do different things."""
    random = np.random.default_rng(8)
    frames = np.zeros((9, 19))
    frames[:, :3] = [0.3, -0.2, 0.44] + random.normal(scale=0.02, size=(9, 3))
    heading = np.linspace(-2.0, 2.0, 9)
    turn = Rotation.from_euler("ZYX", np.stack([heading, *random.normal(scale=0.1, size=(2, 9))], axis=-1))
    frames[:, 3:7] = (turn * Rotation.from_quat([0.5, 0.5, 0.5, 0.5])).as_quat()
    frames[:, 7:] = np.tile([0.0, 0.3, -1.1], 4) + random.normal(scale=0.12, size=(9, 12))
    return frames


def file(frames: Any, **changes: Any) -> bytes:
    content = {"LoopMode": "Wrap", "FrameDuration": 0.02, "EnableCycleOffsetRotation": False, "Frames": frames}
    return json.dumps(content | changes).encode()


def recording(name: str) -> bytes:
    archive = default_cache() / "wheels" / MOTION_IMITATION.filename
    if not archive.exists():
        pytest.skip(f"{archive} was not downloaded")
    return read_member(archive, MEMBER.format(name))


def test_feet_are_the_laikagos_scaled_by_the_leg_ratio(frames: np.ndarray, go2: Character) -> None:
    motion = dog.convert(file(frames.tolist()), "pace.txt")
    check_joints(go2, motion, "pace.txt")
    np.testing.assert_allclose(go2_feet(go2, motion), LEG_RATIO * laikago_feet(frames), atol=1e-9)
    np.testing.assert_allclose(motion.times, 0.02 * np.arange(9))


def test_body_is_between_the_hips_and_faces_where_the_laikago_does(frames: np.ndarray) -> None:
    motion = dog.convert(file(frames.tolist()), "pace.txt")
    body = Rotation.from_quat(frames[:, 3:7])
    forward, up = body.apply([0.0, 0.0, 1.0]), body.apply([0.0, 1.0, 0.0])
    np.testing.assert_allclose(Rotation.from_quat(motion.root_rot).apply([1.0, 0.0, 0.0]), forward, atol=1e-12)
    np.testing.assert_allclose(Rotation.from_quat(motion.root_rot).apply([0.0, 0.0, 1.0]), up, atol=1e-12)
    hips = frames[:, :3] + 0.5 * (0.242889 - 0.194401) * forward
    np.testing.assert_allclose(motion.root_pos, LEG_RATIO * hips, atol=1e-12)


def test_knees_that_the_go2_cannot_stretch_as_far_scale_the_motion_down(frames: np.ndarray, go2: Character) -> None:
    frames[4, 7:10] = [0.0, 0.0, -0.2]
    motion = dog.convert(file(frames.tolist()), "pace.txt")
    feet = laikago_feet(frames)
    scale = np.sum(go2_feet(go2, motion) * feet) / np.sum(feet**2)
    assert 0.9 * LEG_RATIO <= scale < LEG_RATIO - 1e-3
    np.testing.assert_allclose(go2_feet(go2, motion), scale * feet, atol=1e-9)
    assert within_limits(motion.joints)


@pytest.mark.parametrize(
    ("mode", "turning", "wrap"), [("Wrap", False, True), ("Wrap", True, False), ("Clamp", False, False)]
)
def test_only_a_repeat_that_keeps_its_heading_wraps(frames: np.ndarray, mode: str, turning: bool, wrap: bool) -> None:
    data = file(frames.tolist(), LoopMode=mode, EnableCycleOffsetRotation=turning)
    assert dog.convert(data, "spin.txt").wrap is wrap


def test_a_leg_out_of_reach_is_refused(frames: np.ndarray) -> None:
    frames[5, 10:13] = [0.0, 0.3, -2.6]
    with pytest.raises(InputError, match=r"pace.txt: frame 5 asks the Go2's joint FL_calf for .* limits are -2.7227"):
        dog.convert(file(frames.tolist()), "pace.txt")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"walk", "pace.txt: not a JSON file"),
        (b"[]", "pace.txt: expected an object with LoopMode"),
        (file([[0.0] * 18]), r"Frames has shape \(1, 18\), expected rows of 19"),
        (file([[0.0] * 19, [0.0]]), "Frames is not a table of numbers"),
        (file([[float("nan")] * 19]), "frame 0 is not made of finite numbers"),
        (file([[0.0] * 19]), "rotation has length 0, expected 1"),
        (file([[0.0] * 19], FrameDuration=0.0), "FrameDuration"),
        (file([[0.0] * 19], LoopMode="wrap"), "LoopMode must be Wrap or Clamp"),
    ],
)
def test_a_file_of_another_layout_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dog.convert(data, "pace.txt")


def test_leg_angles_undo_forward_kinematics() -> None:
    random = np.random.default_rng(2)
    for leg in LEGS:
        angles = random.uniform(*np.array(leg.limits).T, size=(200, 3))
        angles[:, 0] *= 0.5
        hip = Rotation.from_euler("X", angles[:, :1])
        thigh = hip * Rotation.from_euler("Y", angles[:, 1:2])
        calf = thigh * Rotation.from_euler("Y", angles[:, 2:])
        in_plane = thigh.apply([0, 0, -0.213]) + calf.apply([0, 0, -0.213])
        foot = leg.hip + hip.apply([0, leg.side, 0]) + in_plane
        below = hip.inv().apply(in_plane)[:, 2] < -0.01  # a foot above its hip has another solution
        assert below.sum() > 50
        np.testing.assert_allclose(leg_angles(leg, foot)[below], angles[below], atol=1e-9)


def test_a_foot_out_of_reach_is_not_a_number() -> None:
    feet = {leg.name: np.array([[*leg.hip[:2], -0.3], [0.0, 0.0, -0.8]]) for leg in LEGS}
    joints = leg_joints(np.zeros((2, 3)), np.tile([0.0, 0.0, 0.0, 1.0], (2, 1)), feet)
    assert all(np.isfinite(track[0]) for track in joints.values())
    assert not within_limits(joints)
    with pytest.raises(InputError, match="frame 1 asks .* nan"):
        check_limits(joints, "x")


@pytest.mark.parametrize("name", ["dog_pace", "dog_trot", "dog_spin", "hopturn", "runningman", "sidesteps", "turn"])
def test_recordings_are_smooth_and_within_limits(name: str, go2: Character) -> None:
    motion = checked_motion(dog.convert(recording(name), name), name)
    check_joints(go2, motion, name)
    assert within_limits(motion.joints)
    fastest = max(np.abs(np.diff(track)).max() for track in motion.joints.values()) / motion.times[1]
    assert fastest < 20.0  # rad/s, near what the robot can do


@pytest.mark.parametrize(("gait", "hip_error"), [("pace", 0.1), ("trot", 0.25)])
def test_recorded_gait_is_the_published_one(gait: str, hip_error: float, published: Path) -> None:
    """The published clips show the same dog: root height within 2 cm, the hips' angles alike at some phase."""
    ours = dog.convert(recording(f"dog_{gait}"), gait)
    with (published / "motions" / "go2" / f"go2_{gait}.pkl").open("rb") as clip:
        theirs = np.array(pickle.load(clip)["frames"])
    assert len(theirs) == len(ours.times)
    assert abs(ours.root_pos[:, 2].mean() - theirs[:, 2].mean()) < 0.02
    hips = np.stack([ours.joints[f"{leg}_hip"] for leg in ("FL", "FR", "RL", "RR")], axis=-1)[:-1]
    apart = [np.abs(np.roll(hips, shift, axis=0) - theirs[:-1, 6::3]).mean() for shift in range(len(hips))]
    assert min(apart) < hip_error
