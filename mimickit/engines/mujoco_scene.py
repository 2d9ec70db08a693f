"""Building blocks shared by the two backends that end in a MuJoCo model: actuators, state layout, ground.

Both drive joints with one MuJoCo actuator per DoF: ``force = gain * ctrl + bias_pos * q + bias_vel * dq``, clamped to
the joint's torque limit. A spherical joint is a MuJoCo ball joint; its three actuators act along the child's axes, and
``q`` is then its exponential map.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
import torch
from torch import Tensor

from mimickit.anim.char_model import CharModel, JointKind
from mimickit.anim.mjcf import read_mjcf_xml
from mimickit.anim.rotations import quat_conjugate, quat_from_exp_map, quat_rotate, quat_to_exp_map
from mimickit.engines.engine import Scene
from mimickit.errors import InputError

GROUND_NAME = "ground"


@dataclass(frozen=True)
class ActuatorLaw:
    """Which of a DoF's gains enter MuJoCo's actuator: ``force = gain * ctrl - position * q - velocity * dq``."""

    gain: str
    position: str
    velocity: str


# The values are attributes of a joint, "one" or "zero". pd_explicit computes its torque outside and sends it.
CONTROL_LAWS = {
    "none": ActuatorLaw("zero", "zero", "zero"),
    "pos": ActuatorLaw("stiffness", "stiffness", "damping"),
    "vel": ActuatorLaw("damping", "zero", "damping"),
    "torque": ActuatorLaw("one", "zero", "zero"),
    "pd_explicit": ActuatorLaw("one", "zero", "zero"),
}


def actuator_gains(model: CharModel, control_mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per-DoF ``gain``, ``bias_pos`` and ``bias_vel`` of a control mode; the last two are negative or zero."""
    columns = {
        "zero": np.zeros(model.num_dofs),
        "one": np.ones(model.num_dofs),
        "stiffness": np.array(model.per_dof("stiffness")),
        "damping": np.array(model.per_dof("damping")),
    }
    law = CONTROL_LAWS[control_mode]
    return columns[law.gain], -columns[law.position], -columns[law.velocity]


# Defaults that would reach into the drives this framework adds.
_ACTUATOR_TAGS = ("motor", "position", "velocity", "general", "intvelocity", "damper", "cylinder", "muscle", "adhesion")


def passive_character(scene: Scene) -> ET.Element:
    """The character's MJCF without actuators, joint springs and floor; its root free or held, asset folders absolute.

    The springs (``stiffness``, ``damping``) are the PD gains; left in place they would act a second time.
    """
    path = scene.char_file
    if path.suffix.lower() == ".urdf":
        raise InputError(f"{path}: the engines simulate MJCF characters; URDF is read for its kinematics alone")
    root = read_mjcf_xml(path)
    for tag in ("actuator", "sensor", "keyframe", "option"):
        for element in root.findall(tag):
            root.remove(element)
    for default in root.iter("default"):
        for tag in _ACTUATOR_TAGS:
            for element in default.findall(tag):
                default.remove(element)
    for joint in root.iter("joint"):
        joint.attrib.pop("stiffness", None)
        joint.attrib.pop("damping", None)
    for worldbody in root.findall("worldbody"):
        for geom in worldbody.findall("geom"):
            if geom.get("type") == "plane":  # a floor to look at the model on; the engine brings the ground
                worldbody.remove(geom)
    root_body = root.find("worldbody/body")
    assert root_body is not None  # the kinematic tree was read from it
    for tag in ("freejoint", "joint"):
        for element in root_body.findall(tag):
            root_body.remove(element)
    if scene.fixed_root_pose is None:
        root_body.insert(0, ET.Element("freejoint", {"name": "root"}))
    else:
        x, y, z, qx, qy, qz, qw = scene.fixed_root_pose
        root_body.set("pos", f"{x!r} {y!r} {z!r}")
        root_body.set("quat", f"{qw!r} {qx!r} {qy!r} {qz!r}")
    compiler = root.find("compiler")
    if compiler is None:
        compiler = ET.SubElement(root, "compiler")
    folder = path.resolve().parent
    for key in ("meshdir", "texturedir", "assetdir"):
        if key in compiler.attrib:
            compiler.set(key, str(folder / compiler.attrib[key]))
    if "meshdir" not in compiler.attrib and "assetdir" not in compiler.attrib:
        compiler.set("meshdir", str(folder))
    return root


def mesh_folders(path: Path) -> list[Path]:
    """Where an MJCF's meshes may lie: the folder its compiler names, or its own."""
    settings = {
        key: value for element in read_mjcf_xml(path).findall("compiler") for key, value in element.attrib.items()
    }
    folder = path.resolve().parent
    return [folder / settings.get("meshdir", settings.get("assetdir", "")), folder]


@dataclass(frozen=True)
class StateLayout:
    """Where a character's state sits in MuJoCo's ``qpos`` and ``qvel``.

    With a free root: ``qpos`` starts with position 3 and quaternion 4 (wxyz), ``qvel`` with the world linear velocity
    and the angular velocity in the root's own frame; then joints in depth-first order, balls as quaternions wxyz.
    """

    fixed_root: bool
    num_coords: int
    num_velocities: int
    ball_coords: tuple[tuple[int, int, int, int], ...]
    ball_dofs: tuple[tuple[int, int, int], ...]
    hinge_coords: tuple[int, ...]
    hinge_dofs: tuple[int, ...]

    @classmethod
    def of(cls, model: CharModel, fixed_root: bool) -> "StateLayout":
        coord = 0 if fixed_root else 7
        ball_coords, ball_dofs, hinge_coords, hinge_dofs = [], [], [], []
        for joint, start in zip(model.joints, model.dof_starts, strict=True):
            if joint.kind is JointKind.SPHERICAL:
                ball_coords.append((coord, coord + 1, coord + 2, coord + 3))
                ball_dofs.append((start, start + 1, start + 2))
                coord += 4
            elif joint.kind is JointKind.HINGE:
                hinge_coords.append(coord)
                hinge_dofs.append(start)
                coord += 1
        return cls(
            fixed_root=fixed_root,
            num_coords=coord,
            num_velocities=model.num_dofs + (0 if fixed_root else 6),
            ball_coords=tuple(ball_coords),
            ball_dofs=tuple(ball_dofs),
            hinge_coords=tuple(hinge_coords),
            hinge_dofs=tuple(hinge_dofs),
        )


