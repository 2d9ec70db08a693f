"""``python -m ci trend``: roots in, one night more in the history, and nothing is left out in silence."""

import argparse
import json

import pytest

from ci.errors import UsageError
from ci.merge import command as merge
from ci.plan import command as matrix_command
from ci.records.tables import read_rows
from ci.trend import command
from ci.trend.history import SWEEP, read_history

URL = "https://example.org/lab/runs/7"


@pytest.fixture
def trend(tmp_path, capsys):
    """A function that runs the command on roots and words; returns what it printed."""

    def run(*words, new=False):
        parser = argparse.ArgumentParser(allow_abbrev=False)
        command.add_arguments(parser)
        given = [str(word) for word in words]
        given += ["--history", str(tmp_path / "history.tsv"), "--out", str(tmp_path / "out")]
        assert command.run(parser.parse_args([*given, *(["--new-history"] if new else [])]), tmp_path) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def history(tmp_path):
    return lambda: read_history(tmp_path / "history.tsv")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def night_of(number):
    return {"started": f"2026-11-{number}T02:00:00+00:00"}


def test_nights_are_added_one_by_one(trend, history, out, merged_root, failed):
    printed = trend(merged_root("a", **night_of(20)), "--run-url", URL, new=True)
    assert "night 2026-11-20 in 3 rows, 1 nights in all\n" in printed
    assert printed.endswith("\n3 of 3 cases passed\n")
    bad = {"amp_two_args": failed("amp_two_args", "timeout")}
    root = merged_root("b", rows=bad, findings=[("failed", "amp_two_args"), ("job", "")], **night_of(21))
    longer = merged_root("c", "longcycle", **night_of(22))
    assert trend(root, longer, "--run-url", URL).endswith("\n1 of 6 cases failed\n")
    assert [(row.night[-2:], row.profile, row.passed) for row in history()] == [
        *[("20", "nightly", True)] * 3,
        *[("21", "nightly", True), ("21", "nightly", False), ("21", "nightly", True)],
        *[("21", "longcycle", True)] * 3,  # of the night in which the first of them started
    ]
    text = (out / "trend.md").read_text()
    assert text.startswith("# Night 2026-11-21: 1 of 6 cases failed\n")
    assert "| amp_two_args | nightly | pass fail | timeout |" in text
    issue = json.loads((out / "issue.json").read_text())
    assert sorted(issue) == ["body", "labels", "state", "title"]
    assert (issue["state"], issue["title"]) == ("open", "Nightly run: 1 of 6 cases failed")


def test_a_job_that_is_done_again_doubles_nothing(trend, history, merged_root, failed):
    rows = {"amp_two_args": failed("amp_two_args")}
    first = merged_root("a", rows=rows, findings=[("failed", "amp_two_args")])
    trend(first, "--lost", "longcycle", "--run-url", URL, new=True)
    trend(merged_root("b"), merged_root("c", "longcycle"), "--run-url", URL)
    assert [(row.profile, row.case, row.passed) for row in history()] == [
        (profile, name, True)
        for profile in ("nightly", "longcycle")
        for name in ("add_one_args", "amp_two_args", "ppo_three_args")
    ]
    before = history()
    trend(merged_root("d"), merged_root("e", "longcycle"), "--run-url", URL)
    assert history() == before


def test_a_night_begins_where_the_first_run_did_in_utc(trend, history, merged_root):
    trend(merged_root("a", started="2026-11-22T01:30:00+02:00"), new=True)
    assert {row.night for row in history()} == {"2026-11-21"}
    trend(merged_root("b"), "--night", "2026-11-25")
    assert {row.night for row in history()} == {"2026-11-21", "2026-11-25"}


def test_older_nights_are_dropped(trend, history, merged_root):
    for day in range(10, 14):
        trend(merged_root(str(day), **night_of(day)), "--keep-nights", "2", new=True)
    assert [row.night[-2:] for row in history()] == ["12"] * 3 + ["13"] * 3
    before = history()
    with pytest.raises(UsageError, match="--night 2026-11-09 is older than the 2 nights that --keep-nights keeps"):
        trend(merged_root("old", **night_of("09")), "--keep-nights", "2")
    assert history() == before


def test_the_issue_is_about_the_newest_night(trend, out, merged_root, failed):
    rows = {"amp_two_args": failed("amp_two_args")}
    trend(merged_root("a", **night_of(22)), new=True)
    trend(merged_root("b", rows=rows, findings=[("failed", "amp_two_args")], **night_of(20)))
    assert (out / "trend.md").read_text().startswith("# Night 2026-11-20: 1 of 3 cases failed\n")
    issue = json.loads((out / "issue.json").read_text())
    assert (issue["state"], issue["title"]) == ("closed", "Nightly run: 3 of 3 cases passed")


def test_a_lost_profile_is_recorded(trend, history, out, merged_root, tmp_path):
    trend(merged_root("a"), "--lost", "longcycle", "--run-url", URL, new=True)
    last = history()[-1]
    assert (last.profile, last.case, last.passed, last.failure) == ("longcycle", SWEEP, False, "missing")
    assert json.loads((out / "issue.json").read_text())["state"] == "open"
    printed = trend(merged_root("b"), tmp_path / "nowhere", "--lost", "longcycle", "--night", "2026-11-23")
    assert f"note: {tmp_path / 'nowhere'} is no merged run: plan.json is not there\n" in printed
    trend("--lost", "longcycle", "--lost", "nightly", "--lost", "nightly", "--night", "2026-11-24")
    assert [row.profile for row in history() if row.night == "2026-11-24"] == ["longcycle", "nightly"]


