"""Newton on the CPU against MuJoCo's C library: two importers, two solvers, one answer."""

import dataclasses

import pytest
import torch

STEPS = 30
NUM_ENVS = 8
# The product's promise is 0.02 rad; the two agree to about 1e-6, and a gain that is 10 % off shows up above this bound.
BOUND = 1e-3


def scaled(model, attribute, factor):
    """The character with one per-DoF value of every joint scaled."""
    joints = tuple(
        dataclasses.replace(joint, **{attribute: tuple(factor * value for value in getattr(joint, attribute))})
        for joint in model.joints
    )
    return dataclasses.replace(model, joints=joints)


@pytest.fixture(scope="module")
def mujoco_engine(make_engine):
    return make_engine("mujoco", NUM_ENVS)


def test_every_character_agrees(character, make_engine, median_difference):
    file, height = character
    engines = [make_engine(name, NUM_ENVS, char_file=file) for name in ("mujoco", "newton")]

    assert median_difference(*engines, height=height) < BOUND
    engines[1].check_capacity()


@pytest.mark.parametrize("attribute", ["stiffness", "damping"])
@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_gain_off_by_a_tenth_would_be_seen(
    attribute, factor, mujoco_engine, make_engine, humanoid, median_difference
):
    wrong = make_engine("mujoco", NUM_ENVS, char_model=scaled(humanoid, attribute, factor))

    assert median_difference(mujoco_engine, wrong) > BOUND


# A limp body on the ground is chaotic: rounding grows to a thousandth of a radian within a second. It is compared for
# the first 12 steps, in which it falls and meets the ground.
@pytest.mark.parametrize(("control_mode", "steps"), [("vel", STEPS), ("torque", 12), ("none", 12)])
def test_other_control_modes_agree(control_mode, steps, make_engine, median_difference):
    engines = [make_engine(name, NUM_ENVS, control_mode=control_mode) for name in ("mujoco", "newton")]

    assert median_difference(*engines, target_scale=1.0, steps=steps) < BOUND


def test_explicit_pd_agrees(make_engine, humanoid, median_difference):
    """At 240 Hz an explicit PD is stable only with gains well below the published ones."""
    soft = scaled(scaled(humanoid, "stiffness", 0.05), "damping", 0.02)
    engines = [
        make_engine(name, NUM_ENVS, char_model=soft, control_mode="pd_explicit") for name in ("mujoco", "newton")
    ]

    assert median_difference(*engines) < BOUND


def test_everything_an_engine_reports_agrees(make_engine, put, random_state):
    first, second = make_engine("mujoco", NUM_ENVS), make_engine("newton", NUM_ENVS)
    state = random_state(NUM_ENVS, 28, seed=3, height=0.87)
    for engine in (first, second):
        put(engine, state)
    for _ in range(6):
        for engine in (first, second):
            engine.step(torch.zeros(NUM_ENVS, 28))

    for name, tolerance in {
        "root_pos": 1e-3,
        "root_vel": 1e-2,
        "root_ang_vel": 2e-2,
        "dof_vel": 2e-2,
        "body_pos": 1e-3,
    }.items():
        difference = (getattr(first, name) - getattr(second, name)).abs()
        assert float(difference.median()) < tolerance, name
    aligned = (first.body_rot * second.body_rot).sum(dim=-1).abs()
    assert float(aligned.min()) > 0.999
    forces = first.ground_force.sum(dim=1), second.ground_force.sum(dim=1)
    assert float((forces[0] - forces[1]).abs().median()) < 2.0
    assert float(forces[0][:, 2].mean()) > 50.0


def test_masses_agree(make_engine):
    masses = [make_engine(name, 1).body_masses for name in ("mujoco", "newton")]

    assert masses[0] == pytest.approx(masses[1], abs=1e-4)
    assert sum(masses[0]) == pytest.approx(50.0498, abs=1e-3)
