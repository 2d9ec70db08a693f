"""Clips played without physics, against the clip's own numbers."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.anim.clip import LoopMode, load_clip
from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.config.env_config import ViewMotionEnvConfig
from mimickit.envs import Share, build_env
from mimickit.envs.terminations import Done
from mimickit.envs.view_motion_env import ViewMotionEnv

ROOT = Path(__file__).parents[2]
POSE = (0.0, 0.0, 0.9, *[0.0] * 31)
CONTROL_DT = 1.0 / 30.0


@pytest.fixture
def make_view(
    make_clip: Callable[..., Path], engine_config: MujocoEngineConfig
) -> Iterator[Callable[..., ViewMotionEnv]]:
    """The committed humanoid playing a made clip; ``changes`` replace settings. Closed after the test."""
    made: list[ViewMotionEnv] = []

    def make(
        num_envs: int = 1, length: float = 1.0, loop_mode: LoopMode = LoopMode.WRAP, **changes: Any
    ) -> ViewMotionEnv:
        config = load_env(ROOT / "data" / "envs" / "view_motion_humanoid_env.yaml")
        assert isinstance(config, ViewMotionEnvConfig)
        clip = make_clip(POSE, length, loop_mode)
        places = {"char_file": ROOT / config.char_file, "motion_file": clip}
        config = dataclasses.replace(config, **{**places, **changes})
        env = build_env(config, engine_config, Share(num_envs, torch.device("cpu"), 0))
        assert isinstance(env, ViewMotionEnv)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def any_action(env: ViewMotionEnv) -> torch.Tensor:
    return torch.full((env.num_envs, env.action_size), 0.7)


def test_every_step_shows_the_clip_s_frame_two_sixtieths_on(make_view: Callable[..., ViewMotionEnv]) -> None:
    env = make_view(num_envs=2)
    frames = load_clip(env.config.motion_file).frames
    env.reset()
    for step in range(25):
        frame = frames[2 * step]
        torch.testing.assert_close(env.engine.root_pos[1].double(), torch.tensor(frame[:3]), atol=1e-5, rtol=0)
        turned = Rotation.from_quat(env.engine.root_rot[0].numpy()).as_rotvec()
        assert turned == pytest.approx(frame[3:6], abs=1e-5)
        torch.testing.assert_close(env.engine.dof_pos[0].double(), torch.tensor(frame[6:]), atol=1e-5, rtol=0)
        env.step(any_action(env))
        assert env.reward.tolist() == [0.0, 0.0]
        env.reset_done()


def test_bodies_and_observations_follow(make_view: Callable[..., ViewMotionEnv]) -> None:
    """Without gravity's pull: the head stays where the clip has it, and the observed height is the root's."""
    env = make_view()
    env.reset()
    head = env.engine.body_pos[0, env.char_model.body_index("head")].clone()
    for _ in range(15):
        env.step(any_action(env))
    travelled = env.engine.body_pos[0, env.char_model.body_index("head")] - head
    assert travelled[2].item() == pytest.approx(0.0, abs=1e-5)
    assert travelled[0].item() == pytest.approx(0.6 * 15 * CONTROL_DT, abs=1e-4)  # the clip's 0.6 m/s
    assert env.obs[0, 0].item() == pytest.approx(0.9)
    assert env.obs[0, 7].item() == pytest.approx(0.6 * math.cos(0.5 * 0.5), abs=1e-3)  # forward speed, 0.25 rad turned


def test_a_clip_that_ends_ends_the_episode_and_starts_again(make_view: Callable[..., ViewMotionEnv]) -> None:
    env = make_view(length=0.5, loop_mode=LoopMode.CLAMP)
    env.reset()
    for step in range(1, 16):
        env.step(any_action(env))
        assert int(env.done[0]) == (Done.SUCC if step == 15 else Done.NULL)
    env.reset_done()
    assert env.engine.root_pos[0, 0].item() == 0.0


def test_a_clip_that_repeats_plays_for_the_episode_s_length(make_view: Callable[..., ViewMotionEnv]) -> None:
    env = make_view(length=0.5, episode_length=1.5)
    env.reset()
    for step in range(1, 46):
        env.step(any_action(env))
        assert int(env.done[0]) == (Done.TIME if step == 45 else Done.NULL)
    assert env.engine.root_pos[0, 0].item() == pytest.approx(0.6 * 1.5, abs=1e-4)  # three rounds of 0.3 m


def test_environments_start_at_zero_or_at_random_times(make_view: Callable[..., ViewMotionEnv]) -> None:
    env = make_view(num_envs=6)
    env.reset()
    assert env.motion_start.tolist() == [0.0] * 6
    scattered = make_view(num_envs=6, rand_reset=True)
    scattered.reset()
    assert len(set(scattered.motion_start.tolist())) == 6


def test_it_is_drawn_as_a_clip_without_a_reference(make_view: Callable[..., ViewMotionEnv]) -> None:
    env = make_view()
    assert env.character_label == "clip"
    assert not env.has_reference
    assert env.reference_bodies() is None
