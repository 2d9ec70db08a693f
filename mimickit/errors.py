"""Failures a caller can tell apart, and the exit code each one means.

| exit code | kind | meaning |
|---|---|---|
| 0 | | success |
| 1 | unexpected | a bug or an unforeseen failure; the traceback is printed |
| 2 | input | a bad argument, configuration, clip, asset, device or checkpoint; nothing was written |
| 3 | out_of_memory | the device or the host ran out of memory; fewer environments would help |
| 4 | capacity | a contact or constraint buffer overflowed; fewer environments or larger buffers would help |
| 5 | render | a frame could not be drawn, was blank, or did not show the character |
| 6 | divergence | a loss, parameter or simulation state became NaN or infinite |
| 7 | process_group | a training process died or the processes lost each other |

A run ended by a signal exits with 128 plus the signal's number (130 for Ctrl-C, 143 for TERM).
"""

import sys
import traceback


class MimicKitError(Exception):
    """A failure with a cause worth telling apart; ``kind`` names it in ``error.json``."""

    exit_code = 1
    kind = "unexpected"


class InputError(MimicKitError):
    """What the user gave is wrong: the message says what, where, and what would be right."""

    exit_code = 2
    kind = "input"


class OutOfMemoryError(MimicKitError):
    """The device or the host has too little memory for this many environments."""

    exit_code = 3
    kind = "out_of_memory"


class CapacityError(MimicKitError):
    """A contact or constraint buffer was too small, so the physics would have dropped contacts."""

    exit_code = 4
    kind = "capacity"


class RenderError(MimicKitError):
    """No picture, a blank picture, or a picture without the character."""

    exit_code = 5
    kind = "render"


class DivergenceError(MimicKitError):
    """A number that must be finite is not."""

    exit_code = 6
    kind = "divergence"


class ProcessGroupError(MimicKitError):
    """A training process died, or the processes no longer agree."""

    exit_code = 7
    kind = "process_group"


def classify(error: Exception) -> Exception:
    """Memory failures under their own class, whichever library raised them; anything else as it is."""
    text = str(error).lower()
    signs = ("out of memory", "failed to allocate")  # torch and the CUDA driver; Warp
    if isinstance(error, MimicKitError) or not (isinstance(error, MemoryError) or any(sign in text for sign in signs)):
        return error
    failure = OutOfMemoryError(f"{error or 'out of memory'}; use fewer environments (--num_envs)")
    failure.__cause__ = error
    return failure


def tell(error: Exception) -> tuple[str, int]:
    """Say on stderr what happened: one paragraph, or a traceback of the unforeseen. Its kind and its exit code."""
    if isinstance(error, MimicKitError):
        print(f"error ({error.kind}): {error}", file=sys.stderr)
        return error.kind, error.exit_code
    traceback.print_exception(error)
    return MimicKitError.kind, MimicKitError.exit_code
