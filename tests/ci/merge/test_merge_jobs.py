"""``ci merge --jobs``: the other jobs of a workflow speak too."""

import argparse
import json

import pytest

from ci.errors import UsageError
from ci.gate.jobs import judge_jobs, read_jobs
from ci.merge import command as merge

GOOD = {"authorize": "success", "plan": "success", "cases": "success", "lost": "skipped", "again": "skipped"}
OPTIONAL, RETRIED = ("lost", "again"), {"cases": "again"}


def told(changes):
    return [finding.message for finding in judge_jobs({**GOOD, **changes}, OPTIONAL, RETRIED)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lost": "success"},
        {"cases": "failure", "lost": "success", "again": "success"},
        {"cases": "cancelled", "lost": "success", "again": "success"},
    ],
)
def test_jobs_that_speak_for_the_run(changes):
    assert told(changes) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"plan": "failure"}, ["the job plan: failure"]),
        ({"plan": "skipped"}, ["the job plan: skipped"]),
        ({"authorize": "cancelled"}, ["the job authorize: cancelled"]),
        ({"cases": "cancelled"}, ["the job cases: cancelled"]),
        ({"cases": "skipped", "again": "success"}, ["the job cases: skipped"]),
        ({"cases": "failure"}, ["the job cases: failure"]),
        ({"cases": "failure", "again": "failure"}, ["the job cases: failure", "the job again: failure"]),
        ({"cases": "failure", "again": "cancelled"}, ["the job cases: failure", "the job again: cancelled"]),
        ({"lost": "failure"}, ["the job lost: failure"]),
        ({"lost": "cancelled"}, ["the job lost: cancelled"]),
        ({"plan": "succeeded"}, ["the job plan: unknown ('succeeded')"]),
        ({"plan": None}, ["the job plan: unknown (None)"]),
        ({"plan": ""}, ["the job plan: unknown ('')"]),
    ],
)
def test_every_other_result_speaks_against_it(changes, expected):
    assert told(changes) == expected


@pytest.mark.parametrize(("optional", "retried"), [(("losst",), {}), ((), {"casess": "again"})])
def test_a_misspelt_job_excuses_nothing(optional, retried):
    with pytest.raises(UsageError, match="no such job in needs"):
        judge_jobs(GOOD, optional, retried)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"plan": "success"}', '{"plan": {}}', "null"])
def test_what_is_not_the_context_of_needs_is_refused(tmp_path, text):
    path = tmp_path / "needs.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="--jobs .*needs.json"):
        read_jobs(path)


def run(shards, capsys, changes, *arguments, plan="plan.json"):
    """Exit code and printed lines of a merge beside jobs."""
    path = shards.repository / "needs.json"
    path.write_text(
        json.dumps({name: {"result": result, "outputs": {}} for name, result in {**GOOD, **changes}.items()})
    )
    parser = argparse.ArgumentParser()
    merge.add_arguments(parser)
    given = [str(shards.folder), "--plan", str(shards.roots[0] / plan), "--jobs", str(path), *arguments]
    code = merge.run(parser.parse_args(given), shards.repository)
    return code, capsys.readouterr().out.splitlines()


def test_good_jobs_leave_a_good_run_good(shards, capsys):
    code, lines = run(shards, capsys, {}, "--optional", "lost,again", "--retried", "cases=again")
    assert (code, lines[-1]) == (0, "all_pass True")


def test_a_good_run_is_red_where_a_job_was_not(shards, capsys):
    code, lines = run(shards, capsys, {"authorize": "skipped"}, "--optional", "lost,again")
    assert (code, lines[-1]) == (1, "all_pass False")
    assert "job: the job authorize: skipped; remedy: look at that job" in "\n".join(lines)


def test_a_skipped_job_that_nobody_excused_is_red(shards, capsys):
    assert run(shards, capsys, {})[0] == 1


def test_without_a_plan_there_is_a_verdict_all_the_same(shards, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(shards.repository / "summary"))
    changes = {"plan": "failure", "cases": "skipped"}
    code, lines = run(shards, capsys, changes, "--optional", "lost,again", plan="none.json")
    assert (code, lines[-1]) == (1, "all_pass False")
    assert sum(line.startswith("::error title=job::") for line in lines) == 2
    assert "the job plan: failure" in (shards.repository / "summary").read_text()


def test_a_plan_that_is_missing_though_its_job_succeeded_is_a_wrong_command(shards, capsys):
    with pytest.raises(UsageError, match="none.json cannot be read"):
        run(shards, capsys, {}, "--optional", "lost,again", plan="none.json")


def test_a_run_is_judged_by_the_jobs_that_made_it():
    jobs = {**GOOD, "long": "failure"}
    about = ("plan", "cases", "lost")
    assert judge_jobs(jobs, OPTIONAL, RETRIED, about) == []
    assert [one.message for one in judge_jobs({**jobs, "cases": "failure"}, OPTIONAL, RETRIED, about)] == [
        "the job cases: failure"
    ]
    with pytest.raises(UsageError, match="no such job in needs: casess"):
        judge_jobs(jobs, OPTIONAL, RETRIED, ("plan", "casess"))


@pytest.mark.parametrize("arguments", [("--optional", "lost"), ("--retried", "cases=again"), ("--about", "plan")])
def test_excuses_belong_to_jobs(shards, arguments):
    parser = argparse.ArgumentParser()
    merge.add_arguments(parser)
    with pytest.raises(UsageError, match="--optional, --retried and --about belong to --jobs"):
        merge.run(parser.parse_args([str(shards.folder), *arguments]), shards.repository)


def test_every_case_that_failed_is_annotated_at_its_arg_file(shards, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    shards.fail_case()
    (shards.repository / "args").mkdir(exist_ok=True)
    (shards.repository / "args" / "amp_one_args.txt").write_text("--mode train\n")
    code, lines = run(shards, capsys, {}, "--optional", "lost,again")
    assert code == 1
    (line,) = [line for line in lines if line.startswith("::error")]
    assert line.startswith("::error file=args/amp_one_args.txt,title=amp_one_args%3A ")
