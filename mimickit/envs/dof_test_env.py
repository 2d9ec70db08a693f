"""A test of joints: the root is held, and one degree of freedom after the other swings between its limits."""

import math

import torch
from torch import Tensor

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import DofTestEnvConfig
from mimickit.envs.char_env import CharEnv, Share
from mimickit.envs.tracking_error import ErrorMeter
from mimickit.errors import InputError

POSITION_MODES = ("pos", "pd_explicit")


class DofTestEnv(CharEnv):
    """Environment i drives the degree of freedom (floor(t / period) + i) mod D with a sine between its limits.

    The others are driven to their initial pose. Bodies do not collide with each other, so that a limit is reached
    whatever is in its way. Actions do nothing.
    """

    config: DofTestEnvConfig
    diagnostics = ("Dof_Target_Err",)

    def __init__(self, config: DofTestEnvConfig, engine_config: EngineConfig, share: Share):
        if engine_config.control_mode not in POSITION_MODES:
            raise InputError(
                f"control_mode is '{engine_config.control_mode}', but the DoF test drives joints to angles: it needs "
                f"one of {', '.join(POSITION_MODES)}"
            )
        super().__init__(config, engine_config, share)
        device = share.device
        lower = torch.tensor(self.char_model.per_dof("lower"), device=device)
        upper = torch.tensor(self.char_model.per_dof("upper"), device=device)
        self._middle, self._amplitude = 0.5 * (lower + upper), 0.5 * (upper - lower)
        self._env_ids = torch.arange(share.num_envs, device=device)
        self._errors = ErrorMeter(len(self.diagnostics), device)

    def driven_dof(self, time: Tensor) -> Tensor:
        """The degree of freedom that each environment drives at ``time`` ``(N,)``, s."""
        return (torch.floor(time / self.config.dof_period).long() + self._env_ids) % self.char_model.num_dofs

    def target(self, time: Tensor) -> Tensor:
        """Drive targets ``(N, D)`` at ``time`` ``(N,)``, rad."""
        driven = self.driven_dof(time)
        swing = torch.sin(2.0 * math.pi * time / self.config.dof_period)
        target = self.init_pose[6:].repeat(self.num_envs, 1)
        return target.scatter(1, driven[:, None], (self._middle[driven] + swing * self._amplitude[driven])[:, None])

    def drive(self, action: Tensor) -> None:
        self.engine.drive(self.target(self.time))

    def record_step(self) -> None:
        began = (self.step_count - 1) * self.control_dt  # the very number that `drive` had
        target, driven = self.target(began), self.driven_dof(began)[:, None]
        self._errors.add((self.engine.dof_pos - target).gather(1, driven).abs())

    def diagnostic_totals(self) -> tuple[Tensor, Tensor]:
        """Distances of the driven angles to their targets at the end of a control step, rad."""
        return self._errors.totals()
