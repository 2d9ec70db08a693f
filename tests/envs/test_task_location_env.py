"""The location task on MuJoCo: the committed humanoid, started in a clip made for the test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from mimickit.envs.deepmimic_env import DeepMimicEnv
from mimickit.envs.task_location_env import TaskLocationEnv
from mimickit.envs.terminations import Done

ROOT = Path(__file__).parents[2]
DT = 1 / 30

MakeEnv = Callable[..., TaskLocationEnv]


@pytest.fixture
def make_location(make_style_env: Callable[..., DeepMimicEnv]) -> MakeEnv:
    """The committed location environment on a made clip; ``changes`` replace settings. Closed after the test."""

    def make(num_envs: int = 1, seed: int = 0, **changes: Any) -> TaskLocationEnv:
        env = make_style_env("amp_location", num_envs, seed, **{"enable_early_termination": False, **changes})
        assert isinstance(env, TaskLocationEnv)
        return env

    return make


def still(env: TaskLocationEnv) -> torch.Tensor:
    return env.init_pose[6:].expand(env.num_envs, -1)


def yaws(quats: torch.Tensor) -> np.ndarray:
    """Headings by scipy: the angle of the rotated x axis, seen from above."""
    x_axis = Rotation.from_quat(quats.numpy()).apply([1.0, 0.0, 0.0])
    return np.arctan2(x_axis[:, 1], x_axis[:, 0])


def reward_by_numpy(env: TaskLocationEnv, before: torch.Tensor) -> np.ndarray:
    """The committed configuration's reward, after a step that began with the roots at ``before``."""
    root = env.engine.root_pos[:, :2].double().numpy()
    velocity = (root - before[:, :2].double().numpy()) / DT
    offset = env.target_pos.double().numpy() - root
    dist = np.linalg.norm(offset, axis=1)
    speed = np.sum(velocity * offset, axis=1) / dist
    towards = np.where(speed > 0, np.exp(-4.0 * np.maximum(0.0, 1.0 - speed) ** 2), 0.0)
    facing = np.maximum(0.0, np.cos(yaws(env.engine.root_rot) - np.arctan2(offset[:, 1], offset[:, 0])))
    near = dist**2 < 0.5
    return 0.5 * np.exp(-0.5 * dist**2) + 0.4 * np.where(near, 1.0, towards) + 0.1 * np.where(near, 1.0, facing)


def test_the_location_tasks_shapes(make_location: MakeEnv) -> None:
    env = make_location(num_envs=2)
    assert (env.obs_size, env.disc_obs_size) == (142, 1420)
    assert env.reset().shape == (2, 142)
    assert env.step(still(env)).shape == (2, 142)
    assert env.reward.shape == (2,)
    assert not env.has_reference


def test_the_place_is_seen_from_the_roots_heading(make_location: MakeEnv) -> None:
    env = make_location(num_envs=16)
    env.reset()
    random = Rotation.random(16, random_state=0)
    env.engine.root_rot[:] = torch.tensor(random.as_quat())
    env.engine.root_pos[:, :2] += torch.arange(32.0).reshape(16, 2)
    world = np.zeros((16, 3))
    world[:, :2] = (env.target_pos - env.engine.root_pos[:, :2]).numpy()
    local = Rotation.from_euler("z", -yaws(env.engine.root_rot)[:, None]).apply(world)
    np.testing.assert_allclose(env.observe()[:, 140:], local[:, :2], atol=2e-5)
    chosen = torch.tensor([3, 11])
    # Not to the last bit: a processor may round sines of many numbers otherwise than those of a few.
    torch.testing.assert_close(env.observe(chosen), env.observe()[chosen], rtol=1e-6, atol=2e-5)


