"""A whole case: combination of its files, overrides, missing files, and the printed configuration."""

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mimickit.config.agent_config import PolicyFreeConfig, PPOConfig
from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import Case, format_case, load_case, load_env
from mimickit.config.document import DEFAULT, Source
from mimickit.config.engine_config import IsaacGymEngineConfig, MujocoEngineConfig, NewtonEngineConfig
from mimickit.config.env_config import DeepMimicEnvConfig, ObjectConfig, StaticObjectsEnvConfig
from mimickit.errors import InputError

CASE = ["--arg_file", "args/deepmimic_humanoid_ppo_args.txt", "--devices", "cpu"]
ENV = "data/envs/deepmimic_humanoid_env.yaml"
ENGINE = "data/engines/newton_engine.yaml"
AGENT = "data/agents/deepmimic_humanoid_ppo_agent.yaml"
VAULT = "data/envs/vault_humanoid_env.yaml"
VAULT_CLIP = "data/motions/humanoid/humanoid_vault.pkl"


def load(*extra: str) -> Case:
    return load_case(parse_run_arguments([*CASE, *extra]))


def failure(*extra: str) -> str:
    with pytest.raises(InputError) as caught:
        load(*extra)
    return str(caught.value)


def line_of(path: str, text: str) -> int:
    """The line (from 1) of the file's one line that begins with ``text``."""
    (line,) = [number for number, line in enumerate(Path(path).read_text().splitlines(), 1) if line.startswith(text)]
    return line


def replace(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert text.count(old) == 1
    Path(path).write_text(text.replace(old, new))


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if key != "sources"}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value.as_posix() if isinstance(value, Path) else value


def test_the_committed_case(project: Path) -> None:
    case = load()
    assert isinstance(case.engine, NewtonEngineConfig)
    assert (case.engine.control_freq, case.engine.sim_freq, case.engine.sim_steps) == (30, 240, 8)
    assert isinstance(case.env, DeepMimicEnvConfig)
    assert case.env.motion_file == Path("data/motions/humanoid/humanoid_spinkick.pkl")
    assert len(case.env.init_pose) == 34
    assert isinstance(case.agent, PPOConfig)
    assert case.agent.actor_optimizer.learning_rate == 0.0001
    assert type(case.agent.actor_optimizer.learning_rate) is float


def test_a_case_without_an_agent(project: Path) -> None:
    argv = ["--engine_config", "data/engines/mujoco_engine.yaml", "--env_config", ENV]
    case = load_case(parse_run_arguments(argv))
    assert case.agent == PolicyFreeConfig()
    assert yaml.safe_load(format_case(case))["agent"]["agent_name"] == "policy_free"


def test_switching_the_backend_changes_one_argument(project: Path) -> None:
    case = load("--engine_config", "data/engines/mujoco_engine.yaml")
    assert isinstance(case.engine, MujocoEngineConfig)
    assert (case.engine.control_mode, case.engine.sim_freq, case.engine.env_spacing) == ("pos", 240, 5.0)


def test_the_environment_overrides_engine_values(project: Path) -> None:
    env = "data/envs/deepmimic_go2_env.yaml"
    gym = load("--env_config", env, "--engine_config", "data/engines/isaac_gym_engine.yaml")
    assert isinstance(gym.engine, IsaacGymEngineConfig)
    assert gym.engine.ground_contact_height == 0.15
    assert gym.engine.sim_freq == 120
    assert gym.sources["engine.ground_contact_height"] == Source(env, line_of(env, "  ground_contact_height"))
    assert gym.sources["engine.sim_freq"] == Source(
        "data/engines/isaac_gym_engine.yaml", line_of("data/engines/isaac_gym_engine.yaml", "sim_freq")
    )
    plain_gym = load("--engine_config", "data/engines/isaac_gym_engine.yaml")
    assert plain_gym.engine.ground_contact_height == 0.3


