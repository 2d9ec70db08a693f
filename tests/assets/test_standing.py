"""Every character stands on its own drives for two seconds, on both engines, and does not touch itself."""

from collections.abc import Callable, Mapping
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from mimickit.anim import load_character
from mimickit.config.engine_config import ENGINE_CONFIGS
from mimickit.data.characters import CHARACTERS
from mimickit.engines import Scene, build_engine

STEPS = 60  # control steps at 30 Hz
TOUCH = 0.1  # N, above which a body counts as touching the ground
FEET = {
    "humanoid": ("right_foot", "left_foot"),
    "sword_shield": ("right_foot", "left_foot"),
    "smpl": ("L_Ankle", "L_Toe", "R_Ankle", "R_Toe"),
    "g1": ("left_ankle_roll_link", "right_ankle_roll_link"),
    "go2": ("FL_foot", "FR_foot", "RL_foot", "RR_foot"),
    "pi_plus": ("l_ankle_roll_link", "r_ankle_roll_link"),
}
# Metres the root may sink: some lean, and weak gains give way.
MOST_DROP = {"humanoid": 0.01, "sword_shield": 0.01, "smpl": 0.02, "g1": 0.02, "go2": 0.06, "pi_plus": 0.01}
# Metres from the soles to the root's origin with every joint at 0, worked out from the bodies' places.
STRAIGHT_HEIGHT = {
    "humanoid": 0.421546 + 0.40987 + 0.05,
    "sword_shield": 0.421546 + 0.40987 + 0.05,
    "go2": 0.213 + 0.213 + 0.022,
    "pi_plus": 0.0435 + 0.0977 + 0.045 + 0.14 + 0.05,
}
# Poses that the characters' environments start in, where they differ from the stand pose and from 0.
START_POSES = {
    "go2": {
        **{f"{leg}_thigh_joint": 0.9 for leg in ("FL", "FR", "RL", "RR")},
        **{f"{leg}_calf_joint": -1.8 for leg in ("FL", "FR", "RL", "RR")},
    },
    "pi_plus": {
        **{f"{side}_hip_pitch_joint": -0.25 for side in "lr"},
        **{f"{side}_calf_joint": 0.65 for side in "lr"},
        **{f"{side}_ankle_pitch_joint": -0.4 for side in "lr"},
    },
}


def _posed(model: mujoco.MjModel, angles: Mapping[str, float]) -> mujoco.MjData:
    """The model at ``angles``, every other joint and the root at 0, with contacts."""
    data = mujoco.MjData(model)
    for joint, angle in angles.items():
        data.joint(joint).qpos = angle
    mujoco.mj_forward(model, data)
    return data


def _lowest(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Height of the lowest point of a colliding shape, against a slab of which MuJoCo measures the distance."""
    ground = model.geom("slab").id
    shapes = [g for g in range(model.ngeom) if model.geom_contype[g] and g != ground]
    top = data.geom_xpos[ground, 2] + model.geom_size[ground, 2]
    return top + min(mujoco.mj_geomDistance(model, data, g, ground, 10.0, None) for g in shapes)


@pytest.fixture(scope="session")
def root_height(assets: Path) -> Callable[[str, Mapping[str, float]], float]:
    """Height of the root above the soles, for a character at given joint angles."""

    def height(name: str, angles: Mapping[str, float]) -> float:
        spec = mujoco.MjSpec.from_file(str(assets / CHARACTERS[name].model))
        slab = mujoco.mjtGeom.mjGEOM_BOX
        spec.worldbody.add_geom(name="slab", type=slab, size=[5, 5, 1], pos=[0, 0, -5], contype=0, conaffinity=0)
        model = spec.compile()
        return -_lowest(model, _posed(model, angles))

    return height


@pytest.mark.parametrize("name", STRAIGHT_HEIGHT)
def test_soles_lie_below_the_root_by_the_length_of_the_legs(root_height: Callable, name: str) -> None:
    assert root_height(name, {}) == pytest.approx(STRAIGHT_HEIGHT[name], abs=1e-6)


def _overlaps(model: mujoco.MjModel, angles: Mapping[str, float]) -> list[tuple[str, str]]:
    data = _posed(model, angles)
    bodies = [[model.body(model.geom_bodyid[g]).name for g in (c.geom1, c.geom2)] for c in data.contact]
    return sorted({tuple(sorted(pair)) for pair in bodies})


@pytest.mark.parametrize("name", CHARACTERS)
def test_no_body_touches_another_in_the_rest_poses(
    assets: Path, stand_poses: Mapping[str, Mapping[str, float]], name: str
) -> None:
    model = mujoco.MjModel.from_xml_path(str(assets / CHARACTERS[name].model))
    for angles in ({}, stand_poses[name], START_POSES.get(name, {})):
        assert _overlaps(model, angles) == [], angles


def test_the_g1s_straight_arms_lie_in_its_hips_as_the_published_ones_do(assets: Path, published: Path) -> None:
    """Why its stand pose holds the arms off the body: in the start pose of its environments, hands meet hips."""
    straight = {"left_elbow_joint": 1.57, "right_elbow_joint": 1.57}
    ours, theirs = (
        set(_overlaps(mujoco.MjModel.from_xml_path(str(folder / CHARACTERS["g1"].model)), straight))
        for folder in (assets, published / "assets")
    )
    assert ours
    assert ours <= theirs


@pytest.mark.parametrize("engine_name", ["mujoco", "newton"])
@pytest.mark.parametrize("name", CHARACTERS)
def test_stands_for_two_seconds(
    assets: Path,
    stand_poses: Mapping[str, Mapping[str, float]],
    root_height: Callable[[str, Mapping[str, float]], float],
    name: str,
    engine_name: str,
) -> None:
    file = assets / CHARACTERS[name].model
    character = load_character(file)
    config = ENGINE_CONFIGS[engine_name](
        engine_name=engine_name, control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5.0
    )
    engine = build_engine(config, Scene(file, character), 1, torch.device("cpu"))
    try:
        height = root_height(name, stand_poses[name])
        pose = torch.tensor([[stand_poses[name].get(dof, 0.0) for dof in character.dof_names]])
        upright, still = torch.tensor([[0.0, 0.0, 0.0, 1.0]]), torch.zeros(1, 3)
        start = torch.tensor([[0.0, 0.0, height]])
        engine.reset(torch.ones(1, dtype=torch.bool), start, upright, still, still, pose, torch.zeros_like(pose))
        touching = torch.zeros(character.num_bodies, dtype=torch.bool)
        lowest = height
        for _ in range(STEPS):
            engine.step(pose)
            touching |= (engine.ground_force.norm(dim=-1) > TOUCH).any(dim=0)
            lowest = min(lowest, float(engine.root_pos[:, 2].min()))
        engine.check_capacity()
        weight = 9.81 * sum(engine.body_masses)
        carried = engine.ground_force[..., 2].sum(dim=1)
    finally:
        engine.close()
    assert height - lowest < MOST_DROP[name]
    touched = {body for body, touches in zip(character.body_names, touching, strict=True) if touches}
    assert touched <= set(FEET[name])
    assert len(touched) >= 2
    np.testing.assert_allclose(carried.numpy(), weight, rtol=0.2)
    lean = 1.0 - 2.0 * (engine.root_rot[:, :2] ** 2).sum(dim=1)  # cosine of the angle between the root's z and up
    assert float(lean.min()) > np.cos(np.radians(10.0))
