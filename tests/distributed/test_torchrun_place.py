"""What torchrun tells a process of its place."""

import pytest

from mimickit.distributed.torchrun import Place, torchrun_place
from mimickit.errors import InputError

ENVIRONMENT = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "first.host",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RESTART_COUNT": "1",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}


def test_the_place() -> None:
    assert torchrun_place(ENVIRONMENT) == Place(3, 4, 1, 2, "first.host", 29500, 1)


def test_a_process_that_torchrun_did_not_start() -> None:
    assert torchrun_place({}) is None
    assert torchrun_place({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "x", "MASTER_PORT": "1"}) is None


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_a_part_of_the_environment(name: str) -> None:
    with pytest.raises(InputError, match=f"no usable {name}; start with torchrun"):
        torchrun_place({key: value for key, value in ENVIRONMENT.items() if key != name})


def test_a_number_that_is_none() -> None:
    with pytest.raises(InputError, match="no usable RANK"):
        torchrun_place(ENVIRONMENT | {"RANK": "first"})


@pytest.mark.parametrize("said", [{}, {"TORCHELASTIC_USE_AGENT_STORE": "False"}])
def test_a_launcher_that_keeps_no_store(said: dict[str, str]) -> None:
    given = {key: value for key, value in ENVIRONMENT.items() if key != "TORCHELASTIC_USE_AGENT_STORE"} | said
    with pytest.raises(InputError, match="no torchrun that keeps a store"):
        torchrun_place(given)
    alone = torchrun_place(given | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"})
    assert alone is not None
    assert alone.size == 1
