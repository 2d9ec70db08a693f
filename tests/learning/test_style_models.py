"""Model files of AMP, ADD and ASE: names and shapes of published ones; and the environments that these agents fit."""

import importlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mimickit.config.agent_config import AGENT_CONFIGS
from mimickit.config.case import load_env
from mimickit.config.schema import build_kind, read_yaml
from mimickit.envs import ENVS
from mimickit.errors import InputError
from mimickit.learning.agents import build_agent
from mimickit.learning.amp import AMPAgent
from mimickit.learning.checkpoint import load_model
from mimickit.learning.ppo import PPOAgent
from mimickit.learning.processes import Processes

ROOT = Path(__file__).resolve().parents[2]
ALONE = Processes(0, 1, torch.device("cpu"))

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"_model.{name}.weight": (outputs, inputs), f"_model.{name}.bias": (outputs,)}


def normalizer(name: str, size: int) -> Shapes:
    return {f"{name}._count": (1,), f"{name}._mean": (size,), f"{name}._std": (size,)}


def policy_and_value(obs_size: int) -> Shapes:
    """Networks of 1024 and 512 units for 28 actions, with a fixed standard deviation."""
    shapes = linear("_action_dist._mean_net", 512, 28) | linear("_critic_out", 512, 1)
    for part in ("_actor_layers", "_critic_layers"):
        shapes |= linear(f"{part}.0", obs_size, 1024) | linear(f"{part}.2", 1024, 512)
    return shapes | {"_model._action_dist._logstd_net": (28,)}


def style(obs_size: int) -> Shapes:
    """AMP on windows of 1420 numbers."""
    return (
        normalizer("_obs_norm", obs_size)
        | normalizer("_a_norm", 28)
        | normalizer("_disc_obs_norm", 1420)
        | policy_and_value(obs_size)
        | linear("_disc_layers.0", 1420, 1024)
        | linear("_disc_layers.2", 1024, 512)
        | linear("_disc_logits", 512, 1)
    )


def skills() -> Shapes:
    """ASE: three layers, and a latent of 64 numbers beside 140 of an observation."""
    shapes = normalizer("_obs_norm", 140) | normalizer("_a_norm", 28) | normalizer("_disc_obs_norm", 1420)
    inputs = {"_actor_layers": 204, "_critic_layers": 204, "_disc_layers": 1420}
    for part, size in inputs.items():
        shapes |= linear(f"{part}.0", size, 1024) | linear(f"{part}.2", 1024, 1024) | linear(f"{part}.4", 1024, 512)
    shapes |= linear("_action_dist._mean_net", 512, 28) | linear("_critic_out", 512, 1) | linear("_disc_logits", 512, 1)
    shapes |= linear("_enc_layers.0", 1420, 1024) | linear("_enc_layers.2", 1024, 512) | linear("_enc_out", 512, 64)
    return shapes | {"_model._action_dist._logstd_net": (28,)}


def differences() -> Shapes:
    """ADD on differences of 172 numbers."""
    return (
        normalizer("_obs_norm", 464)
        | normalizer("_a_norm", 28)
        | {"_disc_obs_norm._count": (1,), "_disc_obs_norm._mean_abs": (172,)}
        | policy_and_value(464)
        | linear("_disc_layers.0", 172, 1024)
        | linear("_disc_layers.2", 1024, 512)
        | linear("_disc_logits", 512, 1)
    )


# Of the published humanoid models: agent file, observation and discriminator observation sizes, and the state.
PUBLISHED: dict[str, tuple[str, int, int, Shapes]] = {
    "amp_humanoid": ("amp_humanoid_agent.yaml", 140, 1420, style(140)),
    "amp_location_humanoid": ("amp_task_humanoid_agent.yaml", 142, 1420, style(142)),
    "amp_steering_humanoid": ("amp_task_humanoid_agent.yaml", 145, 1420, style(145)),
    "ase_humanoid": ("ase_humanoid_agent.yaml", 140, 1420, skills()),
    "add_humanoid": ("add_humanoid_agent.yaml", 464, 172, differences()),
}


def published_agent(name: str) -> AMPAgent:
    """The agent of a committed file, for an environment that has but the humanoid's sizes."""
    file, obs_size, disc_obs_size, _ = PUBLISHED[name]
    config = build_kind(AGENT_CONFIGS, "agent_name", read_yaml(ROOT / "data" / "agents" / file))
    env: Any = SimpleNamespace(
        num_envs=1,
        device=torch.device("cpu"),
        obs_size=obs_size,
        action_size=28,
        disc_obs_size=disc_obs_size,
        action_low=-torch.ones(28),
        action_high=torch.ones(28),
        observe_window=None,
        observe_difference=None,
    )
    agent = build_agent(config, env, ALONE, 0)
    assert isinstance(agent, AMPAgent)
    return agent


