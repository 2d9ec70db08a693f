"""Typed settings of the environments, one class for each ``env_name``."""

import math
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


@dataclass(frozen=True, kw_only=True)
class ObjectConfig:
    """An object that stands beside the character and never moves.

    pos: of the object's root body, m. file: its MJCF, relative to the current directory.
    """

    pos: tuple[float, float, float]
    file: Path


@dataclass(frozen=True, kw_only=True)
class StaticObjectsEnvConfig(DeepMimicEnvConfig):
    """Motion imitation with objects to climb or vault over.

    objects: what stands beside the character, and where.
    """

    objects: tuple[ObjectConfig, ...]


@dataclass(frozen=True, kw_only=True)
class ADDEnvConfig(DeepMimicEnvConfig):
    """Motion imitation judged by a discriminator of differences (Zhang, Peng 2025).

    num_disc_obs_steps: control steps of which the discriminator sees the difference to the reference.
    disc_dof_vel_obs: it sees the degrees of freedom's velocities too.
    """

    num_disc_obs_steps: int
    disc_dof_vel_obs: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(("num_disc_obs_steps", self.num_disc_obs_steps >= 1, "at least 1"))


@dataclass(frozen=True, kw_only=True)
class AMPEnvConfig(DeepMimicEnvConfig):
    """A style taken from clips, which a discriminator or a motion prior judges by windows of motion (Peng 2021).

    The reference only starts episodes, unless its keys turn on phase or targets in the observation, a termination by
    distance, or a log of tracking errors. The ``reward_*`` keys of DeepMimic are accepted and not used.

    num_disc_obs_steps: control steps in a window. disc_dof_vel_obs: windows hold the degrees of freedom's velocities.
    """

    num_disc_obs_steps: int
    disc_dof_vel_obs: bool = True
    pose_termination_dist: float = math.inf
    num_phase_encoding: int = 0
    tar_obs_steps: tuple[int, ...] = ()
    reward_pose_w: float = 0.0
    reward_vel_w: float = 0.0
    reward_root_pose_w: float = 0.0
    reward_root_vel_w: float = 0.0
    reward_key_pos_w: float = 0.0
    reward_pose_scale: float = 0.0
    reward_vel_scale: float = 0.0
    reward_root_pose_scale: float = 0.0
    reward_root_vel_scale: float = 0.0
    reward_key_pos_scale: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        given = not self.pose_termination or math.isfinite(self.pose_termination_dist)
        require(
            ("num_disc_obs_steps", self.num_disc_obs_steps >= 1, "at least 1"),
            ("pose_termination_dist", given, "given when pose_termination is true"),
        )


@dataclass(frozen=True, kw_only=True)
class ASEEnvConfig(AMPEnvConfig):
    """Skills from a set of clips (Peng 2022).

    default_reset_prob: of starting an episode in ``init_pose`` instead of a clip.
    """

    default_reset_prob: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(("default_reset_prob", 0 <= self.default_reset_prob <= 1, "between 0 and 1"))


@dataclass(frozen=True, kw_only=True)
class TaskLocationEnvConfig(AMPEnvConfig):
    """Go to a place on the ground.

    tar_speed: wanted speed towards it, m/s. tar_change_time_*: s until another place is drawn, uniform.
    tar_dist_*: its distance from the character when drawn, m, uniform.
    dist_threshold: squared distance below which the place counts as reached, m^2.
    pos_err_scale, vel_err_scale: of squared distance and squared missing speed in the reward.
    *_reward_w: weights of being near, of speed towards the place, and of facing it.
    """

    tar_speed: float
    tar_change_time_min: float
    tar_change_time_max: float
    tar_dist_max: float
    tar_dist_min: float = 0.0
    dist_threshold: float = 0.5
    pos_err_scale: float = 0.5
    vel_err_scale: float = 4.0
    pos_reward_w: float = 0.5
    vel_reward_w: float = 0.4
    face_reward_w: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        scales = ("dist_threshold", "pos_err_scale", "vel_err_scale", "pos_reward_w", "vel_reward_w", "face_reward_w")
        require(
            ("tar_speed", self.tar_speed >= 0, "at least 0 m/s"),
            *_range_rules(self, "tar_change_time", "s"),
            *_range_rules(self, "tar_dist", "m"),
            *[(key, getattr(self, key) >= 0, "at least 0") for key in scales],
        )


