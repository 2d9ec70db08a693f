"""Merging shards: what the merged folder holds, which folders and rows count, and what it prints."""

import csv
import dataclasses
import json
import shutil
import xml.etree.ElementTree as ElementTree

import pytest

from ci.errors import UsageError
from ci.gate import gate
from ci.plan.plan import read_plan, write_plan
from ci.records.tables import read_rows

AMP, ADD, ASE = "amp_one_args", "add_two_args", "ase_three_args"
GOOD = "all_pass True"


def findings(root):
    return [(one["kind"], one["case"], one["message"]) for one in json.loads((root / "findings.json").read_text())]


def test_three_good_shards_are_green(shards, merged, root):
    code, lines = merged()
    assert (code, lines[-1]) == (0, "all_pass True")
    rows = read_rows(root / "best_by_case.tsv")
    assert [row.case for row in rows] == [case.name for case in shards.plan.cases]
    originals = {row.case: row for part in shards.roots for row in read_rows(part / "best_by_case.tsv")}
    for row in rows:
        before = originals[row.case]
        assert row.train_log != before.train_log
        assert (shards.repository / row.train_log).is_file()
        assert row.train_log.startswith("shards/artifact_")
        same = {name: value for name, value in vars(row).items() if "log" not in name and "out_dir" not in name}
        assert same == {name: getattr(before, name) for name in same}
    assert read_plan(root / "plan.json") == shards.plan
    suites = ElementTree.parse(root / "junit.xml").getroot()
    assert {suite.get("name"): suite.get("tests") for suite in suites} == {
        row.case: "4" if row.case == "lcp_four_args" else "3" for row in rows
    }
    assert (root / "summary.md").read_text().startswith("# all_pass True: 5 of 5 cases passed")
    assert "amp_one_args" in (root / "report.html").read_text()
    manifest = list(csv.DictReader((root / "case_manifest.tsv").open(), delimiter="\t"))
    assert [line["case"] for line in manifest] == [row.case for row in rows]
    run = json.loads((root / "run.json").read_text())
    assert (run["plan"], run["ended"], run["seconds"]) == (shards.plan.id, "done", 50.0)
    assert run["stage_seconds"] == 39.0 + 49.0 + 29.0
    assert run["started"] == "2026-01-01T00:00:00+00:00"
    assert gate.judge_root(shards.plan, root) == []


def test_it_prints_the_shards_their_spread_and_the_verdict_last(shards, merged):
    code, lines = merged()
    assert code == 0
    assert lines[0].split() == ["shard", "folder", "cases", "passed", "wall", "s"]
    assert [line.split() for line in lines[1:4]] == [
        ["1/3", "shards/artifact_1/run_1", "2", "2", "40.0"],
        ["2/3", "shards/artifact_2/run_2", "2", "2", "50.0"],
        ["3/3", "shards/artifact_3/run_3", "1", "1", "30.0"],
    ]
    assert lines[4] == "the shortest shard took 40% less than the longest"
    assert lines[-1] == GOOD


def test_a_case_that_did_not_come_back_gets_a_row_that_says_so(shards, merged, root):
    shards.remove(1)
    assert merged()[0] == 1
    rows = {row.case: row for row in read_rows(root / "best_by_case.tsv")}
    assert (rows[ASE].final_ok, rows[ASE].note, rows[ASE].method) == (False, "no shard brought it back", "ase")
    assert rows[AMP].final_ok
    suite = next(one for one in ElementTree.parse(root / "junit.xml").getroot() if one.get("name") == ASE)
    assert suite.get("errors") == "3"
    assert [(kind, case) for kind, case, _ in findings(root)] == [("missing", "")]  # the shard's, not one for each case


def test_of_two_results_the_worse_counts_and_both_are_told(shards, merged, root):
    shutil.copytree(shards.roots[0], shards.folder / "again" / "run_1")
    shards.fail_case()
    assert merged()[0] == 1
    row = read_rows(root / "best_by_case.tsv")[1]
    assert (row.case, row.final_ok, row.out_dir.split("/")[1]) == (AMP, False, "artifact_1")
    assert {kind for kind, case, _ in findings(root) if case == AMP} == {"failed", "doubled"}


def test_yesterdays_results_beside_todays_count_for_nothing(shards, merged, root):
    shards.add(1, "yesterday", dataclasses.replace(shards.plan, nonce="last night"))
    assert merged()[0] == 1
    assert {kind for kind, _, _ in findings(root)} == {"stale"}
    rows = {row.case: row for row in read_rows(root / "best_by_case.tsv")}
    assert rows[ASE].out_dir.startswith("shards/artifact_2/")


