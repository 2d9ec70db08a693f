"""The gate on rows and folders: everything that a pass rests on must be there, finite, and borne out."""

import dataclasses
import math
from pathlib import Path

import pytest

from ci.gate import gate
from ci.gate.gate import KINDS, Finding, all_pass, judge, judge_root, judge_shards, place_root, remedy_of, verdict_line
from ci.records.tables import read_rows

NAN, INF = math.nan, math.inf
AMP, LCP = "amp_one_args", "lcp_four_args"


def all_rows(shards):
    return [row for root in shards.roots for row in read_rows(root / "best_by_case.tsv")]


def changed(rows, case, **values):
    return [dataclasses.replace(row, **values) if row.case == case else row for row in rows]


def test_a_good_run_has_nothing_against_it(shards):
    assert judge(shards.plan, all_rows(shards)) == []
    assert judge_shards(shards.plan, [2, 0, 1]) == []
    for shard, root in enumerate(shards.roots):
        assert place_root(shards.plan, root) == (shard, [])
        assert judge_root(shards.plan, root, shard) == []
        assert gate.judge_shard(shards.plan, root, shard) == []
    assert verdict_line([]) == "all_pass True"


def test_one_finding_is_enough():
    finding = Finding("failed", "", "no")
    assert not all_pass([finding])
    assert verdict_line([finding]) == "all_pass False"


def test_every_kind_says_what_it_means_and_what_to_do():
    assert set(KINDS) == {
        *("empty", "missing", "doubled", "unexpected", "stale", "failed", "zero_test", "non_finite", "unparsable"),
        "inconsistent",
        "job",
    }
    for kind, entry in KINDS.items():
        assert entry.kind == kind
        assert entry.meaning
        assert remedy_of(kind) == entry.remedy != ""
    finding = Finding("stale", AMP, "its\nseed is 2.")
    assert finding.sentence() == f"stale: {AMP}: its seed is 2; remedy: {KINDS['stale'].remedy}."


def test_the_readme_lists_the_kinds():
    lines = (Path(gate.__file__).parents[1] / "README.md").read_text().splitlines()
    start = lines.index("| finding | means | what to do |") + 2
    listed = [f"| `{one.kind}` | {one.meaning} | {one.remedy} |" for one in KINDS.values()]
    assert lines[start : start + len(KINDS)] == listed
    assert not lines[start + len(KINDS)].startswith("|")


@pytest.mark.parametrize(
    ("case", "values", "kind", "words"),
    [
        (AMP, {"final_ok": False, "note": "train failed (signal): SIGKILL"}, "failed", "SIGKILL"),
        (AMP, {"final_ok": False}, "failed", "does not say why"),
        (AMP, {"mean_return": NAN}, "non_finite", "mean_return is nan"),
        (AMP, {"mean_return": -INF}, "non_finite", "mean_return is -inf"),
        (AMP, {"mean_ep_len": NAN}, "non_finite", "mean_ep_len is nan"),
        (AMP, {"samples_per_s": INF}, "non_finite", "samples_per_s is inf"),
        (AMP, {"seconds": NAN}, "non_finite", "seconds is nan"),
        (AMP, {"viz_seconds": NAN}, "non_finite", "viz_seconds is nan"),
        (AMP, {"memory_gb": INF}, "non_finite", "memory_gb is inf"),
        (LCP, {"long_samples_per_s": NAN}, "non_finite", "long_samples_per_s is nan"),
        (AMP, {"episodes": 0}, "zero_test", "episodes is 0"),
        (AMP, {"episodes": None}, "zero_test", "episodes is empty"),
        (AMP, {"mean_return": None}, "inconsistent", "mean_return is empty"),
        (AMP, {"mean_ep_len": None}, "inconsistent", "mean_ep_len is empty"),
        (AMP, {"mean_ep_len": 0.0}, "inconsistent", "mean_ep_len is 0"),
        (AMP, {"samples": 0}, "inconsistent", "samples is 0"),
        (AMP, {"samples": None}, "inconsistent", "samples is empty"),
        (AMP, {"samples_per_s": None}, "inconsistent", "samples_per_s is empty"),
        (AMP, {"frames": 0}, "inconsistent", "frames is 0"),
        (AMP, {"frames": None}, "inconsistent", "frames is empty"),
        (AMP, {"seconds": None}, "inconsistent", "seconds is empty"),
        (AMP, {"seconds": 0.0}, "inconsistent", "seconds is 0"),
        (LCP, {"long_samples": None}, "inconsistent", "long_samples is empty"),
        (LCP, {"long_samples": 0}, "inconsistent", "long_samples is 0"),
        (LCP, {"long_ok": None}, "inconsistent", "long_rc is 0 and long_ok empty"),
        (AMP, {"train_rc": 1}, "inconsistent", "train_rc is 1 and train_ok 1"),
        (AMP, {"train_rc": None}, "inconsistent", "train_rc is empty"),
        (AMP, {"test_rc": -9}, "inconsistent", "test_rc is -9"),
        (AMP, {"viz_ok": False}, "inconsistent", "viz_rc is 0 and viz_ok 0"),
        (AMP, {"train_timeout": True}, "inconsistent", "ended at its deadline"),
        (AMP, {"failure": "divergence"}, "inconsistent", "the failure divergence"),
        (AMP, {"case_type": "nontrainable"}, "inconsistent", "called nontrainable"),
        (AMP, {"commit": "beef"}, "stale", "its commit is beef"),
        (AMP, {"commit": None}, "stale", "its commit is empty"),
        (AMP, {"seed": 2}, "stale", "its seed is 2, planned was 1"),
        (AMP, {"dirty": True}, "stale", "its dirty is 1, planned was 0"),
        (AMP, {"engine": "newton"}, "inconsistent", "its engine is newton, planned was mujoco"),
        (AMP, {"device": "cuda:0"}, "inconsistent", "its device is cuda:0, planned was cpu"),
        (AMP, {"device": None}, "inconsistent", "its device is empty, planned was cpu"),
        (AMP, {"episodes": 9}, "inconsistent", "its episodes are 9, planned were 10"),
        ("", {"engine_version": "3.3.8"}, "inconsistent", "differ in engine_version: 3.3.7"),
        ("", {"packages": None}, "inconsistent", "differ in packages: empty (1, such as amp_one_args)"),
    ],
)
def test_a_pass_is_believed_only_when_its_row_bears_it_out(shards, case, values, kind, words):
    (finding,) = judge(shards.plan, changed(all_rows(shards), case or AMP, **values))
    assert (finding.kind, finding.case) == (kind, case)
    assert words in finding.message


