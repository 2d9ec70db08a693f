"""Motions of the SMPL body model (24 joints), converted to the smpl character.

`smpl_motion(times, pelvis_pos, poses, source)` maps SMPL's axis-angle poses; readers of files that hold such poses call
it. `convert` reads another layout, a saved tensor that is written in the character's own frames already.

SMPL's rest pose stands in a frame with y up, z forward and x to the left; the character's has z up, x forward and y to
the left. Both are T-poses of the same tree, so a joint turns by the same rotation, written in the other frame.
"""

import io
import math
import pickle
import zipfile
from typing import Any

import numpy as np

from mimickit.data.motion import Motion
from mimickit.data.quaternions import from_exponential_map, multiply
from mimickit.errors import InputError

BODIES = (  # of the character, in the order of SMPL's joints
    *("Pelvis", "L_Hip", "R_Hip", "Torso", "L_Knee", "R_Knee", "Spine", "L_Ankle", "R_Ankle", "Chest"),
    *("L_Toe", "R_Toe", "Neck", "L_Thorax", "R_Thorax", "Head", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow"),
    *("L_Wrist", "R_Wrist", "L_Hand", "R_Hand"),
)
_HANDS = 2  # the last bodies; models with fingers have those in their place
_REST_FRAME = np.array([-0.5, -0.5, -0.5, 0.5])  # takes the character's axes x, y, z to SMPL's z, x, y


def smpl_motion(times: np.ndarray, pelvis_pos: np.ndarray, poses: np.ndarray, source: str) -> Motion:
    """A motion of the smpl character (it does not wrap) from SMPL, SMPL-H or SMPL-X poses.

    ``times`` (N,) seconds; ``pelvis_pos`` (N, 3) the pelvis joint in the world with z up (a body model's translation
    is this less the pelvis of its rest body); ``poses`` (N, 3 K), K >= 22, exponential maps in the order of SMPL's
    joints: the pelvis in the world, then each joint against its parent. The hands turn only for K = 24, SMPL itself;
    the larger models have fingers there, which the character lacks. Raises `InputError` naming ``source`` for other
    shapes.
    """
    count, body_joints = len(times), len(BODIES) - _HANDS
    if pelvis_pos.shape != (count, 3):
        raise InputError(f"{source}: pelvis positions have shape {pelvis_pos.shape}, expected ({count}, 3)")
    if poses.ndim != 2 or len(poses) != count or poses.shape[1] % 3 or poses.shape[1] < 3 * body_joints:
        raise InputError(
            f"{source}: poses have shape {poses.shape}, expected ({count}, 3 K) with K of at least {body_joints} joints"
        )
    maps = poses.reshape(count, -1, 3).astype(float)
    if maps.shape[1] != len(BODIES):
        maps = np.concatenate([maps[:, :body_joints], np.zeros((count, _HANDS, 3))], axis=1)
    joints = {
        body: from_exponential_map(maps[:, index][:, [2, 0, 1]]) for index, body in enumerate(BODIES) if index > 0
    }
    root_rot = multiply(from_exponential_map(maps[:, 0]), _REST_FRAME)
    return Motion(np.asarray(times, dtype=float), pelvis_pos.astype(float), root_rot, joints, wrap=False)


# The saved tensor: rows of 591 numbers at 30 frames per second. Of these, root position 0:3, root rotation xyzw 3:7,
# exponential maps of 51 joints 9:162, world positions of the pelvis and these joints 162:318. Depth first, as the
# character's, with fifteen finger joints in the place of either hand, and in the character's frames.
_TENSOR_COLUMNS = 591
_TENSOR_FPS = 30.0
_FINGERS = 15
_TENSOR_JOINTS = (
    *("L_Hip", "L_Knee", "L_Ankle", "L_Toe", "R_Hip", "R_Knee", "R_Ankle", "R_Toe", "Torso", "Spine", "Chest"),
    *("Neck", "Head", "L_Thorax", "L_Shoulder", "L_Elbow", "L_Wrist", *("",) * _FINGERS),
    *("R_Thorax", "R_Shoulder", "R_Elbow", "R_Wrist", *("",) * _FINGERS),
)
_LEGS = tuple((f"{side}_Hip", f"{side}_Knee", f"{side}_Ankle") for side in "LR")
_LEG_LENGTH = 0.7815  # of the character: thigh and shin, mean of both legs


class _TensorUnpickler(pickle.Unpickler):
    """Rebuilds one float32 tensor as a numpy array; anything else in the pickle is refused, nothing is executed."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}/data.pkl")))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuilt_tensor,
            ("torch", "FloatStorage"): "float32",
            ("collections", "OrderedDict"): dict,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not run")
        return allowed[(module, name)]

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage, key, _, count = pid
        if (kind, storage) != ("storage", "float32"):
            raise pickle.UnpicklingError(f"it stores {kind} {storage}, expected float32 numbers")
        return np.frombuffer(self._archive.read(f"{self._folder}/data/{key}"), "<f4", count)


def _rebuilt_tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    if len(size) != 2 or tuple(stride) != (size[1], 1):
        raise pickle.UnpicklingError(f"the tensor has size {size} and stride {stride}, expected a table row by row")
    return storage[offset : offset + math.prod(size)].reshape(size)


def _tensor(data: bytes, source: str) -> np.ndarray:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            folders = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
            folder = folders[0] if len(folders) == 1 else ""
            if archive.read(f"{folder}/byteorder") != b"little":
                raise InputError(f"{source}: the numbers are not in little-endian order")
            tensor = _TensorUnpickler(archive, folder).load()
    except InputError:
        raise
    except Exception as error:  # damaged bytes can make the unpickler raise anything
        raise InputError(f"{source}: not a saved tensor of float32 numbers ({error})") from error
    if not isinstance(tensor, np.ndarray) or tensor.ndim != 2 or tensor.shape[1] != _TENSOR_COLUMNS:
        found = f"shape {tensor.shape}" if isinstance(tensor, np.ndarray) else f"a {type(tensor).__name__}"
        raise InputError(f"{source}: expected a table of {_TENSOR_COLUMNS} columns, found {found}")
    return tensor.astype(float)


def convert(data: bytes, source: str) -> Motion:
    """The saved tensor in ``data`` as a motion of the smpl character (it does not wrap); ``source`` names it in errors.

    The recorded people are of many sizes: the path of the pelvis is scaled by the ratio of the legs' lengths, so that
    the feet neither slide nor leave the ground. Fingers are left out. Raises `InputError` for a file of another layout.
    """
    table = _tensor(data, source)
    if not np.isfinite(table).all():
        raise InputError(f"{source}: frame {np.argwhere(~np.isfinite(table))[0][0]} holds a number that is not finite")
    count = len(table)
    maps = table[:, 9:162].reshape(count, -1, 3)
    positions = table[:, 162:318].reshape(count, -1, 3)[:, 1:]
    index = {name: i for i, name in enumerate(_TENSOR_JOINTS) if name}
    joints = {name: from_exponential_map(maps[:, i]) for name, i in index.items()}
    joints |= {name: np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)) for name in BODIES[-_HANDS:]}
    ends = np.array([[[positions[0, index[name]]] for name in leg] for leg in _LEGS])
    recorded_length = float(np.linalg.norm(np.diff(ends, axis=1), axis=-1).sum() / len(_LEGS))
    if not recorded_length > 0.1:
        raise InputError(f"{source}: the legs are {recorded_length:.3f} m long; are these joint positions in metres?")
    root_pos = table[:, :3] * (_LEG_LENGTH / recorded_length)
    return Motion(np.arange(count) / _TENSOR_FPS, root_pos, table[:, 3:7], joints, wrap=False)