def test_an_override_of_another_backend_is_left_out_and_shown(project: Path) -> None:
    with Path(ENV).open("a") as file:
        file.write("engine:\n  sim_freq: 480\n  contacts_per_env: 200\n")
    newton = load()
    assert isinstance(newton.engine, NewtonEngineConfig)
    assert (newton.engine.sim_freq, newton.engine.contacts_per_env) == (480, 200)
    mujoco = load("--engine_config", "data/engines/mujoco_engine.yaml")
    assert mujoco.engine.sim_freq == 480
    assert "(not used by mujoco: contacts_per_env)" in format_case(mujoco)
    assert "not used by" not in format_case(newton)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("engine:\n  sim_frq: 480", "unknown key 'engine.sim_frq'; the nearest valid key is 'engine.sim_freq'"),
        ("engine:\n  engine_name: mujoco", "'engine.engine_name' may not be overridden; --engine_config chooses"),
        ("engine:\n  sim_freq: 100", "'sim_freq' must be a multiple of control_freq (30), not 100"),
        ("engine:\n  sim_freq: fast", "'sim_freq' must be a whole number, not 'fast'"),
        ("\nengine: 5", "'engine' must be a mapping, not 5"),
    ],
)
def test_a_bad_override_names_the_environments_file(project: Path, block: str, message: str) -> None:
    last = len(Path(ENV).read_text().splitlines()) + 2
    with Path(ENV).open("a") as file:
        file.write(block + "\n")
    text = failure()
    assert text.startswith(f"{ENV}:{last}: ")
    assert message in text


CHANGES = [
    (ENV, "global_obs: true", "global_ob: true", "unknown key 'global_ob'; the nearest valid key is 'global_obs'"),
    (ENV, "global_obs: true", "global_obs: maybe", "'global_obs' must be true or false, not 'maybe'"),
    (ENV, "camera_mode: track", "camera_mode: trak", "'camera_mode' must be one of track, still, not 'trak'; the "
     "nearest is 'track'"),
    (ENV, "episode_length: 10.0", "episode_length: 0", "'episode_length' must be greater than 0 s, not 0"),
    (ENV, "episode_length: 10.0", "episode_length: long", "'episode_length' must be a number, not 'long'"),
    (ENV, "ref_char_offset: [2.0, 0.0, 0.0]", "ref_char_offset: [2.0, 0.0]", "'ref_char_offset' must be a list of 3 "
     "numbers, not [2.0, 0.0]"),
    (ENV, "tar_obs_steps: [1, 2, 3]", "tar_obs_steps: [1, 2.5]", "'tar_obs_steps[1]' must be a whole number, not 2.5"),
    (ENV, "tar_obs_steps: [1, 2, 3]", "tar_obs_steps: [0, 1]", "'tar_obs_steps' must be a list of steps of at least 1"),
    (ENV, "tar_obs_steps: [1, 2, 3]", "tar_obs_steps: []", "'tar_obs_steps' must be given when enable_tar_obs is true"),
    (ENV, "key_bodies: [head, right_hand,", "key_bodies: [head, head,", "'key_bodies' must be a list of different"),
    (ENV, "pose_termination_dist: 1.0", "pose_termination_dist: 0", "'pose_termination_dist' must be greater than 0 m"),
    (ENV, "reward_vel_w: 0.1", "reward_vel_w: -0.1", "'reward_vel_w' must be at least 0, not -0.1"),
    (ENV, "reward_vel_scale: 0.01", "reward_vel_scal: 0.01", "unknown key 'reward_vel_scal'; the nearest valid key is "
     "'reward_vel_scale'"),
    (ENV, "env_name: deepmimic", "env_name: deepmimik", "'env_name' must be one of add, amp, ase, char_dof_test, "
     "deepmimic, smp, static_objects, task_dodgeball, task_location, task_steering, view_motion, not 'deepmimik'; the "
     "nearest is 'deepmimic'"),
    (ENGINE, "engine_name: newton", "engine_name: newtn", "'engine_name' must be one of isaac_gym, isaac_lab, mujoco, "
     "newton, not 'newtn'; the nearest is 'newton'"),
    (ENGINE, "control_mode: pos", "control_mode: position", "'control_mode' must be one of none, pos, vel, torque, "
     "pd_explicit, not 'position'; the nearest is 'pos'"),
    (ENGINE, "sim_freq: 240", "sim_freq: 100", "'sim_freq' must be a multiple of control_freq (30), not 100"),
    (ENGINE, "sim_freq: 240", "sim_freq: -30", "'sim_freq' must be at least 1 Hz, not -30"),
    (ENGINE, "control_freq: 30", "control_freq: 0", "'control_freq' must be at least 1 Hz, not 0"),
    (ENGINE, "env_spacing: 5", "num_threads: 4\nenv_spacing: 5", "unknown key 'num_threads'"),
    (ENGINE, "env_spacing: 5", "solver_iterations: 0\nenv_spacing: 5", "'solver_iterations' must be at least 1, not 0"),
    (ENGINE, "env_spacing: 5", "contacts_per_env: 0\nenv_spacing: 5", "'contacts_per_env' must be at least 1, not 0"),
    (ENGINE, "env_spacing: 5", "cuda_graph: 1\nenv_spacing: 5", "'cuda_graph' must be true or false, not 1"),
    (AGENT, "  action_std: 0.05", "  action_sd: 0.05", "unknown key 'model.action_sd'; the nearest valid key is "
     "'model.action_std'"),
    (AGENT, "  actor_net: fc_2layers_1024units", "  actor_net: fc_2layers_1000units", "'model.actor_net' must be one "
     "of fc_2layers_128units, fc_2layers_256units, fc_2layers_512units, fc_2layers_1024units, fc_3layers_1024units, "
     "not 'fc_2layers_1000units'; the nearest is 'fc_2layers_1024units'"),
    (AGENT, "  actor_std_type: FIXED", "  actor_std_type: fixed", "'model.actor_std_type' must be one of FIXED, "
     "CONSTANT, VARIABLE, not 'fixed'"),
    (AGENT, "discount: 0.99", "discount: 1.0", "'discount' must be at least 0 and less than 1, not 1.0"),
    (AGENT, "td_lambda: 0.95", "td_lambda: 95", "'td_lambda' must be between 0 and 1, not 95"),
    (AGENT, "steps_per_iter: 32", "steps_per_iter: 0", "'steps_per_iter' must be at least 1, not 0"),
    (AGENT, "steps_per_iter: 32", "steps_per_iter: 1.5", "'steps_per_iter' must be a whole number, not 1.5"),
    (AGENT, "ppo_clip_ratio: 0.2", "ppo_clip: 0.2", "unknown key 'ppo_clip'; the nearest valid key is "
     "'ppo_clip_ratio'"),
    (AGENT, "agent_name: PPO", "agent_name: PP0", "'agent_name' must be one of ADD, AMP, ASE, AWR, LCP, PPO, SMP, "
     "not 'PP0'; the nearest is 'PPO'"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "old", "new", "message"), CHANGES, ids=[change[2] for change in CHANGES])
