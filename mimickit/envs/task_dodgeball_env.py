"""Dodgeball: balls are thrown at the character, which is to stay untouched.

The task is one of SMP's (Mu 2025); how balls are thrown and what is rewarded is defined here.
"""

import torch
from torch import Tensor

from mimickit.anim.rotations import heading_inverse, quat_rotate
from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import TaskDodgeballEnvConfig
from mimickit.engines.engine import GRAVITY
from mimickit.engines.thrown_balls import BALL_RADIUS  # and its scene
from mimickit.envs.amp_env import AMPEnv
from mimickit.envs.char_env import ALL, Rows, Share
from mimickit.errors import InputError

# A ball in flight whose velocity gravity does not explain, by more than this (m/s), has touched something.
LEAST_BUMP = 0.05
# Nearer to the ground than this (m) at the end of a control step, what a ball touched may have been the ground.
GROUND_MARGIN = 0.05


def throw_velocity(start: Tensor, target: Tensor, target_vel: Tensor, speed: Tensor) -> Tensor:
    """Velocity at which a ball leaves ``start`` to meet a target that moves on evenly, with the horizontal ``speed``.

    Args:
        start, target: ``(..., 3)`` m; target_vel ``(..., 2)`` horizontal, m/s; speed ``(...)`` m/s.
    """
    way = target - start
    # The time t until they meet: |way + target_vel t| = speed t, horizontally. A target that outruns the ball is met
    # as if it were just slower.
    along = (way[..., :2] * target_vel).sum(dim=-1)
    lead = (speed.square() - target_vel.square().sum(dim=-1)).clamp(min=1.0)
    flight = (along + (along.square() + lead * way[..., :2].square().sum(dim=-1)).sqrt()) / lead
    level = way[..., :2] / flight.unsqueeze(-1) + target_vel
    rise = way[..., 2] / flight + 0.5 * GRAVITY * flight
    return torch.cat((level, rise.unsqueeze(-1)), dim=-1)


class TaskDodgeballEnv(AMPEnv):
    """Every ball waits on the ground, is thrown at a body from somewhere around, and waits again where it came to rest.

    A throw aims at where the body will be if the root keeps its horizontal velocity.

    The reward is 1 in every control step, but 0 in one in which a ball in flight touches the character (or another
    ball): that is a failure. A ball that has touched anything is no longer in flight. The policy also sees where each
    ball is and how fast, in its heading frame.

    Attributes:
        flying: ``(N, P)`` which balls are in flight; hit ``(N,)`` whether one touched the character in the last step.
    """

    config: TaskDodgeballEnvConfig
    has_reference = False

    def __init__(self, config: TaskDodgeballEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        names = self.char_model.body_names
        if config.proj_target_body not in names:
            raise InputError(
                f"proj_target_body: '{config.proj_target_body}' is not a body of {config.char_file}; it has "
                f"{', '.join(names)}"
            )
        self._target_body = names.index(config.proj_target_body)
        shape, device = (share.num_envs, config.num_projectiles), share.device
        self.flying = torch.zeros(shape, dtype=torch.bool, device=device)
        self.hit = torch.zeros(share.num_envs, dtype=torch.bool, device=device)
        self._throw_time = torch.zeros(shape, device=device)
        self._upright = torch.tensor([0.0, 0.0, 0.0, 1.0], device=device).expand(*shape, 4)
        self._gravity_step = torch.tensor([0.0, 0.0, -GRAVITY * self.control_dt], device=device)
        self._previous_pos, self._previous_vel = self.engine.prop_pos.clone(), self.engine.prop_vel.clone()

    @property
    def obs_size(self) -> int:
        return super().obs_size + 6 * self.config.num_projectiles

    def observe(self, rows: Rows = ALL) -> Tensor:
        engine = self.engine
        root_pos, root_rot = engine.root_pos[rows].unsqueeze(1), engine.root_rot[rows].unsqueeze(1)
        inverse = heading_inverse(root_rot)
        relative = quat_rotate(inverse, engine.prop_pos[rows] - root_pos)
        velocity = quat_rotate(inverse, engine.prop_vel[rows])
        balls = torch.cat((relative, velocity), dim=-1).flatten(1)
        return torch.cat((super().observe(rows), balls), dim=-1)

    def record_start(self, mask: Tensor) -> None:
        """The balls lie around the character, at the distance from which they are thrown."""
        super().record_start(mask)
        chosen = mask.unsqueeze(-1).expand_as(self.flying)
        start = self.engine.root_pos.unsqueeze(1) + self._offsets()
        start[..., 2] = BALL_RADIUS
        self.engine.place_props(chosen, start, self._upright, torch.zeros_like(start))
        self.flying &= ~chosen
        self.hit &= ~mask
        self._throw_time.copy_(torch.where(chosen, self._pauses(), self._throw_time))
        self._note_balls()

    def record_step(self) -> None:
        super().record_step()
        touched, near_ground = self._touches()
        self.hit.copy_((self.flying & touched & ~near_ground).any(dim=-1))
        self.flying &= ~touched
        due = self.time.unsqueeze(-1) >= self._throw_time
        target = self.engine.body_pos[:, self._target_body].unsqueeze(1)
        start = target + self._offsets()
        start[..., 2] = start[..., 2].clamp(min=BALL_RADIUS)
        speed = self._uniform(self.config.proj_speed_min, self.config.proj_speed_max)
        # Who walks on must see the ball too: aimed at where the body is now, it would pass behind.
        target_vel = self.engine.root_vel[:, None, :2]
        velocity = throw_velocity(start, target, target_vel, speed)
        self.engine.place_props(due, start, self._upright, velocity)
        self.flying |= due
        self._throw_time.copy_(torch.where(due, self.time.unsqueeze(-1) + self._pauses(), self._throw_time))
        self._note_balls()

    def task_reward(self) -> Tensor:
        return 1.0 - self.hit.float()

    def failed(self) -> Tensor:
        return super().failed() | self.hit

    def _touches(self) -> tuple[Tensor, Tensor]:
        """Which balls touched something in the last control step, and which of them may have touched the ground,
        ``(N, P)`` each: without a touch a ball would have come down to it."""
        bump = self.engine.prop_vel - (self._previous_vel + self._gravity_step)
        fall = self._previous_vel[..., 2] * self.control_dt - 0.5 * GRAVITY * self.control_dt**2
        height = self._previous_pos[..., 2] + fall.clamp(max=0.0) - BALL_RADIUS
        return bump.norm(dim=-1) > LEAST_BUMP, height < GROUND_MARGIN

    def _note_balls(self) -> None:
        self._previous_pos.copy_(self.engine.prop_pos)
        self._previous_vel.copy_(self.engine.prop_vel)

    def _offsets(self) -> Tensor:
        """Horizontal ways ``(N, P, 3)`` of the throwing distance, in all directions."""
        distance = self._uniform(self.config.proj_dist_min, self.config.proj_dist_max)
        angle = self._uniform(-torch.pi, torch.pi)
        return torch.stack((distance * angle.cos(), distance * angle.sin(), torch.zeros_like(angle)), dim=-1)

    def _pauses(self) -> Tensor:
        """Times until the next throw ``(N, P)``, s."""
        return self._uniform(self.config.proj_trigger_time_min, self.config.proj_trigger_time_max)

    def _uniform(self, low: float, high: float) -> Tensor:
        chance = torch.rand(self.flying.shape, generator=self.generator, device=self.device)
        return low + chance * (high - low)
