"""Which scenes the kernels are compiled with. That a run after it compiles none is tried in the image."""

from pathlib import Path

import pytest

from mimickit import kernels
from mimickit.errors import InputError


def test_every_character_is_there_once_and_one_of_them_among_every_object() -> None:
    models = {path.as_posix() for path in Path("data/assets").glob("*/*.xml") if path.parent.name != "objects"}
    *alone, among = kernels.scenes()
    assert sorted(scene.char_file.as_posix() for scene in alone) == sorted(models)
    assert not any(scene.props for scene in alone)
    assert {prop.file.as_posix() for prop in among.props} == {
        path.as_posix() for path in Path("data/assets/objects").glob("*.xml")
    }
    assert [prop.name for prop in among.props if not prop.fixed] == ["ball"]
    assert len({prop.pos for prop in among.props}) == len(among.props)


def test_no_character_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no character in it"):
        kernels.scenes(tmp_path)


def test_a_gpu_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels.main(["--device", "cuda:99"]) == 2
    assert "cuda:99" in capsys.readouterr().err
