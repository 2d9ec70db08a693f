"""Reading a character's kinematic tree from MJCF: only what kinematics and control need.

Defaults classes, nested childclasses, degrees or radians and ``autolimits`` are resolved as MuJoCo does
(https://mujoco.readthedocs.io/en/stable/XMLreference.html). Geometry and inertia are the engines' business.
"""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mimickit.anim.char_model import CharModel, Joint, JointKind
from mimickit.errors import InputError, MissingDataError

Attributes = dict[str, str]


class _Defaults:
    """Joint attributes per defaults class, inherited from the parent class."""

    def __init__(self, root: ET.Element):
        self.joint: dict[str, Attributes] = {"main": {}}
        for element in root.findall("default"):
            self._read(element, "main", {})

    def _read(self, element: ET.Element, fallback: str, inherited: Attributes) -> None:
        name = element.get("class", fallback)
        attributes = {**inherited, **self.joint.get(name, {})}
        joint = element.find("joint")
        if joint is not None:
            attributes.update(joint.attrib)
        self.joint[name] = attributes
        for child in element.findall("default"):
            self._read(child, "main", attributes)

    def resolve(self, element: ET.Element, childclass: str, path: Path) -> Attributes:
        name = element.get("class", childclass)
        if name not in self.joint:
            raise InputError(
                f"{path}: joint '{element.get('name')}' names the defaults class '{name}', which is not defined"
            )
        return {**self.joint[name], **element.attrib}


def load_mjcf(path: Path | str) -> CharModel:
    """The kinematic tree of the first body under ``worldbody``.

    Raises:
        InputError: the file is missing, is not XML, has no body, a hinge without limits, or joints that are
            neither one hinge nor three orthogonal hinges at one body.
    """
    path = Path(path)
    root = read_mjcf_xml(path)
    compiler = root.find("compiler")
    settings: Attributes = dict(compiler.attrib) if compiler is not None else {}
    to_radians = 1.0 if settings.get("angle", "degree") == "radian" else math.pi / 180.0
    defaults = _Defaults(root)
    worldbody = root.find("worldbody")
    first = worldbody.find("body") if worldbody is not None else None
    if first is None:
        raise InputError(f"{path}: no <body> under <worldbody>; a character needs one root body")

    names: list[str] = []
    parents: list[int] = []
    translations: list[tuple[float, float, float]] = []
    rotations: list[tuple[float, float, float, float]] = []
    joints: list[Joint] = []

    def visit(element: ET.Element, parent: int, childclass: str) -> None:
        childclass = element.get("childclass", childclass)
        name = element.get("name")
        if name is None:
            raise InputError(f"{path}: a <body> has no name; every body of a character needs one")
        if name in names:
            raise InputError(f"{path}: two bodies are named '{name}'")
        index = len(names)
        names.append(name)
        parents.append(parent)
        x, y, z = _numbers(element.get("pos", "0 0 0"), 3, path, f"body '{name}' pos")
        translations.append((x, y, z))
        rotations.append(_orientation(element, settings, to_radians, path))
        if parent < 0:
            joints.append(Joint(name=name, kind=JointKind.ROOT))
        else:
            elements = [defaults.resolve(joint, childclass, path) for joint in element.findall("joint")]
            joints.append(_joint(name, elements, settings, to_radians, path))
        for child in element.findall("body"):
            visit(child, index, childclass)

    visit(first, -1, "main")
    return CharModel(
        source=str(path),
        body_names=tuple(names),
        parents=tuple(parents),
        local_translation=tuple(translations),
        local_rotation=tuple(rotations),
        joints=tuple(joints),
    )


def read_mjcf_xml(path: Path) -> ET.Element:
    """The parsed XML of a model file; InputError when it is missing or malformed."""
    try:
        return ET.parse(path).getroot()
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such character file") from None
    except ET.ParseError as error:
        raise InputError(f"{path}: not readable as XML: {error}") from None


def _numbers(text: str, count: int, path: Path, what: str) -> list[float]:
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        raise InputError(f"{path}: {what} is '{text}', expected {count} numbers") from None
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise InputError(f"{path}: {what} is '{text}', expected {count} finite numbers")
    return values


def unit_vector(values: np.ndarray, path: Path, what: str) -> np.ndarray:
    """``values`` at length one; InputError for a zero vector, which has no direction."""
    length = np.linalg.norm(values)
    if length < 1e-9:
        raise InputError(f"{path}: {what} is zero, so it has no direction")
    return values / length


