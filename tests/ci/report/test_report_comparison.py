"""This run beside an earlier one."""

from dataclasses import replace

import pytest

from ci.report.comparison import compare


def rows(*entries):
    return {entry.row.case: entry.row for entry in entries}


def change(comparison, field, case=0):
    """Ratio and verdict of a number of a case."""
    fields = ("mean_return", "mean_ep_len", "samples_per_s", "seconds")
    found = comparison.cases[case].changes[fields.index(field)]
    return found.ratio, found.verdict


@pytest.mark.parametrize(
    ("field", "now", "then", "ratio", "verdict"),
    [
        ("mean_return", 5.0, 5.0, 1.0, "same"),
        ("mean_return", 6.0, 5.0, 1.2, "same"),
        ("mean_return", 6.01, 5.0, 1.202, "better"),
        ("mean_return", 3.99, 5.0, 0.798, "worse"),
        ("mean_ep_len", 10.0, 40.0, 0.25, "worse"),
        ("samples_per_s", 3000.0, 1000.0, 3.0, "better"),
        ("seconds", 30.0, 20.0, 1.5, "worse"),
        ("seconds", 10.0, 20.0, 0.5, "better"),
        ("mean_return", -3.0, 5.0, None, "worse"),
        ("mean_return", -2.0, -5.0, None, "better"),
        ("mean_return", -5.1, -5.0, None, "same"),
        ("mean_return", 0.0, 0.0, None, "same"),
        ("mean_return", 0.1, 0.0, None, "better"),
        ("mean_return", float("nan"), 5.0, None, ""),
        ("mean_return", None, 5.0, None, ""),
        ("mean_return", 5.0, None, None, ""),
    ],
)
def test_a_number_is_judged_by_its_relative_change(shop, field, now, then, ratio, verdict):
    entry = shop.entry("amp_a_args")
    now_entry = replace(entry, row=replace(entry.row, **{field: now}))
    comparison = compare([now_entry], {"amp_a_args": replace(entry.row, **{field: then})})
    found, said = change(comparison, field)
    assert found == (pytest.approx(ratio) if ratio is not None else None)
    assert said == verdict


def test_cases_that_turned_came_or_went(shop):
    entries = [shop.entry("a_args"), shop.failed("b_args"), shop.entry("c_args"), shop.failed("d_args")]
    entries += [shop.entry("e_args")]
    baseline = rows(*entries)
    baseline["b_args"] = replace(baseline["b_args"], final_ok=True)
    baseline["c_args"] = replace(baseline["c_args"], final_ok=False)
    del baseline["e_args"]
    baseline |= {name: replace(baseline["a_args"], case=name) for name in ("gone_args", "elsewhere_args")}
    comparison = compare(entries, baseline, elsewhere=["elsewhere_args"])
    assert [(case.case, case.status) for case in comparison.cases] == [
        ("b_args", "newly failing"),
        ("c_args", "newly passing"),
        ("e_args", "new"),
        ("a_args", ""),
        ("d_args", ""),
    ]
    assert comparison.gone == ("gone_args",)
    counts = {"newly failing": 1, "newly passing": 1, "new": 1, "gone": 1}
    assert comparison.counts == counts


def test_what_moved_comes_before_what_did_not(shop):
    entries = [shop.entry("a_args"), shop.entry("b_args", mean_return=9.0)]
    baseline = rows(*entries) | {"b_args": replace(entries[1].row, mean_return=5.0)}
    comparison = compare(entries, baseline)
    assert [case.case for case in comparison.cases] == ["b_args", "a_args"]
    assert comparison.counts == {"better": 1}
