"""What processes compare before they begin."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case
from mimickit.distributed.agreement import require_same_settings
from mimickit.errors import InputError

CASE = load_case(parse_run_arguments(["--arg_file", "args/dof_test_humanoid_args.txt", "--devices", "cpu"]))


def group_with(change: dict[str, str]) -> Any:
    """A group whose second process says what the first does, but for ``change``."""

    def all_say(name: str, text: str) -> list[str]:
        if name == "settings":
            return [text, json.dumps(json.loads(text) | change)]
        return ["first", "second"]

    return SimpleNamespace(all_say=all_say)


def test_processes_that_were_started_alike() -> None:
    require_same_settings(CASE, group_with({}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"the version of torch": "0.1"},
            r"the version of torch is \d.* in process 0 on first, and 0\.1 in process 1 on second",
        ),
        ({"run.num_envs": "7"}, r"--num_envs is .*, and 7 in process 1 on second"),
        ({"the content of a.pkl": "1234"}, "the content of a.pkl is not there in process 0"),
    ],
)
def test_a_difference_is_named(change: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        require_same_settings(CASE, group_with(change))
