"""Reading pickles of numbers without running what they name.

A pickle can name any callable. This reader rebuilds numbers, texts, lists, dicts, NumPy arrays and tensors, and refuses
everything else, so no file is ever executed.
"""

import io
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np


def _torch_tensor_from_bytes(data: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(data), weights_only=True)


def _torch_rebuild(*args: Any) -> Any:
    import torch

    return torch._utils._rebuild_tensor_v2(*args)


def _numpy_reconstruct(*args: Any) -> np.ndarray:
    return np._core.multiarray._reconstruct(*args)


def _numpy_scalar(*args: Any) -> Any:
    return np._core.multiarray.scalar(*args)


def _numpy_from_buffer(*args: Any) -> np.ndarray:
    return np._core.numeric._frombuffer(*args)


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """How pickle protocols 0 to 2 spell bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it spells bytes in the encoding '{encoding}', expected latin1")
    return text.encode("latin1")


# Everything a pickle may name; each rebuilds numbers only.
_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _latin1_bytes,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _numpy_reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _numpy_reconstruct,
    ("numpy.core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    ("numpy.core.numeric", "_frombuffer"): _numpy_from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _numpy_from_buffer,
    ("torch._utils", "_rebuild_tensor_v2"): _torch_rebuild,
    ("torch.storage", "_load_from_bytes"): _torch_tensor_from_bytes,
}


class _NumbersOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names the code '{module}.{name}', which is not run")
        return _ALLOWED[(module, name)]


def load_numbers(data: bytes) -> Any:
    """The content of a pickle made of numbers. Damaged bytes, or names of other code, raise any exception."""
    return _NumbersOnly(io.BytesIO(data)).load()
