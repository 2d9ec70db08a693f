"""The settings of the workflows: those of .github/matrix.json, and over them the repository variables that are set.

A variable is the setting's name in capitals after MIMICKIT_. Variables are for a repository that differs from what is
committed. GitHub gives none of them to the run of a fork's pull request, so what forks shall run with has to be in the
file. They change what a green check means without a review, so the job's page names those that are set.
"""

import json
import os
import sys
from pathlib import Path

FILE = Path(".github/matrix.json")
PREFIX = "MIMICKIT_"


def settings(committed: dict, variables: dict) -> dict[str, str]:
    """Each setting as the value of an output. Raises ValueError for a key or a value that is none."""
    if set(committed) != set(CHECKS):
        raise ValueError(f"{FILE}: its keys are {', '.join(sorted(committed))}, expected {', '.join(sorted(CHECKS))}")
    outputs = {}
    for name, check in CHECKS.items():
        variable = PREFIX + name.upper()
        text = str(variables.get(variable) or "")
        where = f"the variable {variable}" if text else f"{FILE}: {name}"
        try:
            value = json.loads(text) if text and not isinstance(committed[name], str) else text or committed[name]
        except ValueError as error:
            raise ValueError(f"{where} is not JSON: {error}") from error
        if not check(value):
            raise ValueError(f"{where} is {value!r}")
        outputs[name] = value if isinstance(value, str) else json.dumps(value)
    if outputs["nightly_profile"] == outputs["long_profile"]:
        raise ValueError(f"nightly_profile and long_profile are both {outputs['long_profile']}: a night has two sweeps")
    return outputs


def changed(variables: dict) -> str:
    """The variables that go over the file, as a line of a job's page; empty without any."""
    names = [PREFIX + name.upper() for name in CHECKS if variables.get(PREFIX + name.upper())]
    return f"Not as committed in {FILE}: " + ", ".join(f"`{name}={variables[name]}`" for name in names) if names else ""


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
        variables = json.loads(os.environ["VARIABLES"]) or {}
        found = settings(json.loads(FILE.read_text()), variables)
    except (OSError, ValueError) as error:
        print(f"::error title=settings::{error}")
        return 1
    with open(os.environ["GITHUB_OUTPUT"], "a") as outputs:
        for name, value in found.items():
            print(f"{name}: {value}")
            outputs.write(f"{name}={value}\n")
    with open(os.environ["GITHUB_STEP_SUMMARY"], "a") as page:
        page.write(f"{changed(variables)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
