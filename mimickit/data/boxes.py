"""Boxes that a recorded body climbs on."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Box:
    """An upright box that stands on something. Metres, z up."""

    center: tuple[float, float, float]
    yaw: float  # radians that it is turned about the vertical
    size: tuple[float, float, float]  # edges along its own axes, the last one vertical

    @property
    def top(self) -> float:
        """Height of its upper face."""
        return self.center[2] + 0.5 * self.size[2]

    def covers(self, points: np.ndarray, margin: float) -> np.ndarray:
        """Whether each of points (N, 3), seen from above, is on the box or less than ``margin`` metres beside it."""
        x, y = np.moveaxis(points - np.array(self.center), -1, 0)[:2]
        along = np.cos(self.yaw) * x + np.sin(self.yaw) * y
        across = np.cos(self.yaw) * y - np.sin(self.yaw) * x
        apart = np.maximum(np.abs(along) - 0.5 * self.size[0], np.abs(across) - 0.5 * self.size[1])
        return np.asarray(apart < margin)

    def scaled(self, scale: float) -> "Box":
        """The box in a world whose lengths are multiplied by ``scale``."""
        x, y, z = (scale * value for value in self.center)
        length, width, height = (scale * value for value in self.size)
        return Box((x, y, z), self.yaw, (length, width, height))
