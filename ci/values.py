"""What the values on the command line may look like; each raises argparse's error with what would be right."""

import argparse
import re


def words(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise argparse.ArgumentTypeError("expected one or more names with commas between them")
    return found


def whole(text: str) -> int:
    """0, 1, 2, ..."""
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}")
    return int(text)


def count(text: str) -> int:
    """1, 2, ..."""
    if whole(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number above 0, found 0")
    return int(text)


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}") from error
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


def ladder(text: str) -> tuple[int, ...]:
    """Whole numbers going down."""
    rungs = tuple(count(word) for word in words(text))
    if list(rungs) != sorted(set(rungs), reverse=True):
        raise argparse.ArgumentTypeError(f"a ladder goes down, each rung once; found {text}")
    return rungs


def shard(text: str) -> tuple[int, int]:
    """I/N."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, such as 2/8; found {text!r}")
    return int(match[1]), int(match[2])


def folder_name(text: str) -> str:
    """One folder, with nothing in its name that leads elsewhere."""
    if not re.fullmatch(r"[\w.\-]+", text) or text.strip(".") == "":
        raise argparse.ArgumentTypeError(f"{text!r} must be one folder name of letters, digits, '.', '_' and '-'")
    return text
