"""The AMP environment on MuJoCo: the policy's windows against the clip's, and what of DeepMimic is left."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.anim.clip import LoopMode
from mimickit.anim.motion_library import MotionFrame
from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.envs.amp_env import AMPEnv
from mimickit.envs.terminations import Done
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]
MakeEnv = Callable[..., AMPEnv]
ByHand = Callable[[AMPEnv], Any]

TRACKED = {"enable_tar_obs": True, "tar_obs_steps": (1,), "global_obs": True}


def everywhere(env: AMPEnv) -> torch.Tensor:
    return torch.ones(env.num_envs, dtype=torch.bool)


def any_action(env: AMPEnv) -> torch.Tensor:
    """The same for every environment, different from step to step."""
    return (0.3 * torch.sin(torch.arange(env.action_size) + env.step_count[0])).expand(env.num_envs, -1)


def play(env: AMPEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the character take its clip's states instead of moving by physics."""
    monkeypatch.setattr(env, "simulate", lambda: env.take_pose(everywhere(env), env.motion_time + 1 / 30))


def expected_windows(env: AMPEnv, truth: Any, steps: int = 10) -> np.ndarray:
    """The clip's windows that end now, ``(N, disc_obs_size)``."""
    rows = []
    for index in range(env.num_envs):
        now = float(env.motion_start[index]) + int(env.step_count[index]) / 30
        states = [truth.of_clip(index, now - step / 30) for step in range(steps - 1, -1, -1)]
        rows.append(truth.window(states, env.track_root, env.config.key_bodies, env.config.disc_dof_vel_obs))
    return np.array(rows)


def test_the_humanoid_s_sizes(make_style_env: MakeEnv) -> None:
    env = make_style_env("amp", num_envs=2)
    assert isinstance(env, AMPEnv)
    assert (env.obs_size, env.action_size, env.disc_obs_size) == (140, 28, 1420)
    assert env.reset().shape == (2, 140)
    assert env.observe_window().shape == (2, 1420)
    assert env.sample_demo(5).shape == (5, 1420)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"disc_dof_vel_obs": False}, 1140),
        ({"num_disc_obs_steps": 3}, 3 * 142),
        ({"num_disc_obs_steps": 1, "disc_dof_vel_obs": False}, 114),
        ({"key_bodies": ("head",)}, 10 * 130),
        ({"root_height_obs": False}, 1420),  # z is then relative to the newest root
        (TRACKED, 1420),
    ],
)
def test_other_sizes(make_style_env: MakeEnv, changes: dict, size: int) -> None:
    env = make_style_env("amp", **changes)
    env.reset()
    assert env.disc_obs_size == size
    assert env.observe_window().shape == env.sample_demo(1).shape == (1, size)


@pytest.mark.parametrize(
    "changes",
    [{}, TRACKED, {"disc_dof_vel_obs": False}, {"root_height_obs": False}],
    ids=["local", "tracked", "no dof vel", "no height"],
)
@pytest.mark.parametrize("loop_mode", [LoopMode.WRAP, LoopMode.CLAMP])
def test_an_episode_starts_with_the_clip_s_past(
    make_style_env: MakeEnv, by_hand: ByHand, loop_mode: LoopMode, changes: dict
) -> None:
    env = make_style_env("amp", num_envs=8, loop_mode=loop_mode, **changes)
    env.reset()
    assert env.motion_start.min() < 9 / 30 < env.motion_start.max()  # some pasts reach back before the clip
    np.testing.assert_allclose(env.observe_window(), expected_windows(env, by_hand(env)), atol=1e-4)


def test_without_random_starts_the_first_frame_is_the_past(make_style_env: MakeEnv) -> None:
    env = make_style_env("amp", rand_reset=False, loop_mode=LoopMode.CLAMP, **TRACKED)
    env.reset()
    frames = env.observe_window().reshape(10, 142)
    assert torch.equal(frames, frames[-1:].expand(10, -1))
    assert frames[0, :3].tolist() == pytest.approx([0.0, 0.3 * math.sin(0.4), env.config.init_pose[2] + 0.5], abs=1e-5)


