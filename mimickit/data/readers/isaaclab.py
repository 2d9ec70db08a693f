"""Isaac Lab's ``humanoid_*.npz`` recordings, converted to the humanoid.

An archive of arrays over N frames: ``fps``, ``dof_names``, ``dof_positions`` (N, 28), ``body_names``,
``body_positions`` (N, 15, 3), ``body_rotations`` (N, 15, 4) ``wxyz``. The three coordinates of a ball joint are an
exponential map, as ours; arms hang down in the zero pose and elbows bend the other way round.
"""

import numpy as np

from mimickit.data.motion import Motion
from mimickit.data.quaternions import from_exponential_map, multiply
from mimickit.data.readers.arrays import check_shapes, frame_rate, read_arrays
from mimickit.data.readers.humanoid3d import ARM_OFFSETS
from mimickit.errors import InputError

_BALLS = {  # our body: the source joint's name before _x, _y, _z
    "torso": "abdomen",
    "head": "neck",
    "right_upper_arm": "right_shoulder",
    "left_upper_arm": "left_shoulder",
    "right_thigh": "right_hip",
    "left_thigh": "left_hip",
    "right_foot": "right_ankle",
    "left_foot": "left_ankle",
}
_HINGES = {  # our body: the source joint, and the sign that turns its angle into ours
    "right_shin": ("right_knee", 1.0),
    "left_shin": ("left_knee", 1.0),
    "right_lower_arm": ("right_elbow", -1.0),
    "left_lower_arm": ("left_elbow", 1.0),
}
_NUMBERS = ("fps", "dof_positions", "body_positions", "body_rotations")
_NAMES = ("dof_names", "body_names")


def convert(data: bytes, source: str) -> Motion:
    """The recording in ``data`` as a motion of the humanoid (it does not wrap); ``source`` names it in errors.

    Raises `InputError` for an archive of another layout.
    """
    arrays = read_arrays(data, _NUMBERS, source, words=_NAMES)
    dof_names, bodies = (arrays[key].ravel().tolist() for key in _NAMES)
    shapes = {"dof_positions": (len(dof_names),)}
    shapes |= {"body_positions": (len(bodies), 3), "body_rotations": (len(bodies), 4)}
    check_shapes({key: (arrays[key], rest) for key, rest in shapes.items()}, source)
    dofs = dict(zip(dof_names, arrays["dof_positions"].T, strict=True))
    wanted = [f"{joint}_{axis}" for joint in _BALLS.values() for axis in "xyz"] + [name for name, _ in _HINGES.values()]
    missing = [name for name in wanted if name not in dofs] + ["pelvis"] * ("pelvis" not in bodies)
    if missing:
        raise InputError(f"{source}: the recording has no {', '.join(missing)}")

    joints = {
        body: from_exponential_map(np.stack([dofs[f"{joint}_{axis}"] for axis in "xyz"], axis=-1))
        for body, joint in _BALLS.items()
    }
    joints |= {body: multiply(joints[body], offset) for body, offset in ARM_OFFSETS.items()}
    joints |= {body: sign * dofs[joint] for body, (joint, sign) in _HINGES.items()}
    root = bodies.index("pelvis")
    root_wxyz = arrays["body_rotations"][:, root]
    return Motion(
        times=np.arange(len(root_wxyz)) / frame_rate(arrays["fps"], "fps", source),
        root_pos=arrays["body_positions"][:, root],
        root_rot=root_wxyz[:, [1, 2, 3, 0]],
        joints=joints,
        wrap=False,
    )
