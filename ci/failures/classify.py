"""What a failure is called, and how a process that failed comes to its class.

The class comes from what the program itself said, in this order: the runner's own knowledge (a deadline it enforced),
``error.json``, the exit code, the signal that ended it. The log's text is read only when none of these tells, and of
the text only the error that ends it.
"""

import re
import signal
from dataclasses import dataclass

from ci.failures.log_errors import Statement, closing, last_words
from ci.failures.table import BY_EXIT_CODE, FAILURES, Action, FailureClass
from mimickit import errors

__all__ = ["BY_EXIT_CODE", "FAILURES", "Action", "Failure", "FailureClass", "classify", "last_words"]

# How the framework names a kind in its log: its own sentence, or a traceback of one of its exceptions.
_TOLD = re.compile(r"^(?:error \((?P<kind>\w+)\)|mimickit\.errors\.(?P<name>\w+)): (?P<message>.*)", re.DOTALL)
# What the survivors say when a process dies of something else: the something else counts.
_CONSEQUENCE = "process_group"
# Exceptions that programs catch as a matter of course, so that being handled says nothing of what came after.
_OFTEN_HANDLED = ("import_error", "missing_data")
_SIGNALS = {int(number): number.name for number in signal.Signals}


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
    kind = error.get("kind") if error else None
    if error and isinstance(kind, str) and kind in FAILURES:
        return _reported(kind, str(error.get("message") or last))
    if returncode in BY_EXIT_CODE:
        return Failure(BY_EXIT_CODE[returncode].kind, last)
    ended_by = _signal_name(returncode)
    # A process that aborts itself, as C++ does after an exception nobody caught, has said why.
    told = _from_text(log_tail) if ended_by in ("", "SIGABRT") else None
    if told is not None:
        return told
    if ended_by:
        return Failure("signal", f"ended by {ended_by}; the last line of its log is {last!r}")
    return Failure("unexpected", f"exit code {returncode}: {last}")


def _reported(kind: str, message: str) -> Failure:
    """What error.json says. Of the unforeseen it quotes a traceback, whose end is the message."""
    lines = message.splitlines()
    if kind != "unexpected":
        return Failure(kind, message)
    return _from_text(lines) or Failure(kind, last_words(lines) if len(lines) > 1 else message)


def _signal_name(returncode: int) -> str:
    """The signal that an exit code stands for, '' for none: negative, or 128 and the number as shells say it."""
    if returncode < 0:
        return _SIGNALS.get(-returncode, f"signal {-returncode}")
    return _SIGNALS.get(returncode - 128, "")


def _from_text(log_tail: list[str]) -> Failure | None:
    """The class of the error that ends a log; None when that has none."""
    statements, paragraph = closing(log_tail)
    for statement in statements:
        told = _TOLD.match(statement.text)
        kind = _kind_told(told) if told else None
        if told and kind:
            return Failure(kind, told["message"])
    consequence: Failure | None = None
    after: Statement | None = None  # what the program said next
    for statement in statements:
        failure = _matching(statement.text)
        if failure is not None and after is not None and after.follows == "handling" and failure.kind in _OFTEN_HANDLED:
            failure = None
        if failure is not None and failure.kind != _CONSEQUENCE:
            return failure
        chained = after is not None and after.follows != ""
        if failure is not None:
            consequence = consequence or failure
        elif consequence is not None and not chained and statement.is_exception:
            return Failure("unexpected", statement.text.partition("\n")[0])
        elif consequence is None and not (statement.follows or statement.continues):
            return None
        after = statement
    return consequence or _matching(paragraph)


def _kind_told(told: re.Match[str]) -> str | None:
    by_name = {name: getattr(cls, "kind", "") for name, cls in vars(errors).items()}
    kind = told["kind"] or by_name.get(told["name"], "")
    return kind if any(entry.kind == kind for entry in BY_EXIT_CODE.values()) else None


def _matching(text: str) -> Failure | None:
    for entry in FAILURES.values():
        match = entry.signature.search(text) if entry.signature else None
        if match:
            return Failure(entry.kind, _line_around(text, match.start()))
    return None


def _line_around(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return text[start : end if end >= 0 else len(text)].strip()
