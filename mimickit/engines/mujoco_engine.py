"""MuJoCo's C library: worlds stepped in its own thread pool, on the CPU.

What a machine without a GPU uses, and the independent check on the Newton backend: the model is made from the same
MJCF by MuJoCo's own compiler, and stepped in float64.
"""

import copy
import platform
import xml.etree.ElementTree as ET

import mujoco
import numpy as np
import torch
from mujoco.rollout import Rollout
from torch import Tensor

from mimickit.anim.char_model import CharModel, JointKind, Kinematics
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.engines.engine import GRAVITY, Engine, Scene, require_control_mode
from mimickit.engines.mujoco_scene import (
    CONTROL_LAWS,
    GROUND_NAME,
    StateCodec,
    StateLayout,
    actuator_gains,
    body_masses,
    check_scene,
    clamp_torque,
    passive_character,
)
from mimickit.engines.props import PropState
from mimickit.errors import CapacityError, DivergenceError, InputError

_FULL_WARNINGS = (int(mujoco.mjtWarning.mjWARN_CONTACTFULL), int(mujoco.mjtWarning.mjWARN_CNSTRFULL))


def build_mujoco_model(config: MujocoEngineConfig, scene: Scene) -> mujoco.MjModel:
    """Compile the scene: the character with ball joints and drives, flat ground, props, a force sensor per body."""
    model = scene.char_model
    root = passive_character(scene)
    worldbody = root.find("worldbody")
    assert worldbody is not None  # the kinematic tree was read from it
    bodies = {element.get("name"): element for element in worldbody.iter("body")}
    for name, joint in zip(model.body_names, model.joints, strict=True):
        if joint.kind is JointKind.SPHERICAL:
            _make_ball_joint(bodies[name], joint.name)

    actuators = ET.SubElement(root, "actuator")
    gains, bias_pos, bias_vel = actuator_gains(model, config.control_mode)
    limits = model.per_dof("torque_limit")
    dof = 0
    for body, joint in zip(model.body_names, model.joints, strict=True):
        for component in range(joint.dof_dim):
            gear = "1" if joint.dof_dim == 1 else " ".join("1" if i == component else "0" for i in range(3))
            attributes = {
                "name": joint.dof_names[component],
                "joint": body if joint.kind is JointKind.SPHERICAL else joint.name,
                "gear": gear,
                "biastype": "affine",
                "gainprm": repr(float(gains[dof])),
                "biasprm": f"0 {float(bias_pos[dof])!r} {float(bias_vel[dof])!r}",
            }
            if np.isfinite(limits[dof]):
                attributes |= {"forcelimited": "true", "forcerange": f"{-limits[dof]!r} {limits[dof]!r}"}
            ET.SubElement(actuators, "general", attributes)
            dof += 1

    try:
        spec = mujoco.MjSpec.from_string(ET.tostring(root, encoding="unicode"))
    except ValueError as error:
        raise InputError(f"{scene.char_file}: MuJoCo cannot read it: {error}") from None
    spec.compiler.discardvisual = True
    spec.option.timestep = 1.0 / config.sim_freq
    spec.option.gravity = [0.0, 0.0, -GRAVITY]
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # A world that blows up must be seen, not quietly put back into its first pose.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    # One character: splitting constraints into islands and geometries into a tree costs more than it saves.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND | mujoco.mjtDisableBit.mjDSBL_MIDPHASE
    spec.option.iterations = config.solver_iterations
    spec.option.ls_iterations = config.line_search_iterations
    default = spec.default
    ground = spec.worldbody.add_geom(default, name=GROUND_NAME, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    fresh = mujoco.MjSpec().worldbody.add_geom()  # the ground keeps MuJoCo's defaults, whatever the character's are
    ground.solref, ground.solimp, ground.condim = fresh.solref, fresh.solimp, fresh.condim
    ground.margin, ground.gap, ground.contype, ground.conaffinity = 0.0, 0.0, 1, 1
    ground.friction = [scene.ground_friction, 0.005, 0.0001]
    for prop in scene.props:
        _attach_prop(spec, prop)
    if not scene.self_collision:
        for i, first in enumerate(model.body_names):
            for second in model.body_names[i + 1 :]:
                spec.add_exclude(bodyname1=first, bodyname2=second)
    for body in model.body_names:
        _add_ground_force_sensor(spec, body)
    try:
        compiled = spec.compile()
    except ValueError as error:
        raise InputError(f"{scene.char_file}: MuJoCo cannot compile it: {error}") from None
    check_scene(compiled, scene)
    _set_ball_armatures(compiled, model)
    return compiled


def _set_ball_armatures(compiled: mujoco.MjModel, model: CharModel) -> None:
    """Give each axis of a ball joint the armature of its own hinge; a file can only give one to all three."""
    for body, joint in zip(model.body_names, model.joints, strict=True):
        if joint.kind is JointKind.SPHERICAL:
            start = compiled.jnt_dofadr[compiled.body(body).jntadr[0]]
            compiled.dof_armature[start : start + 3] = joint.armature
    mujoco.mj_setConst(compiled, mujoco.MjData(compiled))  # what MuJoCo precomputes from it


def _make_ball_joint(body: ET.Element, name: str) -> None:
    """Replace a body's three hinges by one ball joint; class and friction come from the first hinge."""
    hinges = body.findall("joint")
    first = copy.deepcopy(hinges[0])
    position = list(body).index(hinges[0])
    for hinge in hinges:
        body.remove(hinge)
    for key in ("axis", "range", "actuatorfrcrange"):
        first.attrib.pop(key, None)
    first.attrib |= {"name": name, "type": "ball", "limited": "false", "actuatorfrclimited": "false"}
    first.attrib |= {"stiffness": "0", "damping": "0"}
    body.insert(position, first)


def _attach_prop(spec: mujoco.MjSpec, prop) -> None:  # noqa: ANN001 - Prop
    try:
        prop_spec = mujoco.MjSpec.from_file(str(prop.file))
    except ValueError as error:
        raise InputError(f"{prop.file}: MuJoCo cannot read it: {error}") from None
    body = prop_spec.worldbody.first_body()
    if prop.fixed:
        for joint in list(body.joints):
            prop_spec.delete(joint)
    frame = spec.worldbody.add_frame(pos=list(prop.pos), quat=[prop.rot[3], *prop.rot[:3]])
    frame.attach_body(body, f"{prop.name}/", "")


def _add_ground_force_sensor(spec: mujoco.MjSpec, body: str) -> None:
    """Net force of the ground on one body, world frame."""
    force_only, net_force, one_slot = 1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE), 3, 1
    spec.add_sensor(
        name=f"ground_force/{body}",
        type=mujoco.mjtSensor.mjSENS_CONTACT,
        objtype=mujoco.mjtObj.mjOBJ_GEOM,
        objname=GROUND_NAME,
        reftype=mujoco.mjtObj.mjOBJ_BODY,
        refname=body,
        intprm=[force_only, net_force, one_slot],
    )


