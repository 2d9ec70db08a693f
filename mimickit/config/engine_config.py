"""Typed settings of the physics backends, one class for each ``engine_name``."""

from dataclasses import dataclass
from typing import Literal

from mimickit.config.schema import require

ControlMode = Literal["none", "pos", "vel", "torque", "pd_explicit"]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What every backend is told.

    control_mode: what an action is: ``pos`` target angle in rad, ``vel`` target speed in rad/s, ``torque`` in N m,
        ``pd_explicit`` target angle through a PD torque computed outside the solver, ``none`` nothing.
    control_freq, sim_freq: control steps and physics steps per second; the second is a multiple of the first.
    env_spacing: distance between neighbouring environments, m; accepted for published files. Here environments never
        share a space: each is a world of its own, and one of them is drawn.
    ground_contact_height: height below which the Isaac Gym backend counts a contact as ground contact, m; the other
        backends tell ground contacts apart by the geometry in contact and leave it unused.
    """

    engine_name: str
    control_mode: ControlMode
    control_freq: int
    sim_freq: int
    env_spacing: float
    ground_contact_height: float | None = None

    def __post_init__(self) -> None:
        divides = self.control_freq >= 1 and self.sim_freq % self.control_freq == 0
        require(
            ("control_freq", self.control_freq >= 1, "at least 1 Hz"),
            ("sim_freq", self.sim_freq >= 1, "at least 1 Hz"),
            ("sim_freq", divides or self.control_freq < 1, f"a multiple of control_freq ({self.control_freq})"),
            ("env_spacing", self.env_spacing > 0, "greater than 0 m"),
            ("ground_contact_height", (self.ground_contact_height or 0) >= 0, "at least 0 m"),
        )

    @property
    def sim_steps(self) -> int:
        """Physics steps in one control step."""
        return self.sim_freq // self.control_freq


@dataclass(frozen=True, kw_only=True)
class NewtonEngineConfig(EngineConfig):
    """Newton with its MuJoCo Warp solver.

    contacts_per_env, constraints_per_env: buffer sizes; None lets the backend choose.
    cuda_graph: on a CUDA device, capture the physics of a control step, the rest of it and gradient steps once, and
        replay them; false runs every operation by itself, which is slower and easier to debug.
    """

    solver_iterations: int = 20
    line_search_iterations: int = 20
    contacts_per_env: int | None = None
    constraints_per_env: int | None = None
    cuda_graph: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            ("solver_iterations", self.solver_iterations >= 1, "at least 1"),
            ("line_search_iterations", self.line_search_iterations >= 1, "at least 1"),
            ("contacts_per_env", self.contacts_per_env is None or self.contacts_per_env >= 1, "at least 1"),
            ("constraints_per_env", self.constraints_per_env is None or self.constraints_per_env >= 1, "at least 1"),
        )


@dataclass(frozen=True, kw_only=True)
class MujocoEngineConfig(EngineConfig):
    """MuJoCo's C library; ``num_threads`` worlds are stepped at once, None means as many as torch uses."""

    solver_iterations: int = 100
    line_search_iterations: int = 50
    num_threads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            ("solver_iterations", self.solver_iterations >= 1, "at least 1"),
            ("line_search_iterations", self.line_search_iterations >= 1, "at least 1"),
            ("num_threads", self.num_threads is None or self.num_threads >= 1, "at least 1"),
        )


@dataclass(frozen=True, kw_only=True)
class IsaacLabEngineConfig(EngineConfig):
    """Isaac Lab."""


@dataclass(frozen=True, kw_only=True)
class IsaacGymEngineConfig(EngineConfig):
    """Isaac Gym."""


ENGINE_CONFIGS: dict[str, type[EngineConfig]] = {
    "newton": NewtonEngineConfig,
    "mujoco": MujocoEngineConfig,
    "isaac_lab": IsaacLabEngineConfig,
    "isaac_gym": IsaacGymEngineConfig,
}
