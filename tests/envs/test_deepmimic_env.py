"""The whole DeepMimic environment on MuJoCo: the committed humanoid following a clip made for the test.

The clip glides along x at SPEED in the default pose, turning left at TURN, while the left ankle swings about z; it has
60 frames a second.
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from mimickit.anim.clip import LoopMode
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.envs.char_env import CharEnv, Share
from mimickit.envs.deepmimic_env import DeepMimicEnv
from mimickit.envs.terminations import Done
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]
SPEED = 0.6
TURN = 0.5
HEIGHT = 0.882416
UPRIGHT = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
HEAD, FOOT = 2, 11  # bodies; the right foot may touch the ground

MakeEnv = Callable[..., DeepMimicEnv]


def still(env: CharEnv) -> torch.Tensor:
    """The default pose as an action."""
    return torch.tensor(env.config.init_pose[6:]).expand(env.num_envs, -1)


def ankle(time: float) -> float:
    return 0.2 * math.sin(2.0 * math.pi * time)


def key_positions(env: DeepMimicEnv, angle: float, yaw: float = 0.0) -> np.ndarray:
    """Key bodies relative to the root in the default pose, by MuJoCo; its hinges there turn about one axis each."""
    model = mujoco.MjModel.from_xml_path(str(env.config.char_file))
    data = mujoco.MjData(model)
    data.qpos[:] = [0, 0, 0, math.cos(yaw / 2), 0, 0, math.sin(yaw / 2), *env.config.init_pose[6:-1], angle]
    mujoco.mj_kinematics(model, data)
    return np.concatenate([data.xpos[model.body(name).id] for name in env.config.key_bodies])


def test_the_humanoids_shapes(make_env: MakeEnv) -> None:
    env = make_env(num_envs=2)
    assert (env.obs_size, env.action_size) == (464, 28)
    assert env.reset().shape == (2, 464)
    assert env.step(still(env)).shape == (2, 464)
    assert env.reward.shape == env.done.shape == (2,)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        # 140 = 1 + 6 + 3 + 3 + 6 * 14 + 28 + 3 * 5, and 108 = 3 + 6 + 6 * 14 + 3 * 5 for a target.
        ({"enable_tar_obs": False}, 140),
        ({"enable_tar_obs": False, "root_height_obs": False}, 139),
        ({"enable_tar_obs": False, "enable_phase_obs": True}, 140 + 9),
        ({"enable_phase_obs": True, "tar_obs_steps": (1,)}, 140 + 9 + 108),
        ({"root_height_obs": False, "global_obs": False}, 139 + 3 * 107),
    ],
)
def test_other_shapes(make_env: MakeEnv, changes: dict, size: int) -> None:
    env = make_env(**changes)
    assert env.obs_size == size
    assert env.reset().shape == (1, size)


def test_every_part_of_an_observation(make_env: MakeEnv) -> None:
    env = make_env(rand_reset=False, enable_phase_obs=True)
    obs = env.reset()[0].double().numpy()
    np.testing.assert_allclose(obs[:13], [HEIGHT, *UPRIGHT, SPEED, 0, 0, 0, 0, TURN], atol=1e-5)
    shoulder = [1, 0, 0, 0, -1, 0]  # 1.5708 about x takes z to -y
    np.testing.assert_allclose(obs[13 + 2 * 6 : 13 + 3 * 6], shoulder, atol=1e-5)
    dof_vel = np.zeros(28)
    dof_vel[-1] = ankle(1 / 60) * 60  # the forward difference
    np.testing.assert_allclose(obs[97:125], dof_vel, atol=1e-4)
    np.testing.assert_allclose(obs[125:140], key_positions(env, 0.0), atol=1e-5)
    np.testing.assert_allclose(obs[140:149], [0, 0, 0, 0, 0, 1, 1, 1, 1], atol=1e-6)
    for step in (1, 2, 3):
        target = obs[149 + 108 * (step - 1) : 149 + 108 * step]
        angle, yaw = ankle(step / 30), TURN * step / 30
        facing = [math.cos(yaw), math.sin(yaw), 0, 0, 0, 1]
        np.testing.assert_allclose(target[:9], [SPEED * step / 30, 0, HEIGHT, *facing], atol=1e-5)
        np.testing.assert_allclose(target[9 + 13 * 6 : 93], [math.cos(angle), math.sin(angle), 0, 0, 0, 1], atol=1e-5)
        np.testing.assert_allclose(target[93:], key_positions(env, angle, yaw), atol=1e-5)


def test_phase_and_targets_move_with_time(make_env: MakeEnv) -> None:
    """After six steps, 0.2 s, of a clip of 0.25 s: phase 0.8, and the second step ahead is past the clip's turn."""
    env = make_env(length=0.25, rand_reset=False, enable_early_termination=False, enable_phase_obs=True)
    env.reset()
    for _ in range(6):
        obs = env.step(still(env))
    assert obs[0, 140].item() == pytest.approx(0.8, abs=1e-5)
    root_x = env.engine.root_pos[0, 0].item()
    for step in (1, 2, 3):
        target_x = obs[0, 149 + 108 * (step - 1)].item() + root_x
        assert target_x == pytest.approx(SPEED * (6 + step) / 30, abs=1e-4)


