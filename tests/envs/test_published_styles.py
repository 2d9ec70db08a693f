"""The published AMP, ASE, ADD and SMP environments on their own clips: sizes, windows and some steps."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimickit.anim.motion_library import read_motion_list
from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.config.env_config import DeepMimicEnvConfig
from mimickit.envs import Share, build_env
from mimickit.envs.add_env import ADDEnv
from mimickit.envs.amp_env import AMPEnv
from mimickit.envs.deepmimic_env import DeepMimicEnv

ROOT = Path(__file__).parents[2]
MakeEnv = Callable[[str], DeepMimicEnv]
ByHand = Callable[[DeepMimicEnv], Any]

# Sizes of an observation and of a window of ten frames. With J joints, D DoFs and K key bodies a frame has 15 + 6 J +
# 3 K + D numbers, and a character's observation 13 + 6 J + 3 K + D.
WINDOWS = {
    "amp_g1_env.yaml": (237, 2390),
    "amp_go2_env.yaml": (133, 1350),
    "amp_humanoid_env.yaml": (140, 1420),
    "amp_location_humanoid_env.yaml": (142, 1420),
    "amp_location_humanoid_sword_shield_env.yaml": (160, 1600),
    "amp_pi_plus_env.yaml": (185, 1870),
    "amp_smpl_env.yaml": (235, 2370),
    "amp_steering_humanoid_env.yaml": (145, 1420),
    "amp_steering_humanoid_sword_shield_env.yaml": (163, 1600),
    "ase_humanoid_env.yaml": (140, 1420),
    "ase_humanoid_sword_shield_env.yaml": (158, 1600),
    "smp_humanoid_env.yaml": (140, 1140),  # SMP's windows are without DoF velocities
    "smp_location_humanoid_env.yaml": (142, 1140),
    "smp_steering_humanoid_env.yaml": (145, 1140),
}
# Sizes of DeepMimic's observation and of a difference, one frame with all B bodies: 15 + 6 J + 3 B + D.
DIFFERENCES = {
    "add_g1_env.yaml": (849, 317),
    "add_go2_env.yaml": (484, 174),
    "add_humanoid_env.yaml": (464, 172),
    "add_pi_plus_env.yaml": (662, 247),
    "add_smpl_env.yaml": (721, 294),
}


@pytest.fixture
def make_published_env(
    engine_config: MujocoEngineConfig, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], DeepMimicEnv]]:
    """Two environments of a file of ``data/envs`` on its own clips, or a skip without them. Closed after the test."""
    made: list[DeepMimicEnv] = []
    monkeypatch.chdir(ROOT)  # to which the paths in these files are relative

    def make(file: str) -> DeepMimicEnv:
        config = load_env(Path("data") / "envs" / file)
        assert isinstance(config, DeepMimicEnvConfig)
        missing = [str(path) for path, _ in read_motion_list(config.motion_file) if not path.exists()]
        if missing:
            pytest.skip(f"{missing[0]} is not built; python -m mimickit.data build")
        env = build_env(config, engine_config, Share(2, torch.device("cpu"), 0))
        assert isinstance(env, DeepMimicEnv)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def some_action(env: DeepMimicEnv) -> torch.Tensor:
    """The same for every environment, different from step to step."""
    return (0.3 * torch.sin(torch.arange(env.action_size) + env.step_count[0])).expand(env.num_envs, -1)


def test_no_published_file_is_left_out() -> None:
    files = {
        path.name for kind in ("amp", "ase", "add") for path in (ROOT / "data" / "envs").glob(f"{kind}_*_env.yaml")
    }
    assert files <= {*WINDOWS, *DIFFERENCES}


@pytest.mark.parametrize("file", WINDOWS)
def test_windows(make_published_env: MakeEnv, by_hand: ByHand, file: str) -> None:
    env = make_published_env(file)
    assert isinstance(env, AMPEnv)
    assert (env.obs_size, env.disc_obs_size) == WINDOWS[file]
    env.reset()
    truth = by_hand(env)
    for index, seen in enumerate(env.observe_window()):
        # Only a start in ASE's default pose is at rest.
        at_rest = not env.engine.root_vel[index].any()
        past = [truth.at_rest(env.config.init_pose)] * 10 if at_rest else truth.before_start(index, 10)
        expected = truth.window(past, False, env.config.key_bodies, env.config.disc_dof_vel_obs)
        np.testing.assert_allclose(seen, expected, atol=1e-4)
    for _ in range(4):
        env.step(some_action(env))
        assert torch.isfinite(env.observe_window()).all()
        env.reset_done()
    assert not env.ever_not_finite.any()
    assert torch.isfinite(env.sample_demo(8)).all()


@pytest.mark.parametrize("file", ["amp_g1_env.yaml", "amp_go2_env.yaml", "amp_humanoid_env.yaml", "amp_smpl_env.yaml"])
def test_a_clip_played_is_seen_as_the_clip(
    make_published_env: MakeEnv, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    env = make_published_env(file)
    assert isinstance(env, AMPEnv)
    env.reset()
    both = torch.ones(2, dtype=torch.bool)
    monkeypatch.setattr(env, "simulate", lambda: env.take_pose(both, env.motion_time + env.control_dt))
    for _ in range(12):
        env.step(some_action(env))
    demo = env._observed(env.clip_windows.at(env.motion_ids, env.motion_time))
    torch.testing.assert_close(env.observe_window(), demo, atol=1e-4, rtol=0)


@pytest.mark.parametrize("file", DIFFERENCES)
def test_differences(make_published_env: MakeEnv, by_hand: ByHand, file: str) -> None:
    env = make_published_env(file)
    assert isinstance(env, ADDEnv)
    assert (env.obs_size, env.disc_obs_size) == DIFFERENCES[file]
    env.reset()
    assert env.observe_difference().abs().max() < 1e-4
    for _ in range(3):
        env.step(some_action(env))
    truth = by_hand(env)
    for index, seen in enumerate(env.observe_difference()):
        reference = truth.of_clip(index, float(env.motion_start[index]) + 3 / 30)
        expected = truth.window([reference], True) - truth.window([truth.of_character(index)], True)
        np.testing.assert_allclose(seen, expected, atol=1e-3)
    env.reset_done()
    assert not env.ever_not_finite.any()
