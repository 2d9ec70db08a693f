"""Dodgeball: throws that hit a character that stands still, balls that touch the ground, and what is seen of them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.envs.task_dodgeball_env import TaskDodgeballEnv, throw_velocity
from mimickit.envs.terminations import Done
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def make_dodgeball(make_env: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., TaskDodgeballEnv]:
    """The committed dodgeball environment; the ball's file is named from the repository's root."""
    monkeypatch.chdir(ROOT)
    return functools.partial(make_env, kind="smp_dodgeball")


def stand(env: TaskDodgeballEnv) -> None:
    """One control step towards the default pose."""
    env.step(env.init_pose[6:].expand(env.num_envs, -1))


def put_ball(env: TaskDodgeballEnv, position: list[float], velocity: list[float]) -> None:
    """Every environment's ball is there, in flight."""
    count = env.num_envs
    pos, vel = torch.tensor(position).expand(count, 1, 3), torch.tensor(velocity).expand(count, 1, 3)
    env.engine.place_props(torch.ones(count, 1, dtype=torch.bool), pos, env._upright, vel)
    env.flying[:] = True
    env._note_balls()


@pytest.mark.parametrize("target_vel", [(0.0, 0.0), (3.0, -1.0), (-2.0, 0.5)])
def test_a_throw_meets_its_target(target_vel: tuple[float, float]) -> None:
    start, target = np.array([4.0, -3.0, 0.5]), np.array([1.0, 1.0, 1.1])
    given = [torch.tensor(value, dtype=torch.float64) for value in (start, target, np.array(target_vel))]
    velocity = throw_velocity(*given, torch.tensor(10.0, dtype=torch.float64)).numpy()
    assert np.hypot(velocity[0], velocity[1]) == pytest.approx(10.0)
    times = np.linspace(0.0, 2.0, 200_001)[:, None]
    ball = start + velocity * times + 0.5 * np.array([0.0, 0.0, -9.81]) * times**2
    gone = target + np.array([*target_vel, 0.0]) * times
    assert np.linalg.norm(ball - gone, axis=1).min() < 1e-3


def test_the_policy_sees_the_balls_in_its_heading_frame(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=2)
    env.reset()
    assert env.obs_size == 140 + 6
    put_ball(env, [1.0, 2.0, 3.0], [-4.0, 5.0, 0.5])
    seen = env.observe()[:, 140:].double().numpy()
    for row in range(2):
        facing = Rotation.from_quat(env.engine.root_rot[row].double().numpy()).apply([1.0, 0.0, 0.0])
        back = Rotation.from_euler("z", -np.arctan2(facing[1], facing[0]))
        relative = np.array([1.0, 2.0, 3.0]) - env.engine.root_pos[row].double().numpy()
        np.testing.assert_allclose(seen[row, :3], back.apply(relative), atol=1e-5)
        np.testing.assert_allclose(seen[row, 3:], back.apply([-4.0, 5.0, 0.5]), atol=1e-5)


def test_balls_wait_around_the_character_and_are_thrown_in_time(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=64, enable_early_termination=False)
    env.reset()
    way = (env.engine.prop_pos[:, 0] - env.engine.root_pos)[:, :2].norm(dim=-1)
    assert float(way.min()) >= 8.0 - 1e-4
    assert float(way.max()) <= 10.0 + 1e-4
    assert float(way.max() - way.min()) > 1.0
    thrown = torch.full((64,), -1.0)
    for step in range(1, 122):
        before = env.flying.clone()
        stand(env)
        new = (env.flying & ~before)[:, 0] & (thrown < 0.0)
        thrown[new] = step / 30.0
        if new.any():
            speed = env.engine.prop_vel[new, 0, :2].norm(dim=-1)
            assert float(speed.min()) >= 12.0 - 1e-3
            assert float(speed.max()) <= 15.0 + 1e-3
    assert float(thrown.min()) >= 1.0
    assert float(thrown.max()) <= 4.0 + 1.0 / 30.0
    assert float(thrown.std()) > 0.5  # uniform over 3 s: 0.87


def test_balls_hit_who_stands_still_and_that_is_a_failure(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=32)
    env.reset()
    env.take_init_pose(torch.ones(32, dtype=torch.bool))  # the clip would walk on
    env._throw_time[:] = 0.1
    ever, first = torch.zeros(32, dtype=torch.bool), torch.zeros(32)
    for step in range(1, 31):
        stand(env)
        new = env.hit & ~ever
        first[new] = step / 30.0
        ever |= env.hit
        assert torch.equal(env.reward, 1.0 - env.hit.float())
        assert bool((env.done[env.hit] == Done.FAIL).all())
        assert not bool((env.flying[:, 0] & env.hit).any())
        assert not bool((env.done[~env.hit & ~ever] != Done.NULL).any())
    # 8 to 10 m at 12 to 15 m/s take 0.53 to 0.83 s, less the ball's and the body's radius.
    assert int(ever.sum()) == 32
    assert float(first.min()) > 0.1 + 0.4
    assert float(first.max()) < 0.1 + 0.9


def test_every_throw_has_its_own_speed_uniform_between_the_bounds(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=256, proj_speed_min=6.0, proj_speed_max=9.0, enable_early_termination=False)
    env.reset()
    for _ in range(2):
        env._throw_time[:] = 0.0
        stand(env)
        speed = env.engine.prop_vel[:, 0, :2].norm(dim=-1).sort().values.double().numpy()
        assert speed[0] >= 6.0 - 1e-3
        assert speed[-1] <= 9.0 + 1e-3
        # Kolmogorov's distance of 256 uniform numbers is less than 0.12 in 999 of 1000 cases.
        expected = 6.0 + 3.0 * (np.arange(256) + 0.5) / 256
        assert np.abs(speed - expected).max() / 3.0 < 0.12


