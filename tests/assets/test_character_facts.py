"""Every character's bodies, joints, gains and masses: a committed table, and the published model where at hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from mimickit.anim import load_character
from mimickit.data.characters import CHARACTERS

# Columns of facts.json, radians and kilograms; a body's place is relative to its parent, its rotation wxyz.
BODY_COLUMNS = ("name", "parent", "mass", "pos", "quat")
DOF_COLUMNS = (
    "name",
    "body",
    "axis",
    "lower",
    "upper",
    "stiffness",
    "damping",
    "armature",
    "torque_limit",
    "frictionloss",
)
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
# Stated with 7 digits there.
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(scope="module", params=CHARACTERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str, assets: Path) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(assets / CHARACTERS[name].model))


@pytest.fixture(scope="module")
def facts(name: str) -> Mapping[str, Any]:
    return json.loads((Path(__file__).parent / "facts.json").read_text())[name]


def _column(rows: list[list[Any]], columns: tuple[str, ...], key: str) -> list[Any]:
    return [row[columns.index(key)] for row in rows]


def test_bodies_are_those_of_the_table(model: mujoco.MjModel, facts: Mapping[str, Any]) -> None:
    rows = facts["bodies"]
    bodies = range(1, model.nbody)
    assert [model.body(b).name for b in bodies] == _column(rows, BODY_COLUMNS, "name")
    assert [model.body(model.body_parentid[b]).name for b in bodies] == _column(rows, BODY_COLUMNS, "parent")
    np.testing.assert_allclose(model.body_mass[1:], _column(rows, BODY_COLUMNS, "mass"), **TOLERANCE)
    np.testing.assert_allclose(model.body_pos[1:], _column(rows, BODY_COLUMNS, "pos"), **TOLERANCE)
    np.testing.assert_allclose(model.body_quat[1:], _column(rows, BODY_COLUMNS, "quat"), **TOLERANCE)
    assert model.body_mass.sum() == pytest.approx(facts["total_mass"], rel=1e-6)


def test_joints_are_those_of_the_table(model: mujoco.MjModel, facts: Mapping[str, Any]) -> None:
    rows = facts["dofs"]
    joints = range(1, model.njnt)
    assert [model.joint(j).name for j in joints] == _column(rows, DOF_COLUMNS, "name")
    assert [model.body(model.jnt_bodyid[j]).name for j in joints] == _column(rows, DOF_COLUMNS, "body")
    axes = [AXES[axis] for axis in _column(rows, DOF_COLUMNS, "axis")]
    np.testing.assert_allclose(model.jnt_axis[1:], axes, atol=1e-12)
    assert model.jnt_limited[1:].all()
    assert model.jnt_actfrclimited[1:].all()
    torques = np.array(_column(rows, DOF_COLUMNS, "torque_limit"))
    columns = {
        "lower": model.jnt_range[1:, 0],
        "upper": model.jnt_range[1:, 1],
        "stiffness": model.jnt_stiffness[1:].reshape(len(rows), -1)[:, 0],
        "damping": model.dof_damping[6:].reshape(len(rows), -1)[:, 0],
        "armature": model.dof_armature[6:],
        "frictionloss": model.dof_frictionloss[6:],
    }
    for key, values in columns.items():
        np.testing.assert_allclose(values, _column(rows, DOF_COLUMNS, key), err_msg=key, **TOLERANCE)
    np.testing.assert_allclose(model.jnt_actfrcrange[1:], np.stack([-torques, torques], axis=1), **TOLERANCE)


def test_the_kinematics_reader_agrees_with_the_table(name: str, assets: Path, facts: Mapping[str, Any]) -> None:
    character = load_character(assets / CHARACTERS[name].model)
    assert list(character.body_names) == _column(facts["bodies"], BODY_COLUMNS, "name")
    assert list(character.dof_names) == _column(facts["dofs"], DOF_COLUMNS, "name")
    for key in ("lower", "upper", "stiffness", "damping", "armature", "torque_limit"):
        expected = _column(facts["dofs"], DOF_COLUMNS, key)
        np.testing.assert_allclose(character.per_dof(key), expected, err_msg=key, **TOLERANCE)


def test_only_primitive_shapes_with_colours_of_their_own(model: mujoco.MjModel) -> None:
    assert model.nmesh == 0
    grey = np.array([0.5, 0.5, 0.5, 1.0])  # MuJoCo's default
    assert not np.isclose(model.geom_rgba, grey).all(axis=1).any()


def test_physics_is_that_of_the_published_model(model: mujoco.MjModel, name: str, published: Path) -> None:
    theirs = mujoco.MjModel.from_xml_path(str(published / "assets" / CHARACTERS[name].model))
    for kind, count in (("body", theirs.nbody), ("joint", theirs.njnt)):
        ours = [getattr(model, kind)(i).name for i in range(getattr(model, f"n{'jnt' if kind == 'joint' else kind}"))]
        assert ours == [getattr(theirs, kind)(i).name for i in range(count)]
    # Shapes are ours, so only what the numbers of bodies and joints come to; roundings of the published text remain.
    exact = ["body_parentid", "body_jntnum", "jnt_type", "jnt_axis", "jnt_limited", "jnt_actfrclimited"]
    close = ["body_quat", "body_mass", "body_inertia", "body_ipos", "jnt_pos", "jnt_range", "jnt_stiffness"]
    close += ["jnt_actfrcrange", "dof_damping", "dof_armature", "dof_frictionloss", "jnt_solref", "jnt_solimp"]
    for field in exact:
        np.testing.assert_array_equal(getattr(model, field), getattr(theirs, field), err_msg=field)
    for field in close:
        atol = 1e-6 if field in ("body_ipos", "body_quat") else 1e-9
        np.testing.assert_allclose(
            getattr(model, field), getattr(theirs, field), rtol=1e-5, atol=atol, err_msg=f"{name} {field}"
        )
    # The root starts where an environment puts it.
    np.testing.assert_allclose(model.body_pos[2:], theirs.body_pos[2:], atol=1e-9)
    aligned = np.abs((model.body_iquat * theirs.body_iquat).sum(axis=1))
    np.testing.assert_allclose(aligned, 1.0, atol=1e-9)
