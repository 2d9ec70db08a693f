"""Newton with SolverMuJoCo: worlds in lockstep on a CUDA device (one captured graph a control step) or on the CPU.

Newton imports the scene and makes the solver's model of one world; MuJoCo Warp then holds ``num_envs`` worlds of it.
Stepping works on MuJoCo Warp's arrays directly, so nothing is copied into Newton's state and back.
"""

import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import mujoco_warp
import newton
import torch
import warp as wp
from newton.solvers import SolverMuJoCo
from torch import Tensor

from mimickit.anim.mjcf import read_mjcf_xml
from mimickit.config.engine_config import NewtonEngineConfig
from mimickit.engines.engine import GRAVITY, Engine, Scene, require_control_mode
from mimickit.engines.mujoco_scene import (
    CONTROL_LAWS,
    GROUND_NAME,
    StateCodec,
    StateLayout,
    actuator_gains,
    body_masses,
    check_scene,
    mesh_folders,
    passive_character,
)
from mimickit.engines.newton_buffers import buffer_sizes
from mimickit.engines.newton_kernels import ground_force_kernel, pd_torque_kernel
from mimickit.engines.props import PropState
from mimickit.errors import CapacityError, DriverError, InputError, MissingDataError
from mimickit.warp_settings import apply_warp_settings

# Which setting makes more room; an overflow of anything else is named as MuJoCo Warp names it.
_CAPACITY_SETTINGS = {
    "NEFC": "constraints_per_env",
    "NJMAX_NNZ": "constraints_per_env",
    "BROADPHASE": "contacts_per_env",
    "NARROWPHASE": "contacts_per_env",
    "CCD": "contacts_per_env",
}
# Solver limits reached cost accuracy, not contacts: they are settings of the engine, not a lack of room.
_NOT_CAPACITY = ("NONE", "ITERATIONS", "LS_ITERATIONS", "ALL")


def build_newton_model(config: NewtonEngineConfig, scene: Scene) -> mujoco.MjModel:
    """The scene through Newton's importer, as the MuJoCo model of one world that its solver steps."""
    builder = newton.ModelBuilder(gravity=(0.0, 0.0, -GRAVITY))
    builder.rigid_gap = 0.0  # contacts are wanted where surfaces touch, not 10 cm apart
    SolverMuJoCo.register_custom_attributes(builder)
    _import_mjcf(
        builder,
        scene.char_file,
        ET.tostring(passive_character(scene), encoding="unicode"),
        convert_3d_hinge_to_ball_joints=True,
        enable_self_collisions=scene.self_collision,
        parse_sites=False,
    )
    names = tuple(label.rsplit("/", 1)[-1] for label in builder.body_label)
    if names != scene.char_model.body_names:
        raise InputError(f"{scene.char_file}: Newton reads the bodies {names}, expected {scene.char_model.body_names}")
    _set_drives(builder, scene)
    for prop in scene.props:
        place = wp.transform(prop.pos, prop.rot)
        _import_mjcf(builder, prop.file, str(prop.file), xform=place, floating=not prop.fixed)
    ground = newton.ModelBuilder.ShapeConfig(mu=scene.ground_friction, restitution=0.0, gap=0.0)
    builder.add_ground_plane(cfg=ground, label=GROUND_NAME)
    # The import happens once, on the host; only MuJoCo Warp's arrays live on the device.
    solver = SolverMuJoCo(
        builder.finalize(device="cpu"),
        use_mujoco_cpu=True,
        iterations=config.solver_iterations,
        ls_iterations=config.line_search_iterations,
        integrator="implicitfast",
        cone="pyramidal",
    )
    model = solver.mj_model
    check_scene(model, scene)
    model.opt.timestep = 1.0 / config.sim_freq
    _set_control_law(model, scene, config.control_mode)
    return model


def _import_mjcf(builder: newton.ModelBuilder, file: Path, source: str, **options: Any) -> None:
    """Newton's import of collision geometry; what it cannot read is an error, and so is what it leaves out."""
    missing = [
        mesh.get("file", "")
        for mesh in read_mjcf_xml(file).iter("mesh")
        if mesh.get("file")
        and not any(folder.joinpath(mesh.get("file", "")).is_file() for folder in mesh_folders(file))
    ]
    if missing:
        raise MissingDataError(f"{file}: names meshes that do not exist: {', '.join(missing[:3])}")
    try:
        builder.add_mjcf(source, parse_visuals=False, **options)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{file}: Newton cannot read it: {error}") from error


