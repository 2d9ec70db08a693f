"""Learning curves: what is read of a log, and where its points come to lie."""

import math
import re

import pytest

from ci.report.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, charts_of, read_log

HEADER = "Samples Test_Return Test_Episodes Train_Return Train_Episodes"


def log(tmp_path, *rows, header=HEADER):
    path = tmp_path / "log.txt"
    path.write_text("\r\n".join([header, *rows]))
    return read_log(path)


def points(path):
    """x and y of each step of a path."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def letters(path):
    """M where a line begins, L where it goes on."""
    return "".join(letter for letter in path if letter in "ML")


def curve(chart, name):
    return next(curve for curve in chart.curves if curve.name == name)


def test_points_lie_where_the_axes_say(tmp_path):
    (chart,) = charts_of(log(tmp_path, "0 0 1 5 1", "50 4 1 5 1", "100 8 1 5 1"))
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    assert chart.title == "mean return"
    assert [tick.label for tick in chart.x_ticks] == ["0", "20", "40", "60", "80", "100"]
    assert [tick.label for tick in chart.y_ticks] == ["0", "2", "4", "6", "8"]
    assert [tick.at for tick in chart.y_ticks] == [round(HEIGHT - BOTTOM - up * share / 4, 1) for share in range(5)]
    expected = [(LEFT, HEIGHT - BOTTOM), (LEFT + across / 2, TOP + up / 2), (LEFT + across, TOP)]
    assert points(curve(chart, "test").path) == expected
    assert letters(curve(chart, "test").path) == "MLL"
    assert [mark.text for mark in curve(chart, "test").marks][1] == "test: 4 at 50 samples"
    assert chart.summary == "mean return over samples; train from 5 to 5; test from 0 to 8"


def test_negative_values_have_an_axis_that_holds_zero(tmp_path):
    (chart,) = charts_of(log(tmp_path, "0 -30 1 -30 1", "10 -10 1 -10 1"))
    assert [tick.label for tick in chart.y_ticks] == ["-30", "-20", "-10", "0"]


def test_a_value_of_no_episode_is_no_point(tmp_path):
    (chart,) = charts_of(log(tmp_path, "32 3 1 0 0", "64 4 1 0 0"))
    assert [curve.name for curve in chart.curves] == ["test"]
    assert charts_of(log(tmp_path, "32 0 0 0 0")) == []


def test_a_number_that_is_not_finite_breaks_the_line_and_is_counted(tmp_path):
    read = log(tmp_path, "0 1 1 1 1", "10 2 1 nan 1", "20 3 1 3 1", "30 4 1 4 1")
    assert read.trouble == "1 number is not finite"
    (chart,) = charts_of(read)
    assert letters(curve(chart, "train").path) == "MML"
    assert letters(curve(chart, "test").path) == "MLLL"


def test_rows_that_cannot_be_read_are_left_out_and_counted(tmp_path):
    read = log(tmp_path, "0 1 1 1 1", "10 2 1", "x y z u v", "20 5 1 5 1")
    assert read.columns["Samples"] == [0.0, 20.0]
    assert read.trouble == "2 of 4 rows cannot be read"


@pytest.mark.parametrize("text", ["", "Samples Test_Return\n", "not a log\nat all\n", "\n\n"])
def test_a_log_without_numbers_is_an_error_that_names_it(tmp_path, text):
    (tmp_path / "log.txt").write_text(text)
    with pytest.raises(ValueError, match=r"log\.txt holds no row of numbers"):
        read_log(tmp_path / "log.txt")


def test_a_missing_log_is_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / "log.txt")


def test_one_row_and_equal_values_make_a_chart(tmp_path):
    for rows in (["0 0 1 0 1"], ["5 0 1 0 1", "9 0 1 0 1"], ["5 1e-9 1 1e-9 1"], ["5 7 1 7 1"]):
        (chart,) = charts_of(log(tmp_path, *rows))
        assert all(math.isfinite(tick.at) for tick in (*chart.x_ticks, *chart.y_ticks))
        assert len(chart.y_ticks) >= 2


def test_a_long_curve_is_thinned_and_keeps_its_extremes(tmp_path):
    values = [math.sin(number / 500) for number in range(10_000)]
    values[3_333], values[7_777] = 9.0, -9.0
    (chart,) = charts_of(log(tmp_path, *(f"{number} {value} 1 0 1" for number, value in enumerate(values))))
    test = curve(chart, "test")
    heights = [y for _, y in points(test.path)]
    assert 100 < len(heights) <= 245
    assert test.marks == ()
    bottom, top = chart.y_ticks[0], chart.y_ticks[-1]
    assert (bottom.label, top.label) == ("-10", "10")
    scale = (bottom.at - top.at) / 20
    assert min(heights) == pytest.approx(bottom.at - 19 * scale, abs=0.11)
    assert max(heights) == pytest.approx(bottom.at - 1 * scale, abs=0.11)


@pytest.mark.parametrize(("highest", "labels"), [("8192", ["0", "2k", "4k", "6k", "8k"]), ("3e8", None)])
def test_axis_labels_are_short_round_numbers(tmp_path, highest, labels):
    (chart,) = charts_of(log(tmp_path, "0 1 1 1 1", f"{highest} 2 1 2 1"))
    found = [tick.label for tick in chart.x_ticks]
    assert found == (labels or ["0", "100M", "200M", "300M"])