def test_a_bad_yaml_value_names_file_line_and_key(project: Path, path: str, old: str, new: str, message: str) -> None:
    line = line_of(path, old)
    replace(path, f"\n{old}", f"\n{new}")
    text = failure()
    assert text.startswith(f"{path}:{line}: ")
    assert message in text
    assert len(text.splitlines()) == 1


def test_a_bad_optimizer_names_its_own_section(project: Path) -> None:
    line = line_of(AGENT, "critic_optimizer:")
    before, after = Path(AGENT).read_text().split("critic_optimizer:")
    Path(AGENT).write_text(before + "critic_optimizer:" + after.replace("type: SGD", "type: RMSprop", 1))
    assert failure() == (
        f"{AGENT}:{line + 1}: 'critic_optimizer.type' must be one of SGD, Adam, not 'RMSprop'; the nearest is 'SGD'"
    )
    Path(AGENT).write_text(before + "critic_optimizer:" + after.replace("  learning_rate: 1e-4\n", "", 1))
    expected = f"{AGENT}:{line}: required key 'critic_optimizer.learning_rate' (a number) is missing"
    assert failure() == expected


def test_a_repeated_yaml_key(project: Path) -> None:
    first = line_of(ENV, "global_obs")
    last = len(Path(ENV).read_text().splitlines()) + 1
    with Path(ENV).open("a") as file:
        file.write("global_obs: false\n")
    assert failure() == f"{ENV}:{last}: key 'global_obs' is given twice; it is on line {first} already"


def test_a_missing_motion_names_the_line_and_the_remedy(project: Path) -> None:
    Path("data/motions/humanoid/humanoid_spinkick.pkl").unlink()
    assert failure() == (
        f"{ENV}:{line_of(ENV, 'motion_file')}: 'motion_file' must name a file: "
        "data/motions/humanoid/humanoid_spinkick.pkl does not exist; the nearest existing file is "
        "data/motions/humanoid/humanoid_walk.pkl; `nox -s data` builds the open clips"
    )