class MujocoEngine(Engine):
    """Worlds of one MuJoCo model; see :class:`~mimickit.engines.engine.Engine` for the interface."""

    def __init__(self, config: MujocoEngineConfig, scene: Scene, num_envs: int, device: torch.device):
        super().__init__(config, scene, num_envs, device)
        if device.type != "cpu":
            raise InputError(
                f"the mujoco engine runs on the CPU, not on {device}: use --devices cpu, or the newton engine"
            )
        require_control_mode(config, tuple(CONTROL_LAWS))
        self.model = build_mujoco_model(config, scene)
        character = scene.char_model
        self._body_ids = [self.model.body(name).id for name in character.body_names]
        threads = config.num_threads or torch.get_num_threads()
        # A pool of zero threads steps on the calling thread; with one core a pool would only add hand-overs.
        threads = min(threads, num_envs)
        self._pool = Rollout(nthread=threads if threads > 1 else 0)
        self._datas = [mujoco.MjData(self.model) for _ in range(max(threads, 1))]
        self._models = [self.model] * num_envs
        self._codec = StateCodec(StateLayout.of(character, scene.fixed_root_pose is not None), device)
        self._kinematics = Kinematics(character, device)

        spec = mujoco.mjtState.mjSTATE_FULLPHYSICS.value
        self._state = np.zeros((num_envs, mujoco.mj_stateSize(self.model, spec)))
        # pd_explicit needs the state between physics steps, so it rolls out one step at a time.
        self._steps_per_call = 1 if config.control_mode == "pd_explicit" else self.num_substeps
        self._states = np.zeros((num_envs, self._steps_per_call, self._state.shape[1]))
        self._sensors = np.zeros((num_envs, self._steps_per_call, self.model.nsensordata))
        self._control = np.zeros((num_envs, self._steps_per_call, self.model.nu))
        nq, nv = self.model.nq, self.model.nv
        state = torch.from_numpy(self._state)  # [time, qpos, qvel, ...]
        self._qpos, self._qvel = state[:, 1 : 1 + nq], state[:, 1 + nq : 1 + nq + nv]
        self._qpos[:] = torch.from_numpy(self.model.qpos0)
        layout = self._codec.layout
        self._char_coords, self._char_velocities = layout.num_coords, layout.num_velocities

        def per_dof(attribute: str) -> Tensor:
            return torch.tensor(character.per_dof(attribute), dtype=torch.float32)

        self._stiffness, self._damping = per_dof("stiffness"), per_dof("damping")
        self._torque_limit = per_dof("torque_limit")
        self._overflow = ""  # where memory first ran out since the last check
        self._allocate(num_envs, character.num_dofs, character.num_bodies)
        self._props = PropState(self.model, scene, self._qpos, self._qvel)
        self.prop_pos, self.prop_rot, self.prop_vel = self._props.pos, self._props.rot, self._props.vel

    def _allocate(self, num_envs: int, num_dofs: int, num_bodies: int) -> None:
        self.root_pos = torch.zeros(num_envs, 3)
        self.root_rot = torch.zeros(num_envs, 4)
        self.root_rot[:, 3] = 1.0
        if self.scene.fixed_root_pose is not None:
            self.root_pos[:] = torch.tensor(self.scene.fixed_root_pose[:3])
            self.root_rot[:] = torch.tensor(self.scene.fixed_root_pose[3:])
        self.root_vel = torch.zeros(num_envs, 3)
        self.root_ang_vel = torch.zeros(num_envs, 3)
        self.dof_pos = torch.zeros(num_envs, num_dofs)
        self.dof_vel = torch.zeros(num_envs, num_dofs)
        self._action = torch.zeros(num_envs, num_dofs)
        self.body_pos = torch.zeros(num_envs, num_bodies, 3)
        self.body_rot = torch.zeros(num_envs, num_bodies, 4)
        self.ground_force = torch.zeros(num_envs, num_bodies, 3)

    @property
    def body_masses(self) -> tuple[float, ...]:
        return body_masses(self.model, self._body_ids)

    @property
    def device_name(self) -> str:
        return f"{platform.processor() or platform.machine()} CPU, {len(self._datas)} threads"

    def reset(
        self,
        mask: Tensor,
        root_pos: Tensor,
        root_rot: Tensor,
        root_vel: Tensor,
        root_ang_vel: Tensor,
        dof_pos: Tensor,
        dof_vel: Tensor,
    ) -> None:
        rows = mask.nonzero().squeeze(-1)
        values = (root_pos, root_rot, root_vel, root_ang_vel, dof_pos, dof_vel)
        qpos, qvel = self._codec.encode(*(value[rows] for value in values))
        self._qpos[rows, : self._char_coords] = qpos.double()
        self._qvel[rows, : self._char_velocities] = qvel.double()
        self._props.restore(mask)
        self._read_rows(rows)
        self.ground_force[rows] = 0.0

    def place_props(self, mask: Tensor, prop_pos: Tensor, prop_rot: Tensor, prop_vel: Tensor) -> None:
        self._props.place(mask, prop_pos, prop_rot, prop_vel)

    def drive(self, action: Tensor) -> None:
        self._action.copy_(action)

    def simulate(self) -> None:
        if self.config.control_mode == "pd_explicit":
            for _ in range(self.num_substeps):
                error = self._action - self.dof_pos
                torque = self._stiffness * error - self._damping * self.dof_vel
                self._advance(clamp_torque(torque, self._torque_limit))
                self._read_dofs()
        else:
            self._advance(self._action)
        forces = torch.from_numpy(self._sensors[:, -1]).view(self.num_envs, -1, 3)
        self.ground_force.copy_(forces)

    def read_state(self) -> None:
        self._read_rows()
        self._props.read()

    def _advance(self, control: Tensor) -> None:
        self._control[:] = control.numpy()[:, None]
        self._pool.rollout(
            self._models,
            self._datas,
            self._state,
            self._control,
            skip_checks=True,
            nstep=self._steps_per_call,
            state=self._states,
            sensordata=self._sensors,
        )
        end_time = self._state[:, 0] + self._steps_per_call * self.sim_dt
        self._state[:] = self._states[:, -1]
        self._require_whole_steps(end_time)

    def _require_whole_steps(self, end_time: np.ndarray) -> None:
        """MuJoCo stops stepping a world at its first warning and repeats its state, so its clock falls behind.

        The warnings themselves are cleared at the start of every world, so the clock is the trace that remains; only
        one in a world's very last step is still in the data it was stepped with.
        """
        finite = (np.abs(self._state) < mujoco.mjMAXVAL).all(axis=1)  # NaN compares false
        if not finite.all():
            first = int(np.flatnonzero(~finite)[0])
            raise DivergenceError(
                f"the physics of {int((~finite).sum())} of {self.num_envs} environments is not finite, the first is "
                f"environment {first}: its state became NaN, infinite or huge"
            )
        behind = np.flatnonzero(self._state[:, 0] < end_time - 0.5 * self.sim_dt)
        if len(behind) or any(data.warning[kind].number for data in self._datas for kind in _FULL_WARNINGS):
            where = f"in environment {int(behind[0])}" if len(behind) else "in the last step of a thread"
            self._overflow = self._overflow or where

    def _read_dofs(self, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Bring ``dof_pos`` and ``dof_vel`` up to date; returns the coordinates they came from, in float32."""
        qpos, qvel = self._qpos[rows].float(), self._qvel[rows].float()
        dof_pos = torch.empty(len(qpos), self.dof_pos.shape[1])
        self.dof_vel[rows] = self._codec.decode_dofs(qpos, qvel, dof_pos)
        self.dof_pos[rows] = dof_pos
        return qpos, qvel

    def _read_rows(self, rows: Tensor | slice = slice(None)) -> None:
        qpos, qvel = self._read_dofs(rows)
        if self.scene.fixed_root_pose is None:
            pos, rot, vel, ang_vel = self._codec.decode_root(qpos, qvel)
            self.root_pos[rows], self.root_rot[rows] = pos, rot
            self.root_vel[rows], self.root_ang_vel[rows] = vel, ang_vel
        joint_rot = self._kinematics.dof_to_rot(self.dof_pos[rows])
        poses = self._kinematics.forward(self.root_pos[rows], self.root_rot[rows], joint_rot)
        self.body_pos[rows], self.body_rot[rows] = poses

    def check_capacity(self) -> None:
        where, self._overflow = self._overflow, ""
        if where:
            raise CapacityError(
                f"MuJoCo's memory ran out {where}, so contacts were dropped: enlarge <size memory> in "
                f"{self.scene.char_file}"
            )

    def close(self) -> None:
        self._pool.close()
