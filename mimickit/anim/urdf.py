"""Reading a character's kinematic tree from URDF (http://wiki.ros.org/urdf/XML).

Three consecutive revolute joints with orthogonal axes x, y, z whose two middle links are empty (no inertia, no
geometry, no offset) form one spherical joint, as the MJCF reader does for three hinges at one body. URDF has no PD
gains: ``<dynamics damping=.../>`` of a joint gives the damping, and a ``stiffness`` attribute there the stiffness.
"""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mimickit.anim.char_model import CharModel, Joint, JointKind
from mimickit.anim.mjcf import unit_vector
from mimickit.errors import InputError, MissingDataError

_HINGE_TYPES = ("revolute", "continuous")


def load_urdf(path: Path | str) -> CharModel:
    """The kinematic tree of a URDF robot, depth-first in the order of its joints.

    Raises:
        InputError: missing, not XML, no single root link, a revolute joint without limits, or a joint type other than
            revolute and fixed.
    """
    path = Path(path)
    try:
        robot = ET.parse(path).getroot()
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such character file") from None
    except ET.ParseError as error:
        raise InputError(f"{path}: not readable as XML: {error}") from None
    links = {link.get("name", ""): link for link in robot.findall("link")}
    children: dict[str, list[ET.Element]] = {name: [] for name in links}
    has_parent = set()
    for joint in robot.findall("joint"):
        parent, child = (_reference(joint, tag, links, path) for tag in ("parent", "child"))
        children[parent].append(joint)
        has_parent.add(child)
    roots = [name for name in links if name not in has_parent]
    if len(roots) != 1:
        raise InputError(f"{path}: expected one root link, found {len(roots)}: {', '.join(roots)}")

    names: list[str] = []
    parents: list[int] = []
    translations: list[tuple[float, float, float]] = []
    rotations: list[tuple[float, float, float, float]] = []
    joints: list[Joint] = []

    def add(name: str, parent: int, origin: tuple, joint: Joint) -> None:
        index = len(names)
        names.append(name)
        parents.append(parent)
        translations.append(origin[0])
        rotations.append(origin[1])
        joints.append(joint)
        for element in children[name]:
            chain = _spherical_chain(element, links, children, path)
            if chain is not None:
                last = _reference(chain[-1], "child", links, path)
                add(last, index, _origin(chain[0], path), _spherical(last, chain, path))
            else:
                child = _reference(element, "child", links, path)
                add(child, index, _origin(element, path), _single(child, element, path))

    identity = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    add(roots[0], -1, identity, Joint(name=roots[0], kind=JointKind.ROOT))
    return CharModel(
        source=str(path),
        body_names=tuple(names),
        parents=tuple(parents),
        local_translation=tuple(translations),
        local_rotation=tuple(rotations),
        joints=tuple(joints),
    )


def _reference(joint: ET.Element, tag: str, links: dict[str, ET.Element], path: Path) -> str:
    element = joint.find(tag)
    name = element.get("link", "") if element is not None else ""
    if name not in links:
        raise InputError(f"{path}: joint '{joint.get('name')}' names the {tag} link '{name}', which does not exist")
    return name


def _vector(text: str, path: Path, what: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        raise InputError(f"{path}: {what} is '{text}', expected 3 numbers") from None
    if values.shape != (3,) or not np.isfinite(values).all():
        raise InputError(f"{path}: {what} is '{text}', expected 3 finite numbers")
    return values


def _origin(joint: ET.Element, path: Path) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
    element = joint.find("origin")
    attributes = dict(element.attrib) if element is not None else {}
    what = f"joint '{joint.get('name')}' origin"
    x, y, z = (float(value) for value in _vector(attributes.get("xyz", "0 0 0"), path, f"{what} xyz"))
    rpy = _vector(attributes.get("rpy", "0 0 0"), path, f"{what} rpy")
    qx, qy, qz, qw = (float(value) for value in Rotation.from_euler("xyz", rpy).as_quat())
    return (x, y, z), (qx, qy, qz, qw)


def _axis(joint: ET.Element, path: Path) -> np.ndarray:
    element = joint.find("axis")
    what = f"joint '{joint.get('name')}' axis"
    return unit_vector(_vector(element.get("xyz", "1 0 0") if element is not None else "1 0 0", path, what), path, what)


def _spherical_chain(
    first: ET.Element, links: dict[str, ET.Element], children: dict[str, list[ET.Element]], path: Path
) -> list[ET.Element] | None:
    """Three revolute joints in a row about x, y, z with empty links between them; None when ``first`` starts none."""
    chain = [first]
    while len(chain) < 3:
        if chain[-1].get("type") not in _HINGE_TYPES:
            return None
        link = _reference(chain[-1], "child", links, path)
        if len(links[link]) or len(children[link]) != 1:
            return None
        following = children[link][0]
        position, rotation = _origin(following, path)
        if any(position) or not np.allclose(rotation, (0, 0, 0, 1)):
            return None
        chain.append(following)
    if chain[-1].get("type") not in _HINGE_TYPES:
        return None
    axes = np.stack([_axis(joint, path) for joint in chain])
    return chain if np.allclose(axes, np.eye(3), atol=1e-6) else None


def _dof(joint: ET.Element, path: Path) -> dict:
    name = joint.get("name", "")
    limit = joint.find("limit")
    if limit is None or "lower" not in limit.attrib or "upper" not in limit.attrib:
        raise InputError(
            f"{path}: joint '{name}' has no limits; give it <limit lower= upper= effort=> (action bounds come from it)"
        )
    dynamics = joint.find("dynamics")

    def number(element: ET.Element | None, key: str, default: float) -> float:
        text = element.get(key) if element is not None else None
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise InputError(f"{path}: joint '{name}' {key} is '{text}', expected a number") from None

    lower, upper = number(limit, "lower", 0.0), number(limit, "upper", 0.0)
    if not lower < upper:
        raise InputError(f"{path}: joint '{name}' has the limits {lower} and {upper}; lower must be below upper")
    return {
        "dof_names": name,
        "lower": lower,
        "upper": upper,
        "stiffness": number(dynamics, "stiffness", 0.0),
        "damping": number(dynamics, "damping", 0.0),
        "torque_limit": number(limit, "effort", math.inf),
        "armature": 0.0,
    }


def _columns(joints: list[ET.Element], path: Path) -> dict:
    values = [_dof(joint, path) for joint in joints]
    return {key: tuple(value[key] for value in values) for key in values[0]}


def _single(child: str, joint: ET.Element, path: Path) -> Joint:
    kind = joint.get("type", "")
    if kind == "fixed":
        return Joint(name=child, kind=JointKind.FIXED)
    if kind not in _HINGE_TYPES:
        raise InputError(
            f"{path}: joint '{joint.get('name')}' is of type '{kind}'; only revolute and fixed joints are supported"
        )
    x, y, z = (float(value) for value in _axis(joint, path))
    return Joint(name=joint.get("name", ""), kind=JointKind.HINGE, axis=(x, y, z), **_columns([joint], path))


def _spherical(child: str, chain: list[ET.Element], path: Path) -> Joint:
    return Joint(name=child, kind=JointKind.SPHERICAL, **_columns(chain, path))
