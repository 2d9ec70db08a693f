"""Motions moved between characters, measured with MuJoCo's kinematics and collision code."""

import functools
import pickle
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.data import measure
from mimickit.data.boxes import Box
from mimickit.data.character import load_character, lowest_points
from mimickit.data.characters import CHARACTERS, model_path
from mimickit.data.fetch.download import read_member
from mimickit.data.files import default_cache
from mimickit.data.measure import foot_tracks
from mimickit.data.motion import Landmarks, Motion, checked_motion, lifted, resampled
from mimickit.data.readers import humanoid3d
from mimickit.data.recipes.packages import PYBULLET
from mimickit.data.retarget import retarget_landmarks, retarget_motion, retarget_scale
from mimickit.data.retarget.outside import signed_distances
from mimickit.errors import InputError

FLOOR = Box((0.0, 0.0, -1.0), 0.0, (100.0, 100.0, 2.0))
THIGH, SHIN, SOLE = 0.421546, 0.40987, 0.05  # of the humanoid
OTHERS = ("smpl", "g1", "pi_plus")
BONES = {  # a limb's bodies on its left side; {} is the side
    "humanoid": ("{}_thigh {}_shin", "{}_shin {}_foot", "{}_upper_arm {}_lower_arm", "{}_lower_arm {}_hand", "lr"),
    "smpl": ("{}_Hip {}_Knee", "{}_Knee {}_Ankle", "{}_Shoulder {}_Elbow", "{}_Elbow {}_Wrist", "LR"),
    "g1": (
        "{}_hip_roll_link {}_knee_link",
        "{}_knee_link {}_ankle_roll_link",
        "{}_shoulder_roll_link {}_elbow_link",
        "{}_elbow_link {}_wrist_yaw_link",
        "lr",
    ),
    "pi_plus": (
        "{}_hip_roll_link {}_calf_link",
        "{}_calf_link {}_ankle_pitch_link",
        "{}_shoulder_roll_link {}_elbow_link",
        "{}_elbow_link {}_wrist_link",
        "lr",
    ),
}
SIDE_NAMES = {"humanoid": ("left", "right"), "smpl": ("L", "R"), "g1": ("left", "right"), "pi_plus": ("l", "r")}
FEET = {"humanoid": "{}_foot", "smpl": "{}_Ankle", "g1": "{}_ankle_roll_link", "pi_plus": "{}_ankle_roll_link"}
HANDS = {"humanoid": "{}_hand", "smpl": "{}_Hand", "g1": "{}_wrist_yaw_link", "pi_plus": "{}_wrist_link"}


class Stage:
    """A character in MuJoCo's own kinematics, above a floor, or beside another box."""

    def __init__(self, name: str, assets: Path, floor: Box = FLOOR) -> None:
        self.name = name
        spec = mujoco.MjSpec.from_file(str(model_path(name, assets)))
        turn = [np.cos(0.5 * floor.yaw), 0.0, 0.0, np.sin(0.5 * floor.yaw)]
        size = 0.5 * np.array(floor.size)
        spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_BOX, pos=floor.center, quat=turn, size=size)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)

    def poses(self, motion: Motion):
        """Puts the character in one frame after the other."""
        for frame in range(len(motion.times)):
            x, y, z, w = motion.root_rot[frame]
            self.data.qpos[:7] = (*motion.root_pos[frame], w, x, y, z)
            for body, track in motion.joints.items():
                first = self.model.jnt_qposadr[self.model.body(body).jntadr[0]]
                ball = track.ndim == 2
                angles = Rotation.from_quat(track[frame]).as_euler("XYZ") if ball else track[frame : frame + 1]
                self.data.qpos[first : first + len(angles)] = angles
            mujoco.mj_kinematics(self.model, self.data)
            yield frame

    def places(self, motion: Motion) -> dict[str, np.ndarray]:
        """Positions (N, 3) of all bodies."""
        tracks = np.array([self.data.xpos.copy() for _ in self.poses(motion)])
        return {self.model.body(i).name: tracks[:, i] for i in range(1, self.model.nbody)}

    def limbs(self, motion: Motion) -> np.ndarray:
        """Directions (8, N, 3) of thighs, shins, upper arms and forearms."""
        places = self.places(motion)
        pairs = [bone.replace("{}", side).split() for side in SIDE_NAMES[self.name] for bone in BONES[self.name][:4]]
        bones = np.array([places[end] - places[start] for start, end in pairs])
        return bones / np.linalg.norm(bones, axis=-1, keepdims=True)

    def heights(self, motion: Motion, body: str | None = None) -> np.ndarray:
        """Distance (N,) to the floor of ``body``, or of the whole character; negative below it."""
        floor = self.model.geom("floor").id
        wanted = [
            geom
            for geom in range(self.model.ngeom)
            if geom != floor
            and self.model.geom_contype[geom]
            and body in (None, self.model.body(self.model.geom_bodyid[geom]).name)
        ]
        lowest = functools.partial(mujoco.mj_geomDistance, self.model, self.data, floor, distmax=9.0, fromto=None)
        return np.array([min(lowest(geom2=geom) for geom in wanted) for _ in self.poses(motion)])

    def beyond_limits(self, motion: Motion) -> float:
        """By how many radians a coordinate of a clip is at most outside of the limits in the character's file."""
        worst = 0.0
        for body, track in motion.joints.items():
            first = self.model.body(body).jntadr[0]
            values = Rotation.from_quat(track).as_rotvec() if track.ndim == 2 else track[:, None]
            low, high = self.model.jnt_range[first : first + values.shape[1]].T
            worst = max(worst, float((low - values).max()), float((values - high).max()))
        return worst


