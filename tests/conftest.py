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


def pytest_configure(config: pytest.Config) -> None:
    """``-m gpu`` without a GPU ends with one sentence in place of a traceback for each test."""
    chosen = config.option.markexpr
    if "gpu" in chosen and "not gpu" not in chosen and not config.option.collectonly:
        import torch

        if not torch.cuda.is_available():
            pytest.exit("the tests marked gpu need an NVIDIA GPU, and torch finds none here", returncode=2)
