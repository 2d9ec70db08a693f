"""Balance of shards, and the limits of time around them."""

import dataclasses
import itertools
import math
import random
import time
from pathlib import Path

import pytest

from ci.plan.seconds import TABLE, read_table
from ci.plan.shards import balance, limits, slowest_case
from ci.profiles import PROFILES

REPOSITORY = Path(__file__).parents[3]
SMOKE = PROFILES["smoke"]


def test_the_longest_goes_first_and_each_to_the_emptiest():
    # a 7 | b 6; c to b: 11; d to a: 11; both 11 with two cases each, so e to the first
    assert balance({"e": 3, "d": 4, "c": 5, "b": 6, "a": 7}, 2) == (("a", "d", "e"), ("b", "c"))


def test_ties_go_by_name_whatever_the_order_of_the_mapping():
    names = ["delta", "alpha", "charlie", "bravo"]
    for order in itertools.permutations(names):
        assert balance(dict.fromkeys(order, 2.0), 2) == (("alpha", "charlie"), ("bravo", "delta"))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_shard_is_empty(value):
    shards = balance({f"case_{number}": value for number in range(7)}, 5)
    assert sorted(map(len, shards)) == [1, 1, 1, 2, 2]
    assert balance({"a": value, "b": 0.0}, 5) == (("a",), ("b",))
    assert balance({}, 5) == ()


@pytest.mark.parametrize(("seconds", "shards"), [({"a": 1.0}, 0), ({"a": math.nan}, 1), ({"a": -1.0}, 1)])
def test_nonsense_is_refused(seconds, shards):
    with pytest.raises(ValueError, match=r"at least 1 shard|finite and not negative: a"):
        balance(seconds, shards)


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_shard_is_near_the_best_there_is(seed):
    """Against all 3^7 ways; Graham's bound for the longest-first rule on 3 machines is 4/3 - 1/9 = 11/9."""
    draw = random.Random(seed)
    seconds = {f"case_{number}": draw.uniform(1.0, 100.0) for number in range(7)}
    best = math.inf
    for places in itertools.product(range(3), repeat=len(seconds)):
        loads = [0.0, 0.0, 0.0]
        for place, value in zip(places, seconds.values(), strict=True):
            loads[place] += value
        best = min(best, max(loads))
    shards = balance(seconds, 3)
    assert max(sum(seconds[name] for name in shard) for shard in shards) <= best * 11 / 9 + 1e-9
    for shard in shards:
        assert [seconds[name] for name in shard] == sorted((seconds[name] for name in shard), reverse=True)


def test_the_real_cases_in_three_shards_are_within_a_quarter_of_each_other():
    seconds = {name: case.seconds for name, case in read_table(REPOSITORY / TABLE)["smoke"].items()}
    assert len(seconds) == len(list((REPOSITORY / "args").glob("*.txt")))
    loads = [sum(seconds[name] for name in shard) for shard in balance(seconds, 3)]
    assert max(loads) <= 1.25 * min(loads)


def test_ten_thousand_cases_take_well_under_two_seconds():
    draw = random.Random(0)
    seconds = {f"case_{number}": draw.uniform(1.0, 1000.0) for number in range(10_000)}
    started = time.process_time()
    shards = balance(seconds, 256)
    assert time.process_time() - started < 1.0
    assert sorted(name for shard in shards for name in shard) == sorted(seconds)
    loads = [sum(seconds[name] for name in shard) for shard in shards]
    assert max(loads) < 1.01 * min(loads)


@pytest.mark.parametrize(
    ("seconds", "absolute", "jobs", "expected"),
    [
        # Profile smoke: 2 * 1800 for preparations + 1800 + 900 + 900 + 300 = 7500 s for one case at its limits.
        ([100.0, 50.0, 30.0], True, 1, (8220, 147, 177)),  # 7500 + 4 * 180 = 8220 s = 137 min
        ([100.0, 50.0, 30.0], True, 2, (7920, 142, 172)),  # 7500 + 4 * 100 = 7900 s, in whole minutes 132
        ([100.0, 100.0, 100.0], True, 2, (8100, 145, 175)),  # 7500 + 4 * 150 = 8100 s = 135 min
        ([1.0], False, 1, (7500, 135, 165)),
        ([1.0, 1.0, 1.0], False, 2, (15000, 260, 290)),  # two rounds of 7500 s
        ([1.0, 1.0, 1.0], False, 1, (19200, 330, 360)),  # three would be 375 min; 6 h are all there is
        ([3600.0] * 3, True, 1, (19200, 330, 360)),
    ],
)
def test_limits_by_hand(seconds, absolute, jobs, expected):
    found = limits(seconds, absolute, SMOKE, jobs)
    assert (found.deadline_seconds, found.step_timeout_minutes, found.timeout_minutes) == expected


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
@pytest.mark.parametrize("count", [1, 2, 5, 40, 4000])
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("each", [0.0, 7.3, 5000.0])
def test_limits_are_nested_and_leave_time_for_the_slowest_case(profile, count, absolute, each):
    found = limits([each] * count, absolute, profile)
    assert slowest_case(profile) <= found.deadline_seconds
    assert found.deadline_seconds % 60 == 0
    assert found.deadline_seconds + 600 <= 60 * found.step_timeout_minutes
    assert found.step_timeout_minutes + 30 <= found.timeout_minutes
    # One case of nightly or longcycle may take longer than a hosted runner has.
    assert found.timeout_minutes <= {"smoke": 360, "pr": 360, "nightly": 7200, "longcycle": 7200}[profile.name]


def test_the_slowest_case_counts_each_stage_of_the_profile():
    nightly, long = PROFILES["nightly"], PROFILES["longcycle"]
    assert slowest_case(nightly) == 3 * 4 * 3600 + 2 * 1800 + 300
    # Two preparations, the probe, an hour and a training's limit for the long one, test, viz.
    assert slowest_case(long) == 3 * 3600 + (3600 + 3600) + 2 * 1800 + 300
    by_samples = dataclasses.replace(long, long_budget_hours=None, long_max_samples=10)
    assert slowest_case(by_samples) == 3 * 3600 + 24 * 3600 + 2 * 1800 + 300


def test_a_case_that_no_runner_has_time_for_is_refused():
    with pytest.raises(ValueError, match="one case of profile smoke may take"):
        limits([1.0], True, dataclasses.replace(SMOKE, train_timeout=5 * 24 * 3600.0))