def fastest(motion: Motion) -> float:
    """The largest turn of any joint between two frames, in radians."""
    turns = []
    for track in motion.joints.values():
        if track.ndim == 2:
            turns.append((Rotation.from_quat(track[1:]) * Rotation.from_quat(track[:-1]).inv()).magnitude().max())
        else:
            turns.append(np.abs(np.diff(track)).max())
    return float(max(turns))


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.sum(a * b, axis=-1), -1.0, 1.0)))


def squat(count: int = 91, wrap: bool = False) -> Motion:
    """The humanoid bends its knees and rises again, swings its arms, and turns its chest; its feet never move."""
    phase = 0.5 - 0.5 * np.cos(np.linspace(0.0, 2.0 * np.pi, count))
    thigh = 0.15 + 0.6 * phase
    shin = np.arcsin(THIGH * np.sin(thigh) / SHIN)
    zero = np.zeros(count)

    def about(axis: str, turn: np.ndarray) -> np.ndarray:
        return Rotation.from_euler(axis, turn.reshape(count, -1)).as_quat()

    hang = np.pi / 2.0 - 0.2
    joints = {
        "torso": about("z", 0.3 * phase),
        "head": about("y", 0.2 * phase),
        "right_upper_arm": about("xyz", np.stack([zero + hang, -1.2 * phase, zero], axis=-1)),
        "left_upper_arm": about("xyz", np.stack([zero - hang, -1.0 * phase, zero], axis=-1)),
        "right_lower_arm": 0.3 + phase,
        "left_lower_arm": -0.3 - 0.8 * phase,
    }
    for side in ("right", "left"):
        joints[f"{side}_thigh"] = about("y", -thigh)
        joints[f"{side}_shin"] = thigh + shin
        joints[f"{side}_foot"] = about("y", -shin)
    height = THIGH * np.cos(thigh) + SHIN * np.cos(shin) + SOLE
    root = np.stack([zero, zero, height], axis=-1)
    return Motion(np.arange(count) / 60.0, root, about("z", zero), joints, wrap)


@pytest.fixture(scope="module")
def stage(assets: Path) -> Callable[[str], Stage]:
    return functools.cache(lambda name: Stage(name, assets))


@pytest.fixture(scope="module")
def squatting(assets: Path) -> Callable[[str], Motion]:
    return functools.cache(lambda name: retarget_motion(squat(), "humanoid", name, assets))


@pytest.fixture(scope="module")
def recording(assets: Path) -> Callable[[str], Motion]:
    """Recordings of the humanoid, set on the ground."""
    wheel = default_cache() / "wheels" / PYBULLET.filename

    def read(name: str) -> Motion:
        if not wheel.exists():
            pytest.skip(f"{wheel} was not downloaded")
        member = f"pybullet_data/data/motions/humanoid3d_{name}.txt"
        motion = resampled(checked_motion(humanoid3d.convert(read_member(wheel, member), name), name), 60)
        character = load_character(model_path("humanoid", assets))
        return lifted(motion, -float(lowest_points(character, motion).min()))

    return read


@pytest.mark.parametrize("name", OTHERS)
def test_limbs_keep_their_directions(name: str, squatting, stage) -> None:
    error = angle(stage(name).limbs(squatting(name)), stage("humanoid").limbs(squat()))
    assert error.mean() < 1.5
    assert error.max() < 6.0


