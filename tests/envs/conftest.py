"""Small DeepMimic environments of the committed humanoid on MuJoCo, with clips made for the test."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimickit.anim.clip import Clip, LoopMode, save_clip
from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.config.env_config import DeepMimicEnvConfig
from mimickit.envs import Share, build_env
from mimickit.envs.deepmimic_env import DeepMimicEnv

ROOT = Path(__file__).parents[2]
SPEED = 0.6  # m/s, of the clip's root along x
TURN = 0.5  # rad/s, of its exponential map's z


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def engine_config() -> MujocoEngineConfig:
    return MujocoEngineConfig(
        engine_name="mujoco", control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5.0, num_threads=1
    )


@pytest.fixture(scope="session")
def facts() -> Mapping[str, Any]:
    """The published configuration values."""
    path = os.environ.get("MIMICKIT_FACTS")
    if not path:
        pytest.skip("MIMICKIT_FACTS does not name the file of published values")
    loaded: Mapping[str, Any] = json.loads(Path(path).read_text())
    return loaded


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """A clip file for ``init_pose``: its root glides along x and turns, one DoF swings; it lasts ``length`` s."""

    def make(init_pose: tuple[float, ...], length: float = 1.0, loop_mode: LoopMode = LoopMode.WRAP) -> Path:
        fps = 60.0
        frames = np.tile(np.array(init_pose, dtype=float), (round(length * fps) + 1, 1))
        times = np.arange(len(frames)) / fps
        frames[:, 0] += SPEED * times
        frames[:, 5] += TURN * times
        frames[:, -1] += 0.2 * np.sin(2.0 * np.pi * times)
        path = tmp_path / "made.pkl"
        save_clip(path, Clip("made", loop_mode, fps, frames))
        return path

    return make


@pytest.fixture
def make_env(
    make_clip: Callable[..., Path], engine_config: MujocoEngineConfig
) -> Iterator[Callable[..., DeepMimicEnv]]:
    """The committed humanoid environment on a made clip; ``changes`` replace settings. Closed after the test."""
    made: list[DeepMimicEnv] = []

    def make(
        num_envs: int = 1, seed: int = 0, length: float = 1.0, loop_mode: LoopMode = LoopMode.WRAP, **changes: Any
    ) -> DeepMimicEnv:
        config = load_env(ROOT / "data" / "envs" / "deepmimic_humanoid_env.yaml")
        assert isinstance(config, DeepMimicEnvConfig)
        clip = make_clip(config.init_pose, length, loop_mode)
        places = {"char_file": ROOT / config.char_file, "motion_file": clip}
        config = dataclasses.replace(config, **{**places, **changes})
        env = build_env(config, engine_config, Share(num_envs, torch.device("cpu"), seed))
        assert isinstance(env, DeepMimicEnv)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()
