"""Failures a caller can tell apart, and the exit code each one means.

| exit code | kind | meaning |
|---|---|---|
| 0 | | success |
| 1 | unexpected | a bug or an unforeseen failure; the traceback is printed |
| 2 | input | a bad argument, configuration, clip, asset, device or checkpoint; nothing was written |
| 3 | out_of_memory | the device or the host ran out of memory; fewer environments would help |
| 4 | capacity | a contact or constraint buffer overflowed; fewer environments or larger buffers would help |
| 5 | render | a frame was blank or did not show the character, or the video could not be written |
| 6 | divergence | a loss, parameter or simulation state became NaN or infinite |
| 7 | process_group | a training process died or the processes lost each other |
| 8 | disk_full | no space is left on a disk, or a quota is used up |
| 9 | driver | the GPU or its driver is lost, too old, or failed in the middle of the work |
| 10 | display | no OpenGL context can be had, or it does not compile the viewer's shaders |
| 11 | missing_data | a motion clip, a character, a mesh or a motion prior is not there; nothing was written |
| 12 | import_error | a package is missing or broken |

A run ended by a signal exits with 128 plus the signal's number (130 for Ctrl-C, 143 for TERM). Numbers are only ever
added: programs and records elsewhere know the old ones.
"""

import contextlib
import errno
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass


def number_of(count: int, thing: str) -> str:
    """``1 GPU``, ``2 GPUs``: for a message."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


class MimicKitError(Exception):
    """A failure with a cause worth telling apart; ``kind`` names it in ``error.json``. Made from one message."""

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


class DiskFullError(MimicKitError):
    """There is no space to write to."""

    exit_code = 8
    kind = "disk_full"


class DriverError(MimicKitError):
    """The GPU or its driver does not answer, is too old, or failed in the middle of the work."""

    exit_code = 9
    kind = "driver"


class DisplayError(RenderError):
    """Nothing can be drawn here: there is no OpenGL, or it does not compile the viewer's shaders."""

    exit_code = 10
    kind = "display"


class MissingDataError(InputError):
    """A motion clip, a character, a mesh or a motion prior is not there: the message says how to get it."""

    exit_code = 11
    kind = "missing_data"


class MissingPackageError(MimicKitError):
    """A package is not installed or does not import."""

    exit_code = 12
    kind = "import_error"


def error_class(kind: str) -> type[MimicKitError]:
    """The class that ``kind`` names; KeyError for another word."""
    classes = [MimicKitError]
    for cls in classes:
        classes += cls.__subclasses__()
    return {cls.kind: cls for cls in classes}[kind]


def exit_code(error: Exception) -> int:
    """That of the error's class; 1 for the unforeseen."""
    return error.exit_code if isinstance(error, MimicKitError) else MimicKitError.exit_code


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


# What libraries say in an exception that has no type or number of its own. A device-side assert is on purpose not among
# them: it is an index or a probability out of range, so a bug.
SIGNS = {
    "disk_full": _any(
        "no space left on device",
        "disk quota exceeded",
        # torch.save to a path, which does not say why it could not write.
        "PytorchStreamWriter failed writing",
        r"inline_container\.cc:\d+\] \. unexpected pos",
    ),
    # MuJoCo's own memory, whose size the character's file sets: fewer environments would not help.
    "capacity": _any("mj_(stack|arena)Alloc", "insufficient arena memory", "increase <size memory"),
    "out_of_memory": _any(
        "out of memory",
        "failed to allocate",  # Warp
        "can(no|')t allocate memory",  # torch on the CPU; the operating system
        "could not allocate (memory|model|mjData|mjModel)",  # MuJoCo
        "std::bad_alloc",
        "CU(BLAS|DNN)_STATUS_ALLOC_FAILED",
    ),
    "driver": _any(
        "unspecified launch failure",
        "an illegal memory access",
        "an illegal instruction was encountered",
        "misaligned address",
        "the launch timed out and was terminated",
        "uncorrectable ECC error",
        r"device\(s\) is/are busy or unavailable",
        r"(CUDA error|Cuda failure)\b.*\bunknown error",
        "CUDA unknown error",
        "GPU is lost",
        "fallen off the bus",
        r"\bXid \(",
        "no CUDA-capable device",
        "No CUDA GPUs are available",
        "Found no NVIDIA driver",
        "NVIDIA driver on your system is too old",
        "CUDA driver version is insufficient",
        "requires CUDA driver .* or higher",  # Warp
        "unsupported toolchain",
        "no kernel image is available",
        "CUDA driver initialization failed",
        "driver shutting down",
        "Driver/library version mismatch",
    ),
    "process_group": _any(
        r"\bNCCL (error|failure)",
        r"\bnccl(System|Remote|Internal|UnhandledCuda)Error\b",
        r"\bWatchdog caught collective operation timeout",
        "Connection closed by remote peer",
        "gloo/transport",
        r"\bEADDRINUSE\b",
        "address already in use",
    ),
}