def test_places_are_spread_around_the_character(make_location: MakeEnv) -> None:
    """Distances are uniform between the bounds, and so are directions, from where the character is at that time."""
    env = make_location(num_envs=64, tar_dist_min=1.0, tar_dist_max=4.0)
    env.reset()
    offsets = [env.target_pos - env.engine.root_pos[:, :2]]  # of the first places, then of later ones
    env.engine.root_pos[:, :2] += 100.0
    everywhere = torch.ones(64, dtype=torch.bool)
    for _ in range(40):
        env.draw_target(everywhere)
        offsets.append(env.target_pos - env.engine.root_pos[:, :2])
    x, y = torch.cat(offsets).double().numpy().T
    assert stats.kstest(np.hypot(x, y), stats.uniform(1.0, 3.0).cdf).pvalue > 0.01
    assert stats.kstest(np.arctan2(y, x), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01
    assert np.hypot(x, y).min() >= 1.0 - 1e-4
    assert np.hypot(x, y).max() <= 4.0 + 1e-4


def test_places_change_after_a_uniform_time(make_location: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.1 to 0.3 s are 3 to 9 control steps: a change comes 4, 5, .. or 9 steps after the last, each as likely."""
    env = make_location(num_envs=32, tar_change_time_min=0.1, tar_change_time_max=0.3)
    env.reset()
    monkeypatch.setattr(env.engine, "simulate", lambda: None)
    last, since, waits = env.target_pos.clone(), np.zeros(32, dtype=int), []
    for _ in range(200):
        env.step(still(env))
        since += 1
        changed = (env.target_pos != last).any(dim=1).numpy()
        waits.extend(since[changed])
        since[changed] = 0
        last = env.target_pos.clone()
    counts = np.bincount(waits, minlength=11)
    assert counts.sum() == counts[4:10].sum() > 900
    assert stats.chisquare(counts[4:10]).pvalue > 0.01


def test_a_reset_draws_for_the_ended_environments_alone(make_location: MakeEnv) -> None:
    """Every place lasts 0.5 s; environment 1 begins anew after 6 steps."""
    env = make_location(num_envs=3, tar_change_time_min=0.49, tar_change_time_max=0.49)
    env.reset()
    changes: list[list[int]] = [[], [], []]
    last = env.target_pos.clone()

    def note(step: int) -> None:
        nonlocal last
        for i in (env.target_pos != last).any(dim=1).nonzero().flatten().tolist():
            changes[i].append(step)
        last = env.target_pos.clone()

    for step in range(1, 36):
        env.step(still(env))
        note(step)
        if step == 6:
            kept = env.obs.clone()
            env.done = torch.tensor([Done.NULL, Done.FAIL, Done.NULL])
            fresh = env.reset_done()
            note(step)
            assert torch.equal(fresh[[0, 2]], kept[[0, 2]])
            assert not torch.equal(fresh[1, 140:], kept[1, 140:])
    assert changes == [[15, 30], [6, 21], [15, 30]]


def test_the_seed_decides_the_places(make_location: MakeEnv) -> None:
    def places(seed: int) -> torch.Tensor:
        env = make_location(num_envs=3, seed=seed, tar_change_time_min=0.1, tar_change_time_max=0.1)
        env.reset()
        seen = [env.target_pos]
        for _ in range(8):
            env.step(still(env))
            env.reset_done()
            seen.append(env.target_pos)
        return torch.stack(seen)

    first, again, other = (places(seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], other[0])
    assert len(torch.unique(first[0], dim=0)) == 3  # and not one place for all


def test_working_on_all_rows_as_on_a_gpu_changes_nothing(
    make_location: MakeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, all_rows = make_location(num_envs=4, seed=3), make_location(num_envs=4, seed=3)
    monkeypatch.setattr(all_rows, "rows_of", lambda mask: slice(None))
    for env in (few, all_rows):
        env.reset()
    for ended in ([1, 3], [0], [2, 3]):
        for env in (few, all_rows):
            env.step(still(env))
            env.done[ended] = Done.FAIL
            env.reset_done()
        assert torch.equal(few.target_pos, all_rows.target_pos)
        torch.testing.assert_close(few.obs, all_rows.obs)


def test_rewards_of_whole_steps(make_location: MakeEnv) -> None:
    """Also of steps in which the place changes: observation and reward are of the new one."""
    env = make_location(num_envs=8, tar_dist_max=3.0, tar_change_time_min=0.1, tar_change_time_max=0.2)
    env.reset()
    for _ in range(12):
        before = env.engine.root_pos.clone()
        env.step(still(env))
        np.testing.assert_allclose(env.reward, reward_by_numpy(env, before), atol=1e-4)
        dist = (env.target_pos - env.engine.root_pos[:, :2]).norm(dim=1)
        torch.testing.assert_close(env.obs[:, 140:].norm(dim=1), dist)


def test_an_episodes_first_speed_is_measured_from_its_start(make_location: MakeEnv) -> None:
    env = make_location(num_envs=3)
    env.reset()
    engine = env.engine
    far = engine.root_pos + torch.tensor([50.0, 0.0, 0.0])
    everywhere = torch.ones(3, dtype=torch.bool)
    engine.reset(everywhere, far, engine.root_rot, engine.root_vel, engine.root_ang_vel, engine.dof_pos, engine.dof_vel)
    env.step(still(env))
    env.done = torch.tensor([Done.NULL, Done.FAIL, Done.NULL])
    env.reset_done()
    start, start_vel = engine.root_pos.clone(), engine.root_vel.clone()
    assert (start[:, 0] > 40.0).tolist() == [True, False, True]
    env.step(still(env))
    # The clip's speed, and not -1500 m/s.
    torch.testing.assert_close(env.ground_vel[1], start_vel[1, :2], atol=0.3, rtol=0)
    torch.testing.assert_close(env.ground_vel, (engine.root_pos - start)[:, :2] * 30.0, atol=1e-4, rtol=0)
    np.testing.assert_allclose(env.reward, reward_by_numpy(env, start), atol=1e-4)


def test_the_drawn_pole_and_arrow(make_location: MakeEnv) -> None:
    env = make_location(num_envs=4)
    env.reset()
    env.step(still(env))
    pos, rot = (tensor.double().numpy() for tensor in env.marker_poses())
    assert pos.shape == (4, len(env.markers), 3) == (4, 4, 3)
    np.testing.assert_allclose(pos[:, 0, :2], env.target_pos, atol=1e-6)
    np.testing.assert_allclose(pos[:, 0, 2], 0.0)
    np.testing.assert_allclose(rot[:, 0], [[0, 0, 0, 1]] * 4)
    root = env.engine.root_pos[:, :2].double().numpy()
    way = env.target_pos.double().numpy() - root
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    for bar in (1, 2, 3):  # each ends at the tip, 1 m from the root
        half = Rotation.from_quat(rot[:, bar]).apply([0.25, 0.0, 0.0])
        np.testing.assert_allclose((pos[:, bar] + half)[:, :2], root + way, atol=1e-5)
        assert (np.sum(half[:, :2] * way, axis=1) > 0.2).all()  # and lies behind it
    shaft = Rotation.from_quat(rot[:, 1]).apply([1.0, 0.0, 0.0])
    np.testing.assert_allclose(shaft[:, :2], way, atol=1e-5)
    bar_model = mujoco.MjModel.from_xml_path(str(ROOT / env.markers[1].file))
    assert bar_model.geom_size[0, 0] == 0.25
    assert pos[0, 1, 2] > bar_model.geom_size[0, 2]  # above the ground
    assert (ROOT / env.markers[0].file).is_file()
