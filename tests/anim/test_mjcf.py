"""The MJCF reader: numbers as MuJoCo's compiler has them, and what it says about files it cannot use."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from mimickit.anim import load_character
from mimickit.anim.char_model import JointKind
from mimickit.errors import InputError

PUBLISHED = [
    "sword_shield/humanoid_sword_shield.xml",
    "smpl/smpl.xml",
    "go2/go2.xml",
    "g1/g1.xml",
    "hightorque_pi_plus/pi_22dof.xml",
]

# Every way to give an orientation and to inherit an attribute; a spherical joint, a hinge and a fixed body.
VARIED = """
<mujoco>
  <compiler angle="ANGLE" eulerseq="EULERSEQ"/>
  <default>
    <joint armature="0.01" damping="1"/>
    <default class="arm">
      <joint stiffness="20" range="-0.5 0.75" actuatorfrcrange="-30 30"/>
      <default class="wrist"><joint stiffness="5" axis="0 1 1"/></default>
    </default>
    <default class="neck"><joint armature="0.5" range="-0.25 0.5"/></default>
  </default>
  <worldbody>
    <body name="root" childclass="arm">
      <freejoint/>
      <geom size="0.1"/>
      <body name="shoulder" pos="0 0.1 0.2" euler="0.1 0.2 0.3">
        <joint name="sx" axis="2 0 0"/><joint name="sy" axis="0 1 0" range="-0.1 0.9"/><joint name="sz" axis="0 0 1"/>
        <geom size="0.1"/>
        <body name="hand" axisangle="1 2 3 0.4"><joint name="h" class="wrist" armature="0.2"/><geom size="0.1"/></body>
      </body>
      <body name="fixed" xyaxes="1 1 0 0 1 1"><geom size="0.1"/></body>
      <body name="head" zaxis="1 0 1" childclass="neck">
        <geom size="0.1"/>
        <body name="jaw" quat="2 0 1 0"><joint name="j" actuatorfrcrange="-7 7"/><geom size="0.1"/></body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def assert_same_model(path: Path) -> None:
    """Local frames and per-DoF numbers equal MuJoCo's, where a spherical joint is three hinges."""
    model, compiled = load_character(path), mujoco.MjModel.from_xml_path(str(path))
    for i, name in enumerate(model.body_names):
        body = compiled.body(name)
        if i > 0:
            np.testing.assert_allclose(model.local_translation[i], body.pos, atol=1e-9)
            sign = np.sign(np.dot(np.roll(model.local_rotation[i], 1), body.quat))
            np.testing.assert_allclose(sign * np.roll(model.local_rotation[i], 1), body.quat, atol=1e-9)
            parent = compiled.body(int(body.parentid[0])).name
            assert model.body_names[model.parents[i]] == parent
    joints = [compiled.joint(name).id for name in model.dof_names]
    dofs = compiled.jnt_dofadr[joints]
    assert list(dofs) == list(range(6, 6 + model.num_dofs))  # the order of DoFs is MuJoCo's depth-first order
    limited = compiled.jnt_actfrclimited[joints].astype(bool)
    limits = np.where(limited, compiled.jnt_actfrcrange[joints, 1], np.inf)
    expected = {
        "lower": compiled.jnt_range[joints, 0],
        "upper": compiled.jnt_range[joints, 1],
        "stiffness": compiled.jnt_stiffness[joints],
        "damping": compiled.dof_damping[dofs],
        "armature": compiled.dof_armature[dofs],
        "torque_limit": limits,
    }
    for attribute, values in expected.items():
        np.testing.assert_allclose(model.per_dof(attribute), values, rtol=1e-9, err_msg=attribute)
    for joint in model.joints:
        if joint.kind is JointKind.HINGE:
            np.testing.assert_allclose(joint.axis, compiled.jnt_axis[compiled.joint(joint.name).id], atol=1e-9)


def test_the_humanoid_is_read_as_mujoco_reads_it(humanoid_file: Path) -> None:
    assert_same_model(humanoid_file)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_characters_are_read_as_mujoco_reads_them(published: Path, name: str) -> None:
    assert_same_model(published / "assets" / name)


@pytest.mark.parametrize("angle", ["radian", "degree"])
@pytest.mark.parametrize("sequence", ["xyz", "zyx", "XYZ", "ZXY"])
def test_defaults_and_orientations_follow_mujoco(tmp_path: Path, angle: str, sequence: str) -> None:
    path = tmp_path / "varied.xml"
    path.write_text(VARIED.replace("ANGLE", angle).replace("EULERSEQ", sequence))
    assert_same_model(path)
    model = load_character(path)
    assert [joint.kind.value for joint in model.joints] == ["root", "spherical", "hinge", "fixed", "fixed", "hinge"]


