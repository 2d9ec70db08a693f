"""Files are whole or absent, and what goes wrong names the file that was asked for."""

import errno
import os
from pathlib import Path

import pytest

from mimickit.errors import InputError
from mimickit.files import check_output_file, check_output_folder, unfinished_writes, write_atomically


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "clip.pkl"
    for data in (b"old", b"new"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert [entry.name for entry in path.parent.iterdir()] == ["clip.pkl"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.pkl"
    path.write_bytes(b"old")

    def full(source: str, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="cannot write") as caught:
        write_atomically(path, b"new")
    assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert caught.value.errno == errno.ENOSPC
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("clip.pkl", b"old")]


def test_a_folder_in_the_files_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip.pkl").mkdir()
    with pytest.raises(OSError, match="cannot write") as caught:
        write_atomically(tmp_path / "clip.pkl", b"new")
    assert str(caught.value) == f"cannot write {tmp_path / 'clip.pkl'}: Is a directory"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=rf"^cannot write {tmp_path}/file/clip.pkl: (Not a directory|File exists)$"):
        write_atomically(tmp_path / "file" / "clip.pkl", b"new")


def test_an_interruption_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "clip.pkl", b"new")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_write_leaves_is_found_and_nothing_else(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:  # ends in the middle of the write, as by SIGKILL
        write_atomically(tmp_path / "model.pt", lambda file: os._exit(9))
    os.waitpid(pid, 0)
    for name in ("model.pt", ".model.pt.partial_of_another", ".modelling.txt", "model.pt.previous"):
        (tmp_path / name).touch()
    (left,) = unfinished_writes(tmp_path, "model*.pt")
    assert left.name.startswith(".model.pt.")
    assert len(list(tmp_path.iterdir())) == 5


def test_an_output_file_that_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_output_file(Path("clip.pkl"))
    (tmp_path / "clip.pkl").write_bytes(b"old")
    check_output_file(tmp_path / "clip.pkl")
    with pytest.raises(InputError, match=f"{tmp_path} is a folder; name the file to write"):
        check_output_file(tmp_path)
    check_output_file(Path("new/newer/clip.pkl"))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.pkl"]
    inside = Path("clip.pkl/clip.pkl")
    with pytest.raises(InputError, match=f"cannot write {inside}: clip.pkl is a file, not a folder"):
        check_output_file(inside)


def test_an_output_folder_that_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, Path("new"), Path("new/newer")):
        check_output_folder(folder, "no")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "film").write_bytes(b"")
    for folder in (Path("film"), Path("film/deeper")):
        with pytest.raises(InputError, match=r"--video x: \S*film is a file, not a folder"):
            check_output_folder(folder, "--video x")