def shapes_of(state: dict[str, torch.Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_state_has_the_published_names_and_shapes_and_such_a_file_loads(name: str, tmp_path: Path) -> None:
    agent, shapes = published_agent(name), PUBLISHED[name][3]
    assert shapes_of(agent.state_dict()) == shapes
    generator = torch.Generator().manual_seed(3)
    made = {key: torch.rand(shape, generator=generator) for key, shape in reversed(shapes.items())}
    made |= {key: torch.tensor([1000 + i]) for i, key in enumerate(key for key in shapes if key.endswith("._count"))}
    torch.save(made, tmp_path / "model.pt")
    load_model(agent, tmp_path / "model.pt")
    assert all(torch.equal(tensor, made[key]) for key, tensor in agent.state_dict().items())
    # And is what the agent then works with: two layers of its discriminator by hand.
    window = torch.rand(3, PUBLISHED[name][2], generator=generator)
    hidden = torch.relu(window @ made["_model._disc_layers.0.weight"].T + made["_model._disc_layers.0.bias"])
    assert torch.allclose(agent._model._disc_layers[:2](window), hidden, rtol=1e-4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_names_and_shapes_here_are_those_of_the_facts(name: str) -> None:
    path = os.environ.get("MIMICKIT_FACTS")
    if not path:
        pytest.skip("MIMICKIT_FACTS does not name the file of published values")
    facts = json.loads(Path(path).read_text())["shapes"][name]
    _, obs_size, disc_obs_size, shapes = PUBLISHED[name]
    assert {key: tuple(shape) for key, shape in facts["state_dict"].items()} == shapes
    assert (facts["obs"], facts["disc_obs"], facts["action"]) == ([obs_size], [disc_obs_size], [28])


def test_another_agent_s_file_is_refused(make_style_agent: Any, tmp_path: Path) -> None:
    torch.save(make_style_agent("AMP").state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match="lacks '_disc_obs_norm._mean_abs'"):
        load_model(make_style_agent("ADD"), tmp_path / "model.pt")
    with pytest.raises(InputError, match="lacks '_model._enc_layers.0.weight'"):
        load_model(make_style_agent("ASE"), tmp_path / "model.pt")


ENV_CLASSES = {name: getattr(importlib.import_module(module), kind) for name, (module, kind) in ENVS.items()}
VIEWS = {"AMP": "observe_window", "ASE": "observe_window", "ADD": "observe_difference"}
FITTING = {agent: {name for name, kind in ENV_CLASSES.items() if hasattr(kind, view)} for agent, view in VIEWS.items()}
ENV_FILES = {name: f"{name}_humanoid_env.yaml" for name in ("add", "amp", "ase", "deepmimic")}


def test_the_environments_that_show_windows_or_differences() -> None:
    assert FITTING["AMP"] == {"amp", "ase", "smp", "task_location", "task_steering", "task_dodgeball"}
    assert FITTING["ASE"] == FITTING["AMP"]
    assert FITTING["ADD"] == {"add"}


class Accepted(Exception):
    """Raised where an agent begins to build its networks."""


@pytest.mark.parametrize("env_name", ENV_FILES)
@pytest.mark.parametrize("agent_name", FITTING)
def test_agents_and_environments_that_do_not_fit_are_named(
    make_style_agent: Any, monkeypatch: pytest.MonkeyPatch, agent_name: str, env_name: str
) -> None:
    """Of the environments, which are not built, only their classes and their files' settings take part."""

    def accept(*arguments: Any) -> None:
        raise Accepted

    monkeypatch.setattr(PPOAgent, "__init__", accept)
    env = object.__new__(ENV_CLASSES[env_name])
    env.config = load_env(ROOT / "data" / "envs" / ENV_FILES[env_name])
    if env_name in FITTING[agent_name]:
        with pytest.raises(Accepted):
            make_style_agent(agent_name, env=env)
        return
    with pytest.raises(InputError) as caught:
        make_style_agent(agent_name, env=env)
    words = [f"agent_name '{agent_name}'", f"env_name '{env_name}'"]
    assert all(word in str(caught.value) for word in words)
    named = set(str(caught.value).split("of the kind ")[1].replace(" or", ",").split(", "))
    assert named == FITTING[agent_name]