def test_a_case_that_failed_early_need_not_know_its_commit(shards):
    rows = changed(all_rows(shards), AMP, final_ok=False, commit=None, seed=None, dirty=None, samples=None)
    assert [finding.kind for finding in judge(shards.plan, rows)] == ["failed"]


def test_a_stage_that_rows_cannot_show_is_no_pass(shards, plan_maker):
    plan = shards.plan
    cases = [dataclasses.replace(case, stages=(*case.stages, "deploy")) for case in plan.cases]
    rows = all_rows(shards)
    found = judge(plan_maker(cases=tuple(cases)), rows)
    assert {(one.kind, one.case) for one in found} == {("inconsistent", row.case) for row in rows}
    assert all("the stage deploy" in one.message for one in found)


def test_what_was_planned_comes_back_once_and_nothing_else(shards, plan_maker):
    rows = all_rows(shards)
    without = [row for row in rows if row.case != AMP]
    extra = dataclasses.replace(rows[0], case="zzz_args")
    planned = len(rows)

    def kinds(found):
        return [(one.kind, one.case) for one in found]

    assert kinds(judge(shards.plan, without)) == [("missing", AMP)]
    assert kinds(judge(shards.plan, [*rows, rows[0]])) == [("doubled", rows[0].case)]
    assert kinds(judge(shards.plan, [*rows, extra])) == [("unexpected", "zzz_args")]
    assert [kind for kind, _ in kinds(judge(shards.plan, []))] == ["empty"] + ["missing"] * planned
    assert kinds(judge(plan_maker(cases=(), shards=()), rows)) == [("empty", "")]
    # One shard's rows: those of another are as unexpected as unknown ones, and say where they belong.
    (finding,) = judge(shards.plan, [*rows[:2], rows[2]], shard=0)
    assert (finding.kind, finding.case) == ("unexpected", rows[2].case)
    assert "belongs to shard 2/3" in finding.message
    assert kinds(judge(shards.plan, rows[:2], shard=3)) == [("unexpected", "")]
    assert kinds(judge(shards.plan, rows[:2], shard=-1)) == [("unexpected", "")]
    assert kinds(judge_shards(shards.plan, [0, 2, 2])) == [("missing", ""), ("doubled", "")]