def test_nothing_is_written_without_a_root_that_says_what_happened(trend, out, merged_root, tmp_path):
    (tmp_path / "empty").mkdir()
    cut = merged_root("cut")
    (cut / "best_by_case.tsv").write_text((cut / "best_by_case.tsv").read_text()[:-3])
    good = merged_root("good")
    for words, message in (
        ([], "no ROOT: name the merged runs of the night"),
        (
            [tmp_path / "nowhere"],
            "nowhere is no merged run: plan.json is not there. If a profile came to no",
        ),
        ([tmp_path / "empty"], "empty is no merged run: plan.json is not there"),
        ([cut], "cut cannot be read: .*best_by_case.tsv: the last line is cut off"),
        ([good, cut], "cut cannot be read"),
        ([cut, tmp_path / "empty", "--lost", "longcycle"], "cut cannot be read: .*; .*empty is no merged run"),
        ([good, merged_root("again")], "profile nightly came twice"),
        ([good, "--lost", "nightly"], "profile nightly came twice"),
        (
            [good, merged_root("other", "longcycle", commit="f" * 40)],
            "not of one night: their commits are c0ffee.* and f",
        ),
        (["--lost", "nightly"], "no run says when it started: name the night with --night"),
        ([merged_root("none", started="", findings=[("empty", "")])], "no run says when it started"),
    ):
        with pytest.raises(UsageError, match=message):
            trend(*words, new=True)
    assert not out.exists()
    assert not (tmp_path / "history.tsv").exists()


def test_a_history_begins_only_when_that_is_asked_for(trend, history, out, merged_root):
    with pytest.raises(UsageError, match=r"--history .*history.tsv does not exist. If it was lost, bring it back"):
        trend(merged_root("a"))
    assert not out.exists()
    trend(merged_root("a"), new=True)
    trend(merged_root("b", **night_of(23)), new=True)  # such a job may be done again
    assert len(history()) == 6


def test_a_history_that_cannot_be_read_is_left_alone(trend, merged_root, tmp_path):
    trend(merged_root("a"), new=True)
    path = tmp_path / "history.tsv"
    spoiled = path.read_text().replace("\t5.25\t", "\tnan\t")
    path.write_text(spoiled)
    with pytest.raises(UsageError, match=r"history.tsv: line 2, column mean_return: 'nan' is not a finite number"):
        trend(merged_root("b", **night_of(23)), new=True)
    assert path.read_text() == spoiled


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--night", "22.11.2026"], "expected a date such as 2026-11-22, found '22.11.2026'"),
        (["--run-url", "https://example.org/ (x)"], "expected an address that begins with https://"),
        (["--lost", "weekly"], "invalid choice: 'weekly'"),
        (["--keep-nights", "0"], "expected a whole number above 0"),
    ],
)
def test_a_wrong_word_on_the_command_line(trend, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        trend(*words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(trend, merged_root, out):
    out.write_text("a file in its place")
    with pytest.raises(UsageError, match="out cannot be written"):
        trend(merged_root("a"), new=True)


def test_what_merging_leaves_is_what_is_read(trend, history, make_matrix, case_adder, tmp_path, capsys):
    """Two shards of a run of the stub, one case of which fails; merged whole, and then without the second shard."""
    matrix = make_matrix()
    for name in ("add_a_args", "amp_b_args"):
        case_adder(matrix, name)
    given = ["--profile", "smoke", "--shards", "2", "--engine-config", "mujoco_engine.yaml", "--out", str(tmp_path)]
    assert run_command(matrix_command, tmp_path, *given) == 0
    plan = str(tmp_path / "plan.json")
    folders = []
    for shard, faults in (("1", {}), ("2", {"train_divergence": 1})):
        outcome = matrix.run("--plan", plan, "--shard", f"{shard}/2", "--root-out", f"part{shard}", **faults)
        folders.append((str(outcome.root), outcome.row["case"]))
    (good, passes), (bad, fails) = folders
    assert run_command(merge, tmp_path, good, bad, "--plan", plan, "--root-out", "whole") == 1
    assert run_command(merge, tmp_path, good, "--plan", plan, "--root-out", "half") == 1
    parent = tmp_path / "output" / "train"
    trend(parent / "whole", "--night", "2026-11-21", new=True)
    trend(parent / "half", "--night", "2026-11-22")
    assert {(row.night[-2:], row.case): row.failure for row in history()} == {
        ("21", passes): None,
        ("21", fails): "divergence",
        ("22", passes): None,
        ("22", fails): "missing",
        ("22", SWEEP): "missing",
    }
    passed, written = history()[0], read_rows(parent / "whole" / "best_by_case.tsv")[0]
    for column in ("samples", "samples_per_s", "mean_return", "mean_ep_len", "seconds", "device_name", "engine"):
        assert getattr(passed, column) == getattr(written, column) is not None
    assert len(history()[0].started) == len("2026-11-22T02:10:00+00:00")


def run_command(module, repository, *words):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args(words), repository)
