"""How far the character is from the reference, as logged under the published names."""

import torch
from torch import Tensor

from mimickit.anim.rotations import quat_difference_angle
from mimickit.envs.rewards import TrackingState

ERROR_NAMES = (
    "Root_Pos_Err",
    "Root_Rot_Err",
    "Body_Pos_Err",
    "Body_Rot_Err",
    "Dof_Vel_Err",
    "Root_Vel_Err",
    "Root_Ang_Vel_Err",
)


def tracking_errors(
    char: TrackingState,
    ref: TrackingState,
    body_pos: Tensor,
    ref_body_pos: Tensor,
    body_rot: Tensor,
    ref_body_rot: Tensor,
    track_root: bool,
) -> Tensor:
    """Errors in the order of ``ERROR_NAMES``, ``(N, 7)``: metres, radians, rad/s, m/s.

    Body positions and rotations are averaged over the bodies after the root, DoF velocities over DoFs. Unless the root
    is tracked, body positions are compared relative to the root.
    """
    body_difference = ref_body_pos - body_pos
    if not track_root:
        body_difference = body_difference - body_difference[:, :1]
    return torch.stack(
        (
            (ref.root_pos - char.root_pos).norm(dim=-1),
            quat_difference_angle(char.root_rot, ref.root_rot),
            body_difference[:, 1:].norm(dim=-1).mean(dim=-1),
            quat_difference_angle(body_rot[:, 1:], ref_body_rot[:, 1:]).mean(dim=-1),
            (ref.dof_vel - char.dof_vel).abs().mean(dim=-1),
            (ref.root_vel - char.root_vel).norm(dim=-1),
            (ref.root_ang_vel - char.root_ang_vel).norm(dim=-1),
        ),
        dim=-1,
    )


class ErrorMeter:
    """Running mean of K errors over environments and steps, kept on the device until it is read."""

    def __init__(self, num_errors: int, device: torch.device):
        self._sum = torch.zeros(num_errors, dtype=torch.float64, device=device)
        self._count = torch.zeros(1, dtype=torch.float64, device=device)

    def add(self, errors: Tensor) -> None:
        """Add one step's errors ``(N, K)``."""
        self._sum += errors.sum(dim=0)
        self._count += len(errors)

    def totals(self) -> tuple[Tensor, Tensor]:
        """Sum over samples ``(K,)`` and number of samples ``(1,)`` since the last call; starts again."""
        total, count = self._sum.clone(), self._count.clone()
        self._sum.zero_()
        self._count.zero_()
        return total, count
