"""Our files and the published values: read through the same classes, and equal but for the exceptions listed here.

The published values come as JSON (``args``, ``engines``, ``envs``, ``agents``); MIMICKIT_FACTS names that file.
"""

import dataclasses
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.cases import discover
from ci.ladder import BASE, HIGH_UTILISATION, rungs
from ci.options import parse
from mimickit.config.agent_config import AGENT_CONFIGS, AgentConfig, OptimizerConfig, PPOConfig
from mimickit.config.arguments import read_arg_file
from mimickit.config.document import Document, Source, read_yaml
from mimickit.config.engine_config import ENGINE_CONFIGS
from mimickit.config.env_config import ENV_CONFIGS, AMPEnvConfig, DeepMimicEnvConfig, StaticObjectsEnvConfig
from mimickit.config.schema import build_kind
from mimickit.data.characters import CHARACTERS
from mimickit.data.recipes import RECIPES

KINDS: dict[str, tuple[str, dict[str, type[Any]]]] = {
    "engines": ("engine_name", {**ENGINE_CONFIGS}),
    "envs": ("env_name", {**ENV_CONFIGS}),
    "agents": ("agent_name", {**AGENT_CONFIGS}),
}
# Where the open bundle lacks the published clip, the environment names ours.
OUR_CLIPS = {
    "deepmimic_humanoid_sword_shield_env.yaml": "data/motions/sword_shield/sword_shield_combo_down_thrust.pkl",
    "vault_g1_env.yaml": "data/motions/g1/g1_vault.pkl",
    "vault_humanoid_env.yaml": "data/motions/humanoid/humanoid_vault.pkl",
    "view_motion_humanoid_sword_shield_env.yaml": "data/motions/sword_shield/sword_shield_slash_down.pkl",
}
# With a clip of ours come its objects.
OUR_OBJECTS = {
    "vault_g1_env.yaml": [
        {"pos": [0.4439, -0.1607, 0.0641], "file": "data/assets/objects/g1_step.xml"},
        {"pos": [1.0, 0.0, 0.3381], "file": "data/assets/objects/g1_wall.xml"},
    ],
    "vault_humanoid_env.yaml": [
        {"pos": [0.2559, -0.2151, 0.0857], "file": "data/assets/objects/humanoid_step.xml"},
        {"pos": [1.0, 0.0, 0.4524], "file": "data/assets/objects/humanoid_wall.xml"},
    ],
}
# The published priors' configurations are in another place; their models are not ours.
OUR_PRIORS = {
    "smp_humanoid_agent.yaml": {
        "smp_prior_cfg": "data/priors/prior_single_clip.yaml",
        "smp_prior_model": "data/models/smp_priors/humanoid_spinkick.pt",
    },
    "smp_task_humanoid_agent.yaml": {
        "smp_prior_cfg": "data/priors/prior_multi_clip.yaml",
        "smp_prior_model": "data/models/smp_priors/humanoid_locomotion.pt",
    },
}
TRACKING_REWARD = [
    f"reward_{term}_{kind}" for term in ("pose", "vel", "root_pose", "root_vel", "key_pos") for kind in ("w", "scale")
]
# The published dodgeball case names an agent file that is not published.
NOT_PUBLISHED = "smp_dodgeball_humanoid_agent.yaml"
HIUTIL_CASES = ["add_pi_plus_args", "amp_pi_plus_args", "deepmimic_pi_plus_ppo_args"]
HIUTIL_AGENTS = ["add_pi_plus_agent", "amp_pi_plus_agent", "deepmimic_pi_plus_ppo_agent"]


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


def ours_instead(part: str, name: str) -> dict[str, Any]:
    """What we put in place of published values, by key."""
    if part == "agents":
        return dict(OUR_PRIORS.get(name, {}))
    replaced: dict[str, Any] = {"motion_file": OUR_CLIPS[name]} if name in OUR_CLIPS else {}
    return {**replaced, "objects": OUR_OBJECTS[name]} if name in OUR_OBJECTS else replaced


def left_out(part: str, values: Mapping[str, Any]) -> set[str]:
    """Published keys that have no effect, and are not in our files."""
    style = part == "envs" and issubclass(ENV_CONFIGS[values["env_name"]], AMPEnvConfig)
    return set(TRACKING_REWARD) if style else set()


def assert_built(built: Any, value: Any, key: str = "") -> None:
    """``built`` is what ``value`` says, in its own type: no key is dropped or changed on the way."""
    if dataclasses.is_dataclass(built):
        for inner, item in value.items():
            assert_built(getattr(built, inner), item, f"{key}.{inner}")
    elif isinstance(value, list):
        assert len(built) == len(value), key
        for one, item in zip(built, value, strict=True):
            assert_built(one, item, key)
    elif isinstance(built, Path):
        assert built == Path(value), key
    elif isinstance(built, float):
        assert built == float(value), key
    else:
        assert built == value, key


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


@pytest.mark.parametrize("part", list(KINDS))
def test_every_published_file_loads_and_keeps_its_values(facts: Mapping[str, Any], part: str) -> None:
    assert len(facts["envs"]) >= 35
    assert len(facts["agents"]) >= 21
    for name, values in facts[part].items():
        assert_built(build_part(part, Document(Source(name), values)), values, name)


@pytest.mark.parametrize("part", list(KINDS))
def test_committed_files_equal_the_published_ones(facts: Mapping[str, Any], repository: Path, part: str) -> None:
    assert {path.name for path in committed(repository, part)} >= set(facts[part])
    for path in committed(repository, part):
        if path.name not in facts[part]:
            continue
        values, instead = dict(facts[part][path.name]), ours_instead(part, path.name)
        for key, value in instead.items():
            assert values[key] != value, f"{path.name}: {key} is the published one"
        unused = left_out(part, values)
        values = {key: value for key, value in {**values, **instead}.items() if key not in unused}
        assert build_part(part, read_yaml(path)) == build_part(part, Document(Source(path.name), values)), path.name
        assert set(read_yaml(path).values) >= set(values), path.name


