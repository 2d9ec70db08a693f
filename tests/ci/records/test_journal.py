"""A journal that was written is read back as the same result."""

import dataclasses
import json

import pytest

from ci.cases import Case
from ci.failures.classify import Failure
from ci.records.journal import read_journal, write_journal
from ci.records.results import Attempt, CaseResult, ProcessResult, StageRecord, not_run


@pytest.fixture
def result(tmp_path):
    folder = tmp_path / "output" / "train" / "x" / "runs" / "amp_args" / "base_e64"
    train = StageRecord(
        name="train",
        argv=("python", "run.py"),
        log=folder / "train.log",
        result=ProcessResult(0, False, 12.5, 20.25, 1.5),
        facts={"samples": 8192, "versions": {"torch": "2.13.0"}},
    )
    test = StageRecord(
        name="test",
        argv=("python",),
        log=folder / "test.log",
        result=ProcessResult(-15, True, 900.0, 1.0, 0.5),
        failure=Failure("timeout", "still running after 900 s"),
    )
    again = StageRecord("train", ("python",), folder / "train.earlier1.log", ProcessResult(7, False, 1.0, 1.0, 0.1))
    again.failure = Failure("process_group", "the port is taken")
    attempt = Attempt(
        variant="base",
        agent_config="agent.yaml",
        num_envs=64,
        max_samples=8192,
        devices=("cuda:0", "cuda:1"),
        out_dir=folder,
        stages={"train": train, "test": test, "viz": not_run("viz")},
        repeated=[again],
    )
    return CaseResult(
        case=Case("amp_args", "args/amp_args.txt", "amp", "trainable", "train", "agent.yaml", "env.yaml"),
        data=StageRecord("data", ("python", "-m"), folder.parent / "data.log", ProcessResult(0, False, 0.5, 0.1, 0.1)),
        attempts=[attempt],
        note="test failed",
        failure=test.failure,
        finished=True,
    )


def test_it_comes_back_whole(tmp_path, result):
    path = tmp_path / "attempts.json"
    write_journal(path, result, tmp_path)
    assert read_journal(path, tmp_path) == result


def test_a_case_that_is_not_over_comes_back_so(tmp_path, result):
    path = tmp_path / "attempts.json"
    write_journal(path, dataclasses.replace(result, finished=False), tmp_path)
    assert read_journal(path, tmp_path).finished is False


def test_it_moves_with_the_repository(tmp_path, result):
    path = tmp_path / "attempts.json"
    write_journal(path, result, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    read = read_journal(path, elsewhere)
    assert read.attempts[0].out_dir == elsewhere / result.attempts[0].out_dir.relative_to(tmp_path)
    assert read.attempts[0].stages["train"].log.is_relative_to(elsewhere)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(format=0), "'format' is 0, expected 1"),
        (lambda content: content.pop("attempts"), "KeyError: 'attempts'"),
        (lambda content: content["attempts"][0].pop("devices"), "KeyError: 'devices'"),
        (lambda content: content["attempts"][0]["stages"].pop(), "does not have the stages train, test, viz"),
        (lambda content: content["failure"].update(kind="bad_luck"), "unknown class of failure 'bad_luck'"),
        (lambda content: content["about"].update(colour="red"), "colour"),
        (lambda content: content["data"].update(rc="zero"), "zero"),
        (lambda content: content["data"].update(rc=float("inf")), "OverflowError"),
    ],
)
def test_another_content_is_named(tmp_path, result, change, words):
    path = tmp_path / "attempts.json"
    write_journal(path, result, tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"attempts.json.*{words}"):
        read_journal(path, tmp_path)


def test_a_case_passes_only_when_it_is_over_and_every_stage_passed(result):
    assert not result.ok
    result.failure = None
    assert not result.ok
    result.attempts[0].stages["test"] = result.attempts[0].stages["train"]
    assert not result.ok
    result.attempts[0].stages["viz"] = result.attempts[0].stages["train"]
    assert result.ok
    result.finished = False
    assert not result.ok
    result.finished = True
    del result.attempts[0].stages["viz"]
    assert not result.ok
    result.attempts = []
    assert not result.ok
