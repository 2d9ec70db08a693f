"""A small project folder: the committed args and YAML files, with empty files for the character and the clips."""

import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository() -> Path:
    return REPOSITORY


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory during the test, holding every file that the committed configurations name."""
    shutil.copytree(REPOSITORY / "args", tmp_path / "args")
    for folder in ("engines", "envs", "agents"):
        shutil.copytree(REPOSITORY / "data" / folder, tmp_path / "data" / folder)
    for name in (
        "data/assets/humanoid/humanoid.xml",
        "data/assets/go2/go2.xml",
        "data/motions/humanoid/humanoid_spinkick.pkl",
        "data/motions/humanoid/humanoid_walk.pkl",
        "data/motions/go2/go2_pace.pkl",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path
