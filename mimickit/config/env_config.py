"""Typed settings of the environments, one class for each ``env_name``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mimickit.config.schema import require

CameraMode = Literal["track", "still"]


@dataclass(frozen=True, kw_only=True)
class CharEnvConfig:
    """A character on the ground.

    char_file: the character's MJCF, relative to the current directory.
    camera_mode: ``track`` follows the character, ``still`` stays.
    episode_length: s.
    global_obs: observe root rotation, velocities and key positions in the world's frame instead of the heading's.
    root_height_obs: observe the root's height.
    init_pose: ``[root position 3 (m), root rotation exponential map 3 (rad), joint degrees of freedom (rad)]``; the
        joints, or all rotations, may be left out: then they are 0.
    key_bodies: bodies whose positions are observed and compared.
    contact_bodies: bodies that may touch the ground without a fall.
    zero_center_action: centre a hinge's action range on 0 instead of the middle of its limits.
    enable_early_termination: end an episode at a fall.
    engine: engine values this environment overrides; keys of any backend, used by the backends that know them.
    """

    env_name: str
    char_file: Path
    camera_mode: CameraMode
    episode_length: float
    global_obs: bool
    root_height_obs: bool
    init_pose: tuple[float, ...] = (0.0, 0.0, 0.0)
    key_bodies: tuple[str, ...] = ()
    contact_bodies: tuple[str, ...] = ()
    zero_center_action: bool = False
    enable_early_termination: bool = False
    engine: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = len(self.init_pose)
        require(
            ("episode_length", self.episode_length > 0, "greater than 0 s"),
            ("init_pose", numbers == 3 or numbers >= 6, "3 numbers (root position), or 6 and a number for every DoF"),
            ("key_bodies", len(set(self.key_bodies)) == len(self.key_bodies), "a list of different bodies"),
            ("contact_bodies", len(set(self.contact_bodies)) == len(self.contact_bodies), "a list of different bodies"),
        )


@dataclass(frozen=True, kw_only=True)
class DofTestEnvConfig(CharEnvConfig):
    """A look at every joint: the root is held, and one degree of freedom after the other swings between its limits.

    dof_period: s for one degree of freedom: from the middle of its range to the upper limit, the lower one and back.
    """

    init_pose: tuple[float, ...] = field()
    dof_period: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(("dof_period", self.dof_period > 0, "greater than 0 s"))


@dataclass(frozen=True, kw_only=True)
class ViewMotionEnvConfig(CharEnvConfig):
    """A look at clips: the character takes their poses, without physics.

    motion_file: a clip (``.pkl``) or a weighted dataset (``.yaml``), relative to the current directory.
    rand_reset: start at a random time of the clip instead of 0.
    """

    key_bodies: tuple[str, ...] = field()
    motion_file: Path
    rand_reset: bool = False


@dataclass(frozen=True, kw_only=True)
class DeepMimicEnvConfig(CharEnvConfig):
    """Motion imitation by tracking a reference clip (Peng 2018).

    motion_file: a clip (``.pkl``) or a weighted dataset (``.yaml``), relative to the current directory.
    ref_char_offset: where the drawn reference character stands beside the simulated one, m.
    rand_reset: start at a random time of the clip instead of 0.
    pose_termination, pose_termination_dist: fail when a body is farther than this from the reference, m.
    enable_phase_obs, num_phase_encoding: observe the clip's phase and so many sine and cosine pairs of it.
    enable_tar_obs, tar_obs_steps: observe the reference so many control steps ahead.
    log_tracking_error: log the tracking errors.
    joint_err_w: weight of each joint after the root, depth-first; None means 1 for all.
    reward_*_w, reward_*_scale: weight and scale of each reward term.
    """

    init_pose: tuple[float, ...] = field()
    key_bodies: tuple[str, ...] = field()
    contact_bodies: tuple[str, ...] = field()
    enable_early_termination: bool = True
    motion_file: Path
    ref_char_offset: tuple[float, float, float]
    rand_reset: bool
    pose_termination: bool
    pose_termination_dist: float
    enable_phase_obs: bool
    enable_tar_obs: bool
    num_phase_encoding: int
    tar_obs_steps: tuple[int, ...]
    log_tracking_error: bool = False
    joint_err_w: tuple[float, ...] | None = None
    reward_pose_w: float
    reward_vel_w: float
    reward_root_pose_w: float
    reward_root_vel_w: float
    reward_key_pos_w: float
    reward_pose_scale: float
    reward_vel_scale: float
    reward_root_pose_scale: float
    reward_root_vel_scale: float
    reward_key_pos_scale: float

    def __post_init__(self) -> None:
        super().__post_init__()
        terms = ("pose", "vel", "root_pose", "root_vel", "key_pos")
        rewards = [f"reward_{term}_{kind}" for term in terms for kind in ("w", "scale")]
        require(
            ("pose_termination_dist", self.pose_termination_dist > 0, "greater than 0 m"),
            ("num_phase_encoding", self.num_phase_encoding >= 0, "at least 0"),
            ("tar_obs_steps", all(step >= 1 for step in self.tar_obs_steps), "a list of steps of at least 1"),
            ("tar_obs_steps", bool(self.tar_obs_steps) or not self.enable_tar_obs, "given when enable_tar_obs is true"),
            ("joint_err_w", all(weight >= 0 for weight in self.joint_err_w or ()), "a list of numbers of at least 0"),
            *[(key, getattr(self, key) >= 0, "at least 0") for key in rewards],
        )


ENV_CONFIGS: dict[str, type[CharEnvConfig]] = {
    "char_dof_test": DofTestEnvConfig,
    "deepmimic": DeepMimicEnvConfig,
    "view_motion": ViewMotionEnvConfig,
}