ROOT_FAULTS = {
    "no folder": (lambda s: s.remove(0), "missing", "", "best_by_case.tsv is not there"),
    "no table": (lambda s: s.remove(0, "best_by_case.tsv"), "missing", "", "best_by_case.tsv is not there"),
    "table is a folder": (
        lambda s: (s.remove(0, "best_by_case.tsv"), (s.roots[0] / "best_by_case.tsv").mkdir()),
        "unparsable",
        "",
        "IsADirectoryError",
    ),
    "no junit": (lambda s: s.remove(0, "junit.xml"), "missing", "", "junit.xml is not there"),
    "junit cut off": (
        lambda s: s.change_text(0, "junit.xml", lambda text: text[: len(text) // 2]),
        "unparsable",
        "",
        "junit.xml: ParseError",
    ),
    "junit empty": (lambda s: s.change_text(0, "junit.xml", lambda _: ""), "unparsable", "", "junit.xml: ParseError"),
    "junit without suites": (
        lambda s: s.change_text(0, "junit.xml", lambda _: "<testsuites/>"),
        "zero_test",
        AMP,
        "no suite for it",
    ),
    "suite without tests": (
        lambda s: s.change_text(
            0,
            "junit.xml",
            lambda _: f'<testsuites><testsuite name="{AMP}"/><testsuite name="add_two_args"/></testsuites>',
        ),
        "zero_test",
        AMP,
        "there is no test train",
    ),
    "test skipped": (
        lambda s: s.change_text(0, "junit.xml", lambda text: edited_test(text, AMP, "viz", "skipped")),
        "zero_test",
        AMP,
        "viz is skipped",
    ),
    "test red": (
        lambda s: s.change_text(0, "junit.xml", lambda text: edited_test(text, AMP, "viz", "failure")),
        "inconsistent",
        AMP,
        "viz is red, its row says viz_ok 1",
    ),
    "test not planned": (
        lambda s: s.change_text(0, "junit.xml", lambda text: text.replace('name="viz"', 'name="deploy"')),
        "unexpected",
        AMP,
        "the test deploy was not planned",
    ),
    "test doubled": (
        lambda s: s.change_text(0, "junit.xml", lambda text: text.replace('name="viz"', 'name="test"')),
        "doubled",
        AMP,
        "test is there twice",
    ),
    "suite doubled": (
        lambda s: s.change_text(0, "junit.xml", lambda text: text.replace("add_two_args", AMP)),
        "doubled",
        AMP,
        "2 suites",
    ),
    "suite unknown": (
        lambda s: s.change_text(0, "junit.xml", lambda text: text.replace('name="add_two_args"', 'name="zzz"')),
        "unexpected",
        "zzz",
        "a suite",
    ),
    "no run.json": (lambda s: s.remove(0, "run.json"), "missing", "", "run.json is not there"),
    "run.json no JSON": (lambda s: s.change_text(0, "run.json", lambda _: "{"), "unparsable", "", "run.json"),
    "run.json nested without end": (
        lambda s: s.change_text(0, "run.json", lambda _: '{"plan":' + "[" * 100_000),
        "unparsable",
        "",
        "run.json: RecursionError",
    ),
    "no plan.json": (lambda s: s.remove(0, "plan.json"), "missing", "", "plan.json is not there"),
    "plan.json changed by hand": (
        lambda s: s.change_text(0, "plan.json", lambda text: text.replace("add_two_args", "add_x_args")),
        "unparsable",
        "",
        "changed by hand",
    ),
    "no journal": (
        lambda s: s.remove(0, f"runs/{AMP}/attempts.json"),
        "missing",
        AMP,
        "attempts.json is not there",
    ),
    "journal cut off": (
        lambda s: s.change_text(0, f"runs/{AMP}/attempts.json", lambda text: text[:200]),
        "unparsable",
        AMP,
        "attempts.json",
    ),
    "journal with an endless exit code": (
        lambda s: s.change_text(0, f"runs/{AMP}/attempts.json", lambda text: text.replace('"rc": 0', '"rc": 1e999', 1)),
        "unparsable",
        AMP,
        "attempts.json",
    ),
    "journal not finished": (
        lambda s: s.change_text(
            0, f"runs/{AMP}/attempts.json", lambda text: text.replace('"finished": true', '"finished": false')
        ),
        "inconsistent",
        AMP,
        "the case is not finished",
    ),
    "journal of another case": (
        lambda s: s.change_text(
            0, f"runs/{AMP}/attempts.json", lambda text: text.replace(f'"name": "{AMP}"', '"name": "x"')
        ),
        "inconsistent",
        AMP,
        "it is about x",
    ),
    "journal of other stages": (
        lambda s: s.change_text(
            0, f"runs/{AMP}/attempts.json", lambda text: text.replace('  "viz"\n ]', '  "test"\n ]')
        ),
        "unparsable",
        AMP,
        "does not have the stages",
    ),
    "journal with another exit code": (
        lambda s: s.change_text(0, f"runs/{AMP}/attempts.json", lambda text: text.replace('"rc": 0', '"rc": 1', 1)),
        "inconsistent",
        AMP,
        "final_ok is 0, its row says 1",
    ),
    "journal with another return": (
        lambda s: s.change_text(0, f"runs/{AMP}/attempts.json", lambda text: text.replace("5.25", "5.26")),
        "inconsistent",
        AMP,
        "mean_return is 5.26, its row says 5.25",
    ),
    "no picture of what was drawn": (
        lambda s: s.remove(0, f"runs/{AMP}/base_e64/viz/contact_sheet.png"),
        "missing",
        AMP,
        "base_e64/viz/contact_sheet.png is not there, which its pass rests on",
    ),
    "journal that says otherwise of itself": (
        lambda s: s.change_text(
            0, f"runs/{AMP}/attempts.json", lambda text: text.replace('"ok": true', '"ok": false', 1)
        ),
        "inconsistent",
        AMP,
        "ok is 0, its row says 1",
    ),
}


def edited_test(text, case, stage, tag):
    """junit.xml with a child in one of its tests."""
    begin = text.index(f'<testsuite disabled="0" errors="0" failures="0" name="{case}"')
    position = text.index(f'name="{stage}"', begin)
    close = text.index("/>", position)
    return f"{text[:close]}><{tag}/></testcase>{text[close + 2 :]}"


@pytest.mark.parametrize("fault", ROOT_FAULTS)
def test_the_files_of_a_root_must_bear_its_rows_out(shards, fault):
    breaking, kind, case, words = ROOT_FAULTS[fault]
    breaking(shards)
    found = judge_root(shards.plan, shards.roots[0], 0)
    assert [one for one in found if (one.kind, one.case) == (kind, case) and words in one.message], found


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"plan": "0123"}, "stale", "plan is 0123"),
        ({"plan": None}, "stale", "plan is empty"),
        ({"commit": "beef"}, "stale", "commit is beef"),
        ({"seed": 7}, "stale", "seed is 7, planned was 1"),
        ({"dirty": True}, "stale", "dirty is 1, planned was 0"),
        ({"shard": [2, 3]}, "unexpected", "shard is [2, 3], expected shard 1/3"),
        ({"shard": [1, 4]}, "unexpected", "shard is [1, 4]"),
        ({"shard": [1, 1]}, "unexpected", "shard is [1, 1]"),
        ({"shard": "1/3"}, "unexpected", "shard is '1/3'"),
        ({"ended": "ended by SIGTERM"}, "failed", "ended by SIGTERM"),
        ({"ended": ""}, "failed", "did not come to its end: empty"),
    ],
)
def test_run_json_must_be_of_this_plan_this_shard_and_a_run_that_ended(shards, values, kind, words):
    with shards.run(0) as run:
        run.update(values)
    (finding,) = judge_root(shards.plan, shards.roots[0], 0)
    assert finding.kind == kind
    assert words in finding.message