@pytest.mark.parametrize("changes", [{}, TRACKED], ids=["local", "tracked"])
@pytest.mark.parametrize("loop_mode", [LoopMode.WRAP, LoopMode.CLAMP])
def test_a_character_that_moves_as_the_clip_is_seen_as_the_clip(
    make_style_env: MakeEnv, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch, loop_mode: LoopMode, changes: dict
) -> None:
    """After 1, 4 and 13 steps: the past of the start fades out of the window of ten, and clips pass their end."""
    env = make_style_env("amp", num_envs=4, loop_mode=loop_mode, enable_early_termination=False, **changes)
    truth = by_hand(env)
    env.reset()
    play(env, monkeypatch)
    for step in range(1, 14):
        env.step(torch.zeros(4, 28))
        if step not in (1, 4, 13):
            continue
        seen = env.observe_window()
        demo = env._observed(env.clip_windows.at(env.motion_ids, env.motion_time))
        torch.testing.assert_close(seen, demo, atol=1e-4, rtol=0)
        np.testing.assert_allclose(seen, expected_windows(env, truth), atol=1e-4, err_msg=f"step {step}")
    assert (env.motion_time > 1.0).any()


@pytest.mark.parametrize("changes", [{}, TRACKED], ids=["local", "tracked"])
def test_demos_are_the_clip_s_windows(make_style_env: MakeEnv, by_hand: ByHand, changes: dict) -> None:
    """Their ends are read off the root's x in the world, which goes 0.8 m/s, by drawing the same windows once more."""
    env = make_style_env("amp", **changes)
    truth = by_hand(env)
    again = torch.Generator().set_state(env.generator.get_state())
    demos = env.sample_demo(20)
    ends = env.clip_windows.draw(20, again)[:, -1, 0].double().numpy() / 0.8
    assert ends.min() >= 0.0
    assert ends.max() <= 1.0
    assert ends.std() > 0.2  # uniform: 0.29
    for demo, end in zip(demos, ends, strict=True):
        states = [truth.of_clip(0, end - step / 30) for step in range(9, -1, -1)]
        np.testing.assert_allclose(demo, truth.window(states, env.track_root, env.config.key_bodies), atol=1e-4)


@pytest.mark.parametrize("changes", [{}, TRACKED], ids=["local", "tracked"])
def test_a_window_holds_the_last_states_of_the_simulation(
    make_style_env: MakeEnv, by_hand: ByHand, changes: dict
) -> None:
    env = make_style_env("amp", num_envs=2, enable_early_termination=False, **changes)
    truth = by_hand(env)
    env.reset()
    past = [truth.before_start(index, 10) for index in range(2)]
    for _ in range(3):
        env.step(any_action(env))
        for index in range(2):
            past[index].append(truth.of_character(index))
    for index in range(2):
        expected = truth.window(past[index][-10:], env.track_root, env.config.key_bodies)
        np.testing.assert_allclose(env.observe_window()[index], expected, atol=1e-4)


def test_velocities_belong_to_the_positions_beside_them(
    make_style_env: MakeEnv, by_hand: ByHand, engine_config: MujocoEngineConfig
) -> None:
    """With one physics step in a control step, a frame's velocities are what led there from the frame before."""
    rate = 240
    engine = dataclasses.replace(engine_config, control_freq=rate, sim_freq=rate)
    env = make_style_env("amp", engine=engine, enable_early_termination=False, num_disc_obs_steps=2, **TRACKED)
    env.reset()
    for _ in range(3):
        env.step(any_action(env))
    before, now = env.observe_window().double().numpy().reshape(2, 142)

    def rotations(frame: np.ndarray, start: int, count: int) -> Rotation:
        axes = frame[start : start + 6 * count].reshape(count, 2, 3)
        x, z = axes[:, 0], axes[:, 1]
        return Rotation.from_matrix(np.stack((x, np.cross(z, x), z), axis=-1))

    np.testing.assert_allclose(now[108:111], (now[:3] - before[:3]) * rate, atol=2e-3)
    turn = rotations(now, 3, 1) * rotations(before, 3, 1).inv()
    np.testing.assert_allclose(now[111:114], turn.as_rotvec()[0] * rate, atol=2e-3)
    joints = rotations(before, 9, 14).inv() * rotations(now, 9, 14)
    np.testing.assert_allclose(now[114:], by_hand(env).dofs(joints) * rate, atol=2e-3)
    assert np.abs(now[108:]).min() > 1e-2  # nothing rests


@pytest.mark.parametrize("all_rows", [False, True], ids=["chosen rows", "all rows"])
def test_a_reset_changes_only_the_pasts_of_the_environments_that_ended(
    make_style_env: MakeEnv, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch, all_rows: bool
) -> None:
    """Also where choosing rows is avoided, as on a GPU."""
    env = make_style_env("amp", num_envs=4, enable_early_termination=False)
    env.reset()
    if all_rows:
        monkeypatch.setattr(env, "rows_of", lambda mask: slice(None))
    for _ in range(3):
        env.step(any_action(env))
    before, starts = env.observe_window(), env.motion_start.clone()
    env.done = torch.tensor([Done.NULL, Done.FAIL, Done.NULL, Done.TIME])
    env.reset_done()
    after = env.observe_window()
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert torch.equal(env.motion_start[[0, 2]], starts[[0, 2]])
    assert (env.motion_start[[1, 3]] != starts[[1, 3]]).all()
    np.testing.assert_allclose(after[[1, 3]], expected_windows(env, by_hand(env))[[1, 3]], atol=1e-4)


