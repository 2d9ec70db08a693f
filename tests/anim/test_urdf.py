"""The URDF reader against MuJoCo's own URDF import."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.anim import load_character
from mimickit.anim.char_model import JointKind, Kinematics
from mimickit.errors import InputError

INERTIA = "<inertial><mass value='1'/><inertia ixx='1' iyy='1' izz='1' ixy='0' ixz='0' iyz='0'/></inertial>"


def link(name: str, empty: bool = False) -> str:
    return f"<link name='{name}'>{'' if empty else INERTIA}</link>"


def joint(name: str, parent: str, child: str, kind: str = "revolute", origin: str = "", rest: str = "") -> str:
    return (
        f"<joint name='{name}' type='{kind}'><parent link='{parent}'/><child link='{child}'/><origin {origin}/>"
        f"{rest}</joint>"
    )


def turning(axis: str, lower: float = -1.0, upper: float = 2.0) -> str:
    return (
        f"<axis xyz='{axis}'/><limit lower='{lower}' upper='{upper}' effort='30' velocity='9'/>"
        "<dynamics damping='0.5' stiffness='20'/>"
    )


# base -> (hip: three hinges, two empty links) thigh -> knee -> shin -> foot (fixed); base -> head (fixed) -> jaw
ROBOT = (
    "<robot name='walker'>"
    # MuJoCo keeps fixed bodies apart and gives the empty links a mass; our reader ignores this element.
    "<mujoco><compiler fusestatic='false' boundmass='0.1' boundinertia='0.1'/></mujoco>"
    + "".join(link(name) for name in ("shin", "base", "thigh", "foot", "head", "jaw"))
    + link("hip_a", empty=True)
    + link("hip_b", empty=True)
    + joint("neck", "base", "head", "fixed", "xyz='0.1 0 0.5' rpy='0.3 -0.4 1.2'")
    + joint("hip_x", "base", "hip_a", origin="xyz='0 -0.1 -0.2' rpy='-0.2 0.5 0.1'", rest=turning("1 0 0", -0.6, 0.5))
    + joint("hip_y", "hip_a", "hip_b", rest=turning("0 1 0", -2.0, 1.0))
    + joint("hip_z", "hip_b", "thigh", rest=turning("0 0 1", -0.7, 0.7))
    + joint("knee", "thigh", "shin", origin="xyz='0.02 0.03 -0.4' rpy='0 0.3 0'", rest=turning("0 3 4", 0.0, 2.5))
    + joint("sole", "shin", "foot", "fixed", "xyz='0.05 0 -0.4'")
    + joint("chew", "head", "jaw", origin="xyz='0.1 0 0'", rest=turning("0 1 0", -0.1, 0.4))
    + "</robot>"
)


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    path = tmp_path / "walker.urdf"
    path.write_text(ROBOT)
    return path


def test_the_tree_is_depth_first_in_the_order_of_joints(robot: Path) -> None:
    model = load_character(robot)
    assert model.body_names == ("base", "head", "jaw", "thigh", "shin", "foot")
    assert model.parents == (-1, 0, 1, 0, 3, 4)
    kinds = ("root", "fixed", "hinge", "spherical", "hinge", "fixed")
    assert tuple(entry.kind.value for entry in model.joints) == kinds
    assert model.dof_names == ("chew", "hip_x", "hip_y", "hip_z", "knee")
    assert model.per_dof("lower") == (-0.1, -0.6, -2.0, -0.7, 0.0)
    assert model.per_dof("upper") == (0.4, 0.5, 1.0, 0.7, 2.5)
    assert model.per_dof("torque_limit") == (30.0,) * 5
    assert model.per_dof("damping") == (0.5,) * 5
    assert model.per_dof("stiffness") == (20.0,) * 5
    np.testing.assert_allclose(model.joints[4].axis, (0, 0.6, 0.8))


def test_it_moves_as_mujocos_import_does(robot: Path) -> None:
    model, compiled = load_character(robot), mujoco.MjModel.from_xml_path(str(robot))
    data = mujoco.MjData(compiled)
    kinematics = Kinematics(model, dtype=torch.float64)
    random = np.random.default_rng(4)
    ids = [compiled.body(name).id for name in model.body_names]
    for _ in range(10):
        dofs = random.uniform(-1.2, 1.2, size=model.num_dofs)
        angles = dict(zip(model.dof_names, dofs, strict=True))
        hip = Rotation.from_rotvec([angles[name] for name in ("hip_x", "hip_y", "hip_z")]).as_euler("XYZ")
        angles |= dict(zip(("hip_x", "hip_y", "hip_z"), hip, strict=True))
        for name, angle in angles.items():
            data.qpos[compiled.joint(name).qposadr[0]] = angle
        mujoco.mj_kinematics(compiled, data)
        pos, rot = kinematics.forward(
            torch.zeros(3, dtype=torch.float64),
            torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64),
            kinematics.dof_to_rot(torch.tensor(dofs)),
        )
        np.testing.assert_allclose(pos, data.xpos[ids], atol=1e-9)
        turn = Rotation.from_quat(rot.numpy()) * Rotation.from_quat(data.xquat[ids][:, [1, 2, 3, 0]]).inv()
        assert turn.magnitude().max() < 1e-7


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (link("hip_b", empty=True), link("hip_b")),  # a link with a mass is a body of its own
        ("<axis xyz='0 1 0'/><limit lower='-2.0'", "<axis xyz='0 0 1'/><limit lower='-2.0'"),  # not orthogonal
        ("<child link='hip_b'/><origin />", "<child link='hip_b'/><origin xyz='0 0 0.1'/>"),  # axes do not meet
        ("<child link='hip_b'/><origin />", "<child link='hip_b'/><origin rpy='0.1 0 0'/>"),
    ],
)
def test_only_empty_links_and_meeting_axes_make_a_spherical_joint(robot: Path, old: str, new: str) -> None:
    assert old in ROBOT
    robot.write_text(ROBOT.replace(old, new))
    model = load_character(robot)
    assert JointKind.SPHERICAL not in {entry.kind for entry in model.joints}
    assert model.num_dofs == 5
    assert model.num_bodies == 8


ERRORS = {
    "no limits": (joint("j", "a", "b", rest="<axis xyz='1 0 0'/>"), "joint 'j' has no limits; give it <limit"),
    "half the limits": (joint("j", "a", "b", rest="<limit lower='0'/>"), "joint 'j' has no limits"),
    "reversed limits": (
        joint("j", "a", "b", rest="<limit lower='1' upper='0'/>"),
        "joint 'j' has the limits 1.0 and 0.0; lower must be below upper",
    ),
    "words for numbers": (
        joint("j", "a", "b", rest="<limit lower='low' upper='0'/>"),
        "joint 'j' lower is 'low', expected a number",
    ),
    "slider": (joint("j", "a", "b", "prismatic"), "joint 'j' is of type 'prismatic'; only revolute and fixed"),
    "zero axis": (joint("j", "a", "b", rest=turning("0 0 0")), "joint 'j' axis is zero"),
    "short origin": (
        joint("j", "a", "b", "fixed", "xyz='0 1'"),
        "joint 'j' origin xyz is '0 1', expected 3 finite numbers",
    ),
    "unknown parent": (joint("j", "x", "b", "fixed"), "joint 'j' names the parent link 'x', which does not exist"),
    "unknown child": (joint("j", "a", "x", "fixed"), "joint 'j' names the child link 'x', which does not exist"),
    "two roots": ("", "expected one root link, found 2: a, b"),
    "a ring": (
        joint("j", "a", "b", "fixed") + joint("k", "b", "a", "fixed"),
        "expected one root link, found 0",
    ),
    "malformed": ("<joint>", "not readable as XML: mismatched tag: line 1"),
}


@pytest.mark.parametrize("case", list(ERRORS))
def test_what_is_wrong_is_said(tmp_path: Path, case: str) -> None:
    joints, message = ERRORS[case]
    path = tmp_path / "robot.urdf"
    path.write_text(f"<robot name='r'>{link('a')}{link('b')}{joints}</robot>")
    with pytest.raises(InputError, match=message) as caught:
        load_character(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent.urdf: no such character file"):
        load_character(tmp_path / "absent.urdf")