def test_every_published_case_is_committed_and_starts_newton(facts: Mapping[str, Any], repository: Path) -> None:
    published = facts["args"]
    assert len(published) == 37
    assert {path.name for path in (repository / "args").glob("*.txt")} >= set(published)
    for name, values in published.items():
        ours = {key: " ".join(words) for key, words in read_arg_file(repository / "args" / name).values.items()}
        assert ours == {**values, "engine_config": "data/engines/newton_engine.yaml"}, name


def test_every_case_names_files_that_are_here(repository: Path) -> None:
    cases = discover(repository)
    assert len(cases) >= 37
    for case in cases:
        assert not case.problem
        first, second = (repository / case.arg_file).read_text().splitlines()[:2]
        assert first.startswith("# ")
        assert second.startswith("--")


def test_every_clip_that_is_named_is_one_that_we_build(repository: Path) -> None:
    characters = {f"data/motions/{recipe.clip}": recipe.character for recipe in RECIPES.values()}
    for path in committed(repository, "envs"):
        values = read_yaml(path).values
        motion = values.get("motion_file", "")
        if motion.endswith(".yaml"):
            motion = yaml.safe_load((repository / motion).read_text())["motions"][0]["file"]
        if motion:
            assert values["char_file"] == f"data/assets/{CHARACTERS[characters[motion]].model}", path.name


@pytest.mark.parametrize("name", list(OUR_OBJECTS))
def test_objects_stand_where_the_clip_was_fitted_to_them(repository: Path, name: str) -> None:
    env = build_part("envs", read_yaml(repository / "data/envs" / name))
    assert isinstance(env, StaticObjectsEnvConfig)
    recipe = RECIPES[env.motion_file.stem]
    expected = [(Path("data/assets") / prop.file, prop.pos) for prop in recipe.props]
    assert [(each.file, each.pos) for each in env.objects] == expected
    assert all((repository / file).is_file() for file, _ in expected)


def test_the_readme_lists_what_is_ours(repository: Path) -> None:
    text = (repository / "data/envs/README.md").read_text()
    rows = {row[0].strip(" `"): row for line in text.splitlines() if len(row := line.strip("|").split("|")) == 4}
    for name, clip in OUR_CLIPS.items():
        assert Path(clip).name in rows[name][2]
        assert all(Path(each["file"]).name in rows[name][2] for each in OUR_OBJECTS.get(name, []))
    assert {name for name in rows if name.endswith("_env.yaml")} == set(OUR_CLIPS)
    for path in (repository / "data/datasets").glob("*.yaml"):
        count = len(yaml.safe_load(path.read_text())["motions"])
        assert rows[path.name][2].split()[0] == str(count)


def test_the_dodgeball_agent_is_that_of_the_other_tasks(repository: Path) -> None:
    dodgeball = build_part("agents", read_yaml(repository / "data/agents" / NOT_PUBLISHED))
    assert dodgeball == build_part("agents", read_yaml(repository / "data/agents/smp_task_humanoid_agent.yaml"))


def updates(agent: AgentConfig) -> int:
    """Gradient steps of an iteration: of each network, passes times minibatches (a batch size is per environment)."""
    names = [spec.name for spec in dataclasses.fields(agent) if spec.name.endswith("_epochs")]
    sizes = {name: getattr(agent, name.replace("_epochs", "_batch_size")) for name in names}
    assert max(sizes.values()) <= agent.steps_per_iter
    return sum(getattr(agent, name) * math.ceil(agent.steps_per_iter / size) for name, size in sizes.items())


@pytest.mark.parametrize("stem", HIUTIL_AGENTS)
def test_a_high_utilisation_agent_takes_fewer_gradient_steps_and_is_else_the_same(repository: Path, stem: str) -> None:
    path = repository / f"data/agents/{stem}_{HIGH_UTILISATION}.yaml"
    ours, base = (build_part("agents", read_yaml(each)) for each in (path, path.with_name(f"{stem}.yaml")))
    assert type(ours) is type(base)
    different = {key for key in vars(base) if getattr(ours, key) != getattr(base, key)}
    assert different
    assert all(re.fullmatch(r"(actor|critic|disc)_(epochs|batch_size)", key) for key in different)
    assert 3 * updates(ours) < updates(base)
    comment = " ".join(line.strip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    assert f"takes {updates(ours)} gradient steps instead of {updates(base)}." in comment


def test_the_job_matrix_tries_every_high_utilisation_agent(repository: Path) -> None:
    assert {path.stem for path in committed(repository, "agents") if HIGH_UTILISATION in path.stem} == {
        f"{stem}_{HIGH_UTILISATION}" for stem in HIUTIL_AGENTS
    }
    profile = parse(["--devices-train", "cpu"], repository).profile
    tried = {
        case.name: list(
            dict.fromkeys((rung.variant, rung.agent_config) for rung in rungs(case, profile, 1, repository))
        )
        for case in discover(repository)
    }
    assert {name: tries for name, tries in tried.items() if len(tries) > 1} == {
        case: [
            (HIGH_UTILISATION, f"data/agents/{agent}_{HIGH_UTILISATION}.yaml"),
            (BASE, f"data/agents/{agent}.yaml"),
        ]
        for case, agent in zip(HIUTIL_CASES, HIUTIL_AGENTS, strict=True)
    }