@pytest.mark.parametrize("body", ["right_shin", "left_thigh", "torso"])
def test_a_hit_on_any_body_counts_however_low(make_dodgeball: Any, body: str) -> None:
    """Only a touch as low as the ground may have been the ground's."""
    env = make_dodgeball(num_envs=1, enable_early_termination=False)
    env.reset()
    env.take_init_pose(torch.ones(1, dtype=torch.bool))  # the clip would walk on
    env._throw_time[:] = 100.0
    where = env.engine.body_pos[0, env.char_model.body_names.index(body)].tolist()
    height = {"right_shin": 0.3, "left_thigh": 0.7, "torso": 1.2}[body]
    put_ball(env, [where[0] + 0.5, where[1], height], [-8.0, 0.0, 0.3])
    hits = 0
    for _ in range(4):
        stand(env)
        hits += int(env.hit[0])
    assert hits == 1


def test_a_throw_leads_a_character_that_moves(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=16, enable_early_termination=False)
    env.reset()
    env._throw_time[:] = 0.0
    stand(env)
    start, velocity = env.engine.prop_pos[:, 0].double(), env.engine.prop_vel[:, 0].double()
    torso, root_vel = env.engine.body_pos[:, env._target_body].double(), env.engine.root_vel.double()
    assert float(root_vel[:, :2].norm(dim=-1).min()) > 0.3
    torch.testing.assert_close(start[:, 2], torso[:, 2], atol=1e-5, rtol=0)  # a level throw
    flight = 2.0 * velocity[:, 2:] / 9.81  # it comes down to where it started
    end = start[:, :2] + flight * velocity[:, :2]
    torch.testing.assert_close(end, torso[:, :2] + flight * root_vel[:, :2], atol=1e-3, rtol=0)


def test_balls_are_thrown_again_and_again(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=4, enable_early_termination=False)
    env.reset()
    throws = 0
    for _ in range(300):  # 10 s, with 1 to 4 s from throw to throw
        before = env._throw_time.clone()
        stand(env)
        throws += int((env._throw_time != before).sum())
    assert 4 * 2 <= throws <= 4 * 10


def test_a_fall_is_a_failure_too(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=2)
    env.reset()
    env.engine.ground_force[1, env._target_body, 2] = 50.0
    assert env.failed().tolist() == [False, True]


def test_the_ground_is_not_the_character(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=4, enable_early_termination=False)
    env.reset()
    env._throw_time[:] = 100.0
    put_ball(env, [5.0, 0.0, 1.0], [0.0, 6.0, -3.0])
    for _ in range(30):
        stand(env)
        assert not bool(env.hit.any())
    assert not bool(env.flying.any())
    assert bool((env.reward == 1.0).all())


def test_free_flight_is_not_a_hit_and_a_glancing_touch_is(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=2, enable_early_termination=False)
    env.reset()
    env._throw_time[:] = 100.0
    put_ball(env, [0.0, 3.0, 1.5], [6.0, 0.0, 3.0])
    for _ in range(12):
        stand(env)
        assert bool(env.flying.all())
    head = env.char_model.body_names.index("head")
    above = env.engine.body_pos[0, head] + torch.tensor([0.0, 0.02, 0.8])
    put_ball(env, above.tolist(), [0.0, 0.0, -1.0])
    hits = 0
    for _ in range(15):
        stand(env)
        hits += int(env.hit[0])
    assert hits == 1  # only the first touch counts


def test_a_ball_that_bounced_hits_nobody(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=1, enable_early_termination=False)
    env.reset()
    env._throw_time[:] = 100.0
    torso = env.engine.body_pos[0, env._target_body].tolist()
    put_ball(env, [torso[0] + 2.0, torso[1], torso[2]], [-10.0, 0.0, 0.0])
    env.flying[:] = False
    for _ in range(10):
        stand(env)
        assert not bool(env.hit.any())
    assert float(env.engine.prop_vel[0, 0, 0]) > -9.0  # it did touch him


def test_an_episode_begins_without_balls_in_flight(make_dodgeball: Any) -> None:
    env = make_dodgeball(num_envs=3, enable_early_termination=False)
    env.reset()
    put_ball(env, [3.0, 0.0, 5.0], [0.0, 0.0, 0.0])
    env.hit[:] = True
    stays = env.engine.prop_pos[1].clone()
    env.done = torch.tensor([int(Done.FAIL), 0, int(Done.FAIL)])
    env.reset_done()
    assert env.flying[:, 0].tolist() == [False, True, False]
    assert env.hit.tolist() == [False, True, False]
    torch.testing.assert_close(env.engine.prop_pos[1], stays)
    assert float(env.engine.prop_pos[0, 0, 2]) == pytest.approx(0.1)


def test_a_body_that_is_not_there_is_named(make_dodgeball: Any) -> None:
    with pytest.raises(InputError, match="proj_target_body: 'chest' is not a body of .*torso"):
        make_dodgeball(proj_target_body="chest")


def test_the_same_seed_throws_the_same(make_dodgeball: Any) -> None:
    places = []
    for seed in (3, 3, 4):
        env = make_dodgeball(num_envs=2, seed=seed, enable_early_termination=False)
        env.reset()
        for _ in range(60):
            stand(env)
        places.append(env.engine.prop_pos.clone())
    assert torch.equal(places[0], places[1])
    assert not torch.allclose(places[0], places[2])
