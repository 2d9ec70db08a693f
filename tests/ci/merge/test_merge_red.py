"""Merging shards with something wrong: the verdict is red, says why, and only the gate makes it so."""

import dataclasses
import json
import math
import shutil

import pytest

from ci.gate import gate
from ci.records.tables import read_rows

AMP, ADD, ASE = "amp_one_args", "add_two_args", "ase_three_args"
GOOD = "all_pass True"


def findings(root):
    return [(one["kind"], one["case"], one["message"]) for one in json.loads((root / "findings.json").read_text())]


def is_red(merged, root):
    """Whether the verdict is red in every place that says it; an error instead of a verdict is neither."""
    code, lines = merged()
    said = {
        code == 1,
        lines[-1] == "all_pass False",
        json.loads((root / "run.json").read_text())["all_pass"] is False,
        bool(findings(root)),
    }
    assert len(said) == 1, "the verdicts differ"
    assert lines[-1] in ("all_pass True", "all_pass False")
    return said.pop()


def another_plan(shards, **changes):
    """Shard 2 comes from another plan with the same names, as a run of yesterday."""
    shards.remove(1)
    shards.add(1, "artifact_2", dataclasses.replace(shards.plan, **changes))


def set_cell(column, value):
    """A breaking that writes ``value`` into the text of a cell of the first row."""

    def change(text):
        header, first, *rest = text.split("\n")
        cells = first.split("\t")
        cells[header.split("\t").index(column)] = value
        return "\n".join([header, "\t".join(cells), *rest])

    return lambda shards: shards.change_text(0, "best_by_case.tsv", change)


def set_row(shard, **values):
    def breaking(shards):
        with shards.rows(shard) as rows:
            for column, value in values.items():
                setattr(rows[0], column, value)

    return breaking


def drop_row(shards):
    with shards.rows(0) as rows:
        rows.pop(0)


def double_row(shards):
    with shards.rows(0) as rows:
        rows.append(rows[0])


def add_unknown(shards):
    with shards.rows(0) as rows:
        rows.append(dataclasses.replace(rows[0], case="zzz_args"))


def skip_test(shards):
    def change(text):
        position = text.index('name="viz"')
        close = text.index("/>", position)
        return f"{text[:close]}><skipped/></testcase>{text[close + 2 :]}"

    shards.change_text(0, "junit.xml", change)


def contradict_journal(shards):
    shards.change_text(0, f"runs/{AMP}/attempts.json", lambda text: text.replace('"rc": 0', '"rc": 1', 1))


def binary_table(shards):
    (shards.roots[0] / "best_by_case.tsv").write_bytes(bytes(range(256)) * 8)


def empty_matrix(shards):
    for shard in range(3):
        shards.change_text(shard, "best_by_case.tsv", lambda text: text.split("\n")[0] + "\n")


def other_commit(shards):
    """The right plan, but the machine had another commit checked out: its rows and run.json say so."""
    with shards.rows(1) as rows:
        for row in rows:
            row.commit = "beef" * 10
    with shards.run(1) as run:
        run["commit"] = "beef" * 10


def set_run(number, /, **values):
    def breaking(shards):
        with shards.run(number) as run:
            run.update(values)

    return breaking


def only_empty_folders(shards):
    for shard in range(3):
        shards.remove(shard)


def another_engine(shards):
    with shards.results(1) as results:
        for result in results.values():
            result.attempts[-1].stages["train"].facts["versions"] = {"torch": "2.9.0", "mujoco": "3.3.8"}