def _set_drives(builder: newton.ModelBuilder, scene: Scene) -> None:
    """Give every DoF below the root a position drive, so that the solver makes an actuator for it."""
    character = scene.char_model
    first = 6 if scene.fixed_root_pose is None else 0
    for dof, (stiffness, damping) in enumerate(
        zip(character.per_dof("stiffness"), character.per_dof("damping"), strict=True)
    ):
        # A drive with no gain at all would get no actuator; the control law below sets the real ones.
        builder.joint_target_ke[first + dof] = stiffness or 1.0
        builder.joint_target_kd[first + dof] = damping
        builder.joint_target_mode[first + dof] = int(newton.JointTargetMode.POSITION)


def _set_control_law(model: mujoco.MjModel, scene: Scene, control_mode: str) -> None:
    character = scene.char_model
    if model.nu != character.num_dofs:
        raise InputError(f"{scene.char_file}: Newton made {model.nu} drives for {character.num_dofs} DoFs")
    gains, bias_pos, bias_vel = actuator_gains(character, control_mode)
    limits = character.per_dof("torque_limit")
    for dof in range(model.nu):
        model.actuator_gainprm[dof, 0] = gains[dof]
        model.actuator_biasprm[dof, :3] = (0.0, bias_pos[dof], bias_vel[dof])
        model.actuator_forcelimited[dof] = limits[dof] < float("inf")
        if model.actuator_forcelimited[dof]:
            model.actuator_forcerange[dof] = (-limits[dof], limits[dof])


