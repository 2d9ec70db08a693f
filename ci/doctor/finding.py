"""What one check comes to."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 3  # names in one row


class State(enum.Enum):
    """How bad it is. Only FIX makes the doctor's exit code 1."""

    OK = "ok"
    LOOK = "look"
    FIX = "fix this"


@dataclass(frozen=True)
class Finding:
    """One row: what was found, and what to do about it (empty only when it is ok)."""

    state: State
    found: str
    remedy: str = ""


def ok(found: str) -> Finding:
    """Nothing to do."""
    return Finding(State.OK, found)


def look(found: str, remedy: str) -> Finding:
    """Runs can start, but a person should know."""
    return Finding(State.LOOK, found, remedy)


def fix(found: str, remedy: str) -> Finding:
    """Runs fail, or mean nothing, until this is repaired."""
    return Finding(State.FIX, found, remedy)


def worst(findings: list[Finding]) -> Finding:
    """One finding out of several about the same thing: the worst state, everything found, the remedies of the bad."""
    order = list(State)
    state = max((finding.state for finding in findings), key=order.index)
    remedies = dict.fromkeys(finding.remedy for finding in findings if finding.remedy)
    return Finding(state, "; ".join(finding.found for finding in findings), "; ".join(remedies))


def few(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