def test_actions_are_clamped_to_their_bounds(make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env()
    env.reset()
    seen = []
    monkeypatch.setattr(env.engine, "drive", seen.append)
    for value in (100.0, -100.0, 0.1):
        env.step(torch.full((1, 28), value))
    for actual, expected in zip(seen, (env.action_high, env.action_low, torch.full((28,), 0.1)), strict=True):
        assert torch.equal(actual[0], expected)
    assert env.action_high[9].item() == pytest.approx(3.351, abs=5e-5)
    assert env.action_low[9].item() == pytest.approx(-0.5585, abs=5e-5)


def test_on_the_reference_the_reward_is_full_and_the_error_nothing(make_env: MakeEnv) -> None:
    env = make_env(num_envs=4, log_tracking_error=True)
    env.reset()
    assert env.compute_reward().tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    totals, count = env.diagnostic_totals()
    assert count == 4
    assert env.diagnostics[0] == "Root_Pos_Err"
    assert totals.tolist() == pytest.approx([0.0] * 7, abs=2e-5)
    torch.testing.assert_close(env.ref_body_pos, env.engine.body_pos, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("tensor", "index", "change", "reward"),
    [
        ("root_pos", 0, 0.3, 0.7 + 0.15 * math.exp(-5.0 * 0.09) + 0.15 * math.exp(-10.0 * 5 * 0.09)),
        ("dof_vel", 13, 2.0, 0.9 + 0.1 * math.exp(-0.01 * 0.4 * 4.0)),  # left elbow: weight 0.4
        ("dof_vel", 4, 2.0, 0.9 + 0.1 * math.exp(-0.01 * 0.6 * 4.0)),  # neck: 0.6
        ("dof_vel", 0, 2.0, 0.9 + 0.1 * math.exp(-0.01 * 4.0)),  # abdomen: 1
        ("root_vel", 1, 0.5, 0.9 + 0.1 * math.exp(-0.25)),
        ("root_ang_vel", 2, 0.5, 0.9 + 0.1 * math.exp(-0.025)),
    ],
)
def test_each_difference_costs_its_term(
    make_env: MakeEnv, tensor: str, index: int, change: float, reward: float
) -> None:
    env = make_env()
    env.reset()
    getattr(env.engine, tensor)[0, index] += change  # root_pos alone also shifts the five keys relative to it
    assert env.compute_reward().item() == pytest.approx(reward, abs=1e-5)


def test_a_turned_joint_costs_by_its_weight(make_env: MakeEnv) -> None:
    env = make_env()
    env.reset()
    for joint, weight in ((0, 1.0), (1, 0.6), (3, 0.4), (4, 0.0)):
        env.joint_rot = env.kinematics.dof_to_rot(env.engine.dof_pos)
        turn = torch.tensor([math.sin(0.35), 0.0, 0.0, math.cos(0.35)])  # 0.7 rad about x
        x, y, z, w = env.joint_rot[0, joint].tolist()
        a, b = turn[0].item(), turn[3].item()
        env.joint_rot[0, joint] = torch.tensor([b * x + a * w, b * y - a * z, b * z + a * y, b * w - a * x])
        expected = 0.5 + 0.5 * math.exp(-0.25 * weight * 0.49)
        assert env.compute_reward().item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "tracked"),
    [
        ({}, True),
        ({"global_obs": False}, False),
        ({"enable_tar_obs": False}, False),
        ({"global_obs": False, "enable_tar_obs": False}, False),
    ],
)
def test_the_root_is_tracked_with_global_targets_only(make_env: MakeEnv, changes: dict, tracked: bool) -> None:
    env = make_env(**changes)
    env.reset()
    env.step_count += 2
    assert env.compute_done().tolist() == [Done.NULL]
    env.engine.root_pos[:, 0] += 1.1
    env.engine.body_pos[:, :, 0] += 1.1
    expected = 0.85 + 0.15 * math.exp(-5.0 * 1.21) if tracked else 1.0
    assert env.compute_reward().item() == pytest.approx(expected, abs=1e-5)
    assert env.compute_done().tolist() == [Done.FAIL if tracked else Done.NULL]


