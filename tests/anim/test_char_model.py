"""Forward kinematics and DoFs against MuJoCo's C kinematics."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.anim import load_character
from mimickit.anim.char_model import CharModel, Joint, JointKind, Kinematics
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.engines import Scene
from mimickit.engines.mujoco_engine import build_mujoco_model
from mimickit.errors import InputError

PUBLISHED = [
    "humanoid/humanoid.xml",
    "sword_shield/humanoid_sword_shield.xml",
    "smpl/smpl.xml",
    "go2/go2.xml",
    "g1/g1.xml",
    "hightorque_pi_plus/pi_22dof.xml",
]
ENGINE = MujocoEngineConfig(engine_name="mujoco", control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5.0)


def random_pose(model: CharModel, count: int) -> tuple[np.ndarray, Rotation, np.ndarray]:
    """Root position (N, 3) and rotation, DoFs (N, D); spherical joints stay below half a turn."""
    random = np.random.default_rng(8)
    return (
        random.normal(size=(count, 3)),
        Rotation.random(count, rng=random),
        random.uniform(-1.5, 1.5, size=(count, model.num_dofs)),
    )


def wxyz(rotation: Rotation) -> np.ndarray:
    return rotation.as_quat()[..., [3, 0, 1, 2]]


def ball_coordinates(model: CharModel, dofs: np.ndarray) -> np.ndarray:
    """MuJoCo's joint coordinates when spherical joints are ball joints: quaternions."""
    parts: list[np.ndarray] = []
    for joint, start in zip(model.joints, model.dof_starts, strict=True):
        values = dofs[start : start + joint.dof_dim]
        parts.append(wxyz(Rotation.from_rotvec(values)) if joint.kind is JointKind.SPHERICAL else values)
    return np.concatenate(parts)


def hinge_coordinates(model: CharModel, dofs: np.ndarray) -> np.ndarray:
    """MuJoCo's joint coordinates when a spherical joint is hinges x, y, z in a row: each turns with the one before."""
    parts: list[np.ndarray] = []
    for joint, start in zip(model.joints, model.dof_starts, strict=True):
        values = dofs[start : start + joint.dof_dim]
        parts.append(Rotation.from_rotvec(values).as_euler("XYZ") if joint.kind is JointKind.SPHERICAL else values)
    return np.concatenate(parts)


def assert_equals_mujoco(model: CharModel, compiled: mujoco.MjModel, to_coordinates, count: int = 5) -> None:
    root_pos, root_rot, dofs = random_pose(model, count)
    kinematics = Kinematics(model, dtype=torch.float64)
    joint_rot = kinematics.dof_to_rot(torch.tensor(dofs))
    pos, rot = kinematics.forward(torch.tensor(root_pos), torch.tensor(root_rot.as_quat()), joint_rot)
    data = mujoco.MjData(compiled)
    ids = [compiled.body(name).id for name in model.body_names]
    for i in range(count):
        data.qpos[:] = np.concatenate([root_pos[i], wxyz(root_rot[i]), to_coordinates(model, dofs[i])])
        mujoco.mj_kinematics(compiled, data)
        np.testing.assert_allclose(pos[i], data.xpos[ids], atol=1e-6)
        turn = Rotation.from_quat(rot[i].numpy()) * Rotation.from_quat(data.xquat[ids][:, [1, 2, 3, 0]]).inv()
        assert turn.magnitude().max() < 1e-6


def test_the_humanoid_moves_as_in_mujoco(humanoid_file: Path, humanoid_model: CharModel) -> None:
    scene = Scene(char_file=humanoid_file, char_model=humanoid_model)
    assert_equals_mujoco(humanoid_model, build_mujoco_model(ENGINE, scene), ball_coordinates)


def test_three_stacked_hinges_are_not_an_exponential_map(humanoid_file: Path, humanoid_model: CharModel) -> None:
    """Hinges turn one after another, an exponential map turns once about one axis: the numbers differ, and agree again
    once the rotation is split into the hinges' angles. Along a single axis there is no order, and they are the same."""
    compiled = mujoco.MjModel.from_xml_path(str(humanoid_file))
    assert compiled.nq == 7 + humanoid_model.num_dofs
    assert_equals_mujoco(humanoid_model, compiled, hinge_coordinates)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        assert_equals_mujoco(humanoid_model, compiled, lambda _, dofs: dofs)

    kinematics = Kinematics(humanoid_model, dtype=torch.float64)
    for dofs, same in (([0.0, 0.7, 0.0], True), ([0.7, 0.7, 0.0], False)):
        pose = torch.zeros(28, dtype=torch.float64)
        pose[:3] = torch.tensor(dofs)
        abdomen = Rotation.from_quat(kinematics.dof_to_rot(pose)[0].numpy())
        stacked = Rotation.from_euler("XYZ", dofs)
        assert bool((abdomen * stacked.inv()).magnitude() < 1e-6) is same


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_characters_move_as_in_mujoco(published: Path, name: str) -> None:
    path = published / "assets" / name
    model = load_character(path)
    scene = Scene(char_file=path, char_model=model)
    assert_equals_mujoco(model, build_mujoco_model(ENGINE, scene), ball_coordinates)


