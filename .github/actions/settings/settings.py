"""The settings of the workflows: those of .github/matrix.json, and over them the repository variables that are set.

Variables are for a repository that differs from what is committed, such as a private copy. GitHub gives none of them to
the run of a fork's pull request, so what forks shall run with has to be in the file.
"""

import json
import os
import sys
from pathlib import Path

FILE = Path(".github/matrix.json")


def settings(committed: dict, variables: dict) -> dict[str, str]:
    """Each setting as the value of an output. Raises ValueError for a key or a value that is none."""
    if set(committed) != set(CHECKS):
        raise ValueError(f"{FILE}: its keys are {', '.join(sorted(committed))}, expected {', '.join(sorted(CHECKS))}")
    outputs = {}
    for name, check in CHECKS.items():
        text = str(variables.get(name.upper()) or "")
        where = f"the variable {name.upper()}" if text else f"{FILE}: {name}"
        try:
            value = json.loads(text) if text and not isinstance(committed[name], str) else text or committed[name]
        except ValueError as error:
            raise ValueError(f"{where} is not JSON: {error}") from error
        if not check(value):
            raise ValueError(f"{where} is {value!r}")
        outputs[name] = value if isinstance(value, str) else json.dumps(value)
    return outputs


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 256


def _are_labels(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(label, str) and label for label in value)


CHECKS = {
    "profile": _is_word,
    "nightly_profile": _is_word,
    "long_profile": _is_word,
    "device": lambda value: value in ("", "cpu", "cuda"),
    "shards": _is_count,
    "max_parallel": _is_count,
    "runner_labels": _are_labels,
}


def main() -> int:
    try:
        found = settings(json.loads(FILE.read_text()), json.loads(os.environ["VARIABLES"]) or {})
    except (OSError, ValueError) as error:
        print(f"::error title=settings::{error}")
        return 1
    with open(os.environ["GITHUB_OUTPUT"], "a") as outputs:
        for name, value in found.items():
            print(f"{name}: {value}")
            outputs.write(f"{name}={value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
