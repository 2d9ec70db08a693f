"""Numpy archives (``.npz``), and what readers of them check alike."""

import io
import math
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from mimickit.errors import InputError

_ARRAY = b"\x93NUMPY"  # how a file of one array begins


def _opened(data: bytes, source: str, keys: Sequence[str] = ()) -> np.lib.npyio.NpzFile:
    expected = "expected a numpy archive " + (f"with {', '.join(keys)}" if keys else "(.npz)")
    if not zipfile.is_zipfile(io.BytesIO(data)):
        found = "a single array (.npy)" if data.startswith(_ARRAY) else "another kind of file, or one that is cut off"
        raise InputError(f"{source}: {expected}, found {found}")
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # damaged bytes can make the decoder raise anything
        raise InputError(f"{source}: {expected}, found a damaged one ({error})") from error


def array_names(data: bytes, source: str) -> list[str]:
    """Names of the arrays in an archive. Raises `InputError` naming ``source`` for a file that is none."""
    with _opened(data, source) as archive:
        return list(archive.files)


def read_arrays(data: bytes, numbers: Sequence[str], source: str, words: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The arrays called ``numbers``, as floats, and those called ``words``, as strings; others may be there.

    Raises `InputError` naming ``source`` for a file that is no numpy archive, naming the arrays that it lacks, and
    naming one that does not hold numbers.
    """
    keys = (*numbers, *words)
    with _opened(data, source, keys) as archive:
        missing = [key for key in keys if key not in archive.files]
        if missing:
            raise InputError(
                f"{source}: expected a numpy archive with {', '.join(keys)}; there is no {', no '.join(missing)}, only "
                f"{', '.join(sorted(archive.files)) or 'nothing'}"
            )
        arrays = {}
        for key in keys:
            try:
                arrays[key] = archive[key]
            except Exception as error:  # as above
                raise InputError(f"{source}: {key} cannot be read ({error})") from error
    for key in keys:
        kinds, what = ("iuf", "numbers") if key in numbers else ("U", "words")
        if arrays[key].dtype.kind not in kinds:
            raise InputError(f"{source}: {key} holds {arrays[key].dtype}, expected {what}")
    return {key: array.astype(float) if key in numbers else array for key, array in arrays.items()}


def check_shapes(tables: Mapping[str, tuple[np.ndarray, tuple[int, ...]]], source: str) -> None:
    """Raise `InputError` unless each array is (N, ...) with the shape given for the rest, N the same for all."""
    count = next(iter(tables.values()))[0].shape[:1]
    for key, (array, rest) in tables.items():
        if array.shape != (*count, *rest):
            wanted = ", ".join(map(str, ("N", *rest)))
            raise InputError(f"{source}: {key} has shape {array.shape}, expected ({wanted}), N as in the other tables")


def frame_rate(array: np.ndarray, key: str, source: str) -> float:
    """Frames per second from the array ``key``. Raises `InputError` unless it is one positive number."""
    if array.size != 1 or not (math.isfinite(array.item()) and array.item() > 0.0):
        raise InputError(f"{source}: {key} is {array}, expected one positive number of frames per second")
    return float(array.item())
