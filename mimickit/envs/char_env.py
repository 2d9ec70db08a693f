"""A character on flat ground: actions in, observations and ends of episodes out.

One control step goes: action, physics, time, reference and histories, observation, reward, done. Ended environments
are then reset by :meth:`CharEnv.reset_done`; the policy next sees the observation after the reset, and a value
bootstrap the one before it. Nothing here waits for a GPU.

What lasts from one step to the next is written in place: a CUDA graph of a step reads and writes the same memory at
every replay. So whoever wants to keep an observation copies it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mimickit.anim import load_character
from mimickit.anim.char_model import CharModel, Kinematics
from mimickit.anim.rotations import quat_from_exp_map
from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import CharEnvConfig
from mimickit.engines import build_engine
from mimickit.engines.env_scenes import make_scene
from mimickit.envs.action_bounds import action_bounds
from mimickit.envs.motion_windows import FrameLayout, pack_frame
from mimickit.envs.observations import char_observation, char_observation_size
from mimickit.envs.terminations import Done, done_flags, has_fallen
from mimickit.errors import InputError

Rows = Tensor | slice
ALL = slice(None)


@dataclass(frozen=True)
class Share:
    """What one process of a run simulates.

    seed: of this process's random draws; ``rank`` is already part of it.
    rank, num_processes: which share of a motion dataset this process takes.
    """

    num_envs: int
    device: torch.device
    seed: int
    rank: int = 0
    num_processes: int = 1


@dataclass(frozen=True)
class Marker:
    """A sign that pictures show and the physics does not have.

    file: its MJCF, relative to the current directory. colour: red, green and blue, 0 to 1.
    """

    file: Path
    colour: tuple[float, float, float]


class CharEnv:
    """N environments with one character each.

    Attributes:
        num_envs, obs_size, action_size: N, and the lengths of an observation and an action.
        action_low, action_high: ``(action_size,)`` bounds of an action.
        obs: ``(N, obs_size)`` current observation; reward ``(N,)``; done ``(N,)`` Done values of the last step.
        ever_not_finite: ``(N,)`` environments whose observation or reward was once NaN or infinite. Kept over resets,
            so that a look now and then finds what a reset would have hidden.
        diagnostics: names of what :meth:`diagnostic_totals` sums; empty by default.
        character_label: what a picture calls the character.
        has_reference: a reference character can be drawn, see :meth:`reference_bodies`.
        markers: M signs to be drawn, see :meth:`marker_poses`; none by default.
    """

    diagnostics: tuple[str, ...] = ()
    character_label = "simulated"
    has_reference = False
    markers: tuple[Marker, ...] = ()

    def __init__(self, config: CharEnvConfig, engine_config: EngineConfig, share: Share):
        num_envs, device = share.num_envs, share.device
        self.config = config
        self.num_envs = num_envs
        self.device = device
        self.char_model: CharModel = load_character(config.char_file)
        self.kinematics = Kinematics(self.char_model, device)
        self.generator = torch.Generator(device=device).manual_seed(share.seed)
        self._check_names()
        self.engine = build_engine(engine_config, make_scene(config, self.char_model), num_envs, device)
        self.control_dt = self.engine.control_dt
        self.max_steps = round(config.episode_length * engine_config.control_freq)

        low, high = action_bounds(self.char_model, engine_config.control_mode, config.zero_center_action)
        self.action_low = torch.tensor(low, device=device)
        self.action_high = torch.tensor(high, device=device)
        names = self.char_model.body_names
        self.key_body_ids = self._indices([names.index(name) for name in config.key_bodies])
        self.watched_body_ids = self._indices([i for i, name in enumerate(names) if name not in config.contact_bodies])
        self.init_pose = self._padded_init_pose()

        self.step_count = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.reward = torch.zeros(num_envs, device=device)
        self.done = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.ever_not_finite = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self.obs = torch.zeros(num_envs, self.obs_size, device=device)
        self.joint_rot = torch.zeros(num_envs, self.char_model.num_joints, 4, device=device)

    def _check_names(self) -> None:
        """Every body the config names exists."""
        for key in ("key_bodies", "contact_bodies"):
            for name in getattr(self.config, key):
                if name not in self.char_model.body_names:
                    raise InputError(
                        f"{key}: '{name}' is not a body of {self.config.char_file}; it has "
                        f"{', '.join(self.char_model.body_names)}"
                    )

    def _padded_init_pose(self) -> Tensor:
        """``(6 + D,)``: the config's numbers, and zeros for rotations it leaves out."""
        given, expected = len(self.config.init_pose), 6 + self.char_model.num_dofs
        if given not in (3, 6, expected):
            raise InputError(
                f"init_pose has {given} numbers, but {self.config.char_file} needs {expected} "
                f"(root position 3, root rotation 3, {self.char_model.num_dofs} DoFs), or the first 3 or 6 of them"
            )
        return torch.tensor([*self.config.init_pose, *[0.0] * (expected - given)], device=self.device)

    def _indices(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=self.device)  # also for an empty list

    @property
    def action_size(self) -> int:
        return self.char_model.num_dofs

    @property
    def obs_size(self) -> int:
        return char_observation_size(
            self.char_model.num_joints, self.char_model.num_dofs, len(self.key_body_ids), self.config.root_height_obs
        )

    @property
    def time(self) -> Tensor:
        """Seconds since each episode's start, ``(N,)``."""
        return self.step_count * self.control_dt

    def reset(self) -> Tensor:
        """Start a new episode everywhere; returns the observation."""
        self._reset(torch.ones(self.num_envs, dtype=torch.bool, device=self.device))
        return self.obs

    def step(self, action: Tensor) -> Tensor:
        """One control step of every environment.

        Args:
            action: ``(N, action_size)`` in physical units; clamped to the bounds.

        Returns:
            The observation before any reset, ``(N, obs_size)``; ``reward`` and ``done`` are attributes.
        """
        self.drive(action)
        self.simulate()
        return self.finish_step()

    def drive(self, action: Tensor) -> None:
        """The first part of a step: hand over the action, clamped to the bounds."""
        self.engine.drive(torch.minimum(torch.maximum(action, self.action_low), self.action_high))

    def simulate(self) -> None:
        """The second part of a step: the physics."""
        self.engine.simulate()

    def finish_step(self) -> Tensor:
        """The last part of a step: what became of it. Returns the observation before any reset."""
        self.engine.read_state()
        self.step_count += 1
        self._update_state()
        self.record_step()
        self.obs.copy_(self.observe())
        self.reward.copy_(self.compute_reward())
        self.done.copy_(self.compute_done())
        self.ever_not_finite |= ~(torch.isfinite(self.obs).all(dim=-1) & torch.isfinite(self.reward))
        return self.obs

    def reset_done(self) -> Tensor:
        """Reset the environments whose episode ended; returns the observation the policy sees next."""
        mask = self.done != Done.NULL
        # On the CPU looking costs nothing and mostly saves the work; on a GPU it would stall the queue.
        if self.device.type != "cpu" or bool(mask.any()):
            self._reset(mask)
        return self.obs

    def _reset(self, mask: Tensor) -> None:
        self.step_count.masked_fill_(mask, 0)
        self.begin_episodes(mask)
        # What follows from the state is worked out anew for the reset environments, or with the same result for all.
        rows = self.rows_of(mask)
        self._update_state(rows)
        self.record_start(mask)
        self.obs[rows] = self.observe(rows)

    def rows_of(self, mask: Tensor) -> Rows:
        """The environments to work on for those in ``mask``: these alone on the CPU; all on a GPU, which choosing rows
        would stall, so that what is written must be chosen by ``mask`` too."""
        return mask.nonzero().squeeze(-1) if self.device.type == "cpu" else ALL

    def begin_episodes(self, mask: Tensor) -> None:
        """Put the environments in ``mask`` into their initial state: here, the default pose at rest."""
        self.take_init_pose(mask)

    def take_init_pose(self, mask: Tensor) -> None:
        """Put the characters in ``mask`` ``(N,)`` into the default pose, at rest."""
        pose = self.init_pose.expand(self.num_envs, -1)
        still = torch.zeros(self.num_envs, 3, device=self.device)
        self.engine.reset(
            mask, pose[:, :3], quat_from_exp_map(pose[:, 3:6]), still, still, pose[:, 6:], torch.zeros_like(pose[:, 6:])
        )

    def _update_state(self, rows: Rows = ALL) -> None:
        self.joint_rot[rows] = self.kinematics.dof_to_rot(self.engine.dof_pos[rows])
        self.update_reference(rows)

    def update_reference(self, rows: Rows = ALL) -> None:
        """Bring what the observation and the reward compare with to the current time, for the environments ``rows``."""

    def record_start(self, mask: Tensor) -> None:
        """Note the state in which the episodes of the environments ``mask`` begin: histories, and a new task."""

    def record_step(self) -> None:
        """Note the state after a control step, before it is observed and rewarded: histories, and a changing task."""

    def frame_of_character(self, layout: FrameLayout, body_ids: Tensor) -> Tensor:
        """Every character's current state as a packed frame ``(N, packed_size)``, with the bodies ``body_ids``."""
        engine = self.engine
        return pack_frame(
            layout,
            engine.root_pos,
            engine.root_rot,
            engine.root_vel,
            engine.root_ang_vel,
            self.joint_rot,
            engine.dof_vel,
            engine.body_pos.index_select(1, body_ids),
        )

    def observe(self, rows: Rows = ALL) -> Tensor:
        """The current observation of the environments ``rows``, ``(len(rows), obs_size)``."""
        engine = self.engine
        return char_observation(
            engine.root_pos[rows],
            engine.root_rot[rows],
            engine.root_vel[rows],
            engine.root_ang_vel[rows],
            self.joint_rot[rows],
            engine.dof_vel[rows],
            engine.body_pos[rows].index_select(1, self.key_body_ids),
            self.config.global_obs,
            self.config.root_height_obs,
        )

    def compute_reward(self) -> Tensor:
        """``(N,)``; an environment without a task rewards nothing."""
        return torch.zeros(self.num_envs, device=self.device)

    def failed(self) -> Tensor:
        """Environments whose character has failed, ``(N,)`` bool."""
        return has_fallen(self.engine.ground_force, self.watched_body_ids)

    def succeeded(self) -> Tensor:
        """Environments whose task is complete, ``(N,)`` bool."""
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def compute_done(self) -> Tensor:
        """Done values ``(N,)``. A failure counts only after an episode's first step, when contacts have settled."""
        failed = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        if self.config.enable_early_termination:
            failed = self.failed() & (self.step_count > 1)
        return done_flags(failed, self.succeeded(), self.step_count >= self.max_steps)

    def diagnostic_totals(self) -> tuple[Tensor, Tensor]:
        """Sums of ``diagnostics`` ``(K,)`` and the number of samples in them ``(1,)`` since the last call, float64."""
        nothing = torch.zeros(1, dtype=torch.float64, device=self.device)
        return nothing[:0], nothing

    def reference_bodies(self) -> tuple[Tensor, Tensor] | None:
        """Where a reference character is to be drawn: ``(N, B, 3)`` and ``(N, B, 4)``; None without one."""
        return None

    def marker_poses(self) -> tuple[Tensor, Tensor] | None:
        """Where ``markers`` are to be drawn: positions ``(N, M, 3)`` and rotations ``(N, M, 4)``; None without any."""
        return None

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()
