"""The authored sword-and-shield clips, judged by MuJoCo's kinematics, masses and collisions on the character's file."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
from scipy.ndimage import minimum_filter1d
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from mimickit.data import authored
from mimickit.data.authored import SWINGS, author, find_swing, swing_digest
from mimickit.data.authored.keys import Key, Placement, Step
from mimickit.data.authored.poses import GUARD
from mimickit.data.authored.splines import minimum_jerk, through_keys
from mimickit.data.motion import Motion
from mimickit.errors import InputError

FPS = 60.0
BLOWS = ("slash_down", "slash_left", "slash_right", "thrust", "combo_down_thrust", "combo_left_right", "spin_slash")
TURNS = {"turn_left_90": 90.0, "turn_right_90": -90.0}


@dataclasses.dataclass(frozen=True)
class Seen:
    """What MuJoCo makes of a clip of N frames."""

    motion: Motion
    dofs: np.ndarray  # (N, joints) exponential maps and hinge angles, in the order of MuJoCo's hinges
    points: dict[str, np.ndarray]  # body origins (N, 3)
    rotations: dict[str, np.ndarray]  # of bodies (N, 3, 3)
    soles: np.ndarray  # (N, 2, 4, 3) corners of the left and the right sole
    centre: np.ndarray  # (N, 3) of mass
    touching: list[set[tuple[str, str]]]  # pairs of geoms that overlap, without the soles on the ground


@pytest.fixture(scope="module")
def model_file(assets: Path) -> Path:
    """The character's file."""
    return assets / "sword_shield" / "humanoid_sword_shield.xml"


@pytest.fixture(scope="module")
def fencer(model_file: Path) -> mujoco.MjModel:
    """The character on a ground."""
    spec = mujoco.MjSpec.from_file(str(model_file))
    spec.worldbody.add_geom(name="ground", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[9, 9, 1])
    return spec.compile()


def _dofs(model: mujoco.MjModel, motion: Motion) -> np.ndarray:
    columns = []
    for body in range(2, model.nbody):
        if model.body_jntnum[body]:
            track = motion.joints[model.body(body).name]
            columns.append(Rotation.from_quat(track).as_rotvec() if track.ndim == 2 else track[:, None])
    return np.concatenate(columns, axis=1)


def _pose(model: mujoco.MjModel, data: mujoco.MjData, motion: Motion, frame: int) -> None:
    angles: list[float] = []
    for body in range(2, model.nbody):
        if model.body_jntnum[body]:
            value = motion.joints[model.body(body).name][frame]
            angles.extend(Rotation.from_quat(value).as_euler("XYZ") if np.ndim(value) else [value])
    data.qpos[:] = np.concatenate([motion.root_pos[frame], motion.root_rot[frame][[3, 0, 1, 2]], angles])
    mujoco.mj_fwdPosition(model, data)


def _see(model: mujoco.MjModel, motion: Motion) -> Seen:
    data = mujoco.MjData(model)
    names = [model.body(i).name for i in range(1, model.nbody)]
    feet = [model.geom(f"{side}_foot").id for side in ("left", "right")]
    ground = model.geom("ground").id
    corners = np.array([(1, 1, -1), (1, -1, -1), (-1, -1, -1), (-1, 1, -1)])
    positions, rotations, soles, centre, touching = [], [], [], [], []
    for frame in range(len(motion.times)):
        _pose(model, data, motion, frame)
        positions.append(data.xpos[1:].copy())
        rotations.append(data.xmat[1:].reshape(-1, 3, 3).copy())
        soles.append(
            [data.geom_xpos[g] + (corners * model.geom_size[g]) @ data.geom_xmat[g].reshape(3, 3).T for g in feet]
        )
        centre.append(data.subtree_com[1].copy())
        pairs = [(c.geom1, c.geom2) for c in data.contact[: data.ncon] if c.dist < 0.0]
        standing = {(ground, foot) for foot in feet} | {(foot, ground) for foot in feet}
        touching.append({tuple(sorted(model.geom(g).name for g in pair)) for pair in pairs if pair not in standing})
    points = dict(zip(names, np.moveaxis(positions, 1, 0), strict=True))
    turned = dict(zip(names, np.moveaxis(rotations, 1, 0), strict=True))
    return Seen(motion, _dofs(model, motion), points, turned, np.array(soles), np.array(centre), touching)