def test_falls(make_env: MakeEnv) -> None:
    env = make_env(num_envs=4)
    env.reset()
    env.engine.ground_force[1, HEAD, 0] = 0.2
    env.engine.ground_force[2, FOOT, 2] = 400.0
    env.engine.ground_force[3, HEAD] = 0.09
    for steps, done in ((1, Done.NULL), (2, Done.FAIL), (299, Done.FAIL)):
        env.step_count[:] = steps
        assert env.compute_done().tolist() == [Done.NULL, done, Done.NULL, Done.NULL]
    env.step_count[:] = 300  # failing outranks the time limit
    assert env.compute_done().tolist() == [Done.TIME, Done.FAIL, Done.TIME, Done.TIME]


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ({}, Done.FAIL),
        ({"pose_termination_dist": 3.0}, Done.NULL),
        ({"pose_termination": False}, Done.NULL),
        ({"enable_early_termination": False}, Done.NULL),
    ],
)
def test_straying(make_env: MakeEnv, changes: dict, done: Done) -> None:
    env = make_env(**changes)
    env.reset()
    env.engine.body_pos[0, HEAD, 2] += 1.01
    env.step_count[:] = 1
    assert env.compute_done().tolist() == [Done.NULL]
    env.step_count[:] = 2
    assert env.compute_done().tolist() == [done]


def test_without_early_termination_nothing_fails(make_env: MakeEnv) -> None:
    env = make_env(enable_early_termination=False)
    env.reset()
    env.step_count[:] = 5
    env.engine.ground_force[:, HEAD] = 100.0
    assert env.compute_done().tolist() == [Done.NULL]


def test_an_episode_lasts_exactly_its_length(make_env: MakeEnv) -> None:
    env = make_env(enable_early_termination=False)
    env.reset()
    flags = []
    for _ in range(300):
        env.step(still(env))
        flags.append(env.done.item())
    assert flags == [Done.NULL] * 299 + [Done.TIME]  # 10 s at 30 Hz
    assert torch.isfinite(env.obs).all()
    env.reset_done()
    env.step(still(env))
    assert env.done.tolist() == [Done.NULL]


@pytest.mark.parametrize(("loop_mode", "end"), [(LoopMode.CLAMP, Done.SUCC), (LoopMode.WRAP, Done.NULL)])
def test_a_clip_that_does_not_wrap_ends_the_episode(make_env: MakeEnv, loop_mode: LoopMode, end: Done) -> None:
    env = make_env(length=0.25, loop_mode=loop_mode, rand_reset=False, enable_early_termination=False)
    env.reset()
    flags = []
    for _ in range(8):
        env.step(still(env))
        flags.append(env.done.item())
    assert flags == [Done.NULL] * 7 + [end]  # 7 / 30 < 0.25 <= 8 / 30


def engine_state(env: DeepMimicEnv) -> dict[str, torch.Tensor]:
    names = ("root_pos", "root_rot", "root_vel", "root_ang_vel", "dof_pos", "dof_vel", "body_pos", "ground_force")
    return {name: getattr(env.engine, name).clone() for name in names}


