"""Which scenes the kernels are compiled with. That a run after it compiles none is tried in the image, and on a GPU."""

from dataclasses import replace
from pathlib import Path

import pytest

from mimickit import kernels
from mimickit.config.arguments import parse_run_arguments
from mimickit.engines import Prop
from mimickit.errors import InputError


def test_every_case_has_a_scene_of_its_kind() -> None:
    compiled = {each.key for each in kernels.scenes().values()}
    files = {parse_run_arguments(["--arg_file", str(file)]).env_config for file in Path("args").glob("*_args.txt")}
    assert len(files) > 30
    assert all(kernels.compiled_for(file).key in compiled for file in files)


def test_scenes_that_differ_are_all_there_and_each_once() -> None:
    found = kernels.scenes()
    assert len({each.key for each in found.values()}) == len(found)
    characters = {path for path in Path("data/assets").glob("*/*.xml") if path.parent.name != "objects"}
    alone = [each.scene for each in found.values() if not each.scene.props and each.scene.fixed_root_pose is None]
    assert {scene.char_file for scene in alone} == characters
    (held,) = [each.scene for each in found.values() if each.scene.fixed_root_pose]
    assert not held.self_collision
    (flying,) = [each.scene for each in found.values() if any(not prop.fixed for prop in each.scene.props)]
    assert flying.char_file.stem == "humanoid"


def test_what_differs_for_the_kernels_has_another_key() -> None:
    plain = kernels.compiled_for(Path("data/envs/deepmimic_humanoid_env.yaml"))
    ball = Prop("ball", Path("data/assets/objects/ball.xml"), (1.0, 0.0, 0.1), fixed=False)
    scenes = [
        plain.scene,
        replace(plain.scene, self_collision=False),
        replace(plain.scene, fixed_root_pose=(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)),
        replace(plain.scene, props=(ball,)),
        replace(plain.scene, props=(replace(ball, fixed=True),)),
        replace(plain.scene, props=(ball, ball)),
    ]
    assert len({replace(plain, scene=scene).key for scene in scenes}) == len(scenes)
    elsewhere = replace(plain.scene, props=(replace(ball, name="b", pos=(2.0, 0.0, 0.1)),))
    assert replace(plain, scene=elsewhere).key == replace(plain, scene=scenes[3]).key


def test_an_environment_s_own_engine_settings_count(tmp_path: Path) -> None:
    text = Path("data/envs/deepmimic_humanoid_env.yaml").read_text()
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text + "\nengine:\n  control_mode: torque\n")
    (tmp_path / "c.yaml").write_text(text)
    found = kernels.scenes(tmp_path)
    assert {name: each.engine.control_mode for name, each in found.items()} == {"a": "pos", "b": "torque"}


def test_no_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no environment in it"):
        kernels.scenes(tmp_path)


def test_a_gpu_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels.main(["--device", "cuda:99"]) == 2
    said = capsys.readouterr().err
    assert "--device cuda:99" in said
    assert "use --device cpu" in said


def test_at_least_one_at_once() -> None:
    with pytest.raises(SystemExit) as ended:
        kernels.main(["--jobs", "0"])
    assert ended.value.code == 2