@pytest.fixture(scope="module")
def see(fencer: mujoco.MjModel, model_file: Path) -> Callable[[str], Seen]:
    """A clip as MuJoCo sees it, authored once."""
    seen: dict[str, Seen] = {}

    def look(name: str) -> Seen:
        if name not in seen:
            seen[name] = _see(fencer, author(name, model_file))
        return seen[name]

    return look


def _speed(track: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(track, axis=0), axis=-1) * FPS


def _angular_speed(track: np.ndarray) -> np.ndarray:
    turns = Rotation.from_quat(track)
    return (turns[:-1].inv() * turns[1:]).magnitude() * FPS


def _outside(point: np.ndarray, corners: np.ndarray) -> float:
    """Metres from the nearest edge of the corners' hull; negative inside."""
    hull = ConvexHull(corners)
    return float((hull.equations[:, :2] @ point + hull.equations[:, 2]).max())


def _standing(seen: Seen) -> np.ndarray:
    """Whether (N, 2) the left and the right sole lie on the ground."""
    return seen.soles[..., 2].max(axis=-1) < 1e-4


every_clip = pytest.mark.parametrize("name", SWINGS)


@every_clip
def test_a_clip_takes_one_to_two_and_a_half_seconds(see: Callable[[str], Seen], name: str) -> None:
    motion = see(name).motion
    assert 1.0 <= motion.duration <= 2.55
    np.testing.assert_allclose(np.diff(motion.times), 1.0 / FPS)
    assert motion.wrap == (name == "guard")


@every_clip
def test_soles_lie_flat_and_still_between_steps(see: Callable[[str], Seen], name: str) -> None:
    seen = see(name)
    assert seen.soles[..., 2].min() > -1e-6
    standing = _standing(seen)
    assert standing.any(axis=1).all()
    for side, foot in enumerate(("left", "right")):
        steps = [step for step in SWINGS[name].steps if step.foot == foot]
        for frame, time in enumerate(seen.motion.times):
            phases = [(time - step.lift) / (step.land - step.lift) for step in steps]
            if all(phase < 0.01 or phase > 0.99 for phase in phases):
                assert standing[frame, side]
            if any(0.1 < phase < 0.9 for phase in phases):
                assert not standing[frame, side]
        edges = np.flatnonzero(np.diff(standing[:, side].astype(int))) + 1
        for run in np.split(np.arange(len(standing)), edges):
            if standing[run[0], side]:
                assert np.linalg.norm(seen.soles[run, side] - seen.soles[run[0], side], axis=-1).max() < 5e-4


@every_clip
def test_joints_keep_their_limits(see: Callable[[str], Seen], fencer: mujoco.MjModel, name: str) -> None:
    low, high = fencer.jnt_range[1:].T
    dofs = see(name).dofs
    assert np.all(dofs >= low - 1e-9)
    assert np.all(dofs <= high + 1e-9)


@every_clip
def test_joints_move_no_faster_than_a_body_can(see: Callable[[str], Seen], name: str) -> None:
    motion = see(name).motion
    balls = [_angular_speed(track).max() for track in motion.joints.values() if track.ndim == 2]
    hinges = [np.abs(np.diff(track)).max() * FPS for track in motion.joints.values() if track.ndim == 1]
    assert max(*balls, *hinges) < 20.0
    assert _angular_speed(motion.root_rot).max() < 10.0


@pytest.mark.parametrize("name", BLOWS)
def test_the_tip_of_a_blow_moves_at_6_to_12_metres_a_second(see: Callable[[str], Seen], name: str) -> None:
    assert 6.0 < _speed(see(name).points["sword"]).max() < 12.0


@every_clip
def test_nothing_passes_through_anything(see: Callable[[str], Seen], name: str) -> None:
    touching = {frame: pairs for frame, pairs in enumerate(see(name).touching) if pairs}
    assert touching == {}


@every_clip
def test_weight_is_over_the_feet_except_in_steps(see: Callable[[str], Seen], name: str) -> None:
    seen = see(name)
    both = _standing(seen).all(axis=1)
    settled = minimum_filter1d(both, 13)  # a tenth of a second from the nearest step
    for frame in np.flatnonzero(settled):
        assert _outside(seen.centre[frame, :2], seen.soles[frame, :, :, :2].reshape(-1, 2)) < -0.005


