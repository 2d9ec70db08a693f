"""Which scenes the kernels are compiled with. That a run after it compiles none is tried in the image."""

from pathlib import Path

import pytest

from mimickit import kernels
from mimickit.errors import InputError


def test_every_character_is_there_free_and_held_and_one_of_them_among_every_object() -> None:
    models = sorted(path for path in Path("data/assets").glob("*/*.xml") if path.parent.name != "objects")
    found = kernels.scenes()
    among = found.pop("g1 among objects")
    assert sorted(found) == sorted([path.stem for path in models] + [f"{path.stem}, held" for path in models])
    assert {scene.char_file for scene in found.values()} == set(models)
    assert [name for name, scene in found.items() if scene.fixed_root_pose] == [f"{path.stem}, held" for path in models]
    assert not any(scene.props for scene in found.values())
    assert {prop.file for prop in among.props} == set(Path("data/assets/objects").glob("*.xml"))
    assert [prop.name for prop in among.props if not prop.fixed] == ["ball"]
    assert len({prop.pos for prop in among.props}) == len(among.props)


def test_no_character_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no character in it"):
        kernels.scenes(tmp_path)


def test_a_gpu_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels.main(["--device", "cuda:99"]) == 2
    assert "cuda:99" in capsys.readouterr().err


def test_at_least_one_at_once() -> None:
    with pytest.raises(SystemExit) as ended:
        kernels.main(["--jobs", "0"])
    assert ended.value.code == 2
