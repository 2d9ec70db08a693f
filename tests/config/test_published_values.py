"""Our YAML files and the published values: read through the same classes, and equal where a file is published.

The published values come as JSON (``args``, ``engines``, ``envs``, ``agents``); MIMICKIT_FACTS names that file.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mimickit.config.agent_config import AGENT_CONFIGS, OptimizerConfig, PPOConfig
from mimickit.config.arguments import read_arg_file
from mimickit.config.document import Document, Source, read_yaml
from mimickit.config.engine_config import ENGINE_CONFIGS
from mimickit.config.env_config import ENV_CONFIGS, DeepMimicEnvConfig
from mimickit.config.schema import build_kind

KINDS: dict[str, tuple[str, dict[str, type[Any]]]] = {
    "engines": ("engine_name", {**ENGINE_CONFIGS}),
    "envs": ("env_name", {**ENV_CONFIGS}),
    "agents": ("agent_name", {**AGENT_CONFIGS}),
}
DEEPMIMIC_ENVS = [
    f"deepmimic_{name}_env.yaml" for name in ("g1", "go2", "humanoid", "humanoid_sword_shield", "pi_plus", "smpl")
]
# Where the open bundle lacks the published clip, the environment names ours.
OUR_CLIPS = {
    "deepmimic_humanoid_sword_shield_env.yaml": "data/motions/sword_shield/sword_shield_combo_down_thrust.pkl",
    "view_motion_humanoid_sword_shield_env.yaml": "data/motions/sword_shield/sword_shield_slash_down.pkl",
}
PPO_AGENTS = [f"deepmimic_{name}_ppo_agent.yaml" for name in ("g1", "go2", "humanoid", "pi_plus", "smpl")]


@pytest.fixture(scope="module")
def facts() -> Mapping[str, Any]:
    path = os.environ.get("MIMICKIT_FACTS")
    if path is None:
        pytest.skip("MIMICKIT_FACTS does not name the file of published values")
    loaded: Mapping[str, Any] = json.loads(Path(path).read_text())
    return loaded


def build_part(part: str, document: Document) -> Any:
    kind_key, kinds = KINDS[part]
    return build_kind(kinds, kind_key, document)


def committed(repository: Path, part: str) -> list[Path]:
    return sorted((repository / "data" / part).glob("*.yaml"))


@pytest.mark.parametrize("part", list(KINDS))
def test_every_committed_file_of_a_known_kind_loads(repository: Path, part: str) -> None:
    paths = committed(repository, part)
    assert paths
    for path in paths:
        assert build_part(part, read_yaml(path)) is not None


@pytest.mark.parametrize(
    ("name", "sim_freq", "ground_contact_height"),
    [("newton", 240, None), ("mujoco", 240, None), ("isaac_lab", 120, None), ("isaac_gym", 120, 0.3)],
)
def test_engine_files(repository: Path, name: str, sim_freq: int, ground_contact_height: float | None) -> None:
    engine = build_part("engines", read_yaml(repository / f"data/engines/{name}_engine.yaml"))
    assert type(engine) is ENGINE_CONFIGS[name]
    assert (engine.engine_name, engine.control_mode, engine.control_freq) == (name, "pos", 30)
    assert (engine.sim_freq, engine.sim_steps) == (sim_freq, sim_freq // 30)
    assert engine.env_spacing == 5.0
    assert engine.ground_contact_height == ground_contact_height


@pytest.mark.parametrize(("name", "std", "rate"), [("humanoid", 0.05, 1e-4), ("go2", 0.1, 2e-4)])
def test_agent_files(repository: Path, name: str, std: float, rate: float) -> None:
    agent = build_part("agents", read_yaml(repository / f"data/agents/deepmimic_{name}_ppo_agent.yaml"))
    assert isinstance(agent, PPOConfig)
    assert agent.actor_optimizer == OptimizerConfig(type="SGD", learning_rate=rate, weight_decay=0.0)
    assert agent.critic_optimizer == OptimizerConfig(type="SGD", learning_rate=1e-4, weight_decay=0.0)
    assert (agent.model.actor_net, agent.model.critic_net) == ("fc_2layers_1024units", "fc_2layers_1024units")
    assert (agent.model.actor_std_type, agent.model.action_std) == ("FIXED", std)
    assert agent.model.actor_init_output_scale == 0.01
    assert (agent.steps_per_iter, agent.iters_per_output, agent.test_episodes) == (32, 100, 32)
    assert (agent.actor_epochs, agent.actor_batch_size) == (5, 4)
    assert (agent.critic_epochs, agent.critic_batch_size) == (2, 2)
    assert (agent.discount, agent.td_lambda, agent.norm_adv_clip) == (0.99, 0.95, 4.0)
    assert (agent.ppo_clip_ratio, agent.action_bound_weight) == (0.2, 10.0)
    assert (agent.action_entropy_weight, agent.action_reg_weight) == (0.0, 0.0)
    assert agent.normalizer_samples == 100_000_000


def test_the_learning_rate_reads_alike_as_number_and_as_text(repository: Path) -> None:
    path = repository / "data/agents/deepmimic_humanoid_ppo_agent.yaml"
    assert yaml.safe_load(path.read_text())["actor_optimizer"]["learning_rate"] == "1e-4"
    document = read_yaml(path)
    assert document.values["actor_optimizer"]["learning_rate"] == 1e-4
    as_text = Document(Source("text"), yaml.safe_load(path.read_text()))
    assert build_part("agents", as_text) == build_part("agents", document)


@pytest.mark.parametrize(("name", "dofs", "joints"), [("humanoid", 28, 14), ("humanoid_walk", 28, 14), ("go2", 12, 16)])
def test_environment_files(repository: Path, name: str, dofs: int, joints: int) -> None:
    env = build_part("envs", read_yaml(repository / f"data/envs/deepmimic_{name}_env.yaml"))
    assert isinstance(env, DeepMimicEnvConfig)
    assert len(env.init_pose) == 6 + dofs
    assert env.joint_err_w is not None
    assert len(env.joint_err_w) == joints
    assert (env.episode_length, env.tar_obs_steps, env.num_phase_encoding) == (10.0, (1, 2, 3), 4)
    assert (env.global_obs, env.root_height_obs, env.enable_phase_obs, env.enable_tar_obs) == (True, True, False, True)
    assert (env.pose_termination, env.pose_termination_dist) == (True, 0.5 if name == "go2" else 1.0)
    assert (env.rand_reset, env.enable_early_termination, env.zero_center_action) == (True, True, False)
    weights = [getattr(env, f"reward_{term}_w") for term in ("pose", "vel", "root_pose", "root_vel", "key_pos")]
    scales = [getattr(env, f"reward_{term}_scale") for term in ("pose", "vel", "root_pose", "root_vel", "key_pos")]
    assert weights == [0.5, 0.1, 0.15, 0.1, 0.15]
    assert scales == [0.25, 0.01, 5.0, 1.0, 10.0]
    assert env.engine == ({"ground_contact_height": 0.15} if name == "go2" else {})


def test_the_humanoids_weights_and_pose(repository: Path) -> None:
    env = build_part("envs", read_yaml(repository / "data/envs/deepmimic_humanoid_env.yaml"))
    assert env.joint_err_w == (1.0, 0.6, 0.6, 0.4, 0.0, 0.6, 0.4, 0.0, 1.0, 0.6, 0.4, 1.0, 0.6, 0.4)
    given = {index: value for index, value in enumerate(env.init_pose) if value}
    assert given == {2: 0.882416, 12: 1.5708, 16: -1.5708}
    assert env.key_bodies == ("head", "right_hand", "left_hand", "right_foot", "left_foot")
    assert env.contact_bodies == ("right_foot", "left_foot")


@pytest.mark.parametrize("name", DEEPMIMIC_ENVS)
def test_published_deepmimic_environments_load(facts: Mapping[str, Any], name: str) -> None:
    values = facts["envs"][name]
    env = build_part("envs", Document(Source(name), values))
    assert isinstance(env, DeepMimicEnvConfig)
    for key, value in values.items():
        built = getattr(env, key)
        expected = tuple(value) if isinstance(value, list) else Path(value) if key.endswith("_file") else value
        assert built == expected


@pytest.mark.parametrize("name", PPO_AGENTS)
def test_published_ppo_agents_load(facts: Mapping[str, Any], name: str) -> None:
    values = facts["agents"][name]
    agent = build_part("agents", Document(Source(name), values))
    assert isinstance(agent, PPOConfig)
    for key, value in values.items():
        built = getattr(agent, key)
        for inner, item in value.items() if isinstance(value, dict) else ():
            assert getattr(built, inner) == (float(item) if inner == "learning_rate" else item)
        assert isinstance(value, dict) or built == value


def test_no_published_file_of_a_known_kind_is_left_out(facts: Mapping[str, Any]) -> None:
    envs = {name for name, values in facts["envs"].items() if values["env_name"] in ENV_CONFIGS}
    agents = {name for name, values in facts["agents"].items() if values["agent_name"] in AGENT_CONFIGS}
    assert envs >= set(DEEPMIMIC_ENVS)
    assert agents >= set(PPO_AGENTS)
    for part, names in (("envs", envs), ("agents", agents), ("engines", set(facts["engines"]))):
        for name in names:
            assert build_part(part, Document(Source(name), facts[part][name])) is not None


@pytest.mark.parametrize("part", list(KINDS))
def test_committed_files_equal_the_published_ones(facts: Mapping[str, Any], repository: Path, part: str) -> None:
    compared = 0
    for path in committed(repository, part):
        if path.name in facts[part]:
            compared += 1
            values = dict(facts[part][path.name])
            if path.name in OUR_CLIPS:
                values["motion_file"] = OUR_CLIPS[path.name]
            published = build_part(part, Document(Source(path.name), values))
            assert build_part(part, read_yaml(path)) == published
    assert compared >= 2


def test_committed_arg_files_equal_the_published_ones(facts: Mapping[str, Any], repository: Path) -> None:
    paths = [path for path in sorted((repository / "args").glob("*.txt")) if path.name in facts["args"]]
    assert paths
    for path in paths:
        ours = {key: " ".join(words) for key, words in read_arg_file(path).values.items()}
        published = dict(facts["args"][path.name])
        assert published.pop("engine_config") == "data/engines/isaac_gym_engine.yaml"
        assert ours.pop("engine_config") == "data/engines/newton_engine.yaml"
        assert ours == published
