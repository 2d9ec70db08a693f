"""The humanoid's MJCF: numbers worked out by hand, and MuJoCo's view of the published file where it is at hand."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

BODIES = [
    "pelvis",
    "torso",
    "head",
    "right_upper_arm",
    "right_lower_arm",
    "right_hand",
    "left_upper_arm",
    "left_lower_arm",
    "left_hand",
    "right_thigh",
    "right_shin",
    "right_foot",
    "left_thigh",
    "left_shin",
    "left_foot",
]
# joint group: stiffness, damping, armature, torque limit
GAINS = {
    "abdomen": (1000, 100, 0.02, 200),
    "neck": (100, 10, 0.01, 50),
    "shoulder": (400, 40, 0.02, 100),
    "elbow": (300, 30, 0.01, 70),
    "hip": (500, 50, 0.02, 200),
    "knee": (500, 50, 0.02, 150),
    "ankle": (400, 40, 0.01, 90),
}


def _sphere(radius: float, density: float) -> float:
    return 4 / 3 * np.pi * radius**3 * density


def _capsule(radius: float, length: float, density: float) -> float:
    return (np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3) * density


def test_bodies_come_in_depth_first_order(humanoid: mujoco.MjModel) -> None:
    assert [humanoid.body(i).name for i in range(1, humanoid.nbody)] == BODIES


def test_masses_follow_from_volumes_and_densities(humanoid: mujoco.MjModel) -> None:
    clavicle = np.linalg.norm([0.016835 - 0.0060125, 0.128177 - 0.0457775, 0.2376182 - 0.2287955])
    masses = {
        "pelvis": _sphere(0.09, 2226) + _sphere(0.07, 2226),
        "torso": _sphere(0.11, 1623) + 2 * _capsule(0.045, clavicle, 1623),
        "head": _sphere(0.095, 1081),
        "right_upper_arm": _capsule(0.045, 0.2, 982),
        "left_lower_arm": _capsule(0.04, 0.1525, 1056),
        "right_hand": _sphere(0.04, 1865),
        "left_thigh": _capsule(0.055, 0.32, 1269),
        "right_shin": _capsule(0.05, 0.325, 1014),
        "left_foot": 8 * 0.0885 * 0.045 * 0.0275 * 1141,
    }
    for body, mass in masses.items():
        assert humanoid.body(body).mass[0] == pytest.approx(mass, rel=1e-9), body
    assert humanoid.body_mass.sum() == pytest.approx(50.04977, abs=1e-4)


def test_standing_height_is_legs_plus_sole(humanoid: mujoco.MjModel) -> None:
    data = mujoco.MjData(humanoid)
    mujoco.mj_kinematics(humanoid, data)
    foot = data.geom("left_foot")
    sole = foot.xpos[2] - humanoid.geom("left_foot").size[2]
    assert sole == pytest.approx(-(0.421546 + 0.40987 + 0.05), abs=1e-9)


def test_gains_and_torque_limits(humanoid: mujoco.MjModel) -> None:
    for index in range(1, humanoid.njnt):
        joint = humanoid.joint(index)
        stiffness, damping, armature, torque = next(g for group, g in GAINS.items() if group in joint.name)
        dof = joint.dofadr[0]
        assert joint.stiffness[0] == stiffness, joint.name
        assert humanoid.dof_damping[dof] == damping, joint.name
        assert humanoid.dof_armature[dof] == armature, joint.name
        assert humanoid.jnt_actfrcrange[index].tolist() == [-torque, torque], joint.name
        assert humanoid.jnt_limited[index], joint.name


@pytest.mark.parametrize(
    ("joint", "low", "high"),
    [
        ("abdomen_y", -60, 90),
        ("neck_z", -45, 45),
        ("right_shoulder_z", -60, 160),
        ("left_shoulder_z", -160, 60),
        ("right_elbow", 0, 160),
        ("left_elbow", -160, 0),
        ("right_hip_x", -60, 30),
        ("left_hip_x", -30, 60),
        ("left_knee", 0, 160),
        ("right_ankle_y", -55, 55),
    ],
)
def test_joint_limits(humanoid: mujoco.MjModel, joint: str, low: float, high: float) -> None:
    np.testing.assert_allclose(np.degrees(humanoid.joint(joint).range), [low, high], atol=1e-9)


def test_every_geom_has_a_colour_of_its_own_choice(humanoid: mujoco.MjModel) -> None:
    grey = np.array([0.5, 0.5, 0.5, 1.0])  # MuJoCo's default
    assert not np.isclose(humanoid.geom_rgba, grey).all(axis=1).any()


def test_physics_is_that_of_the_published_model(humanoid: mujoco.MjModel, official_data: Path) -> None:
    published = mujoco.MjModel.from_xml_path(str(official_data / "assets" / "humanoid" / "humanoid.xml"))
    may_differ = {"geom_rgba", "names", "names_map", "paths", "text_data", "actuator_trnid", "actuator_acc0"}
    compared = 0
    for field in dir(published):
        theirs = getattr(published, field)
        if field.startswith("_") or field in may_differ or not isinstance(theirs, np.ndarray):
            continue
        np.testing.assert_array_equal(getattr(humanoid, field), theirs, err_msg=field)
        compared += 1
    assert compared > 100
    for kind, count in (("body", published.nbody), ("joint", published.njnt)):
        ours = [getattr(humanoid, kind)(i).name for i in range(count)]
        assert ours == [getattr(published, kind)(i).name for i in range(count)]
