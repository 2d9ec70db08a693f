"""What a step of a workflow tells GitHub: outputs, the summary of its job, and annotations. Elsewhere, nothing."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_ANNOTATIONS = 10  # GitHub shows no more errors of one step


@dataclass(frozen=True)
class Annotation:
    """An error beside the files of a change. ``file`` is '' when it is about none."""

    title: str
    message: str
    file: str = ""


def write_outputs(outputs: Mapping[str, str]) -> None:
    """The outputs of the step. ValueError for one with a line break, which would begin another."""
    for name, value in outputs.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"the output {name} has a line break in it")
    _append("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in outputs.items()))


def write_summary(markdown: str) -> None:
    """Add to the page of the job."""
    _append("GITHUB_STEP_SUMMARY", markdown)


def print_annotations(annotations: Iterable[Annotation]) -> None:
    """One line for each, which GitHub takes out of the log; the last says how many more there were than it shows."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    every = list(annotations)
    shown = every if len(every) <= MAX_ANNOTATIONS else every[: MAX_ANNOTATIONS - 1]
    for one in shown:
        place = f"file={_property(one.file)}," if one.file else ""
        print(f"::error {place}title={_property(one.title)}::{_message(one.message)}")
    if len(shown) < len(every):
        print(f"::error title=and more::{len(every) - len(shown)} more are in the summary of the job")


def _message(text: str) -> str:
    """As GitHub reads it back; a text from a log cannot begin a command of its own."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _append(variable: str, text: str) -> None:
    place = os.environ.get(variable)
    if place:
        with open(place, "a", encoding="utf-8") as handle:
            handle.write(text)