def test_a_reset_touches_only_the_environments_that_ended(make_env: MakeEnv) -> None:
    env = make_env(num_envs=3)
    env.reset()
    for _ in range(3):
        kept = env.step(still(env) + 0.3).clone()
    before, starts = engine_state(env), env.motion_start.clone()
    env.done = torch.tensor([Done.NULL, Done.FAIL, Done.NULL])
    fresh = env.reset_done()
    assert fresh is env.obs
    others = [0, 2]
    assert torch.equal(fresh[others], kept[others])
    assert not torch.equal(fresh[1], kept[1])
    for name, value in engine_state(env).items():
        assert torch.equal(value[others], before[name][others]), name
    assert env.step_count.tolist() == [3, 0, 3]
    assert torch.equal(env.motion_start[others], starts[others])
    assert env.motion_start[1] != starts[1]
    assert (env.engine.ground_force[1] == 0).all()
    # The ended one stands exactly on its reference.
    torch.testing.assert_close(env.engine.root_pos[1], env.reference.root_pos[1])
    torch.testing.assert_close(env.engine.body_pos[1], env.ref_body_pos[1], atol=1e-5, rtol=0)
    assert fresh[1, 7].item() == pytest.approx(SPEED, abs=1e-4)
    env.update_reference()  # working everything out anew, for all environments, changes nothing
    torch.testing.assert_close(env.observe(), fresh)


def test_nothing_is_reset_when_nothing_ended(make_env: MakeEnv) -> None:
    env = make_env(num_envs=2)
    env.reset()
    obs = env.step(still(env))
    env.done = torch.tensor([Done.NULL, Done.NULL])
    generator = env.generator.get_state()
    assert env.reset_done() is obs
    assert torch.equal(env.generator.get_state(), generator)


def rollout(env: DeepMimicEnv) -> torch.Tensor:
    rows = [env.reset().clone()]
    for _ in range(4):
        env.step(still(env) + 0.1)
        rows.append(env.reset_done().clone())
    return torch.stack(rows)


def test_the_seed_decides(make_env: MakeEnv) -> None:
    first, again, other = (rollout(make_env(num_envs=3, seed=seed)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], other[0])


def test_start_times(make_env: MakeEnv) -> None:
    spread = make_env(num_envs=64)
    spread.reset()
    assert spread.motion_start.min() >= 0.0
    assert spread.motion_start.max() <= 1.0
    assert spread.motion_start.std() > 0.2  # uniform: 0.29
    fixed = make_env(num_envs=3, rand_reset=False)
    fixed.reset()
    assert fixed.motion_start.tolist() == [0.0] * 3


def test_the_drawn_reference_stands_beside(make_env: MakeEnv) -> None:
    env = make_env(ref_char_offset=(2.0, -1.0, 0.5))
    env.reset()
    pos, rot = env.reference_bodies()
    offset = torch.tensor([2.0, -1.0, 0.5]).expand(15, 3)
    torch.testing.assert_close(pos[0] - env.engine.body_pos[0], offset, atol=1e-5, rtol=0)
    torch.testing.assert_close(rot[0].abs(), env.engine.body_rot[0].abs(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_err_w": (1.0,) * 13}, r"joint_err_w has 13 weights, but .* has 14 joints after the root: torso, head"),
        ({"key_bodies": ("head", "tail")}, "key_bodies: 'tail' is not a body of .*; it has pelvis, torso"),
        ({"contact_bodies": ("paw",)}, "contact_bodies: 'paw' is not a body of"),
        ({"motion_file": Path("absent.pkl")}, "absent.pkl: no such motion clip"),
    ],
)
def test_settings_that_do_not_fit_the_character(make_env: MakeEnv, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_env(**changes)


def test_a_character_alone_starts_in_its_default_pose(make_env: MakeEnv, engine_config: MujocoEngineConfig) -> None:
    config = make_env().config
    env = CharEnv(config, engine_config, Share(2, torch.device("cpu"), 0))
    assert env.reset().shape == (2, 140)
    pose = torch.tensor(config.init_pose)
    torch.testing.assert_close(env.engine.dof_pos[1], pose[6:])
    torch.testing.assert_close(env.engine.root_pos[1], pose[:3])
    assert (env.engine.root_vel == 0).all()
    env.step(still(env))
    assert env.reward.tolist() == [0.0, 0.0]
    assert env.reference_bodies() is None
    assert env.diagnostic_totals()[1] == 0
    env.close()
    short = dataclasses.replace(config, init_pose=config.init_pose[:-1])
    with pytest.raises(InputError, match="init_pose has 33 numbers, but .* needs 34 .root position 3, root"):
        CharEnv(short, engine_config, Share(2, torch.device("cpu"), 0))