class NewtonEngine(Engine):
    """Worlds on one Warp device; see :class:`~mimickit.engines.engine.Engine` for the interface."""

    def __init__(self, config: NewtonEngineConfig, scene: Scene, num_envs: int, device: torch.device):
        super().__init__(config, scene, num_envs, device)
        require_control_mode(config, tuple(CONTROL_LAWS))
        apply_warp_settings()
        wp.init()
        self._wp_device = wp.device_from_torch(device)
        if config.cuda_graph and self._wp_device.is_cuda and not wp.is_mempool_enabled(self._wp_device):
            raise DriverError(
                f"{device}: its driver has no memory pools, which captured physics needs: set cuda_graph: false in the "
                "engine config, or use a driver that has them"
            )
        wp.set_device(self._wp_device)
        self.mj_model = build_newton_model(config, scene)
        character = scene.char_model
        contacts, rows = buffer_sizes(self.mj_model, scene, num_envs)
        self.contacts_per_env = config.contacts_per_env or contacts
        self.constraints_per_env = config.constraints_per_env or rows
        with wp.ScopedDevice(self._wp_device):
            self._model = mujoco_warp.put_model(self.mj_model)
            self._model.opt.warn_overflow = 0  # overflow is raised by check_capacity, not printed from a kernel
            self._data = mujoco_warp.make_data(
                self.mj_model, nworld=num_envs, nconmax=self.contacts_per_env, njmax=self.constraints_per_env
            )
        # Bodies in the model: the world, the character in depth-first order, then props.
        self._body_ids = list(range(1, 1 + character.num_bodies))
        self._ground_geom = int((self.mj_model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE).argmax())
        self._codec = StateCodec(StateLayout.of(character, scene.fixed_root_pose is not None), device)
        data = self._data
        self._qpos, self._qvel = wp.to_torch(data.qpos), wp.to_torch(data.qvel)
        self._ctrl, self._warmstart = wp.to_torch(data.ctrl), wp.to_torch(data.qacc_warmstart)
        self._overflow = wp.to_torch(data.overflow)
        self._xpos, self._xquat = wp.to_torch(data.xpos), wp.to_torch(data.xquat)
        layout = self._codec.layout
        self._char_coords, self._char_velocities = layout.num_coords, layout.num_velocities
        self._allocate(num_envs, character.num_dofs, character.num_bodies)
        self._props = PropState(self.mj_model, scene, self._qpos, self._qvel)
        self.prop_pos, self.prop_rot, self.prop_vel = self._props.pos, self._props.rot, self._props.vel
        self._step_graph = self._captured(self._physics, lambda: self._physics(num_substeps=1))
        self._kinematics_graph = self._captured(self._kinematics, self._kinematics)

    def _allocate(self, num_envs: int, num_dofs: int, num_bodies: int) -> None:
        device, character = self.device, self.scene.char_model
        first, last = 1, 1 + num_bodies
        self.body_pos = self._xpos[:, first:last]
        self.body_rot = torch.zeros(num_envs, num_bodies, 4, device=device)
        self.root_pos = self.body_pos[:, 0]
        self.root_rot = torch.zeros(num_envs, 4, device=device)
        self.root_vel = torch.zeros(num_envs, 3, device=device)
        self.root_ang_vel = torch.zeros(num_envs, 3, device=device)
        self.dof_pos = torch.zeros(num_envs, num_dofs, device=device)
        self.dof_vel = torch.zeros(num_envs, num_dofs, device=device)
        self.ground_force = torch.zeros(num_envs, num_bodies, 3, device=device)
        self._wp_ground_force = wp.from_torch(self.ground_force, dtype=wp.vec3)
        if self.config.control_mode == "pd_explicit":

            def per_dof(attribute: str) -> wp.array:
                return wp.array(character.per_dof(attribute), dtype=float, device=self._wp_device)

            layout = self._codec.layout
            address, component = [0] * num_dofs, [-1] * num_dofs
            for coords, dofs in zip(layout.ball_coords, layout.ball_dofs, strict=True):
                for i, dof in enumerate(dofs):
                    address[dof], component[dof] = coords[0], i
            for coord, dof in zip(layout.hinge_coords, layout.hinge_dofs, strict=True):
                address[dof] = coord
            self._pd_inputs = [
                wp.array(address, dtype=int, device=self._wp_device),
                wp.array(component, dtype=int, device=self._wp_device),
                layout.num_velocities - num_dofs,
                per_dof("stiffness"),
                per_dof("damping"),
                per_dof("torque_limit"),
            ]
            self._target = torch.zeros(num_envs, num_dofs, device=device)
            self._wp_target = wp.from_torch(self._target)

    @property
    def body_masses(self) -> tuple[float, ...]:
        return body_masses(self.mj_model, self._body_ids)

    @property
    def device_name(self) -> str:
        return self._wp_device.name if self._wp_device.is_cuda else f"{os.uname().machine} CPU (Warp kernels)"

    @property
    def peak_device_memory(self) -> int | None:
        if not self._wp_device.is_cuda:
            return 0
        return wp.get_mempool_used_mem_high(self._wp_device) if wp.is_mempool_enabled(self._wp_device) else None

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
        qpos, qvel = self._codec.encode(root_pos, root_rot, root_vel, root_ang_vel, dof_pos, dof_vel)
        rows = mask.unsqueeze(-1)
        coords, velocities = self._char_coords, self._char_velocities
        self._qpos[:, :coords] = torch.where(rows, qpos, self._qpos[:, :coords])
        self._qvel[:, :velocities] = torch.where(rows, qvel, self._qvel[:, :velocities])
        self._props.restore(mask)
        self._warmstart.masked_fill_(rows, 0.0)
        self._launch(self._kinematics_graph, self._kinematics)
        self._read_character()
        self.ground_force.masked_fill_(rows.unsqueeze(-1), 0.0)

    def place_props(self, mask: Tensor, prop_pos: Tensor, prop_rot: Tensor, prop_vel: Tensor) -> None:
        self._props.place(mask, prop_pos, prop_rot, prop_vel)

    def drive(self, action: Tensor) -> None:
        if self.config.control_mode == "pd_explicit":
            self._target.copy_(action)
        else:
            self._ctrl.copy_(action)

    def simulate(self) -> None:
        self._launch(self._step_graph, self._physics)

    def read_state(self) -> None:
        self._read_character()
        self._props.read()

    def _captured(self, function: Callable[[], None], warm_up: Callable[[], None]) -> wp.Graph | None:
        """``function`` as a CUDA graph, and the state as it was; None where it is run by itself. ``warm_up`` loads all
        its kernels: a module cannot be loaded while capturing."""
        if not (self._wp_device.is_cuda and self.config.cuda_graph):
            return None
        torch.cuda.synchronize(self.device)
        before = self._qpos.clone(), self._qvel.clone(), self._warmstart.clone()
        with wp.ScopedDevice(self._wp_device):
            warm_up()
            wp.synchronize_device(self._wp_device)
            for tensor, value in zip((self._qpos, self._qvel, self._warmstart), before, strict=True):
                tensor.copy_(value)
            torch.cuda.synchronize(self.device)
            with wp.ScopedCapture(device=self._wp_device) as capture:
                function()
        self._overflow.zero_()  # every character stood in the ground
        return capture.graph

    def _launch(self, graph: wp.Graph | None, function: Callable[[], None]) -> None:
        """Run ``function``, on CUDA in torch's current stream; by its graph, if it has one.

        While torch captures a graph, ``function`` becomes part of that.
        """
        if not self._wp_device.is_cuda:
            with wp.ScopedDevice(self._wp_device):
                function()
            return
        stream = wp.stream_from_torch(torch.cuda.current_stream(self.device))
        capturing = torch.cuda.is_current_stream_capturing()
        if graph is not None and not capturing:
            wp.capture_launch(graph, stream=stream)
            return
        # Waiting for warp's own stream, on which nothing runs, would be an error in a capture.
        with (
            wp.ScopedDevice(self._wp_device),
            wp.ScopedStream(stream, sync_enter=not capturing, sync_exit=not capturing),
        ):
            function()

    def _physics(self, num_substeps: int | None = None) -> None:
        """One control step, then the bodies' poses at its end and the last step's ground forces."""
        data = self._data
        for _ in range(num_substeps or self.num_substeps):
            if self.config.control_mode == "pd_explicit":
                wp.launch(
                    pd_torque_kernel,
                    dim=(self.num_envs, self.scene.char_model.num_dofs),
                    inputs=[data.qpos, data.qvel, self._wp_target, *self._pd_inputs],
                    outputs=[data.ctrl],
                )
            mujoco_warp.step(self._model, data)
        self._wp_ground_force.zero_()
        contact = data.contact
        wp.launch(
            ground_force_kernel,
            dim=data.naconmax,
            inputs=[
                data.nacon,
                contact.geom,
                contact.worldid,
                contact.dim,
                contact.frame,
                contact.friction,
                contact.efc_address,
                data.efc.force,
                self._model.geom_bodyid,
                self._ground_geom,
                self._body_ids[0],
                len(self._body_ids),
            ],
            outputs=[self._wp_ground_force],
        )
        self._kinematics()

    def _kinematics(self) -> None:
        mujoco_warp.kinematics(self._model, self._data)

    def _read_character(self) -> None:
        if self.scene.fixed_root_pose is None:
            _, rot, vel, ang_vel = self._codec.decode_root(self._qpos, self._qvel)
            self.root_rot.copy_(rot)
            self.root_vel.copy_(vel)
            self.root_ang_vel.copy_(ang_vel)
        self.dof_vel.copy_(self._codec.decode_dofs(self._qpos, self._qvel, self.dof_pos))
        bodies = 1 + self.scene.char_model.num_bodies
        self.body_rot.copy_(self._codec.xyzw(self._xquat[:, 1:bodies]))
        if self.scene.fixed_root_pose is not None:
            self.root_rot.copy_(self.body_rot[:, 0])

    def check_capacity(self) -> None:
        flags = 0
        for value in torch.unique(self._overflow).tolist():
            flags |= value
        if not flags:
            return
        world = int(self._overflow.nonzero()[0])
        self._overflow.zero_()
        names = [name for name, bit in mujoco_warp.OverflowType.__members__.items() if flags & bit]
        full = [name for name in names if name not in _NOT_CAPACITY]
        if full:
            sizes = {"contacts_per_env": self.contacts_per_env, "constraints_per_env": self.constraints_per_env}
            settings = sorted({_CAPACITY_SETTINGS[name] for name in full if name in _CAPACITY_SETTINGS})
            enlarge = " and ".join(f"{key} (now {sizes[key]})" for key in settings)
            raise CapacityError(
                f"the physics ran out of room ({', '.join(full)}; first in environment {world} of {self.num_envs}): "
                + (f"enlarge {enlarge} in the engine config, or " if enlarge else "")
                + "use fewer environments"
            )
