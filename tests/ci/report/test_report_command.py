"""``ci report`` on folders that a run of the stub left, and the choice of the last green run."""

import argparse
import json
import os
import webbrowser

import pytest

from ci.errors import UsageError
from ci.records.roots import locked
from ci.records.tables import write_rows
from ci.report import command
from ci.report.baseline import find_last_green

CASE = "deepmimic_humanoid_ppo_args"
WRITTEN = ("junit.xml", "summary.md", "report.html", "findings.json")


@pytest.fixture
def report(matrix, capsys):
    """Runs the command; its exit code and the lines it printed."""

    def call(*arguments):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        capsys.readouterr()
        code = command.run(parser.parse_args([str(word) for word in arguments]), matrix.repository)
        return code, capsys.readouterr().out.splitlines()

    return call


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_it_writes_what_the_run_wrote(matrix, report):
    outcome = matrix.run()
    assert outcome.code == 0
    before = {name: (outcome.root / name).read_text() for name in WRITTEN}
    for name in WRITTEN:
        (outcome.root / name).unlink()
    code, lines = report()
    assert code == 0
    assert lines[-1] == "all_pass True"
    assert lines[0].split()[:2] == ["case", "result"]
    for name in ("junit.xml", "findings.json"):
        assert (outcome.root / name).read_text() == before[name]
    for name in ("summary.md", "report.html"):
        assert "all_pass True" in (outcome.root / name).read_text()


def test_a_run_that_failed_is_still_failed(matrix, report):
    outcome = matrix.run(train_divergence=1)
    assert outcome.code == 1
    code, lines = report(outcome.root.name)
    assert code == 1
    assert lines[-1] == "all_pass False"
    assert any(line.startswith(f"failed: {CASE}: train failed (divergence)") for line in lines)
    assert "**FAILED**" in (outcome.root / "summary.md").read_text()


@pytest.mark.parametrize("broken", ["no journal", "no row", "no table", "journal of another", "run not ended"])
def test_a_folder_with_something_wrong_is_red_and_still_shown(matrix, report, broken):
    root = matrix.run().root
    journal = root / "runs" / CASE / "attempts.json"
    if broken == "no journal":
        journal.unlink()
    elif broken == "no row":
        write_rows(root / "best_by_case.tsv", [])
    elif broken == "no table":
        (root / "best_by_case.tsv").write_text("nonsense\n")
    elif broken == "journal of another":
        change(journal, about={**json.loads(journal.read_text())["about"], "name": "another_args"})
    else:
        change(root / "run.json", ended="")
    code, lines = report(root)
    assert (code, lines[-1]) == (1, "all_pass False")
    assert CASE in (root / "report.html").read_text()
    assert "all_pass False" in (root / "report.html").read_text()
    assert json.loads((root / "findings.json").read_text())


def test_a_run_that_called_itself_failed_does_not_become_green(matrix, report):
    root = matrix.run().root
    change(root / "run.json", all_pass=False)
    code, lines = report(root)
    assert code == 1
    assert any(line.startswith("inconsistent: run.json does not say all_pass") for line in lines)


def test_what_spoke_against_the_folders_of_a_merged_run_is_kept(matrix, report):
    root = matrix.run().root
    change(root / "run.json", merged=["one", "two"], all_pass=False)
    found = {"kind": "missing", "case": "", "message": "shard 2/2 did not come back"}
    (root / "findings.json").write_text(json.dumps([found]))
    code, lines = report(root)
    assert code == 1
    assert any(line.startswith("missing: shard 2/2 did not come back") for line in lines)
    assert json.loads((root / "findings.json").read_text()) == [found]
    (root / "findings.json").write_text("nonsense")
    code, lines = report(root)
    assert code == 1
    assert any(line.startswith("unparsable: findings.json") for line in lines)


def test_a_shard_is_judged_as_a_shard(matrix, case_adder, report):
    for name in ("amp_a_args", "add_b_args"):
        case_adder(matrix, name)
    root = matrix.run("--shard", "2/3").root
    code, lines = report(root)
    assert (code, lines[-1]) == (0, "all_pass True")
    change(root / "run.json", shard=[1, 3])
    assert report(root)[0] == 1


