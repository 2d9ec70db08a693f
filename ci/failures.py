"""What a failure is called, what it means, what to do about it, and what the matrix does next.

The class comes from what the program itself said, in this order: the runner's own knowledge (a deadline it enforced),
``error.json``, the exit code, the signal that ended it. The log's text is read only when none of these tells.
"""

import re
import signal
from dataclasses import dataclass
from typing import Literal

PARAGRAPH_LINES = 6

Action = Literal["next_rung", "final"]


@dataclass(frozen=True)
class FailureClass:
    """One row of the table. ``signature`` is the log text that betrays it when nothing better does."""

    kind: str
    meaning: str
    remedy: str
    action: Action = "final"
    exit_code: int | None = None  # the exit code of mimickit/run.py that means it
    signature: re.Pattern[str] | None = None


def _text(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


# Order matters for the signatures alone: the first that matches wins, so the narrow ones come first.
FAILURES = {
    entry.kind: entry
    for entry in (
        FailureClass(
            "disk_full",
            "the disk is full",
            "free space under output/, or send the run elsewhere with --root-out",
            signature=_text(r"No space left on device", r"\bENOSPC\b"),
        ),
        FailureClass(
            "out_of_memory",
            "the device or the host ran out of memory",
            "fewer environments fit: put a smaller number at the end of the ladder",
            action="next_rung",
            exit_code=3,
            signature=_text(
                r"out of memory",
                r"\bMemoryError\b",
                r"std::bad_alloc",
                r"Cannot allocate memory",
                r"Failed to allocate .* bytes on device",
            ),
        ),
        FailureClass(
            "capacity",
            "a contact or constraint buffer overflowed",
            "raise contacts_per_env or constraints_per_env in the engine file, or use fewer environments",
            action="next_rung",
            exit_code=4,
            signature=_text(r"\bn(jmax|conmax)\b.*(overflow|exceed)", r"(overflow|exceed).*\bn(jmax|conmax)\b"),
        ),
        FailureClass(
            "process_group",
            "a training process died or the processes lost each other",
            "read the first process's own error above the last one; run again when a port was taken",
            exit_code=7,
            signature=_text(r"NCCL (error|failure)", r"ncclSystemError", r"ProcessGroup\w* .*(abort|timed? ?out)"),
        ),
        FailureClass(
            "driver",
            "the GPU or its driver is lost",
            "check nvidia-smi and the kernel log, then run again",
            signature=_text(r"CUDA driver version is insufficient", r"GPU is lost", r"no CUDA-capable device"),
        ),
        FailureClass(
            "render",
            "a frame could not be drawn, was blank, or did not show the character moving",
            "install libegl1 libgl1 libgl1-mesa-dri libx11-6, then look at viz/contact_sheet.png and viz.log",
            exit_code=5,
            signature=_text(r"GLSL", r"NoSuchDisplay", r"libEGL", r"cannot (connect to|open) display"),
        ),
        FailureClass(
            "divergence",
            "a number that must be finite is NaN or infinite",
            "look at the first non-finite column of train/log.txt; lower the learning rate or the time step",
            exit_code=6,
        ),
        FailureClass(
            "import_error",
            "a package is missing or broken",
            "install with: python -m pip install -c constraints.txt -e .",
            signature=_text(r"ModuleNotFoundError", r"ImportError"),
        ),
        FailureClass(
            "missing_data",
            "a motion clip that the case needs is not there and could not be built",
            "build it with nox -s data, or unpack the published archive into data/",
        ),
        FailureClass(
            "input",
            "an argument, configuration, clip, asset or device is wrong",
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
            "SIGKILL usually means the kernel ran out of memory (see dmesg), SIGSEGV a crash in a native library",
        ),
        FailureClass(
            "stopped",
            "the matrix itself was told to stop",
            "run it again",
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


@dataclass(frozen=True)
class Failure:
    """One failure that happened: its class and what the program (or the evidence check) said."""

    kind: str
    message: str

    @property
    def about(self) -> FailureClass:
        return FAILURES[self.kind]

    def sentence(self, stage: str) -> str:
        """One sentence: stage, kind, message, remedy."""
        message = " ".join(self.message.split()).rstrip(".")
        return f"{stage} failed ({self.kind}): {message or self.about.meaning}; remedy: {self.about.remedy}."


def classify(
    returncode: int,
    timed_out: bool,
    error: dict[str, object] | None,
    log_tail: list[str],
    timeout: float,
) -> Failure:
    """The failure of a process that did not succeed.

    ``error`` is its ``error.json`` when it wrote one; ``log_tail`` the end of its log, used for the message and, last
    of all, for the class.
    """
    last = last_words(log_tail)
    if timed_out:
        return Failure("timeout", f"still running after {timeout:g} s; the last line of its log is {last!r}")
    if error is not None and error.get("kind") in FAILURES:
        return Failure(str(error["kind"]), str(error.get("message") or last))
    if returncode in BY_EXIT_CODE:
        return Failure(BY_EXIT_CODE[returncode].kind, last)
    number = -returncode if returncode < 0 else returncode - 128
    if number in _SIGNALS:
        return Failure("signal", f"ended by {_SIGNALS[number]}; the last line of its log is {last!r}")
    text = "\n".join(log_tail)
    for entry in FAILURES.values():
        match = entry.signature.search(text) if entry.signature else None
        if match:
            return Failure(entry.kind, _line_around(text, match.start()))
    return Failure("unexpected", f"exit code {returncode}: {last}")


def last_words(log_tail: list[str]) -> str:
    """What a program said last: the final paragraph of its log, or the final line when that is a traceback."""
    lines = [line.strip() for line in log_tail if not line.startswith("$ ")]
    while lines and not lines[-1]:
        lines.pop()
    if any(line.startswith("Traceback") for line in lines):
        return lines[-1]
    blank = max((index for index, line in enumerate(lines) if not line), default=-1)
    return " ".join(lines[max(blank + 1, len(lines) - PARAGRAPH_LINES) :])


_SIGNALS = {int(number): number.name for number in signal.Signals}


def _line_around(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return text[start : end if end >= 0 else len(text)].strip()
