"""Engines and states for the engine tests."""

import dataclasses
from pathlib import Path

import pytest
import torch

from mimickit.anim import load_character
from mimickit.config.engine_config import ENGINE_CONFIGS
from mimickit.engines import Scene, build_engine

HUMANOID = Path(__file__).parents[2] / "data/assets/humanoid/humanoid.xml"
CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class EngineState:
    """What ``Engine.reset`` takes after the mask."""

    root_pos: torch.Tensor
    root_rot: torch.Tensor
    root_vel: torch.Tensor
    root_ang_vel: torch.Tensor
    dof_pos: torch.Tensor
    dof_vel: torch.Tensor

    def tensors(self):
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


def make_random_state(num_envs, num_dofs, seed, height=0.95):
    """Poses near the default one, above the ground, moving a little."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, scale):
        return torch.randn(*shape, generator=generator) * scale

    root_pos = normal(num_envs, 3, scale=0.1)
    root_pos[:, 2] = height
    root_rot = torch.nn.functional.normalize(
        normal(num_envs, 4, scale=0.05) + torch.tensor([0.0, 0.0, 0.0, 1.0]), dim=1
    )
    return EngineState(
        root_pos,
        root_rot,
        normal(num_envs, 3, scale=0.3),
        normal(num_envs, 3, scale=0.5),
        normal(num_envs, num_dofs, scale=0.15),
        normal(num_envs, num_dofs, scale=0.5),
    )


@pytest.fixture(scope="session")
def humanoid():
    return load_character(HUMANOID)


@pytest.fixture(scope="session")
def make_engine(humanoid):
    """``make_engine("mujoco", num_envs, char_model=..., props=..., **config values)``, closed at the end."""
    engines = []

    def make(name, num_envs, char_model=None, props=(), fixed_root_pose=None, self_collision=True, **values):
        config = ENGINE_CONFIGS[name](
            **{
                "engine_name": name,
                "control_mode": "pos",
                "control_freq": 30,
                "sim_freq": 240,
                "env_spacing": 5.0,
                **values,
            }
        )
        scene = Scene(
            HUMANOID,
            char_model or humanoid,
            props=props,
            fixed_root_pose=fixed_root_pose,
            self_collision=self_collision,
        )
        engines.append(build_engine(config, scene, num_envs, CPU))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def put():
    """Reset every environment of an engine into a state."""

    def reset(engine, state):
        engine.reset(torch.ones(engine.num_envs, dtype=torch.bool), *state.tensors())

    return reset


@pytest.fixture(scope="session")
def random_state():
    """``random_state(num_envs, num_dofs, seed, height)``: poses near the default one, moving a little."""
    return make_random_state
