"""A case small enough to train in a second: a box on two legs, a clip of it standing, small networks."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from mimickit.learning.smp_prior.__main__ import main as train_prior
from mimickit.run import main

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_DOFS = 2
STANDING_HEIGHT = 0.5
ITERATION = 64  # samples: 8 environments, 8 steps

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

    def use(self, method: str) -> None:
        """Turn the case, whose agent is PPO, into one of another method, or with a task; see ``METHODS``."""
        METHODS[method](self)

    def train(self, folder: Path, iterations: int, **changes: str | None) -> int:
        """Train in ``folder`` up to so many iterations, in this process; the exit code."""
        return main(self.arguments(**{"out_dir": str(folder), "max_samples": str(ITERATION * iterations), **changes}))

    def resume(self, folder: Path, iterations: int, **changes: str | None) -> int:
        """Go on there."""
        return self.train(folder, iterations, resume="true", **changes)


ADAM = {"type": "Adam", "learning_rate": 1e-3}
DISCRIMINATOR = {
    "disc_optimizer": {**ADAM, "weight_decay": 1e-4},
    "disc_epochs": 2,
    "disc_batch_size": 4,
    "disc_buffer_size": 100,  # full after three iterations
    "disc_replay_samples": 40,
    "disc_logit_reg": 0.01,
    "disc_grad_penalty": 1.0,
    "disc_reward_scale": 2.0,
    "task_reward_weight": 0.5,
    "disc_reward_weight": 0.5,
}
SKILLS = {
    "enc_optimizer": ADAM,
    "enc_epochs": 2,
    "enc_batch_size": 4,
    "diversity_weight": 0.01,
    "diversity_tar": 1.0,
    "latent_time_min": 0.05,
    "latent_time_max": 0.2,
    "enc_reward_weight": 0.5,
}
PRIOR = {
    "num_layers": 1,
    "num_heads": 2,
    "head_size": 8,
    "num_diffusion_steps": 10,
    "min_std": 0.2,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "iterations": 10,
    "ema_decay": 0.9,
    "ema_every": 1,
    "ema_start": 1,
}


def use_ppo(case: TinyCase) -> None:
    case.agent["actor_optimizer"] = ADAM


def use_awr(case: TinyCase) -> None:
    for key in ("norm_adv_clip", "ppo_clip_ratio"):
        del case.agent[key]
    case.agent |= {"agent_name": "AWR", "awr_temp": 1.0, "a_weight_clip": 5.0, "actor_optimizer": ADAM}


def use_lcp(case: TinyCase) -> None:
    case.agent |= {"agent_name": "LCP", "lcp_weight": 0.01, "normalizer_samples": 3 * ITERATION}


def use_amp(case: TinyCase) -> None:
    case.env |= {"env_name": "amp", "num_disc_obs_steps": 3, "log_tracking_error": True}
    case.agent |= {"agent_name": "AMP", **DISCRIMINATOR}
    case.agent["model"]["disc_net"] = "fc_2layers_128units"


def use_task(case: TinyCase) -> None:
    """AMP with a place to go to."""
    use_amp(case)
    case.env |= {"env_name": "task_location", "tar_speed": 1.0, "tar_change_time_min": 0.05}
    case.env |= {"tar_change_time_max": 0.15, "tar_dist_max": 3.0}


def use_dodgeball(case: TinyCase) -> None:
    use_amp(case)
    case.env |= {"env_name": "task_dodgeball", "num_projectiles": 2, "proj_target_body": "torso"}
    ranges = {"dist": (0.5, 1.0), "speed": (5.0, 9.0), "trigger_time": (0.0, 0.1)}
    case.env |= {f"proj_{name}_{end}": pair[i] for name, pair in ranges.items() for i, end in enumerate(("min", "max"))}


def use_add(case: TinyCase) -> None:
    case.env |= {"env_name": "add", "num_disc_obs_steps": 2}
    case.agent |= {"agent_name": "ADD", **DISCRIMINATOR}
    case.agent["model"]["disc_net"] = "fc_2layers_128units"


def use_ase(case: TinyCase) -> None:
    use_amp(case)
    case.env |= {"env_name": "ase", "default_reset_prob": 0.3}
    case.agent |= {"agent_name": "ASE", **SKILLS}
    case.agent["model"] |= {"enc_net": "fc_2layers_128units", "latent_dim": 4}


def use_smp(case: TinyCase) -> None:
    """Episodes start in windows that the prior draws."""
    case.env |= {"env_name": "smp", "num_disc_obs_steps": 3, "enable_tar_obs": False, "pose_termination": False}
    prior, model = case.folder / "prior.yaml", case.folder / "prior.pt"
    prior.write_text(yaml.safe_dump(PRIOR))
    case.agent |= {
        "agent_name": "SMP",
        "smp_prior_cfg": str(prior),
        "smp_prior_model": str(model),
        "smp_eval_batch_size": 50,
        "sds_loss_scale": 6.0,
        "diffusion_steps": [7, 3],
        "sds_normalizer_samples": 3 * ITERATION,
        "enable_gsi": True,
        "task_reward_weight": 0.0,
        "smp_reward_weight": 1.0,
        "critic_loss_weight": 0.5,
    }
    words = case.arguments()
    lines = [f"{words[i]} {words[i + 1]}" for i in range(0, len(words), 2)]
    (case.folder / "args.txt").write_text("\n".join(lines))
    assert train_prior(["--arg_file", str(case.folder / "args.txt"), "--devices", "cpu", "--rand_seed", "1"]) == 0


METHODS: dict[str, Callable[[TinyCase], None]] = {
    "PPO": use_ppo,
    "AWR": use_awr,
    "LCP": use_lcp,
    "AMP": use_amp,
    "AMP, a task": use_task,
    "AMP, balls": use_dodgeball,
    "ADD": use_add,
    "ASE": use_ase,
    "SMP": use_smp,
}


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
