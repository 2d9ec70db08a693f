"""Whole runs on a stub that does something else than it was asked to: none of them passes."""

import json

import pytest


@pytest.mark.parametrize(
    ("stage", "said", "words"),
    [
        ("train", {"interrupted": 15, "ended_by": "signal"}, "interrupted is 15, asked for 0"),
        ("train", {"ended_by": "signal"}, "ended_by is 'signal', asked for max_samples"),
        ("train", {"ended_by": "max_seconds"}, "ended_by is 'max_seconds', asked for max_samples"),
        ("train", {"num_envs": 1}, "num_envs is 1, asked for 64"),
        ("test", {"num_envs": 64}, "num_envs is 64, asked for 10"),
        ("test", {"model_file": "output/model.pt"}, "model_file is 'output/model.pt', asked for "),
        ("viz", {"num_envs": 10}, "num_envs is 10, asked for 1"),
        ("viz", {"model_file": None}, "model_file is None, asked for "),
    ],
)
def test_a_stage_that_did_something_else_than_asked_is_red(matrix, stage, said, words):
    outcome = matrix.run(**{f"says_in_{stage}": json.dumps(said)})
    assert outcome.code == 1
    assert outcome.failure(stage)["kind"] == "no_evidence"
    assert words in outcome.failure(stage)["message"]