@dataclass(frozen=True, kw_only=True)
class TaskSteeringEnvConfig(AMPEnvConfig):
    """Move in a direction at a speed, facing a direction.

    rand_tar_dir: draw the direction of travel; otherwise it is the world's x axis.
    rand_face_dir: draw the direction to face; otherwise it is that of travel.
    tar_speed_*: wanted speed, m/s, uniform. tar_change_time_*: s until another target is drawn, uniform.
    reward_steering_*_w: weights of travel and facing. reward_steering_vel_scale: of the squared error of velocity.
    """

    rand_tar_dir: bool
    rand_face_dir: bool
    tar_speed_min: float
    tar_speed_max: float
    tar_change_time_min: float
    tar_change_time_max: float
    reward_steering_tar_w: float
    reward_steering_face_w: float
    reward_steering_vel_scale: float

    def __post_init__(self) -> None:
        super().__post_init__()
        rewards = ("reward_steering_tar_w", "reward_steering_face_w", "reward_steering_vel_scale")
        require(
            *_range_rules(self, "tar_speed", "m/s"),
            *_range_rules(self, "tar_change_time", "s"),
            *[(key, getattr(self, key) >= 0, "at least 0") for key in rewards],
        )


@dataclass(frozen=True, kw_only=True)
class TaskDodgeballEnvConfig(AMPEnvConfig):
    """Stay clear of balls that are thrown at the character.

    num_projectiles: balls. proj_target_body: the body they are thrown at.
    proj_dist_*, proj_speed_*: how far from it they start and how fast, m and m/s, uniform.
    proj_trigger_time_*: s between throws, uniform.
    """

    num_projectiles: int
    proj_target_body: str
    proj_dist_min: float
    proj_dist_max: float
    proj_speed_min: float
    proj_speed_max: float
    proj_trigger_time_min: float
    proj_trigger_time_max: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            ("num_projectiles", self.num_projectiles >= 1, "at least 1"),
            ("proj_dist_min", self.proj_dist_min > 0, "greater than 0 m"),
            ("proj_speed_min", self.proj_speed_min > 0, "greater than 0 m/s"),
            *_range_rules(self, "proj_dist", "m"),
            *_range_rules(self, "proj_speed", "m/s"),
            *_range_rules(self, "proj_trigger_time", "s"),
        )


def _range_rules(config: CharEnvConfig, name: str, unit: str) -> list[tuple[str, bool, str]]:
    """``{name}_min`` is at least 0, and ``{name}_max`` at least that."""
    low, high = getattr(config, f"{name}_min"), getattr(config, f"{name}_max")
    return [
        (f"{name}_min", low >= 0, f"at least 0 {unit}"),
        (f"{name}_max", high >= low, f"at least {name}_min ({low:g} {unit})"),
    ]


ENV_CONFIGS: dict[str, type[CharEnvConfig]] = {
    "add": ADDEnvConfig,
    "amp": AMPEnvConfig,
    "ase": ASEEnvConfig,
    "char_dof_test": DofTestEnvConfig,
    "deepmimic": DeepMimicEnvConfig,
    "smp": AMPEnvConfig,
    "static_objects": StaticObjectsEnvConfig,
    "task_dodgeball": TaskDodgeballEnvConfig,
    "task_location": TaskLocationEnvConfig,
    "task_steering": TaskSteeringEnvConfig,
    "view_motion": ViewMotionEnvConfig,
}