def test_a_missing_character_and_motion_are_reported_together(project: Path) -> None:
    replace(ENV, "humanoid.xml", "humanoit.xml")
    Path("data/motions/humanoid/humanoid_spinkick.pkl").unlink()
    Path("data/motions/humanoid/humanoid_walk.pkl").unlink()
    lines = failure().splitlines()
    assert lines == [
        "2 problems:",
        f"  {ENV}:{line_of(ENV, 'char_file')}: 'char_file' must name a file: data/assets/humanoid/humanoit.xml does "
        "not exist; the nearest existing file is data/assets/humanoid/humanoid.xml",
        f"  {ENV}:{line_of(ENV, 'motion_file')}: 'motion_file' must name a file: "
        "data/motions/humanoid/humanoid_spinkick.pkl does not exist; the folder data/motions/humanoid holds no file; "
        "`nox -s data` builds the open clips",
    ]


@pytest.fixture
def vault(project: Path) -> Path:
    """Everything that the vault names; returns the folder of its objects."""
    objects = Path("data/assets/objects")
    objects.mkdir(parents=True)
    for path in (objects / "humanoid_step.xml", objects / "humanoid_wall.xml", Path(VAULT_CLIP)):
        path.touch()
    return objects


def test_a_missing_object_names_its_own_line(vault: Path) -> None:
    (vault / "humanoid_wall.xml").unlink()
    assert failure("--env_config", VAULT) == (
        f"{VAULT}:{line_of(VAULT, '    file: data/assets/objects/humanoid_wall.xml')}: 'objects[1].file' must name a "
        "file: data/assets/objects/humanoid_wall.xml does not exist; the nearest existing file is "
        "data/assets/objects/humanoid_step.xml"
    )
    (vault / "humanoid_step.xml").unlink()
    Path(VAULT_CLIP).unlink()
    problems = failure("--env_config", VAULT).splitlines()
    keys = ("motion_file", "objects[0].file", "objects[1].file")
    assert problems[0] == "3 problems:"
    assert all(f"'{key}' must name a file" in text for key, text in zip(keys, problems[1:], strict=True))
    assert [text.endswith("`nox -s data` builds the open clips") for text in problems[1:]] == [True, False, False]


def test_a_bad_object_names_its_own_line(vault: Path) -> None:
    line = line_of(VAULT, "  - pos: [1.0, 0.0, 0.4524]")
    replace(VAULT, "- pos: [1.0, 0.0, 0.4524]", "- pos: [1.0, 0.0]")
    replace(VAULT, "file: data/assets/objects/humanoid_wall.xml", "fiel: data/assets/objects/humanoid_wall.xml")
    assert failure("--env_config", VAULT).splitlines() == [
        "2 problems:",
        f"  {VAULT}:{line}: 'objects[1].pos' must be a list of 3 numbers, not [1.0, 0.0]",
        f"  {VAULT}:{line + 1}: unknown key 'objects[1].fiel'; the nearest valid key is 'objects[1].file'",
    ]


def test_the_printed_objects_are_a_list_with_origins_and_are_read_back_alike(vault: Path) -> None:
    case = load("--env_config", VAULT)
    assert isinstance(case.env, StaticObjectsEnvConfig)
    step, wall = (f"data/assets/objects/humanoid_{name}.xml" for name in ("step", "wall"))
    assert case.env.objects == (
        ObjectConfig(pos=(0.2559, -0.2151, 0.0857), file=Path(step)),
        ObjectConfig(pos=(1.0, 0.0, 0.4524), file=Path(wall)),
    )
    first = line_of(VAULT, "objects:") + 1
    expected = [
        "  objects:",
        f"    - pos: [0.2559, -0.2151, 0.0857]  # {VAULT}:{first}",
        f"      file: {step}  # {VAULT}:{first + 1}",
        f"    - pos: [1.0, 0.0, 0.4524]  # {VAULT}:{first + 2}",
        f"      file: {wall}  # {VAULT}:{first + 3}",
    ]
    lines = format_case(case).splitlines()
    start = lines.index("  objects:")
    assert lines[start : start + 5] == expected
    printed = yaml.safe_load(format_case(case))["env"]
    assert printed["objects"] == plain([dataclasses.asdict(each) for each in case.env.objects])
    Path(VAULT).write_text(yaml.safe_dump(printed))
    assert load("--env_config", VAULT).env == case.env


def test_an_empty_list_of_objects_is_printed_with_its_origin(vault: Path) -> None:
    values = yaml.safe_load(Path(VAULT).read_text())
    Path(VAULT).write_text(yaml.safe_dump({**values, "objects": []}))
    case = load("--env_config", VAULT)
    assert f"  objects: []  # {VAULT}:{line_of(VAULT, 'objects:')}" in format_case(case).splitlines()


