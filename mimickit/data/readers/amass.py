"""AMASS archives (``.npz``): SMPL, SMPL-H or SMPL-X poses of a person.

``poses`` (N, 72, 156 or 165) holds exponential maps, ``trans`` (N, 3) metres with z up, ``mocap_framerate`` or
``mocap_frame_rate`` the frames per second. The pelvis joint lies a constant way off ``trans``, which depends on the
person's shape and needs the body model to know; it is left out, as a clip may stand anywhere and is set on the ground
afterwards. The character has one size: feet of a taller or shorter person slip a little.
"""

import numpy as np

from mimickit.data.motion import Motion
from mimickit.data.readers.arrays import array_names, frame_rate, read_arrays
from mimickit.data.readers.smpl_arrays import smpl_motion

_RATES = ("mocap_framerate", "mocap_frame_rate")


def convert(data: bytes, source: str) -> Motion:
    """The recording in ``data`` as a motion of the smpl character (it does not wrap); ``source`` names it in errors.

    Raises `InputError` for an archive of another layout, naming what is missing.
    """
    names = array_names(data, source)
    rate = next((name for name in _RATES if name in names), " or ".join(_RATES))  # both are named where it lacks
    arrays = read_arrays(data, ("poses", "trans", rate), source)
    fps = frame_rate(arrays[rate], rate, source)
    poses = arrays["poses"]
    return smpl_motion(np.arange(len(np.atleast_1d(poses))) / fps, arrays["trans"], poses, source)
