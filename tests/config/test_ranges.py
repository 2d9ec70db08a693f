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
}
REWARDS = [f"reward_{term}_{kind}" for term in ("pose", "vel", "root_pose", "root_vel", "key_pos")
           for kind in ("w", "scale")]  # fmt: skip
COUNTS = ["steps_per_iter", "iters_per_output", "test_episodes", "actor_epochs", "actor_batch_size", "critic_epochs",
          "critic_batch_size"]  # fmt: skip
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