@every_clip
def test_the_ground_can_push_where_the_feet_are(see: Callable[[str], Seen], name: str) -> None:
    """The zero-moment point leaves the standing soles by at most a decimetre, on average by less than a centimetre."""
    seen, standing = see(name), _standing(see(name))
    acceleration = (seen.centre[2:] - 2.0 * seen.centre[1:-1] + seen.centre[:-2]) * FPS**2
    here = seen.centre[1:-1]
    point = here[:, :2] - (here[:, 2] / (9.81 + acceleration[:, 2]))[:, None] * acceleration[:, :2]
    outside = [_outside(point[i], seen.soles[i + 1][standing[i + 1]].reshape(-1, 3)[:, :2]) for i in range(len(point))]
    assert max(outside) < 0.10
    assert np.mean(np.maximum(outside, 0.0)) < 0.01


@every_clip
def test_a_clip_goes_from_guard_to_guard(see: Callable[[str], Seen], name: str) -> None:
    motion = see(name).motion
    turned = (Rotation.from_quat(motion.root_rot[-1]) * Rotation.from_quat(motion.root_rot[0]).inv()).as_rotvec()
    np.testing.assert_allclose(turned, [0.0, 0.0, np.radians(TURNS.get(name, 0.0))], atol=1e-6)
    assert motion.root_pos[0, 2] == pytest.approx(motion.root_pos[-1, 2], abs=1e-6)
    np.testing.assert_allclose(see(name).dofs[-1], see("slash_left").dofs[0], atol=0.02 if motion.wrap else 2e-3)
    if name not in ("step_forward", "step_back", "spin_slash"):
        np.testing.assert_allclose(motion.root_pos[-1, :2], motion.root_pos[0, :2], atol=0.02)


def test_the_idle_guard_closes_as_smoothly_as_it_moves(see: Callable[[str], Seen]) -> None:
    seen = see("guard")
    np.testing.assert_allclose(seen.dofs[0], seen.dofs[-1], atol=1e-9)
    np.testing.assert_allclose(seen.motion.root_pos[0], seen.motion.root_pos[-1], atol=1e-9)
    around = np.concatenate([seen.dofs[:-1], seen.dofs[:2]])
    jerks = np.abs(np.diff(around, n=2, axis=0)).max(axis=1)
    assert jerks[-2:].max() <= 1.2 * jerks[:-2].max()


def test_blows_go_where_their_names_say(see: Callable[[str], Seen]) -> None:
    def in_front(name: str) -> np.ndarray:
        seen = see(name)
        tip = seen.points["sword"]
        return np.diff(tip, axis=0)[(tip[:, 0] > seen.points["pelvis"][:, 0] + 0.4)[1:]] * FPS

    assert in_front("slash_down")[:, 2].min() < -6.0
    assert in_front("slash_left")[:, 1].max() > 6.0
    assert in_front("slash_right")[:, 1].min() < -6.0
    thrust = see("thrust")
    reach = thrust.points["sword"][:, 0]
    assert reach.max() - reach[0] > 0.6
    at = np.argmax(reach)
    assert (thrust.points["sword"] - thrust.points["right_hand"])[at, 0] > 0.95 * 0.74
    shield = see("shield_bash").points["shield"][:, 0]
    assert shield.max() - shield[:40].min() > 0.2
    assert np.diff(shield).max() * FPS > 1.0
    block = see("shield_block")
    middle = len(block.motion.times) // 2
    assert block.points["shield"][middle, 2] > block.points["head"][middle, 2] - 0.1


@pytest.mark.parametrize("name", ["slash_left", "slash_right"])
def test_the_body_leads_the_sword(see: Callable[[str], Seen], name: str) -> None:
    seen = see(name)
    blow = np.argmax(_speed(seen.points["sword"]))
    window = slice(max(0, blow - 25), blow + 10)
    chest = Rotation.from_matrix(seen.rotations["torso"]).as_euler("ZYX")[:, 0]
    hips = Rotation.from_matrix(seen.rotations["pelvis"]).as_euler("ZYX")[:, 0]
    fastest = [np.argmax(np.abs(np.diff(track))[window]) for track in (hips, chest)]
    assert fastest[0] <= fastest[1] <= blow - window.start


