"""Kinematic tree of a character: bodies in depth-first order, one joint per body, forward kinematics."""

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import torch
from torch import Tensor

from mimickit.anim.rotations import quat_from_exp_map, quat_mul, quat_rotate, quat_to_exp_map


class JointKind(Enum):
    """How a body moves against its parent; the value is the number of DoFs after the root."""

    ROOT = "root"
    HINGE = "hinge"
    SPHERICAL = "spherical"
    FIXED = "fixed"


JOINT_DOF_DIM = {JointKind.ROOT: 0, JointKind.HINGE: 1, JointKind.SPHERICAL: 3, JointKind.FIXED: 0}


@dataclass(frozen=True)
class Joint:
    """The joint that carries one body. Per-DoF values are tuples of length ``dof_dim``.

    Attributes:
        name: the hinge's name, or the body's for spherical, fixed and root joints.
        axis: unit axis of a hinge in the body frame.
        lower, upper: limits, radians. A spherical joint has the three hinges' limits it was made from.
        stiffness, damping: gains of the PD drive, N m / rad and N m s / rad.
        torque_limit: N m (infinite when the model names none).
        armature: kg m^2.
    """

    name: str
    kind: JointKind
    axis: tuple[float, float, float] = (0.0, 0.0, 0.0)
    dof_names: tuple[str, ...] = ()
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    stiffness: tuple[float, ...] = ()
    damping: tuple[float, ...] = ()
    torque_limit: tuple[float, ...] = ()
    armature: tuple[float, ...] = ()

    @property
    def dof_dim(self) -> int:
        return JOINT_DOF_DIM[self.kind]


@dataclass(frozen=True)
class CharModel:
    """Bodies in depth-first order; body 0 is the root. ``joints[i]`` carries body ``i``.

    ``local_translation`` and ``local_rotation`` (xyzw) place each body in its parent's frame at zero DoFs.
    Joint anchors must lie at the body origin, as in every character of this framework.
    """

    source: str
    body_names: tuple[str, ...]
    parents: tuple[int, ...]
    local_translation: tuple[tuple[float, float, float], ...]
    local_rotation: tuple[tuple[float, float, float, float], ...]
    joints: tuple[Joint, ...]
    dof_starts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        starts, count = [], 0
        for joint in self.joints:
            starts.append(count)
            count += joint.dof_dim
        object.__setattr__(self, "dof_starts", tuple(starts))

    @property
    def num_bodies(self) -> int:
        return len(self.body_names)

    @property
    def num_joints(self) -> int:
        """Joints after the root, fixed ones included."""
        return len(self.joints) - 1

    @cached_property
    def num_dofs(self) -> int:
        return sum(joint.dof_dim for joint in self.joints)

    @cached_property
    def dof_names(self) -> tuple[str, ...]:
        return tuple(name for joint in self.joints for name in joint.dof_names)

    def body_index(self, name: str) -> int:
        """Index of a body; ``KeyError`` with the known names when there is none."""
        if name not in self.body_names:
            raise KeyError(f"no body '{name}' in {self.source}; it has {', '.join(self.body_names)}")
        return self.body_names.index(name)

    def per_dof(self, attribute: str) -> tuple[float, ...]:
        """A per-DoF attribute of all joints, concatenated in DoF order."""
        return tuple(value for joint in self.joints for value in getattr(joint, attribute))


