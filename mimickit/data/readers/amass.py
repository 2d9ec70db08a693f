"""AMASS archives (``.npz``): SMPL, SMPL-H or SMPL-X poses of a person.

``poses`` (N, 72, 156 or 165) holds exponential maps, ``trans`` (N, 3) metres with z up, ``mocap_framerate`` or
``mocap_frame_rate`` the frames per second. The pelvis joint lies a constant way off ``trans``, which depends on the
person's shape and needs the body model to know; it is left out, as a clip may stand anywhere and is set on the ground
afterwards. The character has one size: feet of a taller or shorter person slip a little.
"""

import io
import math
import zipfile

import numpy as np

from mimickit.data.motion import Motion
from mimickit.data.readers.smpl_arrays import smpl_motion
from mimickit.errors import InputError

_RATES = ("mocap_framerate", "mocap_frame_rate")


def convert(data: bytes, source: str) -> Motion:
    """The recording in ``data`` as a motion of the smpl character (it does not wrap); ``source`` names it in errors.

    Raises `InputError` for an archive of another layout, naming what is missing.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            names = set(archive.files)
            rates = [name for name in _RATES if name in names]
            missing = [name for name in ("poses", "trans") if name not in names]
            missing += [] if rates else [" or ".join(_RATES)]
            if missing:
                raise InputError(
                    f"{source}: the archive has no {', no '.join(missing)}; it has {', '.join(sorted(names))}"
                )
            poses, trans, fps = (archive[name].astype(float) for name in ("poses", "trans", rates[0]))
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{source}: not a numpy archive of numbers ({error})") from error
    if fps.size != 1 or not (math.isfinite(fps.item()) and fps.item() > 0.0):
        raise InputError(f"{source}: {rates[0]} is {fps}, expected one positive number")
    return smpl_motion(np.arange(len(poses)) / fps.item(), trans, poses, source)
