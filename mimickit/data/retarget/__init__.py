"""Human motions moved between characters: other bones, other joints, the same movement."""

from mimickit.data.retarget.transfer import retarget_landmarks, retarget_motion, retarget_scale

__all__ = ["retarget_landmarks", "retarget_motion", "retarget_scale"]