def test_a_run_of_a_plan_with_several_shards_in_one_piece(shards, plan_maker):
    plan = plan_maker(shards=(sum(shards.plan.shards, ()),))
    root = shards.add(0, "whole", plan)
    assert judge_root(plan, root) == judge_root(plan, root, 0) == []
    shards.plan = plan_maker()
    with shards.run(-1) as run:
        run.update(plan=shards.plan.id)
    found = judge_root(shards.plan, root)
    assert [one.message.split()[0] for one in found] == ["plan.json"]  # run.json says 1/1: the whole, as expected
    assert place_root(shards.plan, root)[0] is None
    with shards.run(-1) as run:
        run["shard"] = [4, 3]
    assert any("shard is [4, 3], expected the whole plan" in one.message for one in judge_root(shards.plan, root))


def test_a_case_that_failed_is_red_once_and_its_files_agree(shards):
    with shards.results(0) as results:
        record = results[AMP].attempts[-1].stages["train"]
        record.result = dataclasses.replace(record.result, returncode=-9)
        results[AMP].note = "train failed (signal): ended by SIGKILL"
    (finding,) = judge_root(shards.plan, shards.roots[0], 0)
    assert (finding.kind, finding.case, finding.message) == ("failed", AMP, "train failed (signal): ended by SIGKILL")


def test_a_red_journal_behind_a_green_row_is_found_and_the_other_way_round(shards):
    with shards.rows(0) as rows:
        before = dataclasses.replace(rows[0])
        rows[0].final_ok, rows[0].note = False, "someone wrote this"
    found = judge_root(shards.plan, shards.roots[0], 0)
    assert [(one.kind, one.message) for one in found] == [
        ("failed", "someone wrote this"),
        ("inconsistent", "junit.xml: the suite is green, its row says final_ok 0"),
        ("inconsistent", "attempts.json: final_ok is 1, its row says 0"),
    ]
    with shards.rows(0) as rows:
        rows[0] = before
    assert judge_root(shards.plan, shards.roots[0], 0) == []


def test_a_folder_that_passes_and_says_that_it_did_not_is_not_believed(shards):
    with shards.run(0) as run:
        run["all_pass"] = False
    assert judge_root(shards.plan, shards.roots[0], 0) == []
    (finding,) = gate.judge_shard(shards.plan, shards.roots[0], 0)
    assert finding.kind == "inconsistent"