@pytest.mark.parametrize("name", OTHERS)
def test_feet_that_stand_neither_slip_nor_leave_the_ground(name: str, squatting, stage) -> None:
    motion = squatting(name)
    places = stage(name).places(motion)
    for side in SIDE_NAMES[name]:
        foot = FEET[name].format(side)
        slip = np.linalg.norm(places[foot][:, :2] - places[foot][:, :2].mean(axis=0), axis=-1)
        assert slip.max() < 0.01
        height = stage(name).heights(motion, foot)
        assert np.abs(height).max() < 0.003


@pytest.mark.parametrize("name", OTHERS)
def test_hips_move_by_the_ratio_of_the_legs(name: str, squatting, stage, assets: Path) -> None:
    scale = retarget_scale("humanoid", name, assets)
    knee_bend = np.ptp(squat().root_pos[:, 2])
    assert np.ptp(squatting(name).root_pos[:, 2]) == pytest.approx(scale * knee_bend, rel=0.15)


def test_scale_is_the_ratio_of_standing_hip_heights(assets: Path) -> None:
    humanoid = THIGH + SHIN + SOLE
    # hip to sole in the zero pose, from the numbers in the files
    assert retarget_scale("humanoid", "g1", assets) == pytest.approx(0.659 / humanoid, rel=0.01)
    assert retarget_scale("humanoid", "pi_plus", assets) == pytest.approx(0.333 / humanoid, rel=0.01)
    there = retarget_scale("humanoid", "smpl", assets)
    assert retarget_scale("smpl", "humanoid", assets) == pytest.approx(1.0 / there)


@pytest.mark.parametrize("name", OTHERS)
def test_joints_stay_within_their_limits_and_move_smoothly(name: str, squatting, stage) -> None:
    motion = squatting(name)
    assert stage(name).beyond_limits(motion) < 1e-6
    assert fastest(motion) < 3.0 * fastest(squat())


def test_ball_joints_are_held_at_their_limits(assets: Path, stage) -> None:
    motion = squat(31)
    motion.joints["torso"][:] = Rotation.from_euler("x", np.linspace(0.0, 2.9, 31)[:, None]).as_quat()
    motion.joints["left_upper_arm"][:] = Rotation.from_euler("y", np.linspace(0.0, 2.9, 31)[:, None]).as_quat()
    for name in ("smpl", "g1"):
        assert stage(name).beyond_limits(retarget_motion(motion, "humanoid", name, assets)) < 0.01


def test_knees_and_elbows_bend_one_way_only(squatting) -> None:
    motion = squatting("pi_plus")  # its hinges could bend either way
    for side in "lr":
        assert motion.joints[f"{side}_calf_link"].min() >= 0.0
        assert motion.joints[f"{side}_elbow_link"].max() <= 0.0


@pytest.mark.parametrize("name", ["smpl", "g1"])
def test_a_motion_there_and_back_is_the_same_motion(name: str, squatting, stage, assets: Path) -> None:
    back = retarget_motion(squatting(name), name, "humanoid", assets)
    ours, theirs = stage("humanoid").places(squat()), stage("humanoid").places(back)
    assert max(np.linalg.norm(ours[body] - theirs[body], axis=-1).max() for body in ours) < 0.06


def test_sword_and_shield_copy_the_humanoid_exactly(assets: Path) -> None:
    motion = squat()
    copied = retarget_motion(motion, "humanoid", "sword_shield", assets)
    np.testing.assert_array_equal(copied.root_pos, motion.root_pos)
    for body, track in motion.joints.items():
        np.testing.assert_array_equal(copied.joints[body], track)
    assert set(copied.joints) == set(motion.joints) | {"right_hand"}
    np.testing.assert_array_equal(copied.joints["right_hand"], np.tile([0.0, 0.0, 0.0, 1.0], (len(motion.times), 1)))
    back = retarget_motion(copied, "sword_shield", "humanoid", assets)
    assert set(back.joints) == set(motion.joints)


def test_a_loop_that_closes_stays_one_that_closes(assets: Path, stage) -> None:
    whole = squat(61, wrap=True)
    begins = np.roll(np.arange(60), -20)  # in the middle of the movement, where it is fast
    order = np.append(begins, begins[0])
    joints = {body: track[order] for body, track in whole.joints.items()}
    source = Motion(whole.times, whole.root_pos[order], whole.root_rot[order], joints, True)
    motion = retarget_motion(source, "humanoid", "g1", assets)
    assert motion.wrap
    for track in motion.joints.values():
        assert np.abs(track[0] - track[-1]).max() < 0.002
    np.testing.assert_allclose(motion.root_pos[0], motion.root_pos[-1], atol=5e-4)


