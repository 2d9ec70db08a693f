"""Characters for the tests of kinematics and clips: the committed humanoid, and the published ones where present."""

import os
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


@pytest.fixture(scope="session")
def published() -> Path:
    """The published data archive: a folder with ``assets`` and ``motions``; its tests are skipped without it."""
    folder = os.environ.get("MIMICKIT_OFFICIAL_DATA")
    if not folder:
        pytest.skip("MIMICKIT_OFFICIAL_DATA does not name the published data archive's folder")
    return Path(folder)
