"""Our characters give the published observation sizes, on which checkpoints depend."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from mimickit.anim import load_character
from mimickit.anim.clip import Clip, LoopMode, save_clip
from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.data.characters import CHARACTERS
from mimickit.envs import Share, build_env

# Size of the DeepMimic observation and of the action, and the bodies whose positions are observed.
PUBLISHED = {
    "humanoid": (464, 28, ("head", "right_hand", "left_hand", "right_foot", "left_foot")),
    "sword_shield": (527, 31, ("head", "right_hand", "left_hand", "right_foot", "left_foot", "sword")),
    "smpl": (721, 69, ("L_Toe", "R_Toe", "Head", "L_Hand", "R_Hand")),
    "g1": (
        849,
        29,
        (
            "left_ankle_roll_link",
            "right_ankle_roll_link",
            "head_link",
            "left_wrist_yaw_link",
            "right_wrist_yaw_link",
        ),
    ),
    "go2": (484, 12, ("FR_foot", "FL_foot", "RR_foot", "RL_foot")),
    "pi_plus": (662, 22, ("l_ankle_roll_link", "r_ankle_roll_link", "r_wrist_link", "l_wrist_link")),
}


@pytest.mark.parametrize("name", CHARACTERS)
def test_sizes_are_the_published_ones(
    assets: Path, stand_poses: Mapping[str, Mapping[str, float]], tmp_path: Path, name: str
) -> None:
    obs_size, action_size, key_bodies = PUBLISHED[name]
    character = load_character(assets / CHARACTERS[name].model)
    pose = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, *(stand_poses[name].get(dof, 0.0) for dof in character.dof_names))
    clip = tmp_path / "still.pkl"
    save_clip(clip, Clip("still", LoopMode.WRAP, 30.0, np.tile(pose, (31, 1))))
    engine = MujocoEngineConfig(
        engine_name="mujoco", control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5.0, num_threads=1
    )
    config = dataclasses.replace(
        load_env(assets.parent / "envs" / "deepmimic_humanoid_env.yaml"),
        char_file=assets / CHARACTERS[name].model,
        motion_file=clip,
        init_pose=pose,
        key_bodies=key_bodies,
        contact_bodies=(),
        joint_err_w=None,
    )
    env = build_env(config, engine, Share(2, torch.device("cpu"), seed=0))
    try:
        assert (env.obs_size, env.action_size) == (obs_size, action_size)
        assert env.reset().shape == (2, obs_size)
        env.step(torch.tensor(pose[6:], dtype=torch.float32).expand(2, -1))
        assert torch.isfinite(env.obs).all()
    finally:
        env.close()
