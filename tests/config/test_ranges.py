"""The range of every number in the committed files: the value at its edge is taken, the one beyond it is refused."""

from pathlib import Path
from typing import Any

import pytest

from mimickit.config.agent_config import AGENT_CONFIGS
from mimickit.config.document import Document, read_yaml
from mimickit.config.engine_config import ENGINE_CONFIGS
from mimickit.config.env_config import ENV_CONFIGS
from mimickit.config.schema import build_kind
from mimickit.errors import InputError

TINY = 1e-12
PARTS: dict[str, tuple[str, str, dict[str, type[Any]]]] = {
    "newton": ("data/engines/newton_engine.yaml", "engine_name", {**ENGINE_CONFIGS}),
    "mujoco": ("data/engines/mujoco_engine.yaml", "engine_name", {**ENGINE_CONFIGS}),
    "gym": ("data/engines/isaac_gym_engine.yaml", "engine_name", {**ENGINE_CONFIGS}),
    "env": ("data/envs/deepmimic_humanoid_env.yaml", "env_name", {**ENV_CONFIGS}),
    "agent": ("data/agents/deepmimic_humanoid_ppo_agent.yaml", "agent_name", {**AGENT_CONFIGS}),
    **{
        kind: (f"data/envs/{name}_humanoid_env.yaml", "env_name", {**ENV_CONFIGS})
        for kind, name in (
            ("add", "add"),
            ("amp", "amp"),
            ("ase", "ase"),
            ("location", "smp_location"),
            ("steering", "amp_steering"),
            ("dodgeball", "smp_dodgeball"),
        )
    },
    **{
        f"{kind} agent": (f"data/agents/{kind}_humanoid_agent.yaml", "agent_name", {**AGENT_CONFIGS})
        for kind in ("amp", "ase", "smp")
    },
}
REWARDS = [f"reward_{term}_{kind}" for term in ("pose", "vel", "root_pose", "root_vel", "key_pos")
           for kind in ("w", "scale")]  # fmt: skip
COUNTS = ["steps_per_iter", "iters_per_output", "test_episodes", "actor_epochs", "actor_batch_size", "critic_epochs",
          "critic_batch_size"]  # fmt: skip