def test_the_same_motion_gives_the_same_numbers(squatting, assets: Path) -> None:
    again = retarget_motion(squat(), "humanoid", "g1", assets)
    np.testing.assert_array_equal(again.root_pos, squatting("g1").root_pos)
    for body, track in again.joints.items():
        np.testing.assert_array_equal(track, squatting("g1").joints[body])


def landmarks_of(stage: Stage, motion: Motion) -> Landmarks:
    """What a camera would see of the humanoid."""
    places = stage.places(motion)
    positions = {"pelvis": places["pelvis"], "chest": places["torso"], "neck": places["head"]}
    names = {"hip": "thigh", "knee": "shin", "ankle": "foot"}
    names |= {"shoulder": "upper_arm", "elbow": "lower_arm", "wrist": "hand"}
    for side in ("left", "right"):
        positions |= {f"{side}_{point}": places[f"{side}_{body}"] for point, body in names.items()}
        toe, turns = [], stage.model.body(f"{side}_foot").id
        for _ in stage.poses(motion):
            toe.append(stage.data.xpos[turns] + stage.data.xmat[turns].reshape(3, 3) @ [0.13, 0.0, -0.015])
        positions[f"{side}_toe"] = np.array(toe)
    return Landmarks(motion.times, positions, motion.wrap)


def test_landmarks_of_the_humanoid_give_its_own_motion(assets: Path, stage) -> None:
    motion = squat()
    seen = retarget_landmarks(landmarks_of(stage("humanoid"), motion), "humanoid", assets)
    assert angle(stage("humanoid").limbs(seen), stage("humanoid").limbs(motion)).max() < 5.0
    ours, theirs = stage("humanoid").places(motion), stage("humanoid").places(seen)
    assert max(np.linalg.norm(ours[body] - theirs[body], axis=-1).max() for body in ours) < 0.05
    assert retarget_scale(landmarks_of(stage("humanoid"), motion), "humanoid", assets) == pytest.approx(1.0, abs=0.02)


def test_feet_on_a_box_stand_on_the_scaled_box(assets: Path, stage) -> None:
    motion = lifted(squat(), 0.4)
    raised = retarget_motion(motion, "humanoid", "g1", assets, boxes=[Box((0.0, 0.0, 0.2), 0.3, (1.0, 1.0, 0.4))])
    top = 0.4 * retarget_scale("humanoid", "g1", assets)
    np.testing.assert_allclose(stage("g1").heights(raised, "left_ankle_roll_link"), top, atol=0.005)


@pytest.mark.parametrize("name", OTHERS)
def test_legs_swing_around_a_box_and_not_through_it(name: str, assets: Path, stage) -> None:
    """The knees of the squat come forward into a box by 20 cm; the feet stay where they are."""
    box = Box((0.62, 0.0, 0.35), 0.05, (0.7, 1.5, 0.7))
    free = retarget_motion(squat(), "humanoid", name, assets)
    motion = retarget_motion(squat(), "humanoid", name, assets, boxes=[box])
    scaled = box.scaled(retarget_scale("humanoid", name, assets))
    beside = Stage(name, assets, scaled)
    assert beside.heights(free).min() < -0.02
    assert beside.heights(motion).min() > -0.005
    assert fastest(motion) < 3.0 * fastest(squat())
    for side in SIDE_NAMES[name]:
        assert np.abs(stage(name).heights(motion, FEET[name].format(side))).max() < 0.01


def test_a_pelvis_below_the_ground_is_raised_and_the_feet_stay(assets: Path, stage) -> None:
    """Sitting with the knees up and the arms out, 7 cm too deep."""
    motion = squat(31)
    height, thigh, shin = -0.05, np.arcsin(0.4 / THIGH), np.arcsin(0.3 / SHIN)
    motion.root_pos[:] = [0.0, 0.0, height]
    for side in ("right", "left"):
        motion.joints[f"{side}_upper_arm"][:] = [0.0, 0.0, 0.0, 1.0]
        motion.joints[f"{side}_thigh"][:] = Rotation.from_euler("y", -thigh - np.pi / 2.0).as_quat()
        motion.joints[f"{side}_shin"][:] = thigh + shin
        motion.joints[f"{side}_foot"][:] = Rotation.from_euler("y", np.pi / 2.0 - shin).as_quat()
    for name in OTHERS:
        sitting = retarget_motion(motion, "humanoid", name, assets)
        assert stage(name).heights(sitting).min() > -0.01
        for side in SIDE_NAMES[name]:
            assert np.abs(stage(name).heights(sitting, FEET[name].format(side))).max() < 0.02