def test_nothing_is_written_while_another_process_is_at_work(matrix, report):
    root = matrix.run().root
    (root / "report.html").write_text("as it was")
    with locked(root), pytest.raises(UsageError, match="another process is at work"):
        report(root)
    assert (root / "report.html").read_text() == "as it was"


@pytest.mark.parametrize("name", ["plan.json", "run.json"])
@pytest.mark.parametrize("text", [None, "{", "{}"])
def test_a_folder_that_does_not_say_what_was_asked_is_a_usage_error(matrix, report, name, text):
    root = matrix.run().root
    (root / "report.html").unlink()
    if text is None:
        (root / name).unlink()
    else:
        (root / name).write_text(text)
    with pytest.raises(UsageError, match=r"run\.json|plan\.json|KeyError"):
        report(root)
    assert not (root / "report.html").exists()


def test_without_a_run_there_is_nothing_to_report(matrix, report):
    with pytest.raises(UsageError, match="holds no case_e2e_all_"):
        report()
    with pytest.raises(UsageError, match="no root of a run"):
        report("nothing")


def test_the_newest_run_is_the_default(matrix, report):
    old, new = (matrix.run().root for _ in range(2))
    old.rename(old.with_name("case_e2e_all_20200101_000000"))
    _, lines = report()
    assert any(line.startswith(f"output/train/{new.name}: ") for line in lines)


def test_the_comparison_is_with_the_last_green_run_or_the_one_named(matrix, report):
    first = matrix.run("--root-out", "first").root
    change(first / "run.json", started="2020-01-01T00:00:00+00:00")
    second = matrix.run("--root-out", "second").root
    report(second)
    assert "Comparison with the last green run" in (second / "report.html").read_text()
    assert "first, commit unknown, 1 cases" in (second / "report.html").read_text()
    report(first)
    assert "no earlier green run" in (first / "report.html").read_text()
    report(first, "--last-green", second / "best_by_case.tsv")
    assert "second, commit unknown, 1 cases" in (first / "report.html").read_text()
    with pytest.raises(UsageError, match="--last-green .* cannot be read"):
        report(first, "--last-green", matrix.repository / "nothing")


def test_open_shows_the_page(matrix, report, monkeypatch):
    root = matrix.run().root
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or False)
    _, lines = report(root, "--open")
    assert opened == [(root / "report.html").as_uri()]
    assert any("no browser could be started" in line for line in lines)


@pytest.fixture
def roots(shop):
    """Makes folders of runs with what the choice looks at."""

    def make(name, started, *cases, **values):
        root = shop.root.parent / name
        root.mkdir()
        run = {"started": started, "all_pass": True, "profile": "smoke", "engine": "mujoco", **values}
        (root / "run.json").write_text(json.dumps(run))
        made = type(shop)(root)
        write_rows(root / "best_by_case.tsv", [made.entry(case).row for case in cases])
        return root

    return make


def test_the_last_green_run_is_the_newest_earlier_one_that_fits(shop, roots):
    parent = shop.root.parent
    own = roots("own", "2026-01-05", "a_args")
    assert find_last_green(parent, own) is None
    roots("later", "2026-01-06", "a_args")
    roots("red", "2026-01-04", "a_args", all_pass=False)
    roots("other_profile", "2026-01-04", "a_args", profile="pr")
    roots("other_engine", "2026-01-04", "a_args", engine="newton")
    roots("other_cases", "2026-01-04", "b_args")
    (roots("broken", "2026-01-04", "a_args") / "best_by_case.tsv").write_text("x")
    (roots("unread", "2026-01-04", "a_args") / "run.json").write_text("x")
    assert find_last_green(parent, own) is None
    old = roots("z_old", "2026-01-01", "a_args")
    assert find_last_green(parent, own) == old
    new = roots("a_new", "2026-01-02", "a_args")
    assert find_last_green(parent, own) == new


def test_a_run_of_one_case_does_not_hide_the_last_full_one(shop, roots):
    own = roots("own", "2026-01-05", "a_args", "b_args")
    full = roots("full", "2026-01-01", "a_args", "b_args", "c_args")
    one = roots("one", "2026-01-02", "a_args")
    assert find_last_green(shop.root.parent, own) == full
    os.remove(full / "run.json")
    assert find_last_green(shop.root.parent, own) == one