def check_scene(model: mujoco.MjModel, scene: Scene) -> None:
    """InputError unless the compiled model holds the character, its props and the ground, and nothing else."""
    planes = int((model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE).sum())
    if planes != 1:
        raise InputError(
            f"{scene.char_file}: holds {planes - 1} planes of its own; the engine adds the ground, remove them"
        )
    bodies = 1 + scene.char_model.num_bodies + len(scene.props)
    if model.nbody != bodies:
        raise InputError(
            f"{scene.char_file}: the scene has {model.nbody - 1} bodies, expected the character's "
            f"{scene.char_model.num_bodies} and {len(scene.props)} props; a character is one tree under "
            "<worldbody>, a prop one body"
        )
    layout = StateLayout.of(scene.char_model, scene.fixed_root_pose is not None)
    coords = layout.num_coords + 7 * sum(not prop.fixed for prop in scene.props)
    if model.nq != coords:
        raise InputError(f"{scene.char_file}: the scene has {model.nq} coordinates, expected {coords} from its joints")


class StateCodec:
    """Converts between this framework's state tensors and ``qpos``/``qvel`` of shape ``(N, ...)`` on one device."""

    def __init__(self, layout: StateLayout, device: torch.device):
        self.layout = layout

        def index(values: tuple) -> Tensor:
            return torch.tensor(values, dtype=torch.long, device=device)

        # Index tensors made once: a Python list as index would be copied to the device, and waited for, at every use.
        self._xyzw, self._wxyz = index((1, 2, 3, 0)), index((3, 0, 1, 2))
        self._ball_coords, self._ball_dofs = index(layout.ball_coords), index(layout.ball_dofs)
        self._ball_coords_xyzw = self._ball_coords[..., self._xyzw].flatten() if layout.ball_coords else None
        self._hinge_coords, self._hinge_dofs = index(layout.hinge_coords), index(layout.hinge_dofs)
        self._velocity_start = 0 if layout.fixed_root else 6

    def encode(
        self,
        root_pos: Tensor,
        root_rot: Tensor,
        root_vel: Tensor,
        root_ang_vel: Tensor,
        dof_pos: Tensor,
        dof_vel: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """State tensors to ``qpos (N, num_coords)`` and ``qvel (N, num_velocities)``."""
        qpos = torch.empty(len(dof_pos), self.layout.num_coords, device=dof_pos.device, dtype=dof_pos.dtype)
        if not self.layout.fixed_root:
            qpos[:, :3] = root_pos
            qpos[:, 3:7] = root_rot[:, self._wxyz]
            local_ang_vel = quat_rotate(quat_conjugate(root_rot), root_ang_vel)
            qvel = torch.cat((root_vel, local_ang_vel, dof_vel), dim=-1)
        else:
            qvel = dof_vel.clone()
        if len(self.layout.ball_coords):
            qpos[:, self._ball_coords] = quat_from_exp_map(dof_pos[:, self._ball_dofs])[..., self._wxyz]
        if len(self.layout.hinge_coords):
            qpos[:, self._hinge_coords] = dof_pos[:, self._hinge_dofs]
        return qpos, qvel

    def xyzw(self, quat: Tensor) -> Tensor:
        """MuJoCo's quaternions ``(..., 4)`` wxyz in this framework's order."""
        return quat.index_select(-1, self._xyzw)

    def decode_root(self, qpos: Tensor, qvel: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Root position, rotation (xyzw), world linear and world angular velocity of a free root."""
        root_rot = self.xyzw(qpos[:, 3:7])
        return qpos[:, :3], root_rot, qvel[:, :3], quat_rotate(root_rot, qvel[:, 3:6])

    def decode_dofs(self, qpos: Tensor, qvel: Tensor, dof_pos: Tensor) -> Tensor:
        """Write DoF positions into ``dof_pos`` and return DoF velocities (a view of ``qvel``)."""
        if len(self.layout.ball_coords):
            balls = qpos.index_select(-1, self._ball_coords_xyzw).unflatten(-1, (-1, 4))
            dof_pos.index_copy_(-1, self._ball_dofs.flatten(), quat_to_exp_map(balls).flatten(-2))
        if len(self.layout.hinge_coords):
            dof_pos.index_copy_(-1, self._hinge_dofs, qpos.index_select(-1, self._hinge_coords))
        return qvel[:, self._velocity_start : self._velocity_start + dof_pos.shape[1]]


def clamp_torque(torque: Tensor, limit: Tensor) -> Tensor:
    """Torques within the symmetric limits (infinite where a joint has none)."""
    return torch.minimum(torch.maximum(torque, -limit), limit)


def body_masses(model: mujoco.MjModel, body_ids: list[int]) -> tuple[float, ...]:
    """Masses of the given bodies, kg."""
    return tuple(float(model.body_mass[i]) for i in body_ids)