def test_a_flight_is_as_much_shorter_as_the_legs(assets: Path) -> None:
    motion = lifted(squat(31), 1.0)
    motion.root_pos[:, 0] += np.linspace(0.0, 0.5, 31)
    for name in OTHERS:
        flown = retarget_motion(motion, "humanoid", name, assets)
        scale = retarget_scale("humanoid", name, assets)
        assert np.ptp(flown.root_pos[:, 0]) == pytest.approx(0.5 * scale, abs=0.01)


def test_landmarks_in_the_air_give_the_turns_of_the_feet(assets: Path, stage) -> None:
    motion = lifted(squat(), 1.0)
    seen = retarget_landmarks(landmarks_of(stage("humanoid"), motion), "humanoid", assets)
    body = stage("humanoid").model.body("left_foot").id
    ours, theirs = (
        np.array([stage("humanoid").data.xmat[body] for _ in stage("humanoid").poses(m)]) for m in (motion, seen)
    )
    turn = Rotation.from_matrix(ours.reshape(-1, 3, 3)) * Rotation.from_matrix(theirs.reshape(-1, 3, 3)).inv()
    assert np.degrees(turn.magnitude()).max() < 5.0


def test_an_elbow_bent_too_far_is_straight_at_most(assets: Path) -> None:
    joints = {}
    for body in load_character(model_path("g1", assets)).bodies:
        if body.joint is not None:
            joints[body.name] = np.full(5, 2.05 if "elbow" in body.name else 0.0)  # 27 degrees beyond straight
    root = np.tile([0.0, 0.0, 1.5], (5, 1))
    motion = Motion(np.arange(5) / 60.0, root, np.tile([0.0, 0.0, 0.0, 1.0], (5, 1)), joints, False)
    bent = retarget_motion(motion, "g1", "pi_plus", assets)
    assert max(bent.joints[f"{side}_elbow_link"].max() for side in "lr") <= 0.0


def test_what_cannot_be_done_is_named(assets: Path, stage, squatting) -> None:
    with pytest.raises(InputError, match="'go2'"):
        retarget_motion(squat(), "humanoid", "go2", assets)
    with pytest.raises(InputError, match="motion of g1"):
        retarget_motion(squat(), "g1", "humanoid", assets)
    with pytest.raises(InputError, match="out of boxes: mjGEOM_CYLINDER"):
        retarget_motion(squatting("g1"), "g1", "sword_shield", assets, boxes=[FLOOR])
    seen = landmarks_of(stage("humanoid"), squat(5))
    short = {name: track for name, track in seen.positions.items() if name not in ("left_toe", "right_elbow")}
    with pytest.raises(InputError, match="left_toe, right_elbow"):
        retarget_landmarks(Landmarks(seen.times, short, False), "g1", assets)


@pytest.mark.parametrize(
    ("clip", "name"), [("spinkick", "g1"), ("spinkick", "smpl"), ("walk", "pi_plus"), ("run", "g1")]
)
def test_recordings_keep_directions_limits_and_pace(clip: str, name: str, recording, stage, assets: Path) -> None:
    source = recording(clip)
    motion = retarget_motion(source, "humanoid", name, assets)
    assert stage(name).beyond_limits(motion) < 0.01
    assert angle(stage(name).limbs(motion), stage("humanoid").limbs(source)).mean() < 8.0
    assert fastest(motion) < 3.0 * fastest(source)
    assert stage(name).heights(motion).min() > -0.01


def on_the_ground(name: str, motion: Motion, assets: Path) -> Motion:
    """Set down as clips are: where the lowest point stays most of the time is the ground."""
    return lifted(motion, -measure.ground_level(lowest_points(load_character(model_path(name, assets)), motion)))


