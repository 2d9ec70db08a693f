"""What all tests share."""

import os
from pathlib import Path

import pytest

import mimickit  # noqa: F401 - before torch: it settles how OpenMP threads wait


@pytest.fixture(scope="session")
def published() -> Path:
    """The published data archive: a folder with ``assets`` and ``motions``; its tests are skipped without it."""
    folder = os.environ.get("MIMICKIT_OFFICIAL_DATA")
    if not folder:
        pytest.skip("MIMICKIT_OFFICIAL_DATA does not name the published data archive's folder")
    return Path(folder)