class Kinematics:
    """A :class:`CharModel`'s tables on one device, and the batched maps between DoFs, rotations and poses.

    Shapes: ``dof_pos (..., D)``, ``joint_rot (..., J, 4)`` with one rotation per joint after the root,
    ``body_pos (..., B, 3)``, ``body_rot (..., B, 4)`` in the world frame; ``J = B - 1``.
    """

    def __init__(self, model: CharModel, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32):
        self.model = model
        joints = model.joints[1:]
        gather = torch.zeros(len(joints), 3, dtype=torch.long)
        scale = torch.zeros(len(joints), 3, dtype=dtype)
        dof_joint, dof_component = [], []
        hinge_dofs = []
        for j, joint in enumerate(joints):
            start = model.dof_starts[j + 1]
            if joint.kind is JointKind.SPHERICAL:
                gather[j] = torch.arange(start, start + 3)
                scale[j] = 1.0
                dof_joint += [j, j, j]
                dof_component += [0, 1, 2]
            elif joint.kind is JointKind.HINGE:
                gather[j] = start
                scale[j] = torch.tensor(joint.axis, dtype=dtype)
                hinge_dofs.append(start)
                dof_joint.append(j)
                dof_component.append(-1)
        # index_select beats indexing with a tensor by a factor of three on small tensors; hence flat indices.
        self._gather = gather.flatten().to(device)
        self._scale = scale.to(device)
        # A DoF reads its joint's rotation vector: along the hinge's axis, or one component of a spherical joint.
        self._dof_joint = torch.tensor(dof_joint, dtype=torch.long, device=device)
        component = torch.zeros(len(dof_joint), 3, dtype=dtype)
        for d, (j, c) in enumerate(zip(dof_joint, dof_component, strict=True)):
            component[d] = scale[j] if c < 0 else torch.eye(3, dtype=dtype)[c]
        self._dof_component = component.to(device)
        self._translation = torch.tensor(model.local_translation, dtype=dtype, device=device)
        rotation = torch.tensor(model.local_rotation, dtype=dtype, device=device)
        self._rotation = rotation
        identity = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=dtype, device=device)
        self._rotated_frames = bool((rotation[1:] - identity).abs().max() > 1e-9) if len(joints) else False
        self._levels = self._depth_levels(device)
        # Levels concatenate bodies breadth-first; this puts them back in depth-first order.
        order = [0] + [joint + 1 for joints, _ in self._levels for joint in joints.tolist()]
        self._depth_first = torch.argsort(torch.tensor(order, device=device))
        self._parents = torch.tensor(model.parents[1:], dtype=torch.long, device=device)

    def _depth_levels(self, device: torch.device | str) -> list[tuple[Tensor, Tensor]]:
        """Per depth: the joints of the bodies there, and their parents' places within the level above."""
        depth = [0] * self.model.num_bodies
        for body, parent in enumerate(self.model.parents):
            if parent >= 0:
                depth[body] = depth[parent] + 1
        levels = []
        above = [0]
        for level in range(1, max(depth, default=0) + 1):
            bodies = [b for b in range(self.model.num_bodies) if depth[b] == level]
            parents = [above.index(self.model.parents[b]) for b in bodies]
            joints = [b - 1 for b in bodies]
            levels.append((torch.tensor(joints, device=device), torch.tensor(parents, device=device)))
            above = bodies
        return levels

    def dof_to_rot(self, dof_pos: Tensor) -> Tensor:
        """DoFs ``(..., D)`` to joint rotations ``(..., J, 4)``; fixed joints are the identity."""
        axes = dof_pos.index_select(-1, self._gather).unflatten(-1, self._scale.shape)
        return quat_from_exp_map(axes * self._scale)

    def rot_to_dof(self, joint_rot: Tensor) -> Tensor:
        """Joint rotations ``(..., J, 4)`` to DoFs ``(..., D)``: exponential maps and hinge angles in [-pi, pi]."""
        return self._project(quat_to_exp_map(joint_rot))

    def dof_velocity(self, joint_rot0: Tensor, joint_rot1: Tensor, dt: float) -> Tensor:
        """DoF velocities ``(..., D)`` that take ``joint_rot0`` to ``joint_rot1`` in ``dt`` seconds.

        A spherical joint's is its angular velocity in the child body's frame, which is also what the
        engines report.
        """
        conjugate = torch.cat((-joint_rot0[..., :3], joint_rot0[..., 3:]), dim=-1)
        return self._project(quat_to_exp_map(quat_mul(conjugate, joint_rot1))) / dt

    def _project(self, rotation_vector: Tensor) -> Tensor:
        return (rotation_vector.index_select(-2, self._dof_joint) * self._dof_component).sum(dim=-1)

    def forward(self, root_pos: Tensor, root_rot: Tensor, joint_rot: Tensor) -> tuple[Tensor, Tensor]:
        """Body poses in the world.

        Args:
            root_pos: ``(..., 3)``; root_rot: ``(..., 4)``; joint_rot: ``(..., J, 4)``.

        Returns:
            ``body_pos (..., B, 3)`` and ``body_rot (..., B, 4)``.
        """
        # Rotations go down the tree level by level; the offsets they turn are then turned all at once.
        rotations = [root_rot.unsqueeze(-2)]
        if self._rotated_frames:
            joint_rot = quat_mul(self._rotation[1:], joint_rot)
        for joints, parents in self._levels:
            rotations.append(quat_mul(rotations[-1].index_select(-2, parents), joint_rot.index_select(-2, joints)))
        body_rot = torch.cat(rotations, dim=-2).index_select(-2, self._depth_first)
        offsets = quat_rotate(body_rot.index_select(-2, self._parents), self._translation[1:])
        positions = [root_pos.unsqueeze(-2)]
        for joints, parents in self._levels:
            positions.append(positions[-1].index_select(-2, parents) + offsets.index_select(-2, joints))
        body_pos = torch.cat(positions, dim=-2).index_select(-2, self._depth_first)
        return body_pos, body_rot
