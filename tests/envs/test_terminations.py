"""How episodes end: contacts, distances and the order of the flags."""

import pytest
import torch

from mimickit.envs.terminations import Done, done_flags, has_fallen, has_strayed


@pytest.mark.parametrize(
    ("force", "fallen"),
    [
        ((0.0, 0.0, 0.0), False),
        ((0.0, 0.0, 0.11), True),
        ((0.0, 0.0, -0.11), True),
        ((0.0, -0.11, 0.0), True),
        ((0.11, 0.0, 0.0), True),
        ((0.09, 0.09, 0.09), False),  # 0.16 N in length: each component counts alone
        ((0.1, 0.1, 0.1), False),
    ],
)
def test_a_component_above_a_tenth_of_a_newton_is_a_fall(force: tuple[float, ...], fallen: bool) -> None:
    forces = torch.zeros(3, 4, 3)
    forces[1, 2] = torch.tensor(force)
    assert has_fallen(forces, torch.tensor([0, 2])).tolist() == [False, fallen, False]


def test_bodies_that_may_touch_the_ground_are_not_watched() -> None:
    forces = torch.zeros(2, 4, 3)
    forces[0, 1, 2] = 500.0
    assert has_fallen(forces, torch.tensor([0, 2, 3])).tolist() == [False, False]
    assert has_fallen(forces, torch.tensor([0, 1])).tolist() == [True, False]


BODIES = torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.0, 1.0], [0.0, 0.0, 2.0]])


@pytest.mark.parametrize(
    ("offsets", "tracked", "untracked"),
    [
        ([(0, 0, 0), (0, 0, 0), (0, 0, 0)], False, False),
        ([(0, 0, 0), (0, 0, 0), (0.8, 0.7, 0)], True, True),  # 1.06 m away
        ([(0, 0, 0), (0, 0, 0), (0.7, 0.7, 0)], False, False),  # 0.99 m
        ([(0, 0, 1.1), (0, 0, 1.1), (0, 0, 1.1)], True, False),  # moved as a whole
        ([(1.1, 0, 0), (0.9, 0, 0), (0.9, 0, 0)], True, False),  # the root's own distance
        ([(0.6, 0, 0), (-0.6, 0, 0), (0, 0, 0)], False, True),  # 1.2 m, seen from the root
    ],
)
def test_distance_to_the_reference(offsets: list, tracked: bool, untracked: bool) -> None:
    moved = torch.stack([BODIES, BODIES + torch.tensor(offsets)])
    still = BODIES.expand(2, 3, 3)
    for first, second in ((moved, still), (still, moved)):
        assert has_strayed(first, second, 1.0, True).tolist() == [False, tracked]
        assert has_strayed(first, second, 1.0, False).tolist() == [False, untracked]


def test_failing_outranks_succeeding_which_outranks_the_time_limit() -> None:
    rows = [(f, s, t) for f in (False, True) for s in (False, True) for t in (False, True)]
    columns = [torch.tensor(column) for column in zip(*rows, strict=True)]
    expected = [Done.NULL, Done.TIME, Done.SUCC, Done.SUCC, Done.FAIL, Done.FAIL, Done.FAIL, Done.FAIL]
    done = done_flags(*columns)
    assert done.tolist() == expected
    assert done.dtype == torch.int64


def test_the_published_numbers_of_the_flags() -> None:
    assert (Done.NULL, Done.FAIL, Done.SUCC, Done.TIME) == (0, 1, 2, 3)
