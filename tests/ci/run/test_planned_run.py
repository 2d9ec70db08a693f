"""``ci e2e --plan``: what a plan fixes, and what stands in the way of it."""

import argparse
import dataclasses

import pytest

from ci.errors import UsageError
from ci.plan import command
from ci.plan.plan import read_plan, write_plan

CASES = ("add_a_args", "amp_b_args", "ase_c_args")


@pytest.fixture
def planned(make_matrix, case_adder):
    """A repository of three cases with a plan of two shards in plan.json."""
    matrix = make_matrix()
    for name in CASES:
        case_adder(matrix, name)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = ["--profile", "smoke", "--shards", "2", "--engine-config", "mujoco_engine.yaml"]
    assert command.run(parser.parse_args([*given, "--out", str(matrix.repository)]), matrix.repository) == 0
    return matrix


def change(matrix, **values):
    path = matrix.repository / "plan.json"
    write_plan(path, dataclasses.replace(read_plan(path), **values))


def run(matrix, *arguments):
    return matrix.run("--plan", str(matrix.repository / "plan.json"), *arguments)


def test_the_shards_of_a_plan_are_run_one_by_one_or_at_once(planned):
    parts = [run(planned, "--shard", f"{index}/2", "--root-out", f"part{index}") for index in (1, 2)]
    whole = run(planned, "--shard", "1/1", "--root-out", "whole")
    assert [outcome.code for outcome in (*parts, whole)] == [0, 0, 0]
    assert sorted(row["case"] for outcome in parts for row in outcome.rows) == list(CASES)
    assert [row["case"] for row in whole.rows] == list(CASES)


def test_which_shard_must_be_said_where_there_are_several(planned):
    with pytest.raises(UsageError, match="the plan has 2 shards: give --shard I/2, or --shard 1/1 for all of them"):
        run(planned)
    with pytest.raises(UsageError, match="--shard 1/3: the plan has 2 shard"):
        run(planned, "--shard", "1/3")


def test_a_plan_of_other_code_is_refused(planned):
    change(planned, commit="f" * 40)
    with pytest.raises(UsageError, match="the plan was made for commit ffffffffffff, this is unknown"):
        run(planned, "--shard", "1/2")


def test_a_plan_of_the_same_commit_with_other_changes_is_refused(planned):
    change(planned, changes="1234")
    with pytest.raises(UsageError, match="the plan was made for commit unknown with changes, this is unknown"):
        run(planned, "--shard", "1/2")


def test_a_plan_of_cases_that_are_gone_is_refused(planned):
    (planned.repository / "args" / "amp_b_args.txt").unlink()
    with pytest.raises(UsageError, match="the plan names cases that args/ does not have: amp_b_args"):
        run(planned, "--shard", "1/1")


def test_cases_are_not_chosen_beside_a_plan(planned):
    for choice in (["add_a_args"], ["--cases", "add_a_args"], ["--trainable-only"]):
        with pytest.raises(UsageError, match="--plan names the cases itself"):
            run(planned, "--shard", "1/2", *choice)
    assert not planned.roots()
