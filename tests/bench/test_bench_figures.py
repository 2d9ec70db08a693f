"""Figures, their bounds, and their tables."""

import json
import math

import pytest

from mimickit.bench.figures import Figure, figure_as_json, figure_from_json, markdown_table, shown


@pytest.mark.parametrize(
    ("values", "at_least", "at_most", "verdict", "bound"),
    [
        ([1.0, 9.0, 2.0], None, None, "", ""),
        ([1.0, 9.0, 2.0], 2.0, None, "ok", "at least 2"),
        ([1.0, 9.0, 2.0], 2.1, None, "MISSED", "at least 2.1"),
        ([1.0, 9.0, 2.0], None, 2.0, "ok", "at most 2"),
        ([1.0, 9.0, 2.0], None, 1.9, "MISSED", "at most 1.9"),
        ([5.0], 4.0, 6.0, "ok", "at least 4 and at most 6"),
        ([7.0], 4.0, 6.0, "MISSED", "at least 4 and at most 6"),
        ([0.0], None, 0, "ok", "at most 0"),
        ([1.0], None, 0, "MISSED", "at most 0"),
        ([math.nan], 1.0, None, "MISSED", "at least 1"),
        ([math.nan], None, 1.0, "MISSED", "at most 1"),
    ],
)
def test_the_median_is_held_against_the_bounds(values, at_least, at_most, verdict, bound):
    figure = Figure("speed", "x", values, at_least, at_most)
    assert (figure.verdict, figure.bound) == (verdict, bound)
    assert figure.ok == (verdict != "MISSED")


def test_a_figure_needs_a_value():
    with pytest.raises(ValueError, match="without a value"):
        Figure("speed", "x", [])


def test_a_figure_comes_back_from_json_and_its_verdict_is_formed_anew():
    figure = Figure("speed", "x", [1.0, 3.0, 2.0], at_least=1.5)
    content = json.loads(json.dumps(figure_as_json(figure)))
    assert (content["median"], content["ok"]) == (2.0, True)
    assert figure_from_json({**content, "median": 0.0, "ok": False}) == figure


def test_numbers_are_shown_short():
    assert [shown(value) for value in (0.01234, 1.5, 999.4, 176543.2)] == ["0.0123", "1.5", "999", "176,543"]


def test_a_markdown_table_keeps_its_columns():
    assert markdown_table(("a", "b"), [("1", "x|y")]) == ["| a | b |", "|---|---|", "| 1 | x\\|y |"]
