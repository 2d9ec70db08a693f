"""Characters for the tests of kinematics and clips: the committed humanoid, and the published ones where present."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mimickit.anim import load_character
from mimickit.anim.char_model import CharModel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def humanoid_file() -> Path:
    return ROOT / "data" / "assets" / "humanoid" / "humanoid.xml"


@pytest.fixture(scope="session")
def humanoid_model(humanoid_file: Path) -> CharModel:
    return load_character(humanoid_file)
