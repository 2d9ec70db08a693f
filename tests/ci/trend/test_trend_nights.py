"""The last nights of a case in words, since when it fails, and which run speaks for a profile."""

import pytest

from ci.trend.history import SWEEP
from ci.trend.nights import Nights

CASE = "add_one_args"


def day(number):
    return f"2026-11-{number:02}"


@pytest.fixture
def nights(history_row):
    """A function that makes nights from a word for each case: p passes, f fails, - does not run. The 1st comes first.

    Other cases keep every night in the history.
    """

    def make(last=None, **words):
        rows = []
        for case, text in {"other_args": "p" * max(map(len, words.values())), **words}.items():
            for number, word in enumerate(text, start=1):
                if word != "-":
                    failure = None if word == "p" else "timeout"
                    rows.append(history_row(day(number), case=case, failure=failure))
        rows.sort(key=lambda row: row.night)
        return Nights(rows, day(last) if last else rows[-1].night)

    return make


def the_one(nights):
    (trouble,) = nights.troubles()
    return trouble


@pytest.mark.parametrize(
    ("words", "shown", "since", "is_first"),
    [
        ("pppfpf", "pass pass fail pass fail", 6, False),
        ("ppppff", "pass pass pass fail fail", 5, False),
        ("pf---f", "fail - - - fail", 2, False),
        ("f-p--f", "- pass - - fail", 6, False),
        ("pffffffff", "fail fail fail fail fail", 2, False),
        ("ffffff", "fail fail fail fail fail", 1, True),
        ("--ff", "- - fail fail", 3, True),
        ("f", "fail", 1, True),
    ],
)
def test_the_last_nights_and_the_first_of_failing(nights, words, shown, since, is_first):
    trouble = the_one(nights(add_one_args=words))
    assert (trouble.row.case, " ".join(trouble.words)) == (CASE, shown)
    assert (trouble.since, trouble.is_first) == (day(since), is_first)


def test_what_passed_last_is_no_trouble(nights):
    assert nights(add_one_args="ffffp").troubles() == []


def test_an_earlier_night_is_as_it_was_then(nights):
    then = nights(last=3, add_one_args="pffpp")
    assert (then.shown, the_one(then).since) == ([day(1), day(2), day(3)], day(2))


def test_what_began_to_fail_last_comes_first_and_whole_runs_before_it(nights, history_row):
    found = nights(a_args="pff", c_args="ppf", b_args="ppf").troubles()
    assert [one.row.case for one in found] == ["b_args", "c_args", "a_args"]
    rows = [history_row(day(1), failure="timeout"), history_row(day(1), case=SWEEP, failure="stale")]
    assert [one.row.case for one in Nights(rows, day(1)).troubles()] == [SWEEP, CASE]


def test_of_several_runs_in_one_night_the_last_counts(history_row):
    first = [
        history_row(day(1), run_url="https://example.org/a", failure="timeout"),
        history_row(day(1), run_url="https://example.org/a", case=SWEEP, failure="missing"),
    ]
    second = [history_row(day(1), run_url="https://example.org/b")]
    assert Nights([*first, *second], day(1)).troubles() == []
    found = Nights([*second, *first], day(1)).troubles()
    assert [one.row.failure for one in found] == ["missing", "timeout"]
    assert found[0].words == ("fail",)


def test_a_sweep_with_nothing_against_it_passed(history_row):
    rows = [
        history_row(day(1)),
        history_row(day(2), case=SWEEP, failure="missing"),
        history_row(day(3)),
        history_row(day(4), case=SWEEP, failure="missing"),
        history_row(day(5), profile="longcycle"),
        history_row(day(6), case=SWEEP, failure="missing"),
    ]
    trouble = the_one(Nights(rows, day(6)))
    assert " ".join(trouble.words) == "fail pass fail - fail"
    assert (trouble.since, trouble.is_first) == (day(4), False)


def test_a_run_that_came_to_nothing_leaves_its_cases_as_they_were(history_row):
    rows = [
        history_row(day(1), failure="timeout"),
        history_row(day(1), case="other_args"),
        history_row(day(2), case=SWEEP, failure="missing"),
    ]
    nights = Nights(rows, day(2))
    assert sorted(row.case for row in nights.standing("nightly")) == [SWEEP, CASE, "other_args"]
    sweep, case = nights.troubles()
    assert (sweep.words, sweep.since) == (("pass", "fail"), day(2))
    assert (case.words, case.since) == (("fail", "-"), day(1))


def test_a_case_that_the_last_run_no_longer_has_is_forgotten(history_row):
    rows = [history_row(day(1), failure="timeout"), history_row(day(2), case="other_args")]
    assert Nights(rows, day(2)).troubles() == []


def test_a_profile_that_did_not_run_stands_until_the_last_nights_are_without_it(history_row):
    rows = [history_row(day(1), profile="longcycle", failure="timeout")]
    rows += [history_row(day(number)) for number in range(1, 7)]
    until = Nights(rows, day(5))
    assert until.profiles == ["longcycle", "nightly"]
    assert " ".join(the_one(until).words) == "fail - - - -"
    assert until.last_night("longcycle") == day(1)
    after = Nights(rows, day(6))
    assert (after.profiles, after.troubles()) == (["nightly"], [])


def test_a_number_is_compared_with_passes_of_the_same_kind(history_row):
    rows = [history_row(day(number), samples_per_s=float(number)) for number in range(1, 15)]
    rows[3] = history_row(day(4), samples_per_s=4.0, failure="timeout")
    rows[5] = history_row(day(6), samples_per_s=6.0, device_name="A100")
    rows[6] = history_row(day(7), samples_per_s=7.0, engine="mujoco")
    rows[7] = history_row(day(8), samples_per_s=8.0, profile="longcycle")
    rows[8] = history_row(day(9), samples_per_s=9.0, case="other_args")
    nights = Nights(rows, day(14))
    found = nights.earlier_green(nights.sweep("nightly")[CASE], 7)
    assert [one.samples_per_s for one in found] == [2.0, 3.0, 5.0, 10.0, 11.0, 12.0, 13.0]


def test_an_unknown_device_is_not_the_same_device(history_row):
    rows = [history_row(day(number), device_name=None) for number in (1, 2)]
    assert Nights(rows, day(2)).earlier_green(rows[1], 10) == []
