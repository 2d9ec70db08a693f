"""A case small enough to train in a second: a box on two legs, a clip of it standing, small networks."""

import copy
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_DOFS = 2
STANDING_HEIGHT = 0.5

CHARACTER = """<mujoco model="stander">
  <compiler angle="degree" autolimits="true"/>
  <default>
    <joint stiffness="150" damping="15" armature="0.02" actuatorfrcrange="-60 60"/>
    <geom solref="0.015 1"/>
  </default>
  <worldbody>
    <body name="torso" pos="0 0 0.5">
      <freejoint name="root"/>
      <geom type="box" size="0.1 0.15 0.1" mass="5"/>
      <body name="left_leg" pos="0 0.1 -0.1">
        <joint name="left_hip" axis="0 1 0" range="-60 60"/>
        <geom type="box" size="0.1 0.04 0.2" pos="0 0 -0.2" mass="1"/>
      </body>
      <body name="right_leg" pos="0 -0.1 -0.1">
        <joint name="right_hip" axis="0 1 0" range="-60 60"/>
        <geom type="box" size="0.1 0.04 0.2" pos="0 0 -0.2" mass="1"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""

ENGINE = {"engine_name": "mujoco", "control_mode": "pos", "control_freq": 30, "sim_freq": 240, "env_spacing": 5}

ENV = {
    "env_name": "deepmimic",
    "camera_mode": "track",
    "ref_char_offset": [2.0, 0.0, 0.0],
    "episode_length": 0.3,
    "rand_reset": True,
    "pose_termination": True,
    "pose_termination_dist": 1.0,
    "global_obs": True,
    "root_height_obs": True,
    "enable_phase_obs": False,
    "num_phase_encoding": 4,
    "enable_tar_obs": True,
    "tar_obs_steps": [1],
    "init_pose": [0, 0, STANDING_HEIGHT, 0, 0, 0, 0, 0],
    "key_bodies": ["left_leg", "right_leg"],
    "contact_bodies": ["left_leg", "right_leg"],
    **{f"reward_{term}_w": 0.2 for term in ("pose", "vel", "root_pose", "root_vel", "key_pos")},
    **{f"reward_{term}_scale": 1.0 for term in ("pose", "vel", "root_pose", "root_vel", "key_pos")},
}

AGENT = {
    "agent_name": "PPO",
    "model": {
        "actor_net": "fc_2layers_128units",
        "actor_init_output_scale": 0.01,
        "actor_std_type": "FIXED",
        "action_std": 0.05,
        "critic_net": "fc_2layers_128units",
    },
    "actor_optimizer": {"type": "SGD", "learning_rate": 1e-3},
    "critic_optimizer": {"type": "SGD", "learning_rate": 1e-3},
    "steps_per_iter": 8,
    "actor_epochs": 2,
    "actor_batch_size": 4,
    "critic_epochs": 2,
    "critic_batch_size": 2,
    "discount": 0.99,
    "td_lambda": 0.95,
    "norm_adv_clip": 4.0,
    "ppo_clip_ratio": 0.2,
    "action_bound_weight": 10.0,
    "action_entropy_weight": 0.0,
    "action_reg_weight": 0.0,
    "normalizer_samples": 100000,
    "iters_per_output": 2,
    "test_episodes": 8,
}


def standing_frames(num_dofs: int = NUM_DOFS) -> list[list[float]]:
    """Two seconds at 10 Hz in which the hips swing slowly forwards."""
    return [[0.0, 0.0, STANDING_HEIGHT, 0.0, 0.0, 0.0, *[0.005 * t] * num_dofs] for t in range(21)]


@dataclass
class TinyCase:
    """The files of a case in one folder; edit the dicts, then ``arguments`` writes them and names them."""

    folder: Path
    engine: dict[str, Any]
    env: dict[str, Any]
    agent: dict[str, Any]
    run: dict[str, str] = field(default_factory=dict)

    @property
    def out_dir(self) -> Path:
        return self.folder / "out"

    @property
    def clip(self) -> Path:
        return self.folder / "stand.pkl"

    def write_clip(self, frames: object) -> None:
        self.clip.write_bytes(pickle.dumps({"loop_mode": 1, "fps": 10, "frames": frames}, protocol=4))

    def arguments(self, **changes: str | None) -> list[str]:
        """The command line; ``changes`` of None leave a key out, a value is split into words."""
        for name in ("engine", "env", "agent"):
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(getattr(self, name), sort_keys=False))
        words = []
        for key, value in (self.run | changes).items():
            if value is not None:
                words += [f"--{key}", *value.split()]
        return words


@pytest.fixture
def tiny_case(tmp_path: Path) -> TinyCase:
    """A case that trains two iterations of 8 environments with the MuJoCo engine, and is correct as it stands."""
    case = TinyCase(tmp_path, *copy.deepcopy((ENGINE, ENV, AGENT)))
    (tmp_path / "stander.xml").write_text(CHARACTER)
    case.write_clip(standing_frames())
    case.env |= {"char_file": str(tmp_path / "stander.xml"), "motion_file": str(case.clip)}
    case.run = {
        "mode": "train",
        "num_envs": "8",
        "engine_config": str(tmp_path / "engine.yaml"),
        "env_config": str(tmp_path / "env.yaml"),
        "agent_config": str(tmp_path / "agent.yaml"),
        "devices": "cpu",
        "max_samples": "128",
        "rand_seed": "7",
        "out_dir": str(case.out_dir),
    }
    return case
