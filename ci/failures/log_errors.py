"""The end of a log: what a program said last, and which errors it died of.

A log quotes many errors that were survived. Only the statement that ends it counts: the last traceback, or what a
native library cried out, with those that belong to it: the exceptions it was raised from, and what the other processes
of the run said in the same breath.
"""

import re
from dataclasses import dataclass

PARAGRAPH_LINES = 6
STATEMENT_LINES = 6  # of one exception's message
GAP_LINES = 4  # between two statements of one breath
TRAILING_LINES = 3  # that may follow the last statement, warnings at exit apart

_RANK = re.compile(r"^\[rank\d+\]:\s?")
_HEADER = re.compile(r"^\s*Traceback \(most recent call last\):")
_CHAIN = re.compile(r"^\s*(During handling of the above exception|The above exception was the direct cause)")
_IGNORED = re.compile(r"^\s*Exception ignored in\b")
_CRY = re.compile(
    r"^error \(\w+\): |^(\w[\w.]*(Error|Exception|Interrupt))(:|$)|^(?i:fatal( error)?|error): "
    r"|^terminate called |^\s+what\(\): |^Fatal Python error: |^Warp .*\berror\b"
    r"|^(\[rank\d+\]:)?\[E\d* .*\]|\bNCCL WARN\b|\(core dumped\)$|^python\S*: error: ",
)
# What may stand between and after errors without being news.
_NOISE = re.compile(
    r"^\s*$|^frame #\d+|^\s+File \"|Warning\b|\bwarnings\.warn|^\[W|^\s+warn|^Extension modules:|NCCL INFO"
    r"|^\s*-- Process \d+ terminated|^Exception raised from |^Current thread |^Thread 0x|\bleaked\b"
    r"|^CUDA kernel errors might|^For debugging consider|^Compile with `TORCH_|^Search for `cuda",
)


@dataclass(frozen=True)
class Statement:
    """One error of a log: its text without the frames, its lines that are surely its own, and how it came about."""

    text: str
    first: int
    last: int
    follows: str = ""  # "cause" or "handling" when raised from, or while handling, the statement before
    is_exception: bool = False
    continues: bool = False  # it stands in the line after the statement before


def last_words(log_tail: list[str]) -> str:
    """What a program said last: the final paragraph of its log, or the final line when that is a traceback."""
    lines = [line.strip() for line in log_tail if not line.startswith("$ ")]
    while lines and not lines[-1]:
        lines.pop()
    if any(line.startswith("Traceback") for line in lines):
        return lines[-1]
    blank = max((index for index, line in enumerate(lines) if not line), default=-1)
    return " ".join(lines[max(blank + 1, len(lines) - PARAGRAPH_LINES) :])


def closing(log_tail: list[str]) -> tuple[list[Statement], str]:
    """The errors that end a log, the last one first; without any, the last paragraph that follows them."""
    lines = _without_ignored([_RANK.sub("", line.rstrip()) for line in log_tail if not line.startswith("$ ")])
    found = _statements(lines)
    after = found[-1].last + 1 if found else 0
    if not found or _news(lines, after, len(lines)) > TRAILING_LINES:
        return [], _last_paragraph(lines[after:])
    statements = [found.pop()]
    while found and _news(lines, found[-1].last + 1, statements[-1].first) <= GAP_LINES:
        statements.append(found.pop())
    return statements, ""


def _last_paragraph(lines: list[str]) -> str:
    """The final lines back to a blank one, as they stand."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    blank = max((index for index, line in enumerate(lines) if not line), default=-1)
    return "\n".join(lines[max(blank + 1, len(lines) - PARAGRAPH_LINES) :])


def _statements(lines: list[str]) -> list[Statement]:
    """All errors of the log in order."""
    found: list[Statement] = []
    index, follows = 0, ""
    while index < len(lines):
        line = lines[index]
        if _HEADER.match(line):
            start = _end_of_frames(lines, index)
            end = _end_of_text(lines, start)
            if start < end:
                text = "\n".join(line.strip() for line in lines[start:end])
                found.append(Statement(text, index, _own_lines(lines, start), follows, is_exception=True))
            index, follows = max(start + 1, index + 1), ""
            continue
        if _CRY.search(line):
            end = _end_of_text(lines, index)
            last = _own_lines(lines, index)
            text = "\n".join(line.strip() for line in lines[index:end])
            found.append(Statement(text, index, last, continues=bool(found) and found[-1].last + 1 == index))
            index = last + 1
            continue
        if _CHAIN.match(line):
            follows = "handling" if "During" in line else "cause"
        index += 1
    return found


def _without_ignored(lines: list[str]) -> list[str]:
    """The log with blank lines in place of the errors that Python ignored while it shut down."""
    kept = list(lines)
    for index, line in enumerate(lines):
        if _IGNORED.match(line):
            header = next((at for at in range(index + 1, len(lines)) if _HEADER.match(lines[at])), len(lines))
            end = _end_of_frames(lines, header) + 1 if header - index <= GAP_LINES else index + 1
            kept[index:end] = [""] * (min(end, len(lines)) - index)
    return kept


def _end_of_frames(lines: list[str], header: int) -> int:
    """The line of the exception itself: the first after the header that is indented no further."""
    margin = len(lines[header]) - len(lines[header].lstrip())
    for index in range(header + 1, len(lines)):
        line = lines[index]
        if line.strip() and len(line) - len(line.lstrip()) <= margin:
            return index
    return len(lines)


def _end_of_text(lines: list[str], start: int) -> int:
    """Just past an exception's message: at a blank line, at the next error, or when it has gone on for long."""
    ends = (_HEADER, _CHAIN, _IGNORED, _CRY)
    for index in range(start + 1, min(start + STATEMENT_LINES, len(lines))):
        line = lines[index]
        if not line.strip() or line.startswith("frame #") or any(end.search(line) for end in ends):
            return index
    return min(start + STATEMENT_LINES, len(lines))


def _own_lines(lines: list[str], start: int) -> int:
    """The last of the indented lines after the one at ``start``; others may be what the program printed next."""
    end = start + 1
    while (
        end < len(lines) and lines[end].startswith(" ") and not (_HEADER.match(lines[end]) or _CRY.search(lines[end]))
    ):
        end += 1
    return end - 1


def _news(lines: list[str], start: int, end: int) -> int:
    return sum(not (_NOISE.search(line) or _CHAIN.match(line)) for line in lines[start:end])