def _orientation(
    element: ET.Element, settings: Attributes, to_radians: float, path: Path
) -> tuple[float, float, float, float]:
    """A body's local rotation (xyzw) from quat, euler, axisangle, xyaxes or zaxis."""
    what = f"body '{element.get('name')}'"
    if (text := element.get("quat")) is not None:
        w, x, y, z = unit_vector(np.array(_numbers(text, 4, path, f"{what} quat")), path, f"{what} quat")
        rotation = Rotation.from_quat([x, y, z, w])
    elif (text := element.get("euler")) is not None:
        angles = [angle * to_radians for angle in _numbers(text, 3, path, f"{what} euler")]
        sequence = settings.get("eulerseq", "xyz")
        # MuJoCo: lower case letters turn with the body, upper case ones stay with the parent; scipy the reverse.
        rotation = Rotation.from_euler(sequence.swapcase(), angles)
    elif (text := element.get("axisangle")) is not None:
        x, y, z, angle = _numbers(text, 4, path, f"{what} axisangle")
        axis = unit_vector(np.array([x, y, z]), path, f"{what} axisangle")
        rotation = Rotation.from_rotvec(axis * angle * to_radians)
    elif (text := element.get("xyaxes")) is not None:
        values = np.array(_numbers(text, 6, path, f"{what} xyaxes"))
        x_axis = unit_vector(values[:3], path, f"{what} xyaxes")
        y_axis = unit_vector(values[3:] - x_axis * (values[3:] @ x_axis), path, f"{what} xyaxes")
        rotation = Rotation.from_matrix(np.stack([x_axis, y_axis, np.cross(x_axis, y_axis)], axis=1))
    elif (text := element.get("zaxis")) is not None:
        z_axis = unit_vector(np.array(_numbers(text, 3, path, f"{what} zaxis")), path, f"{what} zaxis")
        rotation, _ = Rotation.align_vectors(z_axis[None], np.array([[0.0, 0.0, 1.0]]))
    else:
        return (0.0, 0.0, 0.0, 1.0)
    x, y, z, w = (float(value) for value in rotation.as_quat())
    return (x, y, z, w)


def _joint(body: str, elements: list[Attributes], settings: Attributes, to_radians: float, path: Path) -> Joint:
    """The joint of one body: fixed, one hinge, or three orthogonal hinges as one spherical joint."""
    if not elements:
        return Joint(name=body, kind=JointKind.FIXED)
    for attributes in elements:
        name, kind = attributes.get("name"), attributes.get("type", "hinge")
        if kind != "hinge":
            raise InputError(f"{path}: joint '{name}' is of type '{kind}'; only hinges may stand below the root")
        if any(
            abs(value) > 1e-9
            for value in _numbers(attributes.get("pos", "0 0 0"), 3, path, f"joint '{attributes.get('name')}' pos")
        ):
            raise InputError(f"{path}: joint '{name}' is off its body's origin; put the body there instead")
    axes = []
    for attributes in elements:
        what = f"joint '{attributes.get('name')}' axis"
        axes.append(unit_vector(np.array(_numbers(attributes.get("axis", "0 0 1"), 3, path, what)), path, what))
    values = [_dof_values(attributes, settings, to_radians, path) for attributes in elements]
    if len(elements) == 1:
        x, y, z = (float(value) for value in axes[0])
        return Joint(name=values[0]["name"], kind=JointKind.HINGE, axis=(x, y, z), **_columns(values))
    if len(elements) == 3 and np.allclose(np.stack(axes) @ np.stack(axes).T, np.eye(3), atol=1e-6):
        if not np.allclose(np.stack(axes), np.eye(3), atol=1e-6):
            raise InputError(f"{path}: body '{body}' has three orthogonal hinges that are not x, y, z in this order")
        return Joint(name=body, kind=JointKind.SPHERICAL, **_columns(values))
    raise InputError(
        f"{path}: body '{body}' has {len(elements)} hinges; a body takes one hinge, or three orthogonal ones (x, y, z)"
    )


def _dof_values(attributes: Attributes, settings: Attributes, to_radians: float, path: Path) -> dict:
    name = attributes.get("name")
    if name is None:
        raise InputError(f"{path}: a <joint> has no name")
    limited = attributes.get("limited", "auto")
    autolimits = settings.get("autolimits", "true") == "true"
    if "range" not in attributes or limited == "false" or (limited == "auto" and not autolimits):
        raise InputError(
            f"{path}: joint '{name}' has no limits; give it range=\"lower upper\" (action bounds come from it)"
        )
    lower, upper = (value * to_radians for value in _numbers(attributes["range"], 2, path, f"joint '{name}' range"))
    if not lower < upper:
        raise InputError(
            f"{path}: joint '{name}' has the range '{attributes['range']}'; the lower limit must be below the upper"
        )
    torque_limit = math.inf
    if "actuatorfrcrange" in attributes and attributes.get("actuatorfrclimited", "auto") != "false":
        low, high = _numbers(attributes["actuatorfrcrange"], 2, path, f"joint '{name}' actuatorfrcrange")
        if low != -high:
            raise InputError(
                f"{path}: joint '{name}' has an asymmetric actuatorfrcrange '{low} {high}'; a torque limit is symmetric"
            )
        torque_limit = high

    def number(key: str) -> float:
        return _numbers(attributes.get(key, "0"), 1, path, f"joint '{name}' {key}")[0]

    return {
        "name": name,
        "lower": lower,
        "upper": upper,
        "stiffness": number("stiffness"),
        "damping": number("damping"),
        "torque_limit": torque_limit,
        "armature": number("armature"),
    }


def _columns(values: list[dict]) -> dict:
    columns = {key: tuple(value[key] for value in values) for key in values[0] if key != "name"}
    columns["dof_names"] = tuple(value["name"] for value in values)
    return columns
