"""Progress as a person sees it."""

import io

import pytest

from ci.progress import LiveDisplay, PlainDisplay, clock, describe, make_display, read_status


class Terminal(io.StringIO):
    def isatty(self):
        return True


STATUS = {"samples": 4096, "max_samples": 8192, "mean_return": 1.84, "samples_per_s": 2310.4, "eta_s": 2.0}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({}, "12 s"),
        (STATUS, "12 s  4,096 of 8,192 samples  return 1.84  2,310 samples/s  about 2 s left"),
        ({"episodes": 3, "samples": 0, "mean_return": None, "eta_s": None}, "12 s  3 episodes"),
        ({"samples": 7, "max_samples": None}, "12 s  7 samples"),
    ],
)
def test_a_status_in_words(status, text):
    assert describe(12.3, status) == text


@pytest.mark.parametrize(("seconds", "text"), [(59.9, "59 s"), (185, "3:05"), (7385, "2:03:05")])
def test_a_clock(seconds, text):
    assert clock(seconds) == text


def test_a_pipe_gets_plain_lines_now_and_then():
    stream = io.StringIO()
    assert isinstance(make_display(stream), PlainDisplay)
    display = PlainDisplay(stream, interval=3600.0)
    display.update("a train", 1.0, STATUS)
    assert stream.getvalue() == ""
    display = PlainDisplay(stream, interval=0.0)
    display.update("a train", 1.0, STATUS)
    display.line("done")
    assert stream.getvalue().splitlines()[0].startswith("  a train 1 s  4,096 of 8,192 samples")
    assert stream.getvalue().endswith("done\n")


def test_a_terminal_gets_a_line_that_rewrites_itself():
    stream = Terminal()
    display = make_display(stream)
    assert isinstance(display, LiveDisplay)
    display.update("a train", 1.0, STATUS)
    display.update("a train", 2.0, {**STATUS, "samples": 6000})
    display.line("a line that stays")
    display.stage_done()
    text = stream.getvalue()
    assert "4,096 of 8,192 samples" in text
    assert "6,000 of 8,192 samples" in text
    assert "\x1b[2K" in text  # erases its line
    assert "a line that stays\n" in text


def test_a_status_file_that_is_missing_half_or_odd_says_nothing(tmp_path):
    assert read_status(tmp_path) == {}
    (tmp_path / "status.json").write_text('{"samples": 1')
    assert read_status(tmp_path) == {}
    (tmp_path / "status.json").write_text('{"samples": 1, "mean_return": NaN, "eta_s": null, "stage": "train"}')
    assert read_status(tmp_path) == {"samples": 1, "stage": "train"}
