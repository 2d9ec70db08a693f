"""Newton's reader and MuJoCo's see the same colliding shapes and the same inertias in every character."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.anim import load_character
from mimickit.config.engine_config import MujocoEngineConfig, NewtonEngineConfig
from mimickit.data.characters import CHARACTERS
from mimickit.engines import Scene
from mimickit.engines.mujoco_engine import build_mujoco_model
from mimickit.engines.newton_engine import build_newton_model

# How many of a size's three numbers mean something.
SIZES = {
    mujoco.mjtGeom.mjGEOM_SPHERE: 1,
    mujoco.mjtGeom.mjGEOM_CAPSULE: 2,
    mujoco.mjtGeom.mjGEOM_CYLINDER: 2,
    mujoco.mjtGeom.mjGEOM_BOX: 3,
}


def _shapes(model: mujoco.MjModel) -> tuple[list[tuple[int, str]], np.ndarray]:
    """Body and kind of every colliding shape, and its size, place, axis (with no sign) and friction, (S, 18)."""
    shapes = []
    for g in range(model.ngeom):
        kind = mujoco.mjtGeom(model.geom_type[g])
        if kind == mujoco.mjtGeom.mjGEOM_PLANE or not (model.geom_contype[g] or model.geom_conaffinity[g]):
            continue
        axis = Rotation.from_quat(np.roll(model.geom_quat[g], -1)).apply([0.0, 0.0, 1.0])
        line = np.outer(axis, axis) if kind != mujoco.mjtGeom.mjGEOM_SPHERE else np.zeros((3, 3))
        size = np.where(np.arange(3) < SIZES[kind], model.geom_size[g], 0.0)
        numbers = np.concatenate([size, model.geom_pos[g], line.ravel(), model.geom_friction[g]])
        order = float(numbers @ np.cos(np.arange(18)))  # tells a body's shapes apart, whatever their order in the file
        shapes.append(((int(model.geom_bodyid[g]), kind.name), order, numbers))
    shapes.sort(key=lambda shape: shape[:2])
    return [shape[0] for shape in shapes], np.stack([shape[2] for shape in shapes])


@pytest.mark.parametrize("name", CHARACTERS)
def test_shapes_and_inertias_agree(assets: Path, name: str) -> None:
    file = assets / CHARACTERS[name].model
    scene = Scene(file, load_character(file))
    settings = {"control_mode": "pos", "control_freq": 30, "sim_freq": 240, "env_spacing": 5.0}
    by_newton = build_newton_model(NewtonEngineConfig(engine_name="newton", **settings), scene)
    by_mujoco = build_mujoco_model(MujocoEngineConfig(engine_name="mujoco", **settings), scene)
    (bodies, numbers), (expected_bodies, expected_numbers) = _shapes(by_newton), _shapes(by_mujoco)
    assert bodies == expected_bodies
    np.testing.assert_allclose(numbers, expected_numbers, atol=1e-5)
    for field in ("body_mass", "body_ipos", "dof_armature", "dof_frictionloss", "dof_invweight0"):
        pair = (getattr(by_newton, field), getattr(by_mujoco, field))
        np.testing.assert_allclose(*pair, rtol=1e-5, atol=1e-6, err_msg=field)
    tensors = []
    for model in (by_newton, by_mujoco):  # about the body's axes: principal axes may come in another order
        turn = Rotation.from_quat(np.roll(model.body_iquat, -1, axis=1)).as_matrix()
        tensors.append(turn @ (model.body_inertia[:, :, None] * np.swapaxes(turn, 1, 2)))
    np.testing.assert_allclose(*tensors, atol=1e-6)
