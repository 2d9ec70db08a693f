"""Looking at a recording: is there a picture in every frame, and does it change from frame to frame."""

from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, UnidentifiedImageError

# Variance of the grey levels (0..255) of a frame below which nothing is drawn in it. A plain background under video
# compression stays below 1; a lit ground alone exceeds 20.
BLANK_VARIANCE = 4.0
# A pixel changed when its grey level did by more than this; compression noise of a still picture stays below.
CHANGED_LEVELS = 10
# Two frames differ when more than this fraction of their pixels changed: 90 pixels of 640 x 480. A still picture under
# video compression stays below 2e-5, a walking character exceeds 2e-2.
CHANGED_FRACTION = 3e-4


@dataclass(frozen=True)
class VideoFacts:
    """Per decoded frame, in order: its grey variance, and the fraction of pixels that changed since the one before."""

    variance: tuple[float, ...]
    changed: tuple[float, ...]  # one shorter than variance

    @property
    def frames(self) -> int:
        return len(self.variance)

    @property
    def blank(self) -> int:
        """How many frames show nothing."""
        return sum(value < BLANK_VARIANCE for value in self.variance)

    @property
    def differs(self) -> list[bool]:
        """Of each pair of successive frames, whether they differ."""
        return [value > CHANGED_FRACTION for value in self.changed]


def measure_video(path: Path) -> VideoFacts:
    """Decode a video and measure every frame. Raises ValueError when it cannot be decoded."""
    variance: list[float] = []
    changed: list[float] = []
    previous: np.ndarray | None = None
    reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="gray", bits_per_pixel=8)
    try:
        width, height = next(reader)["size"]
        for data in reader:
            frame = np.frombuffer(data, dtype=np.uint8).reshape(height, width).astype(np.int16)
            variance.append(float(frame.var()))
            if previous is not None:
                changed.append(float(np.mean(np.abs(frame - previous) > CHANGED_LEVELS)))
            previous = frame
    except (OSError, RuntimeError, StopIteration, ValueError, KeyError) as error:
        raise ValueError(f"{path.name} cannot be decoded: {error}") from error
    finally:
        reader.close()
    return VideoFacts(tuple(variance), tuple(changed))


def picture_variance(path: Path) -> float:
    """Grey variance of a still picture. Raises ValueError when it cannot be decoded."""
    try:
        with Image.open(path) as picture:
            return float(np.asarray(picture.convert("L"), dtype=np.float64).var())
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"{path.name} cannot be decoded: {error}") from error