def test_the_plan_that_was_given_counts_and_not_what_the_shards_agree_on(shards, merged, root, plan_maker, tmp_path):
    write_plan(tmp_path / "given.json", plan_maker(nonce="tomorrow"))
    code, lines = merged(shards.folder, "--plan", tmp_path / "given.json")
    assert (code, lines[-1]) == (1, "all_pass False")
    kinds = [kind for kind, _, _ in findings(root)]
    assert kinds.count("stale") == 3
    write_plan(tmp_path / "right.json", plan_maker())
    assert merged(shards.folder, "--plan", tmp_path / "right.json", name="right")[0] == 0


def test_the_order_of_the_folders_changes_nothing(shards, merged, root):
    shards.fail_case()
    shutil.copytree(shards.roots[1], shards.folder / "again" / "run_2")
    folders = [shards.folder / name for name in ("artifact_1", "artifact_2", "artifact_3", "again")]

    def files():
        content = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        shutil.rmtree(root)
        return content

    first = merged(*folders)
    before = files()
    second = merged(*reversed(folders))
    assert first == second
    assert files() == before
    assert {str(path) for path in before} >= {"best_by_case.tsv", "junit.xml", "summary.md", "report.html", "run.json"}


def test_a_folder_that_is_named_twice_is_one_folder(shards, merged):
    assert merged(shards.folder, shards.roots[0], shards.folder / "artifact_2")[0] == 0


def test_folders_are_found_three_deep_and_no_deeper(shards, merged, root):
    deep = shards.repository / "deep"
    (deep / "a").mkdir(parents=True)
    shards.folder.rename(deep / "a" / "shards")  # deep/a/shards/artifact_1/run_1
    assert merged(deep / "a")[0] == 0
    assert merged(deep, name="deeper")[0] == 1
    assert ("missing", "") in [one[:2] for one in findings(root.with_name("deeper"))]


def test_a_folder_without_a_run_among_good_ones_is_red(shards, merged, root):
    (shards.repository / "nothing").mkdir()
    assert merged(shards.folder, shards.repository / "nothing")[0] == 1
    assert [one[0] for one in findings(root)] == ["missing"]


def test_journals_travel_with_their_paths_and_keep_their_commands(shards, merged, root):
    merged()
    journal = json.loads((root / "runs" / AMP / "attempts.json").read_text())
    (attempt,) = journal["attempts"]
    assert attempt["out_dir"] == f"shards/artifact_1/run_1/runs/{AMP}/base_e64"
    assert attempt["stages"][0]["log"] == f"{attempt['out_dir']}/train.log"
    assert attempt["stages"][0]["command"] == ["run.py", "--mode", "train"]


def test_what_the_command_gets_wrong(shards, merged, tmp_path):
    cases = [
        ((tmp_path / "nowhere",), "nowhere is no folder"),
        ((shards.folder, "--plan", tmp_path / "no.json"), "--plan .*no.json cannot be read"),
        ((shards.folder, "--last-green", tmp_path / "no.tsv"), "no.tsv"),
    ]
    for arguments, words in cases:
        with pytest.raises(UsageError, match=words):
            merged(*arguments)
    assert not (tmp_path / "output").exists()
    (tmp_path / "output" / "train" / "out").mkdir(parents=True)
    with pytest.raises(UsageError, match="out exists already"):
        merged()


def test_the_summary_goes_to_the_page_of_the_job(shards, merged, root, monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    merged()
    assert page.read_text() == "before\n" + (root / "summary.md").read_text()


def test_the_last_green_run_is_compared_with(shards, merged, root):
    then = "7.125"  # in no other result

    def set_return(value):
        with shards.results(0) as results:
            results[AMP].attempts[-1].stages["test"].facts["mean_return"] = value

    def page(name, *arguments):
        assert merged(shards.folder, *arguments, name=name)[0] == 0
        return (root.with_name(name) / "report.html").read_text()

    set_return(float(then))
    page("green")
    green = root.with_name("green")
    set_return(5.25)
    assert then in page("named", "--last-green", green)
    # Without a name it is the last that began before the shards did, and never a shard or another merging of them.
    assert then not in page("unnamed")
    content = json.loads((green / "run.json").read_text())
    (green / "run.json").write_text(json.dumps({**content, "started": "2025-12-31T00:00:00+00:00"}))
    assert then in page("found")