def test_rotated_body_frames_matter_for_g1(published: Path) -> None:
    """The hip's frame is tilted by 2 asin(0.0873386) about y; a reader that drops it would pass on other characters."""
    model = load_character(published / "assets" / "g1" / "g1.xml")
    tilted = [name for name, q in zip(model.body_names, model.local_rotation, strict=True) if q[3] < 0.9999]
    assert {"left_hip_roll_link", "left_knee_link", "left_shoulder_pitch_link"} <= set(tilted)
    hip = model.local_rotation[model.body_index("left_hip_roll_link")]
    np.testing.assert_allclose(hip, [0, -0.0873386, 0, 0.996179], atol=1e-6)


def test_dofs_and_rotations_are_inverse(humanoid_model: CharModel) -> None:
    kinematics = Kinematics(humanoid_model, dtype=torch.float64)
    dofs = torch.tensor(random_pose(humanoid_model, 50)[2])
    rotations = kinematics.dof_to_rot(dofs)
    assert rotations.shape == (50, 14, 4)
    torch.testing.assert_close(kinematics.rot_to_dof(rotations), dofs)
    fixed = [i for i, joint in enumerate(humanoid_model.joints[1:]) if joint.kind is JointKind.FIXED]
    assert [humanoid_model.body_names[i + 1] for i in fixed] == ["right_hand", "left_hand"]
    assert (rotations[:, fixed] == torch.tensor([0.0, 0.0, 0.0, 1.0])).all()


def test_dof_velocities_are_the_childs_angular_velocities(humanoid_model: CharModel) -> None:
    """Rotations q1 = q0 exp(w dt), with w in the child's frame; hinges move by a speed along their axis."""
    random = np.random.default_rng(1)
    dofs = random.uniform(-1, 1, size=28)
    speed = random.uniform(-2, 2, size=28)
    dt = 1 / 30
    moved = dofs.copy()
    for joint, start in zip(humanoid_model.joints, humanoid_model.dof_starts, strict=True):
        own = slice(start, start + joint.dof_dim)
        if joint.kind is JointKind.SPHERICAL:
            moved[own] = (Rotation.from_rotvec(dofs[own]) * Rotation.from_rotvec(speed[own] * dt)).as_rotvec()
        else:
            moved[own] = dofs[own] + speed[own] * dt
    kinematics = Kinematics(humanoid_model, dtype=torch.float64)
    before, after = (kinematics.dof_to_rot(torch.tensor(values)) for values in (dofs, moved))
    np.testing.assert_allclose(kinematics.dof_velocity(before, after, dt), speed, atol=1e-9)


def test_the_humanoids_tree(humanoid_model: CharModel) -> None:
    kinds = {
        JointKind.SPHERICAL: "torso head right_upper_arm left_upper_arm right_thigh right_foot left_thigh left_foot",
        JointKind.HINGE: "right_lower_arm left_lower_arm right_shin left_shin",
        JointKind.FIXED: "right_hand left_hand",
        JointKind.ROOT: "pelvis",
    }
    for kind, names in kinds.items():
        bodies = zip(humanoid_model.body_names, humanoid_model.joints, strict=True)
        assert {name for name, joint in bodies if joint.kind is kind} == set(names.split())
    assert (humanoid_model.num_bodies, humanoid_model.num_joints, humanoid_model.num_dofs) == (15, 14, 28)
    assert humanoid_model.dof_starts == (0, 0, 3, 6, 9, 10, 10, 13, 14, 14, 17, 18, 21, 24, 25)
    assert humanoid_model.dof_names[9] == "right_elbow"
    assert humanoid_model.body_index("left_foot") == 14
    with pytest.raises(KeyError, match="no body 'tail'.*pelvis, torso"):
        humanoid_model.body_index("tail")


def test_forward_keeps_leading_dimensions_and_needs_no_joints() -> None:
    identity = (0.0, 0.0, 0.0, 1.0)
    lone = CharModel("a ball", ("ball",), (-1,), ((0.0, 0.0, 0.0),), (identity,), (Joint("ball", JointKind.ROOT),))
    upright = torch.tensor(identity).expand(2, 3, 4)
    pos, rot = Kinematics(lone).forward(torch.ones(2, 3, 3), upright, torch.ones(2, 3, 0, 4))
    assert pos.shape == (2, 3, 1, 3)
    assert rot.shape == (2, 3, 1, 4)
    assert (pos == 1.0).all()


def test_only_mjcf_and_urdf_are_characters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"MJCF \(.xml, .mjcf\) or URDF \(.urdf\) file, not '.usd'"):
        load_character(tmp_path / "robot.usd")
