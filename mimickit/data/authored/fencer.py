"""The measures of the sword-and-shield character that posing needs, read from its MJCF."""

import dataclasses
from pathlib import Path

import mujoco
import numpy as np

from mimickit.data.character import read_model
from mimickit.errors import InputError

_ARM = ("upper_arm", "lower_arm", "hand")
_LEG = ("thigh", "shin", "foot")


@dataclasses.dataclass(frozen=True)
class Fencer:
    """Offsets (3,) of bodies from their parents in metres, and limits (dofs, 2) of their joints in radians, by name.

    The limits of a ball joint are those of its three hinges, taken for the components of its exponential map.
    """

    source: str
    offsets: dict[str, np.ndarray]
    limits: dict[str, np.ndarray]
    sole: float  # metres from the ankle down to the sole
    sole_middle: float  # metres from the ankle forward to the middle of the sole
    sole_half: np.ndarray  # (2,) half the sole's length and width, metres
    masses: dict[str, tuple[float, np.ndarray]]  # kilograms, and the centre (3,) in the body's frame
    blade: np.ndarray  # (3,) unit, in the right hand's frame
    facing: np.ndarray  # (3,) unit, the shield's outside in the left lower arm's frame


def load_fencer(path: Path) -> Fencer:
    """Read the character's MJCF. Raises `InputError` for a file that is not a fencer of this build."""
    model = read_model(path)
    names = {model.body(i).name: i for i in range(1, model.nbody)}
    limbs = [f"{side}_{part}" for side in ("left", "right") for part in (*_ARM, *_LEG)]
    missing = [name for name in ("pelvis", "torso", "head", *limbs, "sword", "shield") if name not in names]
    if missing:
        raise InputError(f"{path}: no body called {', '.join(missing)}; a fencer has them")
    limits = {}
    for name, i in names.items():
        first, count = model.body_jntadr[i], model.body_jntnum[i]
        if count and model.jnt_type[first] == mujoco.mjtJoint.mjJNT_HINGE:
            limits[name] = np.array(model.jnt_range[first : first + count])
    foot = model.body_geomadr[names["right_foot"]]
    tip = np.array(model.body_pos[names["sword"]])  # the sword's origin is the blade's tip
    return Fencer(
        source=str(path),
        offsets={name: np.array(model.body_pos[i]) for name, i in names.items()},
        limits=limits,
        sole=float(model.geom_size[foot][2] - model.geom_pos[foot][2]),
        sole_middle=float(model.geom_pos[foot][0]),
        sole_half=np.array(model.geom_size[foot][:2]),
        masses={name: (float(model.body_mass[i]), np.array(model.body_ipos[i])) for name, i in names.items()},
        blade=tip / np.linalg.norm(tip),
        facing=_outward(model, names["shield"]),
    )


def _outward(model: mujoco.MjModel, shield: int) -> np.ndarray:
    """Axis (3,) of the shield's disc, in the frame of the arm that carries it, on the side away from the arm."""
    disc = model.body_geomadr[shield]
    axis = np.array([0.0, 0.0, 1.0])
    for turn in (model.geom_quat[disc], model.body_quat[shield]):
        mujoco.mju_rotVecQuat(axis, axis.copy(), turn)
    return axis if axis @ model.body_pos[shield] > 0.0 else -axis