def test_an_environment_can_be_read_without_its_files(project: Path) -> None:
    Path("data/motions/humanoid/humanoid_walk.pkl").unlink()
    env = load_env(Path("data/envs/deepmimic_humanoid_walk_env.yaml"))
    assert isinstance(env, DeepMimicEnvConfig)
    assert env.motion_file == Path("data/motions/humanoid/humanoid_walk.pkl")


def test_the_walk_environment_differs_in_its_clip_only(project: Path) -> None:
    spinkick, walk = load_env(Path(ENV)), load_env(Path("data/envs/deepmimic_humanoid_walk_env.yaml"))
    assert isinstance(spinkick, DeepMimicEnvConfig)
    clip = Path("data/motions/humanoid/humanoid_walk.pkl")
    assert spinkick != walk
    assert dataclasses.replace(spinkick, motion_file=clip) == walk


def test_the_printed_case_is_yaml_with_every_effective_value(project: Path) -> None:
    words = (
        "--env_config",
        "data/envs/deepmimic_go2_env.yaml",
        "--out_dir",
        "output/a: b #1",
        "--mode",
        "test",
        "--video",
    )
    case = load(*words)
    printed = yaml.safe_load(format_case(case))
    assert list(printed) == ["run", "engine", "env", "agent"]
    for name in printed:
        assert printed[name] == plain(dataclasses.asdict(getattr(case, name)))
    assert printed["run"]["out_dir"] == "output/a: b #1"
    assert printed["env"]["engine"] == {"ground_contact_height": 0.15}


def test_the_printed_case_is_read_back_alike(project: Path) -> None:
    replace(AGENT, "action_reg_weight: 0.0", "action_reg_weight: 1e-7")
    case = load()
    printed = yaml.safe_load(format_case(case))
    for part, path in (("engine", ENGINE), ("env", ENV), ("agent", AGENT)):
        Path(path).write_text(yaml.safe_dump(printed[part]))
    again = load()
    assert (again.engine, again.env, again.agent) == (case.engine, case.env, case.agent)
    assert again.agent is not None
    assert again.agent.action_reg_weight == 1e-7


def test_each_printed_value_says_where_it_came_from(project: Path) -> None:
    lines = [line.strip() for line in format_case(load("--num_envs", "8")).splitlines()]
    arg_file = "args/deepmimic_humanoid_ppo_args.txt"
    for expected in (
        "num_envs: 8  # command line",
        f"env_config: {ENV}  # {arg_file}:{line_of(arg_file, '--env_config')}",
        "mode: train  # default",
        f"sim_freq: 240  # {ENGINE}:{line_of(ENGINE, 'sim_freq')}",
        f"tar_obs_steps: [1, 2, 3]  # {ENV}:{line_of(ENV, 'tar_obs_steps')}",
        "zero_center_action: false  # default",
        f"action_std: 0.05  # {AGENT}:{line_of(AGENT, '  action_std')}",
        "weight_decay: 0.0  # default",
    ):
        assert expected in lines


def test_every_value_has_a_source(project: Path) -> None:
    case = load()

    def keys(config: Any, prefix: str) -> set[str]:
        found: set[str] = set()
        for spec in dataclasses.fields(config):
            value = getattr(config, spec.name)
            if spec.name != "sources":
                name = f"{prefix}.{spec.name}"
                found |= keys(value, name) if dataclasses.is_dataclass(value) else {name}
        return found

    expected = set().union(*(keys(getattr(case, name), name) for name in ("run", "engine", "env", "agent")))
    assert set(case.sources) == expected
    assert case.sources["env.zero_center_action"] == DEFAULT


def test_a_case_can_be_sent_to_another_process(project: Path) -> None:
    case = load()
    copy = pickle.loads(pickle.dumps(case))
    assert copy == case
    assert copy.sources == case.sources


def test_a_missing_environment_given_in_code(project: Path) -> None:
    with pytest.raises(InputError, match=r"data/envs/none\.yaml does not exist; the nearest existing file is"):
        load_env(Path("data/envs/none.yaml"))


def test_reading_a_case_does_not_import_torch(repository: Path) -> None:
    code = (
        "import sys; import mimickit.config.case, mimickit.config.arguments;"
        "print([name for name in ('torch', 'numpy', 'warp', 'newton', 'mujoco') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