@pytest.mark.parametrize(
    ("clip", "name"),
    [("run", "smpl"), ("run", "pi_plus"), ("spinkick", "smpl"), ("jump", "smpl"), ("roll", "smpl"), ("punch", "g1")],
)
def test_feet_skate_no_more_than_in_the_recording(clip: str, name: str, recording, assets: Path) -> None:
    source = on_the_ground("humanoid", recording(clip), assets)
    motion = on_the_ground(name, retarget_motion(source, "humanoid", name, assets), assets)
    scale = retarget_scale("humanoid", name, assets)
    theirs, ours = (
        foot_tracks(load_character(model_path(who, assets)), what, measure.FEET[who])
        for who, what in (("humanoid", source), (name, motion))
    )
    assert any(track.stances for track in ours)
    worst = [max(track.worst_stance_slip for track in tracks) for tracks in (theirs, ours)]
    assert worst[1] < scale * worst[0] + 0.02
    speed = [max(track.mean_slip_speed(60.0) for track in tracks) for tracks in (theirs, ours)]
    assert speed[1] < scale * speed[0] + 0.05


@pytest.mark.parametrize("name", ["g1", "smpl"])
def test_hands_of_a_cartwheel_touch_the_ground(name: str, recording, stage, assets: Path) -> None:
    motion = retarget_motion(recording("cartwheel"), "humanoid", name, assets)
    for ours, theirs in zip(SIDE_NAMES["humanoid"], SIDE_NAMES[name], strict=True):
        touches = stage("humanoid").heights(recording("cartwheel"), HANDS["humanoid"].format(ours)) < 0.06
        assert np.count_nonzero(touches) > 10
        heights = stage(name).heights(motion, HANDS[name].format(theirs))
        assert np.abs(heights[touches]).mean() < 0.006
    assert stage(name).heights(motion).min() > -0.01


@pytest.mark.parametrize("name", ["g1", "pi_plus"])
def test_arms_held_high_and_behind_do_not_wind_up(name: str, recording, stage, assets: Path) -> None:
    source = recording("dance_a")
    motion = retarget_motion(source, "humanoid", name, assets)
    error = angle(stage(name).limbs(motion), stage("humanoid").limbs(source))
    assert error.mean() < 10.0
    assert error.max() < 50.0
    assert fastest(motion) < 1.0


@pytest.mark.parametrize(("name", "bound"), [("g1", 0.065), ("smpl", 0.05)])
def test_spin_kick_is_near_the_published_one(name: str, bound: float, published: Path, stage, assets: Path) -> None:
    """Others moved the same recording to the same characters, in ways of their own."""
    source = published_motion("humanoid", "spinkick", published, assets)
    theirs = stage(name).places(published_motion(name, "spinkick", published, assets))
    ours = stage(name).places(retarget_motion(source, "humanoid", name, assets))
    root = load_character(model_path(name, assets)).bodies[0].name
    level = np.array([1.0, 1.0, 0.0])
    apart = [
        np.linalg.norm(ours[body] - ours[root] * level - theirs[body] + theirs[root] * level, axis=-1).mean()
        for body in theirs
    ]
    assert np.mean(apart) < bound


def published_motion(name: str, clip: str, published: Path, assets: Path) -> Motion:
    entry = CHARACTERS[name]
    content = pickle.loads((published / "motions" / entry.motions / f"{entry.prefix}_{clip}.pkl").read_bytes())
    frames = np.nan_to_num(np.array(content["frames"], dtype=float))
    joints, column = {}, 6
    for body in load_character(model_path(name, assets)).bodies:
        if body.joint is not None:
            track = frames[:, column : column + body.joint.dofs]
            joints[body.name] = track[:, 0] if body.joint.axis is not None else Rotation.from_rotvec(track).as_quat()
            column += body.joint.dofs
    assert column == frames.shape[1]
    root_rot = Rotation.from_rotvec(frames[:, 3:6]).as_quat()
    times = np.arange(len(frames)) / content["fps"]
    return Motion(times, frames[:, :3], root_rot, joints, bool(content["loop_mode"]))


def test_the_way_out_of_a_box_is_never_down() -> None:
    box = Box((1.0, 2.0, 0.25), np.radians(90), (0.4, 0.2, 0.5))
    points = np.array([[1.0, 2.0, 0.02], [1.0, 2.0, 0.48], [1.09, 2.0, 0.3], [1.4, 2.5, 0.9], [1.0, 2.3, 0.1]])
    distances, outwards = signed_distances(box, points)
    np.testing.assert_allclose(distances, [-0.1, -0.02, -0.01, np.sqrt(0.3**2 + 0.3**2 + 0.4**2), 0.1], atol=1e-9)
    assert np.all(outwards[:, 2] >= -1e-12)
    np.testing.assert_allclose(outwards[[1, 2, 4]], [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-9)
    away = np.array([0.3, 0.3, 0.4])
    np.testing.assert_allclose(outwards[3], away / np.linalg.norm(away), atol=1e-9)