@dataclass(frozen=True)
class _Rule:
    """Which exceptions of a library belong to a class, and what to add to their message."""

    kind: type[MimicKitError]
    applies: Callable[[BaseException], bool]
    advice: str


def _says(kind: str) -> Callable[[BaseException], bool]:
    def applies(error: BaseException) -> bool:
        return SIGNS[kind].search(_library_words(error)) is not None

    return applies


def _library_words(error: BaseException) -> str:
    """What an exception from native code says; "" for exceptions whose type tells enough.

    The first line alone: what follows may quote any text. An error of torch.distributed has its reason in the last.
    """
    if _is_distributed(error):
        return str(error)
    native = isinstance(error, RuntimeError) or type(error) is Exception or type(error).__module__ == "mujoco"
    return str(error).strip().partition("\n")[0] if native else ""


def _is_distributed(error: BaseException) -> bool:
    # By name: torch is not imported for the sake of a bad argument.
    return any(cls.__name__ == "DistError" for cls in type(error).__mro__)


def _has_errno(*numbers: int) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, OSError) and error.errno in numbers


def _is_absent_package(error: BaseException) -> bool:
    """A failed import; one of our own modules is a bug instead."""
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] not in ("mimickit", "ci")


_is_disk_full = _has_errno(errno.ENOSPC, errno.EDQUOT)

# The first that applies counts: an error of a process group may have memory or the driver as its reason.
_DISK_FULL = _Rule(
    DiskFullError,
    lambda error: _is_disk_full(error) or _says("disk_full")(error),
    "free space, or write to another disk (--out_dir; TMPDIR for temporary files)",
)
_ABSENT_PACKAGE = _Rule(
    MissingPackageError, _is_absent_package, "install it with: python -m pip install -c constraints.txt -e ."
)
_RULES = (
    _DISK_FULL,
    _Rule(CapacityError, _says("capacity"), 'enlarge <size memory="..."/> in the character\'s file'),
    _Rule(
        OutOfMemoryError,
        lambda error: (
            isinstance(error, MemoryError) or _has_errno(errno.ENOMEM)(error) or _says("out_of_memory")(error)
        ),
        "use fewer environments (--num_envs)",
    ),
    _Rule(
        DriverError,
        _says("driver"),
        "look at nvidia-smi and the kernel log, then run again; a failure that comes back at the same place is a bug",
    ),
    _Rule(
        ProcessGroupError,
        lambda error: _is_distributed(error) or _says("process_group")(error),
        "another process died or the port was taken: run again, with another --master_port if one is given",
    ),
    _Rule(
        DisplayError,
        lambda error: type(error).__module__.partition(".")[0] == "pyglet",
        "drawing needs OpenGL 3.3; without a display it comes from EGL (Debian: libegl1 libgl1 libgl1-mesa-dri)",
    ),
)


def classify(error: Exception) -> Exception:
    """The failure under its own class, whichever library raised it; anything unforeseen as it is.

    An exception raised while another one was handled, as by a ``finally`` that fails too, counts as the other one when
    it has no class itself. A full disk is told as such even where the code that met it gave it another name.
    """
    links = list(_chain(error))
    if any(_DISK_FULL.applies(link) for link in links):
        known = isinstance(error, MimicKitError)  # it names the file
        disk = error if known else next(link for link in links if _DISK_FULL.applies(link))
        return error if isinstance(error, DiskFullError) else _made(_DISK_FULL, disk, error)
    if isinstance(error, InputError) and isinstance(error.__cause__, ImportError):
        return MissingPackageError(str(error))
    if isinstance(error, MimicKitError):
        return error
    if _ABSENT_PACKAGE.applies(error):
        return _made(_ABSENT_PACKAGE, error, error)
    for link in links:
        # An InputError that was handled says nothing of what went wrong after it.
        if isinstance(link, MimicKitError) and not isinstance(link, InputError):
            return link
        for rule in _RULES:
            if rule.applies(link):
                return _made(rule, link, error)
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, then what it was raised from or while handling, back to the first."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _made(rule: _Rule, link: BaseException, error: Exception) -> MimicKitError:
    failure = rule.kind(f"{str(link).strip() or rule.kind.kind.replace('_', ' ')}; {rule.advice}")
    failure.__cause__ = error
    return failure


# Where these happened matters as much as what was said; the message of the others names the place.
_SHOWN_WITH_TRACEBACK = (DriverError, ProcessGroupError, MissingPackageError)


def tell(error: Exception) -> tuple[str, int]:
    """Say on stderr what happened: one paragraph, or a traceback of the unforeseen. Its kind and its exit code.

    A stderr that cannot be written, as on a full disk, is no failure of its own: the exit code still tells.
    """
    if not isinstance(error, MimicKitError):
        with contextlib.suppress(OSError, ValueError):
            traceback.print_exception(error)
        return MimicKitError.kind, MimicKitError.exit_code
    with contextlib.suppress(OSError, ValueError):
        if isinstance(error, _SHOWN_WITH_TRACEBACK) and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(f"error ({error.kind}): {error}", file=sys.stderr, flush=True)
    return error.kind, error.exit_code
