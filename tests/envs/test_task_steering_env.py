"""The steering task on MuJoCo: the committed humanoid, started in a clip made for the test."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from mimickit.envs.deepmimic_env import DeepMimicEnv
from mimickit.envs.task_steering_env import TaskSteeringEnv
from mimickit.envs.terminations import Done

DT = 1 / 30

MakeEnv = Callable[..., TaskSteeringEnv]


@pytest.fixture
def make_steering(make_style_env: Callable[..., DeepMimicEnv]) -> MakeEnv:
    """The committed steering environment on a made clip; ``changes`` replace settings. Closed after the test."""

    def make(num_envs: int = 1, seed: int = 0, **changes: Any) -> TaskSteeringEnv:
        env = make_style_env("amp_steering", num_envs, seed, **{"enable_early_termination": False, **changes})
        assert isinstance(env, TaskSteeringEnv)
        return env

    return make


def still(env: TaskSteeringEnv) -> torch.Tensor:
    return env.init_pose[6:].expand(env.num_envs, -1)


def angles(vectors: torch.Tensor) -> np.ndarray:
    x, y = vectors.double().numpy().T
    return np.arctan2(y, x)


def yaws(quats: torch.Tensor) -> np.ndarray:
    """Headings by scipy: the angle of the rotated x axis, seen from above."""
    x_axis = Rotation.from_quat(quats.numpy()).apply([1.0, 0.0, 0.0])
    return np.arctan2(x_axis[:, 1], x_axis[:, 0])


def drawn(env: TaskSteeringEnv, times: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Many targets: angles of travel, speeds and angles to face."""
    env.reset()
    everywhere = torch.ones(env.num_envs, dtype=torch.bool)
    rows = []
    for _ in range(times):
        env.draw_target(everywhere)
        for direction in (env.target_dir, env.face_dir):
            torch.testing.assert_close(direction.norm(dim=1), torch.ones(env.num_envs))
        rows.append((angles(env.target_dir), env.target_speed.double().numpy(), angles(env.face_dir)))
    travel, speed, face = (np.concatenate(column) for column in zip(*rows, strict=True))
    return travel, speed, face


def targets(env: TaskSteeringEnv) -> torch.Tensor:
    return torch.cat((env.target_dir, env.target_speed.unsqueeze(1), env.face_dir), dim=1)


def test_the_steering_tasks_shapes(make_steering: MakeEnv) -> None:
    env = make_steering(num_envs=2)
    assert (env.obs_size, env.disc_obs_size) == (145, 1420)
    assert env.reset().shape == (2, 145)
    assert env.step(still(env)).shape == (2, 145)
    assert not env.has_reference


def test_directions_are_seen_from_the_roots_heading(make_steering: MakeEnv) -> None:
    env = make_steering(num_envs=16, rand_face_dir=True)
    env.reset()
    env.engine.root_rot[:] = torch.tensor(Rotation.random(16, random_state=1).as_quat())
    obs = env.observe()[:, 140:].numpy()
    turn = Rotation.from_euler("z", -yaws(env.engine.root_rot)[:, None])
    for columns, direction in ((slice(0, 2), env.target_dir), (slice(3, 5), env.face_dir)):
        world = np.pad(direction.numpy(), ((0, 0), (0, 1)))
        np.testing.assert_allclose(obs[:, columns], turn.apply(world)[:, :2], atol=1e-5)
    np.testing.assert_array_equal(obs[:, 2], env.target_speed.numpy())
    chosen = torch.tensor([2, 5, 6])
    # Not to the last bit: a processor may round sines of many numbers otherwise than those of a few.
    torch.testing.assert_close(env.observe(chosen), env.observe()[chosen], rtol=1e-6, atol=1e-6)


