"""Who may run beside whom."""

import pytest

from ci.run.pool import Pool, default_jobs


def test_slots_divide_the_cores_for_good() -> None:
    pool = Pool(3, range(8), {"cpu": 100.0})
    shares = [pool.take(("cpu",), 1.0) for _ in range(3)]
    assert [share.cores for share in shares] == [(0, 1), (2, 3), (4, 5)]
    assert pool.take(("cpu",), 1.0) is None
    pool.give_back(shares[1])
    assert pool.take(("cpu",), 1.0) == shares[1]


def test_one_at_a_time_has_every_core() -> None:
    share = Pool(1, range(8), {"cpu": 10.0}).take(("cpu",), 1.0)
    assert share.cores == ()


def test_cases_share_a_device_by_memory() -> None:
    pool = Pool(4, range(4), {"cuda:0": 80.0})  # 72 are given out
    first, second = pool.take(("cuda:0",), 30.0), pool.take(("cuda:0",), 42.0)
    assert first.devices == second.devices == ("cuda:0",)
    assert pool.take(("cuda:0",), 1.0) is None
    pool.give_back(first)
    assert pool.take(("cuda:0",), 31.0) is None
    assert pool.take(("cuda:0",), 30.0) is not None


def test_a_case_too_large_runs_alone() -> None:
    pool = Pool(2, range(2), {"cuda:0": 10.0})
    large = pool.take(("cuda:0",), 50.0)
    assert large is not None
    assert pool.take(("cuda:0",), 0.1) is None
    pool.give_back(large)
    assert pool.take(("cuda:0",), 0.1) is not None
    assert pool.take(("cuda:0",), 50.0) is None


def test_a_case_on_two_devices_needs_room_on_both() -> None:
    pool = Pool(4, range(4), {"cuda:0": 10.0, "cuda:1": 10.0})
    other = pool.take(("cuda:1",), 8.0)
    assert pool.take(("cuda:0", "cuda:1"), 4.0) is None
    pool.give_back(other)
    assert pool.take(("cuda:0", "cuda:1"), 4.0).devices == ("cuda:0", "cuda:1")


def test_one_device_each_takes_the_emptiest() -> None:
    pool = Pool(5, range(5), {"cuda:0": 10.0, "cuda:1": 20.0})
    devices = [pool.take(("cuda:0", "cuda:1"), 6.0, one_device=True).devices for _ in range(4)]
    assert devices == [("cuda:1",), ("cuda:0",), ("cuda:1",), ("cuda:1",)]
    assert pool.take(("cuda:0", "cuda:1"), 6.0, one_device=True) is None


@pytest.mark.parametrize(
    ("cores", "each", "room", "case", "jobs"),
    [
        (2, 1, 24.0, 2.0, 2),
        (16, 2, 80.0, 6.0, 8),
        (64, 2, 80.0, 6.0, 12),
        (64, 2, 160.0, 14.0, 10),
        (1, 2, 1.0, 2.0, 1),
    ],
)
def test_as_many_jobs_as_have_cores_and_memory(cores, each, room, case, jobs) -> None:
    assert default_jobs(cores, each, room, case) == jobs
