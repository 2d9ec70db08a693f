"""Model files: a flat ``state_dict``, as published checkpoints are.

``python -m mimickit.learning.checkpoint FILE`` prints what a model file holds as JSON and exits 0, or 1 when it does
not load or a parameter is not finite.
"""

import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mimickit.errors import InputError
from mimickit.files import write_atomically


def load_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a model file by name; no code in it is run.

    Raises:
        InputError: missing, damaged, or not a flat dict of tensors.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: what does not load is refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such model file") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: not readable as a model file: it is damaged, or names code, which is not run; "
            "a model file is a flat dict of tensors by name"
        ) from None
    except Exception as error:  # a damaged file can make torch.load raise anything
        first_line = (str(error) or repr(error)).splitlines()[0]
        raise InputError(f"{path}: not readable as a model file: {type(error).__name__}: {first_line}") from None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: holds no flat state_dict (a dict of tensors by name)")
    return state


def load_model(module: nn.Module, path: Path | str) -> None:
    """Copy a model file into a module.

    Raises:
        InputError: a tensor is missing, unknown, not finite or of another shape; the message lists them.
    """
    state = load_state(path)
    own = module.state_dict()
    problems = [f"lacks '{name}'" for name in own if name not in state]
    problems += [f"has the unknown '{name}'" for name in state if name not in own]
    for name in own:
        if name in state and state[name].shape != own[name].shape:
            problems.append(f"'{name}' is {tuple(state[name].shape)}, expected {tuple(own[name].shape)}")
    problems += [f"'{name}' is not finite" for name in non_finite(state)]
    if problems:
        shown = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
        raise InputError(
            f"{path}: does not fit this case's networks: {shown}. Was it trained for another character, env or agent?"
        )
    module.load_state_dict(state)


def save_model(module: nn.Module, path: Path | str) -> None:
    """Write the module's ``state_dict``; atomic, so a reader never sees half of it."""
    write_tensors(dict(module.state_dict()), path)


def write_tensors(content: Any, path: Path | str) -> None:
    """Write nested dicts and lists of tensors and plain values, the tensors as they would be on the CPU; atomic.

    Raises `OSError` with its number and a message that names ``path``.
    """
    write_atomically(Path(path), lambda file: torch.save(_on_cpu(content), file))


def _on_cpu(value: Any) -> Any:
    """``value`` with tensors on the CPU, as themselves alone: a view would be saved with all that it is a view of."""
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_on_cpu(item) for item in value]
    if not isinstance(value, Tensor):
        return value
    tensor = value.detach().cpu()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def non_finite(state: dict[str, Tensor]) -> list[str]:
    """Names of the tensors that hold a NaN or an infinity."""
    return [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]


def describe(path: Path | str) -> dict[str, Any]:
    """Counts of tensors and parameters, and the names of those that are not finite."""
    state = load_state(path)
    bad = non_finite(state)
    return {
        "tensors": len(state),
        "parameters": sum(tensor.numel() for tensor in state.values()),
        "finite": not bad,
        "bad": bad,
    }


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: python -m mimickit.learning.checkpoint FILE", file=sys.stderr)
        return InputError.exit_code
    try:
        description = describe(argv[0])
    except InputError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps(description))
    return 0 if description["finite"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
