"""Engines and states for the engine tests."""

import dataclasses
from pathlib import Path

import pytest
import torch

from mimickit.anim import load_character
from mimickit.config.engine_config import ENGINE_CONFIGS
from mimickit.engines import Scene, build_engine

ASSETS = Path(__file__).parents[2] / "data/assets"
HUMANOID = ASSETS / "humanoid/humanoid.xml"
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
    """``make_engine("mujoco", num_envs, char_file=..., device=..., **config values)``, closed at the end."""
    engines = []

    def make(
        name,
        num_envs,
        char_model=None,
        props=(),
        fixed_root_pose=None,
        self_collision=True,
        char_file=HUMANOID,
        device=CPU,
        **values,
    ):
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
            char_file,
            char_model or (humanoid if char_file == HUMANOID else load_character(char_file)),
            props=props,
            fixed_root_pose=fixed_root_pose,
            self_collision=self_collision,
        )
        engines.append(build_engine(config, scene, num_envs, device))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def put():
    """Reset every environment of an engine into a state."""

    def reset(engine, state):
        everyone = torch.ones(engine.num_envs, dtype=torch.bool, device=engine.device)
        engine.reset(everyone, *(tensor.to(engine.device) for tensor in state.tensors()))

    return reset


@pytest.fixture(scope="session")
def random_state():
    """``random_state(num_envs, num_dofs, seed, height)``: poses near the default one, moving a little."""
    return make_random_state


# Files of all six characters, and a height of the root from which each falls to the ground within half a second.
CHARACTERS = {
    "g1/g1.xml": 0.85,
    "go2/go2.xml": 0.45,
    "hightorque_pi_plus/pi_22dof.xml": 0.45,
    "humanoid/humanoid.xml": 0.95,
    "smpl/smpl.xml": 1.0,
    "sword_shield/humanoid_sword_shield.xml": 0.95,
}


@pytest.fixture(params=sorted(CHARACTERS), ids=lambda file: Path(file).stem)
def character(request):
    """File and height of each character in turn."""
    return ASSETS / request.param, CHARACTERS[request.param]


@pytest.fixture(scope="session")
def median_difference():
    """``median_difference(first, second, ...)``: from the same states under the same targets, the largest difference of
    two engines' joint angles in so many control steps, rad; the median over DoFs and environments."""

    def measure(first, second, target_scale=0.3, seed=0, steps=30, height=0.95, touching=100.0):
        num_envs, num_dofs = first.dof_pos.shape
        state = make_random_state(num_envs, num_dofs, seed, height)
        generator = torch.Generator().manual_seed(seed + 100)
        target = torch.randn(num_envs, num_dofs, generator=generator) * target_scale
        for engine in (first, second):
            everyone = torch.ones(num_envs, dtype=torch.bool, device=engine.device)
            engine.reset(everyone, *(tensor.to(engine.device) for tensor in state.tensors()))
        largest, touched = torch.zeros(num_envs, num_dofs), 0.0
        for _ in range(steps):
            for engine in (first, second):
                engine.step(target.to(engine.device))
            largest = torch.maximum(largest, (first.dof_pos.cpu() - second.dof_pos.cpu()).abs())
            touched = max(touched, float(first.ground_force.abs().max()))
        assert touched > touching, "the character must meet the ground, or contacts are not compared"
        return float(largest.median())

    return measure
