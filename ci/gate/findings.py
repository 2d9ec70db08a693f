"""What can speak against a run: the kinds of findings, what each means, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Read = TypeVar("Read")


@dataclass(frozen=True)
class FindingKind:
    """One row of the table."""

    kind: str
    meaning: str
    remedy: str


KINDS = {
    entry.kind: entry
    for entry in (
        FindingKind(
            "empty",
            "nothing was planned, or nothing came back",
            "see whether the job that makes the plan, or the one that runs it, ended early",
        ),
        FindingKind(
            "missing",
            "a shard, a case or a file that was planned did not come back",
            "look at the shard's job: it was not started, was ended, or its folder was not handed over whole",
        ),
        FindingKind(
            "doubled",
            "a shard or a case came back more than once",
            "hand over each shard's folder once, without those of earlier tries",
        ),
        FindingKind(
            "unexpected",
            "something came back that was not planned",
            "hand over folders of this plan only; a case that should be part of it belongs into the plan",
        ),
        FindingKind(
            "stale",
            "results of another plan, commit, seed or working tree",
            "remove what earlier runs left, check out the planned commit, and run the shard again",
        ),
        FindingKind("failed", "a case did not pass, or the run did not come to its end", "see its note and its log"),
        FindingKind(
            "zero_test",
            "a pass without a test: no episode, no test in the report, or a skipped one",
            "find out why the stage tested nothing; a skip is no pass",
        ),
        FindingKind(
            "job",
            "another job of the workflow did not succeed",
            "look at that job: one that is skipped or cancelled proves nothing",
        ),
        FindingKind("non_finite", "a number is NaN or infinite", "look at the log of the stage that measured it"),
        FindingKind(
            "unparsable",
            "a file cannot be read",
            "look at the file: it was cut off, is of another version, or something else wrote it",
        ),
        FindingKind(
            "inconsistent",
            "the parts of a result contradict each other",
            "believe none of them: open the case's folder, and run it again",
        ),
    )
}


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against a run. ``case`` is '' when it is not about a single one."""

    kind: str
    case: str
    message: str

    @property
    def about(self) -> FindingKind:
        return KINDS[self.kind]

    def sentence(self) -> str:
        """One line: kind, case, message, remedy."""
        where = f"{self.case}: " if self.case else ""
        message = " ".join(self.message.split()).rstrip(".")
        remedy = "" if "remedy: " in message else f"; remedy: {self.about.remedy}"  # a case's note has its own
        return f"{self.kind}: {where}{message}{remedy}."


def remedy_of(kind: str) -> str:
    """What to do about a finding of that kind."""
    return KINDS[kind].remedy


def read_or_find(path: Path, read: Callable[[Path], Read], case: str = "") -> tuple[Read | None, list[Finding]]:
    """What ``read`` makes of a file; None and a finding when it is not there or cannot be read."""
    try:
        return read(path), []
    except FileNotFoundError:
        return None, [Finding("missing", case, f"{path.name} is not there")]
    except Exception as error:  # whatever is wrong with one file speaks against the run, and the rest is still judged
        return None, [Finding("unparsable", case, f"{path.name}: {type(error).__name__}: {error}")]


def shown(value: object) -> str:
    """A value as a message quotes it; a truth value as the tables write it."""
    if isinstance(value, bool):
        return str(int(value))
    return "empty" if value is None or value == "" else str(value)
