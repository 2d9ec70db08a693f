"""The command line of the motion data."""

import subprocess
import sys
from pathlib import Path

import pytest

from mimickit.data.__main__ import main
from mimickit.data.cases import clips_of_case
from mimickit.data.recipes import find_recipe
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(workshop, assets: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command with the workshop's folders and table."""
    table = {workshop.recipe.name: workshop.recipe}
    monkeypatch.setattr("mimickit.data.recipes.RECIPES", table)
    monkeypatch.setattr("mimickit.data.build.RECIPES", table)

    def run(name: str, *arguments: str) -> int:
        folders = [f"--output={workshop.output}"]
        if name != "list":
            folders += [f"--cache={workshop.cache}", f"--assets={assets}"]
        return main([name, *folders, *arguments])

    return run


@pytest.fixture
def case(workshop, tmp_path: Path) -> Path:
    """A case that needs the workshop's clip, by way of a dataset."""
    dataset = tmp_path / "dataset.yaml"
    dataset.write_text(f"motions:\n  - file: {workshop.clip}\n    weight: 1.0\n")
    env = tmp_path / "env.yaml"
    env.write_text(f"env_name: deepmimic\nmotion_file: {dataset}\n")
    arguments = tmp_path / "case_args.txt"
    arguments.write_text(f"# a case\n--num_envs 4\n--env_config {env}  # here\n")
    return arguments


def test_build_then_list(workshop, command, capsys) -> None:
    assert command("list") == 0
    missing = f"{'humanoid_hop':44}{'missing':16}{'recordings 1.5':30}CC0-1.0"
    assert missing in capsys.readouterr().out
    assert command("build") == 0
    assert "built humanoid_hop" in capsys.readouterr().out
    assert command("list") == 0
    assert f"{'humanoid_hop':44}built " in capsys.readouterr().out
    workshop.clip.write_bytes(b"edited")
    assert command("list") == 0
    assert f"{'humanoid_hop':44}your own file" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["humanoid_hop", "humanoid_hop.pkl", "humanoid/humanoid_hop.pkl"])
def test_only_takes_a_clips_name_in_any_form(workshop, command, name: str) -> None:
    assert command("build", "--only", name) == 0
    assert workshop.clip.exists()


def test_an_unknown_clip_is_one_paragraph_and_exit_code_2(workshop, command, capsys) -> None:
    assert command("build", "--only", "humanoid_hopp") == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "error: no recipe builds a clip called 'humanoid_hopp'; near it are humanoid_hop (" in printed.err
    assert not workshop.output.exists()


def test_a_name_that_several_characters_could_mean_is_not_guessed_at() -> None:
    with pytest.raises(InputError, match="called 'walk'; near it are humanoid_walk, .*g1_walk, .*pi_plus_walk"):
        find_recipe("walk")


def test_a_disk_error_is_exit_code_2(workshop, command, capsys) -> None:
    workshop.output.write_text("a file where the folder should be")
    assert command("build") == 2
    assert str(workshop.output) in capsys.readouterr().err


def test_ensure_builds_what_a_case_lacks(workshop, command, case: Path, capsys) -> None:
    assert command("ensure", "--case", str(case)) == 0
    assert workshop.clip.exists()
    capsys.readouterr()
    assert command("ensure", "--case", str(case), "--case", str(case)) == 0
    assert capsys.readouterr().out == f"clips needed: {workshop.clip}; all present\n"


def test_ensure_uses_a_users_clip_as_it_is(workshop, command, case: Path) -> None:
    workshop.clip.parent.mkdir(parents=True)
    workshop.clip.write_bytes(b"from the archive")
    assert command("ensure", "--case", str(case)) == 0
    assert workshop.clip.read_bytes() == b"from the archive"


def test_ensure_names_a_clip_without_recipe(workshop, command, case: Path, capsys) -> None:
    (case.parent / "env.yaml").write_text("motion_file: data/motions/humanoid/humanoid_kong.pkl\n")
    assert command("ensure", "--case", str(case)) == 11
    error = capsys.readouterr().err
    assert "case_args.txt needs the clip data/motions/humanoid/humanoid_kong.pkl" in error
    assert "list shows" in error


def test_a_case_without_clips_needs_none(command, case: Path, capsys) -> None:
    (case.parent / "env.yaml").write_text("env_name: dof_test\n")
    assert command("ensure", "--case", str(case)) == 0
    assert "clips needed: none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("case_args.txt", "--num_envs 4", "case_args.txt: no line says --env_config"),
        ("case_args.txt", "--env_config", "case_args.txt: no line says --env_config"),
        ("case_args.txt", "--env_config nowhere.yaml", "no file nowhere.yaml, named by .*case_args.txt"),
        ("case_args.txt", "--env_config 'open", "case_args.txt:1: .*quotation"),
        ("env.yaml", "motion_file: [a", "env.yaml is not valid YAML: .* line 1"),
        ("env.yaml", "just text", "env.yaml: expected `key: value` lines"),
        ("env.yaml", "motion_file: 3", "env.yaml: motion_file must be a path, not 3"),
        ("env.yaml", "motion_file: lost.yaml", "no file lost.yaml, named by .*env.yaml"),
        ("dataset.yaml", "motions: []", "dataset.yaml: expected a list under motions"),
        ("dataset.yaml", "motions: [{weight: 1}]", "dataset.yaml: entry 1 of motions has no file"),
    ],
)
def test_a_wrong_case_is_named(case: Path, file: str, text: str, message: str) -> None:
    (case.parent / file).write_text(text)
    with pytest.raises(InputError, match=message):
        clips_of_case(case)


def test_a_missing_case_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing_args.txt does not exist"):
        clips_of_case(tmp_path / "nothing_args.txt")


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["ensure", "--help"], ["list", "--help"]])
def test_help_teaches(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "--output" in text or "examples:" in text


def test_building_does_not_need_torch() -> None:
    code = "import sys, mimickit.data.__main__, mimickit.data.build; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
