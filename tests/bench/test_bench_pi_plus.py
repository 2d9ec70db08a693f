"""Pi Plus with many environments: verdicts on made-up results, and a copy of the code with other data."""

import argparse
import json
from pathlib import Path

import pytest

from ci.options import add_arguments
from mimickit.bench import pi_plus
from mimickit.bench.matrix_runs import ROOTS, most_envs

ARCHIVE = {"assets/hightorque_pi_plus/pi_22dof.xml": "theirs", "assets/hightorque_pi_plus/meshes/a.STL": "mesh"}
WALK = "motions/hightorque_pi_plus/pi_plus_walk.pkl"


def attempt(num_envs, failure=None):
    stages = [{"ok": failure is None, "failure": {"kind": failure} if failure else None}]
    return {"num_envs": num_envs, "ok": failure is None, "stages": stages}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def archive(tmp_path):
    return write(tmp_path / "archive", {**ARCHIVE, WALK: "their walk"})


def test_a_copy_has_the_code_and_the_archive_s_character_and_clip(tmp_path, archive):
    ours = {
        "args/a_args.txt": "a case",
        "ci/__init__.py": "",
        "mimickit/run.py": "run",
        "mimickit/__pycache__/run.pyc": "old",
        "data/assets/hightorque_pi_plus/pi_22dof.xml": "ours",
        "data/assets/hightorque_pi_plus/left_over.obj": "ours",
        "data/assets/humanoid/humanoid.xml": "ours too",
        "data/models/a/model.pt": "trained",
        "output/train/x": "written",
    }
    copy = pi_plus.copy_with(archive, tmp_path / "copy", write(tmp_path / "ours", ours))
    found = {str(path.relative_to(copy)): path.read_text() for path in copy.rglob("*") if path.is_file()}
    assert found == {
        "args/a_args.txt": "a case",
        "ci/__init__.py": "",
        "mimickit/run.py": "run",
        "data/assets/humanoid/humanoid.xml": "ours too",
        **{f"data/{name}": content for name, content in ARCHIVE.items()},
        f"data/{WALK}": "their walk",
    }


@pytest.mark.parametrize(
    ("attempts", "problem"),
    [
        ([attempt(4096, "capacity"), attempt(256)], None),
        ([attempt(4096, "capacity"), attempt(256, "capacity"), attempt(32)], None),
        ([attempt(4096)], "1 rungs were tried"),
        ([], "0 rungs were tried"),
        ([attempt(4096, "out_of_memory"), attempt(256)], "4096 environments, out_of_memory, expected capacity"),
        ([attempt(4096, "capacity"), attempt(256, "capacity")], "256 environments, capacity, expected one that passes"),
    ],
)
def test_with_little_room_the_ladder_goes_down_to_what_passes(attempts, problem):
    seen = [{key: each[key] for key in ("num_envs", "ok")} for each in attempts]
    kinds = [each["stages"][0]["failure"] for each in attempts]
    found = pi_plus.tight_problems(
        [{**each, "failure": kind and kind["kind"]} for each, kind in zip(seen, kinds, strict=True)]
    )
    assert bool(found) == (problem is not None)
    assert problem is None or any(problem in each for each in found)


TIGHT = (attempt(4096, "capacity"), attempt(256))


@pytest.fixture
def copy(tmp_path):
    return tmp_path / "run" / "with_archive"


def played(copy, commands, tight=TIGHT, many=2048):
    """What the matrix leaves in the copy."""

    def play(name, command, log):
        commands[name] = list(map(str, command))
        root = copy / ROOTS / commands[name][commands[name].index("--root-out") + 1]
        attempts = list(tight) if "little" in name else [attempt(many)]
        journal = {"ok": True, "note": "", "attempts": attempts}
        write(root, {f"runs/{pi_plus.CASE}_args/attempts.json": json.dumps(journal)})
        return 0

    return play


def test_only_rungs_that_passed_count():
    assert most_envs({"attempts": [attempt(4096, "capacity"), attempt(512), attempt(256)]}) == 512
    assert most_envs({"attempts": [attempt(4096, "capacity")]}) == 0


def test_the_published_meshes_are_tried_in_a_copy(new_bench, new_part, archive, copy):
    commands, part = {}, new_part()
    bench = new_bench(played(copy, commands), data=("ours", str(archive)))
    pi_plus.published_meshes(bench, part)
    assert part.ok, part.failures
    assert bench.programs.folders == [copy, copy]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    many, tight = commands.values()
    assert parser.parse_args(many[4:]).pi_plus_ladder == (2048,)
    asked = parser.parse_args(tight[4:])
    assert asked.pi_plus_ladder == pi_plus.TIGHT_LADDER
    text = (copy / asked.engine_config).read_text()
    assert text.startswith(Path("data/engines/newton_engine.yaml").read_text())
    assert f"\nconstraints_per_env: {pi_plus.TIGHT_ROWS}\n" in text
    assert "4096 environments, capacity; 256 environments, passed" in part.notes[0]


@pytest.mark.parametrize("results", [{"tight": TIGHT[1:]}, {"many": 512}])
def test_too_few_environments_or_no_overflow_is_a_fault(new_bench, new_part, archive, copy, results):
    part = new_part()
    pi_plus.published_meshes(new_bench(played(copy, {}, **results), data=(str(archive),)), part)
    assert not part.ok


def test_only_archives_that_have_the_meshes_and_the_walk_are_taken(tmp_path, archive):
    other = write(tmp_path / "other", {WALK: "walk"})
    assert pi_plus.archives_with_meshes(["ours", str(other), str(archive), str(tmp_path / "absent")]) == [archive]
