"""BVH files of known skeletons, read as landmarks: CMU's, LAFAN1's, Mixamo's and Xsens'."""

import dataclasses
import types
from collections.abc import Mapping

import numpy as np

from mimickit.data.motion import Landmarks
from mimickit.data.readers.bvh_text import joint_positions, parse
from mimickit.errors import InputError


@dataclasses.dataclass(frozen=True)
class BvhSkeleton:
    """Which joint is which landmark. A file of this skeleton has all of ``joints``; it may lack ``more``."""

    joints: Mapping[str, str]  # landmark: joint
    more: Mapping[str, str]


def _both(limbs: Mapping[str, str]) -> dict[str, str]:
    """Landmarks of both sides: in the names of joints, ``*`` stands for Left and Right."""
    return {f"{side.lower()}_{limb}": joint.replace("*", side) for limb, joint in limbs.items() for side in _SIDES}


_SIDES = ("Left", "Right")
_HIPS_AND_ARMS = {
    **{"hip": "*UpLeg", "knee": "*Leg", "ankle": "*Foot"},
    **{"shoulder": "*Arm", "elbow": "*ForeArm", "wrist": "*Hand"},
}
SKELETONS: Mapping[str, BvhSkeleton] = types.MappingProxyType(
    {
        "CMU": BvhSkeleton(
            {"pelvis": "Hips", "chest": "Spine1", "neck": "Neck1", "head": "Head"}
            | _both({**_HIPS_AND_ARMS, "toe": "*ToeBase"}),
            _both({"hand": "*HandIndex1"}),
        ),
        "LAFAN1": BvhSkeleton(
            {"pelvis": "Hips", "chest": "Spine2", "neck": "Neck", "head": "Head"}
            | _both({**_HIPS_AND_ARMS, "toe": "*Toe"}),
            {},
        ),
        "Mixamo": BvhSkeleton(
            {"pelvis": "Hips", "chest": "Spine2", "neck": "Neck", "head": "Head"}
            | _both({**_HIPS_AND_ARMS, "toe": "*ToeBase"}),
            _both({"hand": "*HandMiddle1"}),
        ),
        "Xsens": BvhSkeleton(
            {"pelvis": "Hips", "chest": "Chest4", "neck": "Neck", "head": "Head"}
            | _both({"hip": "*Hip", "knee": "*Knee", "ankle": "*Ankle", "toe": "*Toe"})
            | _both({"shoulder": "*Shoulder", "elbow": "*Elbow", "wrist": "*Wrist"}),
            {},
        ),
    }
)
_ROOT = "Hips"  # of all of them; what stands before it, as in mixamorig:Hips, stands before all names
_UNITS = {"metres": 1.0, "CMU's units": 0.0254 / 0.45, "inches": 0.0254, "centimetres": 0.01}
_UNITS |= {"millimetres": 0.001}
_LEG = 0.83  # metres from hip to ankle of a grown person
_LEG_RANGE = (0.55, 1.25)
UP_AXES = ("y", "z")
# columns of a position in the file that are the world's x, y and z, with z up
_TO_WORLD = {"y": (2, 0, 1), "z": (0, 1, 2)}


@dataclasses.dataclass(frozen=True)
class BvhRecording:
    """A BVH file read as landmarks, with what was found out about it."""

    landmarks: Landmarks
    skeleton: str  # a key of `SKELETONS`
    unit: str
    leg_length: float  # metres from hip to ankle


def _plain_names(names: list[str]) -> list[str]:
    prefix = names[0].removesuffix(_ROOT) if names[0].endswith(_ROOT) else ""
    return [name.removeprefix(prefix) for name in names]


def _missing(skeleton: BvhSkeleton, names: list[str]) -> list[str]:
    return [joint for joint in skeleton.joints.values() if joint not in names]


def find_skeleton(names: list[str], source: str) -> str:
    """The skeleton whose joints are all among ``names``.

    Raises `InputError` for none, naming the joints found, the nearest skeleton and what lacks to it.
    """
    missing = {name: _missing(skeleton, names) for name, skeleton in SKELETONS.items()}
    nearest = min(missing, key=lambda name: len(missing[name]))
    if missing[nearest]:
        raise InputError(
            f"{source}: the skeleton is not known. Nearest is {nearest}, but there is no joint "
            f"{', '.join(missing[nearest])}. Known are {', '.join(SKELETONS)}; the file has the joints "
            f"{', '.join(names)}"
        )
    return nearest


def _unit(leg: float, scale: float | None, source: str) -> tuple[str, float]:
    """Name and metres of the file's unit; ``leg`` is the length of a leg in it."""
    if scale is not None:
        return f"units of {scale:g} m", scale
    name = min(_UNITS, key=lambda unit: abs(np.log(max(leg, 1e-9) * _UNITS[unit] / _LEG)))
    if not _LEG_RANGE[0] <= leg * _UNITS[name] <= _LEG_RANGE[1]:
        raise InputError(
            f"{source}: a leg is {leg:.4g} long from hip to ankle, which is human in no known unit; say --scale, the "
            "metres of the file's unit"
        )
    return name, _UNITS[name]


def convert(data: bytes, source: str, scale: float | None = None, up: str = UP_AXES[0]) -> BvhRecording:
    """The recording in ``data`` as landmarks (they do not wrap); ``source`` names it in errors.

    ``scale`` is the metres of the file's unit; None tells it from the length of the legs. ``up`` is the file's upward
    axis. Raises `InputError` for a file that is no BVH, or of a skeleton that is not known.
    """
    bvh = parse(data, source)
    names = _plain_names([joint.name for joint in bvh.joints])
    skeleton = find_skeleton(names, source)
    known = SKELETONS[skeleton]
    wanted = {**known.joints, **{mark: joint for mark, joint in known.more.items() if joint in names}}
    positions = joint_positions(bvh)[..., _TO_WORLD[up]]
    tracks = {landmark: positions[:, names.index(joint)] for landmark, joint in wanted.items()}
    bones = [
        np.linalg.norm(tracks[f"{side}_{start}"] - tracks[f"{side}_{end}"], axis=-1).mean()
        for side in ("left", "right")
        for start, end in (("hip", "knee"), ("knee", "ankle"))
    ]
    leg = float(sum(bones)) / 2.0
    unit, metres = _unit(leg, scale, source)
    times = np.arange(len(positions)) * bvh.frame_time
    landmarks = Landmarks(times, {name: metres * track for name, track in tracks.items()}, wrap=False)
    return BvhRecording(landmarks, skeleton, unit, metres * leg)