# What is broken: how, and the kind, the case and words of a finding that must be among those it gives.
BREAKINGS = {
    "shard missing": (lambda s: s.remove(1), "missing", "", "shard 2/3 did not come back"),
    "shard doubled": (
        lambda s: shutil.copytree(s.roots[1], s.folder / "again" / "run_2"),
        "doubled",
        "",
        "shard 2/3 came back 2 times",
    ),
    "shard without tables": (
        lambda s: (s.remove(1, "best_by_case.tsv"), s.remove(1, "run.json")),
        "missing",
        "",
        "shard 2/3 did not come back",
    ),
    "shard of yesterday": (lambda s: another_plan(s, nonce="last night"), "stale", "", "run.json: plan is"),
    "shard of an older commit": (lambda s: another_plan(s, commit="beef" * 10), "stale", "", "run.json: plan is"),
    "shard with another seed": (lambda s: another_plan(s, seed=2), "stale", "", "plans"),
    "shard on another checkout": (other_commit, "stale", ASE, "its commit is beef"),
    "shard with changed files": (set_run(1, dirty=True), "stale", "", "dirty is 1"),
    "shard that was stopped": (set_run(1, ended="ended by SIGTERM"), "failed", "", "ended by SIGTERM"),
    "shard that failed by itself": (set_run(1, all_pass=False), "inconsistent", "", "all_pass is 0"),
    "shard of another number": (set_run(1, shard=[4, 3]), "unexpected", "", "shard [4, 3]"),
    "merged run among the shards": (set_run(1, merged=["a", "b"]), "unexpected", "", "a merged run"),
    "shard with other packages": (another_engine, "inconsistent", "", "differ in engine_version"),
    "no shard": (only_empty_folders, "missing", "", "holds no best_by_case.tsv"),
    "empty matrix": (empty_matrix, "empty", "", "no row came back"),
    "table cut off": (
        lambda s: s.change_text(0, "best_by_case.tsv", lambda text: text[:-20]),
        "unparsable",
        "",
        "the last line is cut off",
    ),
    "table cut off at a line": (
        lambda s: s.change_text(0, "best_by_case.tsv", lambda text: "\n".join(text.split("\n")[:2]) + "\n"),
        "missing",
        ADD,
        "has no row",
    ),
    "table binary": (binary_table, "unparsable", "", "UnicodeDecodeError"),
    "table empty": (lambda s: s.change_text(0, "best_by_case.tsv", lambda _: ""), "unparsable", "", "header"),
    "table with another header": (
        lambda s: s.change_text(0, "best_by_case.tsv", lambda text: text.replace("final_ok", "passed", 1)),
        "unparsable",
        "",
        "missing ['final_ok']",
    ),
    "word for a number": (set_cell("samples", "many"), "unparsable", "", "'many' is not a whole number"),
    "final_ok 2": (set_cell("final_ok", "2"), "unparsable", "", "'2' is not 0 or 1"),
    "final_ok empty": (set_cell("final_ok", ""), "unparsable", "", "not 0 or 1"),
    "final_ok True": (set_cell("final_ok", "True"), "unparsable", "", "not 0 or 1"),
    "row missing": (drop_row, "missing", AMP, "has no row"),
    "row doubled": (double_row, "doubled", AMP, "it has 2 rows"),
    "row unknown": (add_unknown, "unexpected", "zzz_args", "not in the plan"),
    "mean return NaN": (set_row(0, mean_return=math.nan), "non_finite", AMP, "mean_return is nan"),
    "samples/s infinite": (set_row(0, samples_per_s=math.inf), "non_finite", AMP, "samples_per_s is inf"),
    "no episodes": (set_row(0, episodes=0), "zero_test", AMP, "episodes is 0"),
    "stage not ok": (set_row(0, viz_ok=False), "inconsistent", AMP, "viz_ok 0"),
    "exit code 1": (set_row(0, train_rc=1), "inconsistent", AMP, "train_rc is 1"),
    "case failed": (lambda s: s.fail_case(), "failed", AMP, "exit code 1"),
    "journal contradicts": (contradict_journal, "inconsistent", AMP, "attempts.json: final_ok is 0"),
    "journal missing": (lambda s: s.remove(0, f"runs/{AMP}/attempts.json"), "missing", AMP, "attempts.json"),
    "test skipped": (skip_test, "zero_test", AMP, "viz is skipped"),
    "junit without tests": (
        lambda s: s.change_text(0, "junit.xml", lambda _: "<testsuites></testsuites>"),
        "zero_test",
        AMP,
        "no suite",
    ),
    "junit missing": (lambda s: s.remove(0, "junit.xml"), "missing", "", "junit.xml is not there"),
    "run.json missing": (lambda s: s.remove(0, "run.json"), "missing", "", "run.json is not there"),
    "run.json cut off": (
        lambda s: s.change_text(0, "run.json", lambda text: text[:30]),
        "unparsable",
        "",
        "run.json is not JSON",
    ),
    "plan.json missing": (lambda s: s.remove(0, "plan.json"), "missing", "", "plan.json is not there"),
    "plan.json missing everywhere": (
        lambda s: [s.remove(shard, "plan.json") for shard in range(3)],
        "empty",
        "",
        "the plan holds no case",
    ),
}
WITHOUT_PLAN = ("no shard", "plan.json missing everywhere")


@pytest.mark.parametrize("name", BREAKINGS)
def test_a_broken_run_is_red_and_says_why(shards, merged, root, name):
    breaking, kind, case, words = BREAKINGS[name]
    breaking(shards)
    assert is_red(merged, root)
    found = findings(root)
    assert [one for one in found if one[:2] == (kind, case) and words in one[2]], found
    assert (root / "summary.md").read_text().startswith("# all_pass False")
    assert len(set(found)) == len(found)
    planned = [] if name in WITHOUT_PLAN else [case.name for case in shards.plan.cases]
    assert [row.case for row in read_rows(root / "best_by_case.tsv")] == planned


@pytest.mark.parametrize("name", BREAKINGS)
def test_no_test_above_passes_without_the_verdict(shards, merged, root, monkeypatch, name):
    BREAKINGS[name][0](shards)
    monkeypatch.setattr(gate, "all_pass", lambda found: True)
    code, lines = merged()
    assert (code, lines[-1]) == (0, GOOD)


# Of these the finding is made where folders and plans are looked for, before anything can be judged.
FOUND_BEFORE = {"no shard", "plan.json missing", "plan.json missing everywhere"}
FOUND_BEFORE |= {"shard of yesterday", "shard of an older commit", "shard with another seed"}  # two plans


@pytest.mark.parametrize("name", sorted(set(BREAKINGS) - FOUND_BEFORE))
def test_no_test_above_passes_without_the_judges(shards, merged, root, monkeypatch, name):
    BREAKINGS[name][0](shards)
    place = gate.place_root
    monkeypatch.setattr(gate, "place_root", lambda plan, root: (place(plan, root)[0], []))
    for judge in ("judge", "judge_root", "judge_shard", "judge_shards"):
        monkeypatch.setattr(gate, judge, lambda *_: [])
    assert not is_red(merged, root)