def test_a_window_asked_for_before_a_reset_stays(make_style_env: MakeEnv) -> None:
    env = make_style_env("amp", num_envs=2, num_disc_obs_steps=1, **TRACKED)
    env.reset()
    env.step(any_action(env))
    seen = env.observe_window()
    kept = seen.clone()
    env.done[:] = Done.TIME
    env.reset_done()
    assert torch.equal(seen, kept)
    assert not torch.equal(env.observe_window(), kept)


def rollout(env: AMPEnv) -> torch.Tensor:
    env.reset()
    rows = [env.observe_window(), env.sample_demo(env.num_envs)]
    for _ in range(3):
        env.step(any_action(env))
        env.done[0] = Done.TIME
        env.reset_done()
        rows += [env.observe_window(), env.sample_demo(env.num_envs)]
    return torch.stack(rows)


def test_the_seed_decides_the_windows(make_style_env: MakeEnv) -> None:
    first, again, other = (rollout(make_style_env("amp", num_envs=3, seed=seed)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).all(dim=-1).any()
    demos = first[1::2].flatten(0, 1)
    assert len(torch.unique(demos, dim=0)) == len(demos)  # every draw is a new one


def test_choosing_rows_changes_nothing(make_style_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = rollout(make_style_env("amp", num_envs=3))
    env = make_style_env("amp", num_envs=3)
    monkeypatch.setattr(env, "rows_of", lambda mask: slice(None))
    torch.testing.assert_close(rollout(env), chosen, atol=1e-5, rtol=0)


def test_nothing_is_rewarded_and_the_episode_outlasts_its_clip(make_style_env: MakeEnv) -> None:
    """Whatever DeepMimic's reward keys say."""
    keys = {"reward_pose_w": 0.5, "reward_key_pos_w": 0.5, "rand_reset": False, "enable_early_termination": False}
    env = make_style_env("amp", length=0.25, loop_mode=LoopMode.CLAMP, **keys)
    env.reset()
    flags, rewards = [], []
    for _ in range(300):
        env.step(any_action(env))
        flags.append(env.done.item())
        rewards.append(env.reward.item())
    assert flags == [Done.NULL] * 299 + [Done.TIME]  # 10 s at 30 Hz; DeepMimic's ends with the clip after 8 steps
    assert rewards == [0.0] * 300


def test_a_fall_still_ends_the_episode(make_style_env: MakeEnv) -> None:
    env = make_style_env("amp", num_envs=2)
    env.reset()
    env.step_count[:] = 2
    env.engine.ground_force[1, 2, 2] = 50.0  # the head
    assert env.compute_done().tolist() == [Done.NULL, Done.FAIL]


def count_samples(env: AMPEnv, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counted: list[int] = []
    sample = env.motions.sample

    def counting(*arguments: torch.Tensor) -> MotionFrame:
        counted.append(1)
        return sample(*arguments)

    monkeypatch.setattr(env.motions, "sample", counting)
    return counted


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 0),
        ({"enable_phase_obs": True, "num_phase_encoding": 2}, 0),  # a phase needs no pose
        ({"log_tracking_error": True}, 1),
        ({"pose_termination": True, "pose_termination_dist": 1.0}, 1),
        (TRACKED, 1),
    ],
)
def test_the_reference_is_sampled_for_those_who_need_it(
    make_style_env: MakeEnv, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch, changes: dict, count: int
) -> None:
    """Drawing it works all the same."""
    env = make_style_env("amp", num_envs=2, ref_char_offset=(2.0, -1.0, 0.5), enable_early_termination=False, **changes)
    truth = by_hand(env)
    env.reset()
    samples = count_samples(env, monkeypatch)
    for _ in range(3):
        env.step(any_action(env))
    assert len(samples) == 3 * count
    assert env.has_reference
    env.done = torch.tensor([Done.TIME, Done.NULL])
    env.reset_done()
    pos, rot = env.reference_bodies()
    for index, time in enumerate(env.motion_start + torch.tensor([0.0, 0.1])):
        state = truth.of_clip(index, float(time))
        np.testing.assert_allclose(pos[index], state.body_pos + [2.0, -1.0, 0.5], atol=2e-5)
        error = Rotation.from_quat(rot[index, 0]) * state.root_rot.inv()
        assert error.magnitude() < 1e-4


