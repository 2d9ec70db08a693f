"""Rows that were lost before their first step, and only those, are given to a runner again."""

import argparse
import json

import pytest

from ci.errors import UsageError
from ci.plan import lost as command

ROWS = [{"index": index, "shard": f"{index}/3", "cases": f"case_{index}_args.txt"} for index in (1, 2, 3)]


@pytest.fixture
def lost(tmp_path, monkeypatch):
    """``lost(began)`` runs the command over these names; the outputs of the step."""
    (tmp_path / "matrix.json").write_text(json.dumps({"include": ROWS}))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))

    def run(*began, matrix="matrix.json", folder="began"):
        (tmp_path / "began").mkdir()
        for name in began:
            (tmp_path / "began" / name).mkdir()
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        assert command.run(parser.parse_args([str(tmp_path / matrix), str(tmp_path / folder)]), tmp_path) == 0
        return dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())

    return run


@pytest.mark.parametrize(
    ("began", "again"), [([1, 2, 3], []), ([1, 3], [2]), ([2], [1, 3]), ([], [1, 2, 3])], ids=lambda value: str(value)
)
def test_what_did_not_begin(lost, capsys, began, again):
    outputs = lost(*(f"began-{index}" for index in began))
    assert json.loads(outputs["matrix"]) == {"include": [ROWS[index - 1] for index in again]}
    assert outputs["count"] == str(len(again))
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(again)} of 3 did not begin"


@pytest.mark.parametrize("name", ["began-4", "began-", "began-02", "shard-1", "began-1x"])
def test_a_mark_of_another_plan_is_an_error(lost, name):
    with pytest.raises(UsageError, match=f"{name} belongs to no row"):
        lost("began-1", name)


def test_files_that_are_not_there_are_errors(lost, tmp_path):
    with pytest.raises(UsageError, match="no.json: not a matrix"):
        lost(matrix="no.json")


def test_an_empty_matrix_is_an_error(lost, tmp_path):
    (tmp_path / "matrix.json").write_text('{"include": []}')
    with pytest.raises(UsageError, match="has no rows"):
        lost()


def test_a_folder_that_is_not_there_is_an_error(lost):
    with pytest.raises(UsageError, match="nowhere is no folder"):
        lost(folder="nowhere")
