"""What every physics backend offers an environment.

One scene (a character on flat ground, with props) is copied ``num_envs`` times; the copies never touch each other.
All tensors are float32 on the engine's device; quaternions are xyzw; world z is up; metres, kilograms, radians.
"""

import abc
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mimickit.anim.char_model import CharModel
from mimickit.config.engine_config import EngineConfig
from mimickit.errors import InputError

GRAVITY = 9.81  # m/s^2, downwards


@dataclass(frozen=True)
class Prop:
    """An object beside the character: an MJCF file with one root body, placed at a pose.

    A ``fixed`` prop never moves; another is a free rigid body, which starts at the pose and can be thrown
    (:meth:`Engine.place_props`).
    """

    name: str
    file: Path
    pos: tuple[float, float, float]
    rot: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    fixed: bool = True


@dataclass(frozen=True)
class Scene:
    """What one environment contains.

    Attributes:
        char_file: the character's model; ``char_model`` is its kinematic tree.
        self_collision: bodies of the character collide with each other.
        fixed_root_pose: hold the root at this position and rotation (x, y, z, then xyzw); None leaves it free.
        ground_friction: sliding friction of the ground (restitution is 0).
    """

    char_file: Path
    char_model: CharModel
    props: tuple[Prop, ...] = ()
    self_collision: bool = True
    fixed_root_pose: tuple[float, float, float, float, float, float, float] | None = None
    ground_friction: float = 1.0

    @property
    def free_props(self) -> tuple[int, ...]:
        """Which of ``props`` are free bodies."""
        return tuple(i for i, prop in enumerate(self.props) if not prop.fixed)


class Engine(abc.ABC):
    """Physics of ``num_envs`` copies of a scene.

    After ``reset``, ``step`` and ``place_props`` these hold the current state, in buffers that the next call
    overwrites:

    ==================  ================  ==========================================================================
    ``root_pos``        ``(N, 3)``        position of the root body's origin
    ``root_rot``        ``(N, 4)``        its rotation
    ``root_vel``        ``(N, 3)``        linear velocity of that origin, world frame
    ``root_ang_vel``    ``(N, 3)``        angular velocity, world frame
    ``dof_pos``         ``(N, D)``        hinge angles; exponential maps of spherical joints
    ``dof_vel``         ``(N, D)``        hinge speeds; angular velocities of spherical joints in the child's frame
    ``body_pos``        ``(N, B, 3)``     body origins, world frame
    ``body_rot``        ``(N, B, 4)``     body rotations
    ``ground_force``    ``(N, B, 3)``     force of the ground alone on each body in the last physics step, N, world
    ``prop_pos``        ``(N, P, 3)``     positions of the props' body origins, in the scene's order
    ``prop_rot``        ``(N, P, 4)``     their rotations
    ``prop_vel``        ``(N, P, 3)``     linear velocities of those origins, world frame; zero for fixed props
    ==================  ================  ==========================================================================
    """

    root_pos: Tensor
    root_rot: Tensor
    root_vel: Tensor
    root_ang_vel: Tensor
    dof_pos: Tensor
    dof_vel: Tensor
    body_pos: Tensor
    body_rot: Tensor
    ground_force: Tensor
    prop_pos: Tensor
    prop_rot: Tensor
    prop_vel: Tensor

    def __init__(self, config: EngineConfig, scene: Scene, num_envs: int, device: torch.device):
        self.config = config
        self.scene = scene
        self.num_envs = num_envs
        self.device = device
        self.control_dt = 1.0 / config.control_freq
        self.num_substeps = config.sim_steps
        self.sim_dt = 1.0 / config.sim_freq

    @abc.abstractmethod
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
        """Put the environments in ``mask`` ``(N,)`` into a state; the tensors are full size and other rows ignored.

        Body poses follow by forward kinematics, ground forces become zero, props return to their poses, at rest.
        """

    @abc.abstractmethod
    def place_props(self, mask: Tensor, prop_pos: Tensor, prop_rot: Tensor, prop_vel: Tensor) -> None:
        """Put free props somewhere with a velocity and no spin; everything else stays as it is.

        In flight a prop's origin, if it is the centre of mass, moves by semi-implicit Euler steps of ``sim_dt``
        alone: after ``n`` of them its velocity has changed by ``-GRAVITY * n * sim_dt`` along z, to about 1e-5 m/s.
        A control step that changes it otherwise was one in which it touched something.

        Args:
            mask: ``(N, P)`` bool, which props of which environments.
            prop_pos: ``(N, P, 3)``; it and the others are full size, and rows outside ``mask`` are ignored.
            prop_rot: ``(N, P, 4)``, unit quaternions.
            prop_vel: ``(N, P, 3)`` linear velocity of the body's origin, m/s, world frame.

        Raises:
            ValueError: the mask has another shape, or chooses a fixed prop. The second is looked for on the CPU; on a
                GPU, where looking would wait for the device, fixed props stay in place.
        """

    def step(self, action: Tensor) -> None:
        """Advance every environment by one control step of ``num_substeps`` physics steps.

        The same as ``drive``, ``simulate`` and ``read_state``: on a GPU the first and the last can be part of a CUDA
        graph with what comes before and after, and the physics is a graph of its own.

        Args:
            action: ``(N, D)``; what it means is ``config.control_mode``: target DoFs (``pos``, ``pd_explicit``), target
                speeds (``vel``) or torques (``torque``), all within the joints' torque limits; ignored for ``none``.

        Raises:
            DivergenceError: a state is not finite. The MuJoCo backend looks after every step; the Newton one leaves it
                to the training loop, since looking would stall a GPU.
        """
        self.drive(action)
        self.simulate()
        self.read_state()

    @abc.abstractmethod
    def drive(self, action: Tensor) -> None:
        """Take over the action ``(N, D)`` of the next control step."""

    @abc.abstractmethod
    def simulate(self) -> None:
        """The physics of a control step under the action that ``drive`` took over; see ``step`` for errors."""

    @abc.abstractmethod
    def read_state(self) -> None:
        """Bring the tensors of the state up to date with what ``simulate`` did."""

    @abc.abstractmethod
    def check_capacity(self) -> None:
        """Raise CapacityError if a contact or constraint buffer overflowed since the last check (synchronises)."""

    @property
    @abc.abstractmethod
    def body_masses(self) -> tuple[float, ...]:
        """Mass of each body, kg."""

    @property
    @abc.abstractmethod
    def device_name(self) -> str:
        """The hardware the physics runs on, for records."""

    @property
    def peak_device_memory(self) -> int | None:
        """The most bytes of a GPU's memory that the backend has held, beside torch's: 0 on the CPU, None if unknown."""
        return 0

    def close(self) -> None:  # noqa: B027 - only backends that hold threads have something to release
        """Release threads and device memory."""


def require_control_mode(config: EngineConfig, supported: tuple[str, ...]) -> None:
    """InputError when the backend has no such control mode."""
    if config.control_mode not in supported:
        raise InputError(
            f"control_mode '{config.control_mode}' is not available in the {config.engine_name} engine; "
            f"it has {', '.join(supported)}"
        )