def character(joints: str, attributes: str = "", before: str = "") -> str:
    return (
        f"<mujoco>{before}<worldbody><body name='root'><body name='arm' {attributes}>{joints}</body></body>"
        "</worldbody></mujoco>"
    )


HINGE = "<joint name='elbow' axis='0 1 0' range='-10 10' {}/>"
THREE = "".join(f"<joint name='{name}' axis='{{}}' range='-1 1'/>" for name in "xyz")

ERRORS = {
    "no limits": (character("<joint name='elbow'/>"), "joint 'elbow' has no limits; give it range="),
    "limits off": (character(HINGE.format("limited='false'")), "joint 'elbow' has no limits"),
    "no automatic limits": (
        character(HINGE.format(""), before="<compiler autolimits='false'/>"),
        "joint 'elbow' has no limits",
    ),
    "reversed limits": (
        character("<joint name='elbow' range='10 -10'/>"),
        "joint 'elbow' has the range '10 -10'; the lower limit must be below the upper",
    ),
    "two hinges": (
        character(HINGE.format("") + "<joint name='twist' range='-1 1'/>"),
        "body 'arm' has 2 hinges; a body takes one hinge, or three orthogonal ones",
    ),
    "three oblique hinges": (
        character(THREE.format("1 0 0", "1 1 0", "0 0 1")),
        "body 'arm' has 3 hinges; a body takes one hinge, or three orthogonal ones",
    ),
    "another order": (
        character(THREE.format("0 0 1", "0 1 0", "1 0 0")),
        "body 'arm' has three orthogonal hinges that are not x, y, z in this order",
    ),
    "off the origin": (character(HINGE.format("pos='0 0 0.1'")), "joint 'elbow' is off its body's origin"),
    "slide": (character(HINGE.format("type='slide'")), "joint 'elbow' is of type 'slide'; only hinges"),
    "asymmetric torque": (
        character(HINGE.format("actuatorfrcrange='-10 20'")),
        r"joint 'elbow' has an asymmetric actuatorfrcrange '-10.0 20.0'; a torque limit is symmetric",
    ),
    "unknown class": (
        character(HINGE.format("class='hip'")),
        "joint 'elbow' names the defaults class 'hip', which is not defined",
    ),
    "unknown childclass": (
        character(HINGE.format(""), attributes="childclass='leg'"),
        "joint 'elbow' names the defaults class 'leg', which is not defined",
    ),
    "words for numbers": (
        character("<joint name='elbow' range='low high'/>"),
        "joint 'elbow' range is 'low high', expected 2 numbers",
    ),
    "a number short": (character("", attributes="pos='0 1'"), "body 'arm' pos is '0 1', expected 3 finite numbers"),
    "not finite": (character("", attributes="pos='0 1 nan'"), "body 'arm' pos is '0 1 nan', expected 3 finite numbers"),
    "zero axis": (character("<joint name='elbow' axis='0 0 0' range='-1 1'/>"), "joint 'elbow' axis is zero"),
    "zero quaternion": (character("", attributes="quat='0 0 0 0'"), "body 'arm' quat is zero"),
    "parallel axes": (character("", attributes="xyaxes='1 0 0 2 0 0'"), "body 'arm' xyaxes is zero"),
    "nameless joint": (character("<joint range='-1 1'/>"), "a <joint> has no name"),
    "nameless body": (character("<body/>"), "a <body> has no name"),
    "the same name twice": (character("<body name='root'/>"), "two bodies are named 'root'"),
    "no body": ("<mujoco><worldbody/></mujoco>", "no <body> under <worldbody>; a character needs one root body"),
    "malformed": ("<mujoco><worldbody>", "not readable as XML: no element found: line 1"),
    "not XML": ("spring: 3", "not readable as XML: syntax error: line 1, column 0"),
}


@pytest.mark.parametrize("case", list(ERRORS))
def test_what_is_wrong_is_said(tmp_path: Path, case: str) -> None:
    text, message = ERRORS[case]
    path = tmp_path / "character.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_character(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent.xml"
    with pytest.raises(InputError, match=f"{path}: no such character file"):
        load_character(path)


def test_a_joint_without_a_torque_limit_is_unlimited(tmp_path: Path) -> None:
    path = tmp_path / "free.xml"
    path.write_text(character(HINGE.format("")))
    assert load_character(path).per_dof("torque_limit") == (float("inf"),)
