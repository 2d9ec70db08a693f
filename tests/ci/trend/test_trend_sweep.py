"""What the files of a merged root come to in the history; a root that does not say is refused."""

import json
import math

import pytest

from ci.trend.history import SWEEP, HistoryRow
from ci.trend.sweep import lost_row, read_sweep, rows_of

NIGHT, URL = "2026-11-22", "https://example.org/lab/runs/7"


def rows(root):
    return rows_of(read_sweep(root), NIGHT, URL)


def failures(root):
    return {row.case: row.failure for row in rows(root) if not row.passed}


def test_every_number_of_a_case_that_passed(merged_root, row):
    longer = row("amp_two_args", long_samples=90_000, long_samples_per_s=2000.5)
    found = rows(merged_root(rows={"amp_two_args": longer}))
    assert [one.case for one in found] == ["add_one_args", "amp_two_args", "ppo_three_args"]
    assert found[1] == HistoryRow(
        night="2026-11-22",
        started="2026-11-22T02:10:00+00:00",
        run_url="https://example.org/lab/runs/7",
        commit="c0ffee" * 6 + "abcd",
        profile="nightly",
        engine="newton",
        device_name="H100",
        driver="600.1",
        case="amp_two_args",
        passed=True,
        failure=None,
        samples=4096,
        samples_per_s=1234.5,
        mean_return=5.25,
        mean_ep_len=20.5,
        long_samples=90_000,
        long_samples_per_s=2000.5,
        seconds=61.5,
        memory_gb=3.25,
    )
    assert found[0].long_samples is None


def test_a_failure_has_the_class_of_its_row(merged_root, failed):
    rows = {"add_one_args": failed("add_one_args", "timeout")}
    assert failures(merged_root(rows=rows, findings=[("failed", "add_one_args")])) == {"add_one_args": "timeout"}


@pytest.mark.parametrize(
    ("changes", "kinds", "failure"),
    [
        ({}, ["missing"], "missing"),  # evidence, say
        ({}, ["zero_test", "inconsistent"], "zero_test"),
        ({}, ["unexpected"], "inconsistent"),
        ({}, ["failed"], "unexpected"),
        ({"final_ok": False, "engine": None, "train_rc": None}, [], "missing"),  # merging made it up
        ({"final_ok": False, "train_rc": None}, ["failed"], "not_run"),
        ({"final_ok": False}, ["failed"], "unexpected"),
        ({"final_ok": False, "mean_return": math.nan}, ["non_finite", "failed"], "non_finite"),
        ({"mean_return": math.inf}, [], "non_finite"),
    ],
)
def test_the_class_where_the_row_has_none(merged_root, row, changes, kinds, failure):
    name = "add_one_args"
    root = merged_root(rows={name: row(name, **changes)}, findings=[(kind, name) for kind in kinds], all_pass=False)
    assert failures(root)[name] == failure
    assert all(one.mean_return is None or math.isfinite(one.mean_return) for one in rows(root))


def test_a_planned_case_without_a_row_is_missing(merged_root):
    root = merged_root(findings=[("missing", "ppo_three_args")])
    table = root / "best_by_case.tsv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    found = rows(root)[2]
    assert (found.case, found.passed, found.failure, found.device_name) == ("ppo_three_args", False, "missing", None)


@pytest.mark.parametrize(
    ("findings", "all_pass", "failure"),
    [
        ([("missing", "")], False, "missing"),  # a shard
        ([("stale", ""), ("missing", "")], False, "stale"),
        ([("unexpected", "stranger_args")], False, "unexpected"),
        ([("job", "")], False, "job"),
        ([], False, "inconsistent"),
        ([], None, "inconsistent"),
        ([("missing", "")], True, "missing"),
    ],
)
def test_what_is_about_no_planned_case_is_about_the_sweep(merged_root, findings, all_pass, failure):
    found = rows(merged_root(findings=findings, all_pass=all_pass))
    assert [one.case for one in found if not one.passed] == [SWEEP]
    last = found[-1]
    assert (last.failure, last.seconds, last.samples, last.device_name) == (failure, 300.5, None, None)
    assert (last.engine, last.driver, last.started) == ("newton", "600.1", "2026-11-22T02:10:00+00:00")


def test_a_case_accounts_for_the_job_that_it_failed_in(merged_root, failed):
    rows = {"add_one_args": failed("add_one_args")}
    findings = [("failed", "add_one_args"), ("job", "")]
    assert failures(merged_root(rows=rows, findings=findings)) == {"add_one_args": "divergence"}
    findings.append(("missing", ""))
    assert failures(merged_root("b", rows=rows, findings=findings))[SWEEP] == "missing"


def test_a_pass_that_run_json_claims_beside_a_failure_is_found(merged_root, failed):
    rows = {"add_one_args": failed("add_one_args")}
    root = merged_root(rows=rows, findings=[("failed", "add_one_args")], all_pass=True)
    assert failures(root) == {"add_one_args": "divergence", SWEEP: "inconsistent"}


def test_a_lost_profile_is_one_row():
    row = lost_row("longcycle", NIGHT, URL)
    assert (row.night, row.profile, row.case, row.passed, row.failure) == (
        *("2026-11-22", "longcycle"),
        *("(the sweep)", False, "missing"),
    )


@pytest.mark.parametrize("name", ["plan.json", "run.json", "best_by_case.tsv", "findings.json"])
def test_a_root_without_one_of_its_files_is_none(merged_root, name):
    root = merged_root()
    (root / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read_sweep(root)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("plan", "0" * 16, r"run.json: 'plan' is '0+', expected '\w{16}'"),
        ("profile", "longcycle", "'profile' is 'longcycle', expected 'nightly'"),
        ("commit", "f" * 40, "'commit' is 'f+', expected 'c0ffee"),
        ("shard", [2, 3], r"'shard' is \[2, 3\], expected \[1, 1\]"),
        ("started", "tonight", "'started' is 'tonight', expected an ISO time"),
        ("started", "2026-11-22T02:10:00", "'started' is '2026-11-22T02:10:00', without the offset"),
        ("started", None, "'started' is None"),
    ],
)
def test_a_run_json_of_another_run_is_refused(merged_root, key, value, words):
    path = merged_root() / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=words):
        read_sweep(path.parent)


def test_rows_of_other_cases_or_classes_are_refused(merged_root, row, failed):
    for name, rows, words in (
        ("a", {"add_one_args": row("stranger_args")}, "its cases are not those of plan.json"),
        ("b", {"add_one_args": row("amp_two_args")}, "its cases are not those of plan.json, each once"),
        ("c", {"add_one_args": failed("add_one_args", "bad luck")}, "no such class of failure: bad luck"),
    ):
        with pytest.raises(ValueError, match=words):
            read_sweep(merged_root(name, rows=rows))


@pytest.mark.parametrize(
    "text", ["", "{}", '["x"]', '[{"kind": "failed"}]', '[{"kind": "luck", "case": "", "message": ""}]']
)
def test_findings_that_are_none_are_refused(merged_root, text):
    root = merged_root()
    (root / "findings.json").write_text(text)
    with pytest.raises(ValueError, match="findings.json"):
        read_sweep(root)


def test_a_root_to_which_no_shard_came_has_no_start(merged_root):
    assert rows(merged_root(started="", findings=[("empty", "")]))[0].started is None
