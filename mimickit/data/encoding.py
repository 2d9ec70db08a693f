"""A motion as a clip file's bytes."""

import pickle

import numpy as np

from mimickit.data.character import Character, to_frames
from mimickit.data.motion import Motion

_DECIMALS = 8  # hides the last bits, which differ between processors


def clip_bytes(character: Character, motion: Motion, fps: float) -> bytes:
    """A clip file: a pickle of plain numbers, equal for equal motions. ``motion``'s frames are 1/fps apart."""
    frames = np.round(to_frames(character, motion), _DECIMALS) + 0.0  # no negative zeros
    rate = int(fps) if float(fps).is_integer() else float(fps)
    return pickle.dumps({"loop_mode": int(motion.wrap), "fps": rate, "frames": frames.tolist()}, protocol=4)