def test_tracking_errors_are_logged_when_asked_for(make_style_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_style_env("amp", num_envs=3, log_tracking_error=True, enable_early_termination=False)
    env.reset()
    play(env, monkeypatch)
    env.step(torch.zeros(3, 28))
    totals, count = env.diagnostic_totals()
    assert (count, env.diagnostics[0], env.diagnostics[5]) == (3, "Root_Pos_Err", "Root_Vel_Err")
    assert totals.tolist() == pytest.approx([0.0] * 7, abs=1e-3)
    env.engine.root_pos[1, 2] += 0.3
    env.engine.root_vel[2, 2] += 0.6
    assert env.compute_reward().tolist() == [0.0] * 3
    totals, count = env.diagnostic_totals()
    assert count == 3
    assert totals[0].item() == pytest.approx(0.3, abs=1e-3)
    assert totals[5].item() == pytest.approx(0.6, abs=1e-3)


def test_tracking_errors_are_not_worked_out_otherwise(make_style_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_style_env("amp")
    env.reset()
    monkeypatch.setattr(env, "meter_errors", lambda: pytest.fail("nobody asked"))
    env.step(any_action(env))
    assert env.diagnostics == ()
    assert env.diagnostic_totals()[1] == 0


def test_a_stray_ends_the_episode_when_asked_for(make_style_env: MakeEnv) -> None:
    for changes, done in (({"pose_termination": True, "pose_termination_dist": 1.0}, Done.FAIL), ({}, Done.NULL)):
        env = make_style_env("amp", **changes)
        env.reset()
        env.step_count[:] = 2
        assert env.compute_done().tolist() == [Done.NULL]
        env.engine.body_pos[0, 2, 2] += 1.01
        assert env.compute_done().tolist() == [done]


def test_a_termination_by_distance_needs_the_distance(tmp_path: Path) -> None:
    text = (ROOT / "data" / "envs" / "amp_humanoid_env.yaml").read_text()
    assert "pose_termination: false" in text
    file = tmp_path / "env.yaml"
    file.write_text(text.replace("pose_termination: false", "pose_termination: true"))
    with pytest.raises(InputError, match="pose_termination_dist.* given when pose_termination is true"):
        load_env(file)
    file.write_text(file.read_text() + "pose_termination_dist: 0.8\n")
    assert load_env(file).pose_termination_dist == 0.8


class OneStart:
    """A source of starts that always draws the state of ``env``'s clip at 0.525 s, with a past of its own."""

    def __init__(self, env: AMPEnv):
        ids = torch.zeros(env.num_envs, dtype=torch.long)
        self.state = env.motions.sample(ids, torch.full((env.num_envs,), 0.525))
        self.frames = torch.randn(env.num_envs, 10, env.layout.packed_size, generator=torch.Generator().manual_seed(1))

    def draw(self, count: int, generator: torch.Generator) -> tuple[MotionFrame, torch.Tensor]:
        assert count == len(self.frames)
        return self.state, self.frames


@pytest.mark.parametrize("all_rows", [False, True], ids=["chosen rows", "all rows"])
def test_episodes_may_start_in_given_windows(
    make_style_env: MakeEnv, monkeypatch: pytest.MonkeyPatch, all_rows: bool
) -> None:
    env = make_style_env("amp", num_envs=3, enable_early_termination=False)
    env.reset()
    env.step(any_action(env))
    if all_rows:
        monkeypatch.setattr(env, "rows_of", lambda mask: slice(None))
    source = OneStart(env)
    env.start_in(source)
    assert not env.has_reference
    before, root_pos = env.history.clone(), env.engine.root_pos.clone()
    env.done = torch.tensor([Done.NULL, Done.TIME, Done.FAIL])
    env.reset_done()
    assert torch.equal(env.history[0], before[0])
    assert torch.equal(env.history[1:], source.frames[1:])
    assert torch.equal(env.engine.root_pos[0], root_pos[0])
    torch.testing.assert_close(env.engine.root_pos[1:], source.state.root_pos[1:])
    torch.testing.assert_close(env.joint_rot[1:].abs(), source.state.joint_rot[1:].abs(), atol=1e-5, rtol=0)
    env.step(any_action(env))
    assert torch.equal(env.history[1:, :-1], source.frames[1:, 1:])
