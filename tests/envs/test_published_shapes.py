"""Sizes of observations and actions of the published characters, on their published settings and a made clip."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from mimickit.anim import load_character
from mimickit.config.document import Document, Source
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.config.env_config import ENV_CONFIGS
from mimickit.config.schema import build_kind
from mimickit.envs import Share, build_env
from mimickit.envs.action_bounds import action_bounds


@pytest.mark.parametrize(
    ("name", "obs_size", "action_size"),
    [
        ("humanoid", 464, 28),
        ("humanoid_sword_shield", 527, 31),
        ("smpl", 721, 69),
        ("g1", 849, 29),
        ("go2", 484, 12),
        ("pi_plus", 662, 22),
    ],
)
def test_shapes_and_one_step(
    published: Path,
    facts: Mapping[str, Any],
    engine_config: MujocoEngineConfig,
    make_clip: Callable[..., Path],
    name: str,
    obs_size: int,
    action_size: int,
) -> None:
    file = f"deepmimic_{name}_env.yaml"
    config = build_kind(ENV_CONFIGS, "env_name", Document(Source(file), facts["envs"][file]))
    char_file = published / config.char_file.relative_to("data")
    clip = make_clip(config.init_pose)
    config = dataclasses.replace(config, char_file=char_file, motion_file=clip, rand_reset=False)
    env = build_env(config, engine_config, Share(2, torch.device("cpu"), seed=0))
    try:
        assert (env.obs_size, env.action_size) == (obs_size, action_size)
        assert env.reset().shape == (2, obs_size)
        assert env.compute_reward().tolist() == pytest.approx([1.0, 1.0], abs=1e-4)
        env.step(torch.tensor(config.init_pose[6:]).expand(2, -1))
        assert torch.isfinite(env.obs).all()
        assert 0.3 < env.reward.min() <= env.reward.max() <= 1.0
        assert env.done.tolist() == [0, 0]
    finally:
        env.close()


def test_the_humanoids_action_bounds_are_the_published_ones(facts: Mapping[str, Any]) -> None:
    shapes = facts["shapes"]["deepmimic_humanoid_ppo"]
    model = load_character(Path(__file__).parents[2] / "data" / "assets" / "humanoid" / "humanoid.xml")
    low, high = action_bounds(model, "pos", zero_center=False)
    assert low == pytest.approx(shapes["a_low"], abs=5e-5)
    assert high == pytest.approx(shapes["a_high"], abs=5e-5)