def test_the_guard_is_the_pose_in_the_table(see: Callable[[str], Seen]) -> None:
    seen = see("thrust")
    hand = seen.points["right_hand"][0] - seen.points["right_upper_arm"][0]
    np.testing.assert_allclose(hand, GUARD.sword.hand, atol=0.005)
    blade = (seen.points["sword"] - seen.points["right_hand"])[0]
    np.testing.assert_allclose(blade / 0.74, np.array(GUARD.sword.blade) / np.linalg.norm(GUARD.sword.blade), atol=0.03)
    facing = seen.rotations["shield"][0] @ [0.0, 0.0, 1.0]
    assert facing @ GUARD.shield.facing / np.linalg.norm(GUARD.shield.facing) > np.cos(np.radians(30.0))
    chest = Rotation.from_matrix(seen.rotations["torso"][0]).as_euler("ZYX", degrees=True)
    np.testing.assert_allclose(chest, GUARD.chest, atol=1e-6)


def test_the_same_table_gives_the_same_clip(model_file: Path) -> None:
    first, again = author("guard", model_file), author("guard", model_file)
    assert first.root_pos.tobytes() == again.root_pos.tobytes()
    assert all(first.joints[name].tobytes() == again.joints[name].tobytes() for name in first.joints)
    digests = {swing_digest(name) for name in SWINGS}
    assert len(digests) == len(SWINGS)
    assert all(len(digest) == len(hashlib.sha256().hexdigest()) for digest in digests)


def test_curves_pass_through_their_keys_and_not_beyond() -> None:
    random = np.random.default_rng(3)
    for wrap in (False, True):
        times = np.cumsum(random.uniform(0.05, 1.0, size=12))
        values = random.normal(size=(12, 5))
        values[-1] = values[0]
        np.testing.assert_allclose(through_keys(times, values, times[:-1], wrap), values[:-1], atol=1e-12)
        for i in range(11):
            inside = through_keys(times, values, np.linspace(times[i], times[i + 1], 50)[:-1], wrap)
            assert np.all(inside >= np.minimum(values[i], values[i + 1]) - 1e-9)
            assert np.all(inside <= np.maximum(values[i], values[i + 1]) + 1e-9)


def test_a_move_from_rest_to_rest_is_a_minimum_jerk_move() -> None:
    phase = np.linspace(0.0, 1.0, 21)
    curve = through_keys(np.array([0.0, 2.0]), np.array([[1.0], [4.0]]), 2.0 * phase, False)[:, 0]
    np.testing.assert_allclose(curve, 1.0 + 3.0 * (10 * phase**3 - 15 * phase**4 + 6 * phase**5), atol=1e-12)
    np.testing.assert_allclose(curve, 1.0 + 3.0 * minimum_jerk(phase), atol=1e-12)


def test_an_unknown_swing_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="no swing 'slash_dwn'; the nearest one is 'slash_down'"):
        find_swing("slash_dwn")


def test_a_character_without_a_sword_is_refused(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="humanoid.xml: no body called sword, shield"):
        author("guard", assets / "humanoid" / "humanoid.xml")
    with pytest.raises(InputError, match="there is no character file"):
        author("guard", tmp_path / "nobody.xml")


def test_what_a_body_cannot_do_is_refused(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(**fields: object) -> dict[str, object]:
        return {"trial": dataclasses.replace(find_swing("slash_left"), **fields)}

    far = dataclasses.replace(GUARD, sword=dataclasses.replace(GUARD.sword, hand=(0.9, 0.0, 0.0)))
    cases = {
        r"trial, key at 1 s: the sword hand ends \d+ cm": changed(keys=(Key(0.0, GUARD), Key(1.0, far))),
        r"trial: in frame \d+ the left ankle is \d.\d+ m from its hip": changed(
            steps=(Step("left", 0.5, 0.9, Placement(1.2, 0.1, 0.0)),)
        ),
        r"trial, left_(thigh|foot) at \d.\d+ s: -?\d+.\d degrees about axis 2": changed(
            left_foot=Placement(0.25, 0.12, 110.0), keys=(Key(0.0, GUARD), Key(1.0, GUARD))
        ),
    }
    for message, swings in cases.items():
        monkeypatch.setattr(authored, "SWINGS", swings)
        with pytest.raises(InputError, match=message):
            author("trial", model_file)
