"""Which numbers are outside of what the nights before came to, and what is not compared at all."""

import numpy as np
import pytest

from ci.trend.history import SWEEP
from ci.trend.nights import Nights
from ci.trend.spread import FEWEST, LEARNING, NIGHTS, THROUGHPUT, Compared, compare


def compared(history_row, value, earlier):
    return Compared(history_row("2026-11-22"), THROUGHPUT[0], value, tuple(earlier))


@pytest.mark.parametrize(
    ("value", "earlier", "way"),
    [
        # 100 to 120, so half of what lies between is 10: inside from 90 to 130
        (90.1, (100.0, 110.0, 120.0), ""),
        (89.9, (100.0, 110.0, 120.0), "lower"),
        (129.9, (120.0, 100.0, 110.0), ""),
        (130.1, (110.0, 120.0, 100.0), "higher"),
        # all the same: a hundredth of the median
        (100.9, (100.0, 100.0, 100.0), ""),
        (98.9, (100.0, 100.0, 100.0), "lower"),
        # returns may be below zero: -4 to -2, inside from -5 to -1
        (-4.9, (-4.0, -2.0, -3.0), ""),
        (-5.1, (-4.0, -2.0, -3.0), "lower"),
        (-0.9, (-4.0, -2.0, -3.0), "higher"),
        (0.0, (0.0, 0.0, 0.0), ""),
        (0.1, (0.0, 0.0, 0.0), "higher"),
    ],
)
def test_outside_is_beyond_half_the_spread(history_row, value, earlier, way):
    assert compared(history_row, value, earlier).way == way


def test_ratio_and_distance(history_row):
    one = compared(history_row, 60.0, (100.0, 140.0, 110.0, 130.0))
    assert (one.median, one.low, one.high, one.ratio, one.distance) == (120.0, 100.0, 140.0, 0.5, 0.5)
    assert compared(history_row, -1.0, (1.0, 1.0, 1.0)).ratio is None
    assert compared(history_row, 1.0, (-1.0, -1.0, -1.0)).ratio is None
    assert compared(history_row, 1.0, (-1.0, -1.0, -1.0)).distance == 2.0
    assert compared(history_row, 1.0, (0.0, 0.0, 0.0)).distance == float("inf")


def test_numbers_that_only_scatter_are_seldom_outside(history_row):
    """Ten nights of normal deviates: 18 of a hundred are below the least or above the most of them (2/11)."""
    generator = np.random.default_rng(3)
    nights = 1000.0 + 20.0 * generator.standard_normal((3000, NIGHTS + 1))
    found = [compared(history_row, values[0], values[1:]) for values in nights.tolist()]
    assert np.mean([not one.low <= one.value <= one.high for one in found]) == pytest.approx(2 / 11, abs=0.025)
    assert np.mean([one.way != "" for one in found]) < 0.025


def test_what_is_compared(history_row):
    rows = [history_row(f"2026-11-{day}", samples_per_s=float(day)) for day in range(10, 22)]
    rows += [
        history_row("2026-11-22", samples_per_s=500.0),
        history_row("2026-11-22", case="fails_args", failure="timeout"),
        history_row("2026-11-22", case="new_args", long_samples_per_s=7.0, mean_return=None),
        history_row("2026-11-22", case=SWEEP, failure="stale"),
    ]
    nights = Nights(rows, "2026-11-22")
    found = [(one.row.case, one.measure.column, one.value, one.earlier) for one in compare(nights, THROUGHPUT)]
    assert found == [
        ("add_one_args", "samples_per_s", 500.0, tuple(float(day) for day in range(12, 22))),
        ("new_args", "samples_per_s", 1000.0, ()),
        ("new_args", "long_samples_per_s", 7.0, ()),
    ]
    assert [(one.row.case, one.value) for one in compare(nights, LEARNING)] == [("add_one_args", 5.0)]


def test_three_nights_are_enough(history_row):
    assert FEWEST == 3
    assert compared(history_row, 1.0, (1.0, 1.0, 1.0)).enough
    assert not compared(history_row, 1.0, (1.0, 1.0)).enough


def test_a_profile_that_did_not_run_this_night_is_not_compared(history_row):
    rows = [history_row("2026-11-21", profile="longcycle"), history_row("2026-11-22")]
    found = compare(Nights(rows, "2026-11-22"), THROUGHPUT)
    assert [one.row.profile for one in found] == ["nightly"]
