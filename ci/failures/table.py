"""The classes of failure: what each means, what to do about it, and what the matrix does next."""

import re
from dataclasses import dataclass
from typing import Literal

from mimickit.errors import SIGNS

Action = Literal["next_rung", "retry_once", "final"]
"""Try fewer environments; run the stage once more on a new port; or leave it, as a repetition would fail again."""


@dataclass(frozen=True)
class FailureClass:
    """One row of the table. ``signature`` is the log text that betrays it when nothing better does."""

    kind: str
    meaning: str
    remedy: str
    action: Action = "final"
    exit_code: int | None = None  # the exit code of mimickit/run.py that means it
    signature: re.Pattern[str] | None = None


def _text(*alternatives: str, like: str | None = None) -> re.Pattern[str]:
    """Any of ``alternatives``, or what the framework takes for the kind ``like`` in a library's exception."""
    known = [SIGNS[like].pattern] if like else []
    return re.compile("|".join([*known, *alternatives]), re.IGNORECASE | re.MULTILINE)


# Order matters for the signatures alone: the first that matches wins, so the narrow ones come first. An error of a
# process group may quote its reason, which is memory or the driver; a missing libGL fails as an import; MuJoCo
# says "out of memory" of a buffer of its own.
FAILURES = {
    entry.kind: entry
    for entry in (
        FailureClass(
            "disk_full",
            "a disk is full, or a quota is used up",
            "free space under output/, or send the run elsewhere with --root-out",
            exit_code=8,
            signature=_text(r"\bENOSPC\b", r"\bEDQUOT\b", like="disk_full"),
        ),
        FailureClass(
            "capacity",
            "a contact or constraint buffer overflowed",
            "raise contacts_per_env or constraints_per_env in the engine file, or use fewer environments",
            action="next_rung",
            exit_code=4,
            signature=_text(
                r"\bn(jmax|jmax_nnz|a?conmax)\b.*(overflow|exceed)",
                r"(overflow|exceed).*\bn(jmax|jmax_nnz|a?conmax)\b",
                r"please increase n(jmax|a?conmax)",
                like="capacity",
            ),
        ),
        FailureClass(
            "out_of_memory",
            "the device or the host ran out of memory",
            "fewer environments fit: put a smaller number at the end of the ladder",
            action="next_rung",
            exit_code=3,
            signature=_text(r"^\S*MemoryError(:|$)", like="out_of_memory"),
        ),
        FailureClass(
            "display",
            "nothing can be drawn: no display, no OpenGL, or shaders of a version (GLSL) that the driver refuses",
            "install libegl1 libgl1 libgl1-mesa-dri libx11-6, or set DISPLAY; an old driver may need "
            "MESA_GL_VERSION_OVERRIDE=3.3 MESA_GLSL_VERSION_OVERRIDE=330",
            exit_code=10,
            signature=_text(
                r"\bGLSL\b",
                r"\bShaderException\b",
                r"\bNoSuch(Display|Config|ScreenMode)Exception\b",
                r"\b(Context|MissingFunction)Exception\b",
                r"\blibEGL\b",
                r"lib(E?GL|GLX|OpenGL)\.so[\d.]*: cannot open",
                r'Library "(E?GL|GLX)" not found',
                r"cannot (connect to|open) display",
            ),
        ),
        FailureClass(
            "driver",
            "the GPU or its driver is lost, too old, or failed in the middle of the work",
            "look at nvidia-smi and the kernel log (dmesg, Xid), then run again; what comes back at the same place is "
            "a bug: run it with CUDA_LAUNCH_BLOCKING=1",
            exit_code=9,
            signature=_text(like="driver"),
        ),
        FailureClass(
            "process_group",
            "a training process died, the processes lost each other, or their port was taken",
            "read the first process's own error above the last one; if it says nothing, run again with NCCL_DEBUG=INFO",
            action="retry_once",
            exit_code=7,
            signature=_text(
                r"\bDist(Backend|Network|Store)?Error\b", r"\bProcess(Raised|Exited)Exception\b", like="process_group"
            ),
        ),
        FailureClass(
            "render",
            "a frame was blank or frozen or did not show the character, or the video could not be written",
            "look at viz/contact_sheet.png and viz.log",
            exit_code=5,
        ),
        FailureClass(
            "divergence",
            "a number that must be finite is NaN or infinite",
            "look at the first non-finite column of train/log.txt; lower the learning rate or the time step",
            exit_code=6,
            signature=_text(r"^FloatingPointError(:|$)"),
        ),
        FailureClass(
            "import_error",
            "a package is missing or broken",
            "install with: python -m pip install -c constraints.txt -e .",
            exit_code=12,
            # A module of our own that does not import is a bug.
            signature=_text(r"^(ModuleNotFound|Import)Error\b(?!.*['\"](mimickit|ci)\b)"),
        ),
        FailureClass(
            "missing_data",
            "a clip, a character, a mesh or a motion prior that the case needs is not there and could not be built",
            "build clips with nox -s data, or unpack the published archive into data/",
            exit_code=11,
            signature=_text(r"^FileNotFoundError\b.*\.(pkl|npz|bvh|csv|xml|urdf|stl|obj)\b"),
        ),
        FailureClass(
            "input",
            "an argument, configuration, clip, device or model file is wrong",
            "correct what the message names",
            exit_code=2,
        ),
        FailureClass(
            "timeout",
            "the stage was still running at its deadline and was ended",
            "see where the log stops; give more time with --train-timeout, --test-timeout or --viz-timeout",
        ),
        FailureClass(
            "signal",
            "a signal ended the process",
            "SIGKILL usually means that the kernel ran out of memory (see dmesg), SIGSEGV or SIGABRT a crash in a "
            "native library, SIGBUS a full /dev/shm",
            signature=_text(r"^Fatal Python error: ", r"\(core dumped\)$"),
        ),
        FailureClass(
            "stopped",
            "the matrix itself was told to stop",
            "go on with --resume ROOT",
        ),
        FailureClass(
            "no_evidence",
            "the process reported success but what it should have written is missing, short or contradicts it",
            "treat the stage as broken, whatever its exit code: open its log and its out_dir",
        ),
        FailureClass(
            "not_run",
            "the stage was not started",
            "repair the stage before it",
        ),
        FailureClass(
            "unexpected",
            "a bug or an unforeseen failure",
            "read the traceback at the end of the log",
        ),
    )
}

BY_EXIT_CODE = {entry.exit_code: entry for entry in FAILURES.values() if entry.exit_code is not None}