def test_targets_of_travel_are_spread(make_steering: MakeEnv) -> None:
    travel, speed, face = drawn(make_steering(num_envs=64), 30)
    assert stats.kstest(travel, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01
    assert stats.kstest(speed, stats.uniform(0.5, 4.5).cdf).pvalue > 0.01
    assert speed.min() >= 0.5
    assert speed.max() <= 5.0
    np.testing.assert_array_equal(face, travel)


def test_directions_to_face_are_spread_too(make_steering: MakeEnv) -> None:
    travel, speed, face = drawn(make_steering(num_envs=64, rand_face_dir=True), 30)
    assert stats.kstest(face, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01
    between = (face - travel) % (2 * np.pi)
    assert stats.kstest(between, stats.uniform(0, 2 * np.pi).cdf).pvalue > 0.01  # they know nothing of each other
    assert abs(stats.spearmanr(travel, speed).statistic) < 0.06


def test_a_given_direction_is_the_worlds_x(make_steering: MakeEnv) -> None:
    travel, speed, face = drawn(make_steering(num_envs=8, rand_tar_dir=False), 4)
    assert not travel.any()
    assert not face.any()
    assert len(np.unique(speed)) == 32
    travel, _, face = drawn(make_steering(num_envs=8, rand_tar_dir=False, rand_face_dir=True), 4)
    assert not travel.any()
    assert len(np.unique(face)) == 32


def test_targets_change_in_their_time(make_steering: MakeEnv) -> None:
    """Every target lasts 0.2 s; environment 1 begins anew after 4 steps, and the others go on."""
    env = make_steering(num_envs=3, rand_face_dir=True, tar_change_time_min=0.19, tar_change_time_max=0.19)
    env.reset()
    changes: list[list[int]] = [[], [], []]
    for step in range(1, 14):
        last = targets(env).clone()
        env.step(still(env))
        if step == 4:
            stepped = targets(env).clone()
            env.done = torch.tensor([Done.NULL, Done.TIME, Done.NULL])
            env.reset_done()
            assert torch.equal(targets(env)[[0, 2]], stepped[[0, 2]])
        changed = targets(env) != last
        for i in range(3):
            assert changed[i].all() or not changed[i].any()  # all parts of a target change together
            if changed[i].all():
                changes[i].append(step)
    assert changes == [[6, 12], [4, 10], [6, 12]]


def test_the_seed_decides_the_targets(make_steering: MakeEnv) -> None:
    def seen(seed: int) -> torch.Tensor:
        env = make_steering(num_envs=3, seed=seed, tar_change_time_min=0.1, tar_change_time_max=0.2)
        env.reset()
        rows = [targets(env)]
        for _ in range(8):
            env.step(still(env))
            rows.append(targets(env))
        return torch.stack(rows)

    first, again, other = (seen(seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], other[0])
    assert len(torch.unique(first[0], dim=0)) == 3


def test_rewards_of_whole_steps_and_of_an_episodes_first(make_steering: MakeEnv) -> None:
    env = make_steering(num_envs=6, rand_face_dir=True, tar_speed_max=1.0)
    env.reset()
    for step in range(8):
        before = env.engine.root_pos[:, :2].double().numpy().copy()
        env.step(still(env))
        velocity = (env.engine.root_pos[:, :2].double().numpy() - before) / DT
        travel, face = env.target_dir.double().numpy(), env.face_dir.double().numpy()
        error = env.target_speed.double().numpy()[:, None] * travel - velocity
        moving = np.where(np.sum(velocity * travel, axis=1) > 0, np.exp(-0.5 * np.sum(error**2, axis=1)), 0.0)
        heading = yaws(env.engine.root_rot)
        facing = np.maximum(0.0, np.cos(heading) * face[:, 0] + np.sin(heading) * face[:, 1])
        np.testing.assert_allclose(env.reward, 0.7 * moving + 0.3 * facing, atol=1e-4)
        assert np.linalg.norm(velocity, axis=1).max() < 4.0
        if step % 3 == 2:
            env.done = torch.tensor([Done.FAIL, Done.NULL] * 3)
            env.reset_done()


@pytest.mark.parametrize(("rand_face_dir", "arrows"), [(False, 1), (True, 2)])
def test_drawn_arrows_point_as_told(make_steering: MakeEnv, rand_face_dir: bool, arrows: int) -> None:
    env = make_steering(num_envs=5, rand_face_dir=rand_face_dir)
    env.reset()
    pos, rot = (tensor.double().numpy() for tensor in env.marker_poses())
    assert pos.shape == (5, len(env.markers), 3) == (5, 3 * arrows, 3)
    root = env.engine.root_pos[:, :2].double().numpy()
    told = [(env.target_dir, 1.0), (env.face_dir, 1.6)][:arrows]
    for first, (direction, tip) in zip((0, 3), told, strict=False):
        way = direction.double().numpy()
        for bar in range(first, first + 3):
            half = Rotation.from_quat(rot[:, bar]).apply([0.25, 0.0, 0.0])
            np.testing.assert_allclose((pos[:, bar] + half)[:, :2], root + tip * way, atol=1e-5)
            assert (np.sum(half[:, :2] * way, axis=1) > 0.2).all()
    colours = [env.markers[3 * i].colour for i in range(arrows)]
    assert len(set(colours)) == arrows