LOCATION = ["dist_threshold", "pos_err_scale", "vel_err_scale", "pos_reward_w", "vel_reward_w", "face_reward_w"]
DISC_WEIGHTS = ["disc_logit_reg", "disc_grad_penalty", "disc_reward_scale", "task_reward_weight", "disc_reward_weight"]
SMP_WEIGHTS = ["sds_loss_scale", "smp_reward_weight", "task_reward_weight", "critic_loss_weight"]
RANGES: list[tuple[str, str, Any, Any, str]] = [
    # part, key, a value at the edge, a value beyond it, what the message says
    ("newton", "control_freq", 1, 0, "at least 1 Hz"),
    ("newton", "sim_freq", 30, 0, "at least 1 Hz"),
    ("newton", "sim_freq", 270, 271, "a multiple of control_freq (30)"),
    ("newton", "env_spacing", TINY, 0, "greater than 0 m"),
    ("newton", "solver_iterations", 1, 0, "at least 1"),
    ("newton", "line_search_iterations", 1, 0, "at least 1"),
    ("newton", "contacts_per_env", 1, 0, "at least 1"),
    ("newton", "constraints_per_env", 1, 0, "at least 1"),
    ("mujoco", "solver_iterations", 1, 0, "at least 1"),
    ("mujoco", "line_search_iterations", 1, 0, "at least 1"),
    ("mujoco", "num_threads", 1, 0, "at least 1"),
    ("gym", "ground_contact_height", 0, -TINY, "at least 0 m"),
    ("env", "episode_length", TINY, 0, "greater than 0 s"),
    ("env", "init_pose", [0] * 6, [0] * 5, "3 numbers (root position), or 6 and a number for every DoF"),
    ("env", "key_bodies", [], ["head", "head"], "a list of different bodies"),
    ("env", "contact_bodies", [], ["head", "head"], "a list of different bodies"),
    ("env", "pose_termination_dist", TINY, 0, "greater than 0 m"),
    ("env", "num_phase_encoding", 0, -1, "at least 0"),
    ("env", "tar_obs_steps", [1], [1, 0], "a list of steps of at least 1"),
    ("env", "joint_err_w", [0], [1, -TINY], "a list of numbers of at least 0"),
    *[("env", key, 0, -TINY, "at least 0") for key in REWARDS],
    *[("agent", key, 1, 0, "at least 1") for key in COUNTS],
    ("agent", "discount", 0, -TINY, "at least 0 and less than 1"),
    ("agent", "discount", 0.999999, 1, "at least 0 and less than 1"),
    ("agent", "td_lambda", 0, -TINY, "between 0 and 1"),
    ("agent", "td_lambda", 1, 1.000001, "between 0 and 1"),
    ("agent", "normalizer_samples", 0, -1, "at least 0"),
    ("agent", "ppo_clip_ratio", TINY, 0, "greater than 0"),
    ("agent", "norm_adv_clip", TINY, 0, "greater than 0"),
    ("agent", "action_bound_weight", 0, -TINY, "at least 0"),
    ("agent", "action_entropy_weight", 0, -TINY, "at least 0"),
    ("agent", "action_reg_weight", 0, -TINY, "at least 0"),
    ("agent", "model.action_std", TINY, 0, "greater than 0"),
    ("agent", "model.actor_init_output_scale", TINY, 0, "greater than 0"),
    ("agent", "actor_optimizer.learning_rate", TINY, 0, "greater than 0"),
    ("agent", "actor_optimizer.weight_decay", 0, -TINY, "at least 0"),
    ("agent", "critic_optimizer.learning_rate", TINY, 0, "greater than 0"),
    ("add", "num_disc_obs_steps", 1, 0, "at least 1"),
    ("amp", "num_disc_obs_steps", 1, 0, "at least 1"),
    ("ase", "default_reset_prob", 0, -TINY, "between 0 and 1"),
    ("ase", "default_reset_prob", 1, 1.000001, "between 0 and 1"),
    ("location", "tar_speed", 0, -TINY, "at least 0 m/s"),
    ("location", "tar_change_time_min", 0, -TINY, "at least 0 s"),
    ("location", "tar_change_time_max", 5, 4.9, "at least tar_change_time_min (5 s)"),
    ("location", "tar_dist_min", 0, -TINY, "at least 0 m"),
    ("location", "tar_dist_max", 1, 0.9, "at least tar_dist_min (1 m)"),
    *[("location", key, 0, -TINY, "at least 0") for key in LOCATION],
    ("steering", "tar_speed_min", 0, -TINY, "at least 0 m/s"),
    ("steering", "tar_speed_max", 0.5, 0.4, "at least tar_speed_min (0.5 m/s)"),
    ("steering", "tar_change_time_min", 0, -TINY, "at least 0 s"),
    ("steering", "tar_change_time_max", 4, 3.9, "at least tar_change_time_min (4 s)"),
    *[("steering", f"reward_steering_{key}", 0, -TINY, "at least 0") for key in ("tar_w", "face_w", "vel_scale")],
    ("dodgeball", "num_projectiles", 1, 0, "at least 1"),
    ("dodgeball", "proj_dist_min", TINY, 0, "greater than 0 m"),
    ("dodgeball", "proj_dist_max", 8, 7.9, "at least proj_dist_min (8 m)"),
    ("dodgeball", "proj_speed_min", TINY, 0, "greater than 0 m/s"),
    ("dodgeball", "proj_speed_max", 12, 11.9, "at least proj_speed_min (12 m/s)"),
    ("dodgeball", "proj_trigger_time_min", 0, -TINY, "at least 0 s"),
    ("dodgeball", "proj_trigger_time_max", 1, 0.9, "at least proj_trigger_time_min (1 s)"),
    *[("amp agent", key, 1, 0, "at least 1") for key in ("disc_epochs", "disc_batch_size", "disc_replay_samples")],
    ("amp agent", "disc_replay_samples", 200_000, 200_001, "at most disc_buffer_size (200000)"),
    *[("amp agent", key, 0, -TINY, "at least 0") for key in DISC_WEIGHTS],
    ("ase agent", "model.latent_dim", 2, 1, "at least 2"),
    ("ase agent", "enc_epochs", 1, 0, "at least 1"),
    ("ase agent", "enc_batch_size", 1, 0, "at least 1"),
    ("ase agent", "latent_time_min", 0, -TINY, "at least 0"),
    ("ase agent", "latent_time_max", 0, -TINY, "at least latent_time_min (0 s)"),
    *[("ase agent", key, 0, -TINY, "at least 0") for key in ("diversity_weight", "diversity_tar", "enc_reward_weight")],
    ("smp agent", "smp_eval_batch_size", 1, 0, "at least 1"),
    ("smp agent", "sds_normalizer_samples", 1, 0, "at least 1"),
    ("smp agent", "diffusion_steps", [0], [], "a list of steps of at least 0"),
    ("smp agent", "diffusion_steps", [0], [-1], "a list of steps of at least 0"),
    ("smp agent", "diffusion_steps", [1, 2], [2, 2], "a list of different steps"),
    *[("smp agent", key, 0, -TINY, "at least 0") for key in SMP_WEIGHTS],
]


def build_with(repository: Path, part: str, key: str, value: Any) -> Any:
    """The configuration of ``part`` with ``value`` at the dotted ``key``."""
    path, kind_key, kinds = PARTS[part]
    document = read_yaml(repository / path)
    outer, _, inner = key.partition(".")
    changed = {**document.values[outer], inner: value} if inner else value
    return build_kind(kinds, kind_key, Document(document.origin, {**document.values, outer: changed}))


@pytest.mark.parametrize(("part", "key", "edge", "beyond", "words"), RANGES)
def test_the_edge_is_taken_and_the_value_beyond_is_refused(
    repository: Path, part: str, key: str, edge: Any, beyond: Any, words: str
) -> None:
    assert build_with(repository, part, key, edge) is not None
    with pytest.raises(InputError) as caught:
        build_with(repository, part, key, beyond)
    assert f"'{key}' must be {words}" in str(caught.value)
