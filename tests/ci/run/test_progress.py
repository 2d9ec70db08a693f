"""Progress as a person sees it."""

import io
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from ci.run.progress import (
    Activity,
    LiveDisplay,
    PlainDisplay,
    Standing,
    clock,
    describe,
    live_table,
    make_display,
    read_status,
)
from tests.ci.run.test_e2e_run import GIVEN, RUNNER


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


def standing(**changes):
    return Standing(**{"total": 37, "passed": 11, "failed": 1, "seconds": 185.0, "left": 720.0, **changes})


def activity(case="amp_g1_args", **status):
    return Activity(case, "base_e64", "train", time.monotonic() - 12.3, status)


def test_how_far_the_run_is():
    assert standing().sentence() == "12 of 37 over, 1 failed, 3:05, about 12:00 left"
    assert standing(left=None).sentence() == "12 of 37 over, 1 failed, 3:05"


def test_a_pipe_gets_plain_lines_now_and_then():
    stream = io.StringIO()
    assert isinstance(make_display(stream), PlainDisplay)
    display = PlainDisplay(stream, interval=3600.0)
    display.show([activity(**STATUS)], standing())
    assert stream.getvalue() == ""
    display = PlainDisplay(stream, interval=0.0)
    display.show([], standing())
    assert stream.getvalue() == ""
    display.show([activity(**STATUS), activity("add_g1_args")], standing())
    display.line("done")
    display.close()
    assert stream.getvalue().splitlines() == [
        "  [12 of 37 over, 1 failed, 3:05, about 12:00 left]",
        "  amp_g1_args base_e64 train 12 s  4,096 of 8,192 samples  return 1.84  2,310 samples/s  about 2 s left",
        "  add_g1_args base_e64 train 12 s",
        "done",
    ]


def test_a_terminal_gets_a_table_that_rewrites_itself():
    stream = Terminal()
    display = make_display(stream)
    assert isinstance(display, LiveDisplay)
    display.show([activity(**STATUS)], standing())
    display.show([activity(**{**STATUS, "samples": 6144})], standing())
    display.line("a line that stays")
    display.close()
    text = stream.getvalue()
    assert "\x1b[2K" in text  # erases its lines
    assert "a line that stays\n" in text
    assert "50%" in text
    assert "75%" in text


def test_a_table_without_rows_is_not_shown():
    stream = Terminal()
    display = make_display(stream)
    display.show([], standing())
    assert stream.getvalue() == ""
    display.show([activity(**STATUS)], standing())
    display.show([], standing())
    assert stream.getvalue().endswith("\x1b[1A\x1b[2K")  # the table is erased
    erased = stream.getvalue()
    display.show([], standing())
    assert stream.getvalue() == erased


def test_a_row_shows_stage_rung_speed_and_time():
    stream = io.StringIO()
    table = live_table([activity(**STATUS), activity("view_motion_g1_args", episodes=3)], standing())
    Console(file=stream, width=100).print(table)
    lines = [line.split() for line in stream.getvalue().splitlines() if line.strip()]
    assert " ".join(lines[0]) == standing().sentence()
    assert lines[1] == ["case", "stage", "rung", "done", "return", "samples/s", "time", "left"]
    assert lines[3] == ["amp_g1_args", "train", "base_e64", "50%", "1.84", "2,310", "12", "s", "2", "s"]
    assert lines[4] == ["view_motion_g1_args", "train", "base_e64", "3", "episodes", "12", "s"]


def test_a_narrow_terminal_keeps_the_numbers():
    stream = io.StringIO()
    Console(file=stream, width=70).print(live_table([activity("a" * 60, **STATUS)], standing()))
    assert all(len(line) <= 70 for line in stream.getvalue().splitlines())
    assert "2,310" in stream.getvalue()


def test_a_status_file_that_is_missing_half_or_odd_says_nothing(tmp_path):
    assert read_status(tmp_path) == {}
    (tmp_path / "status.json").write_text('{"samples": 1')
    assert read_status(tmp_path) == {}
    (tmp_path / "status.json").write_text('{"samples": 1, "mean_return": NaN, "eta_s": null, "stage": "train"}')
    assert read_status(tmp_path) == {"samples": 1, "stage": "train"}


def broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def hung_up_terminal():
    ours, theirs = pty.openpty()
    os.close(ours)
    return os.fdopen(theirs, "w")


@pytest.mark.parametrize("stream", [broken_pipe, hung_up_terminal])
@pytest.mark.parametrize("make", [lambda stream: PlainDisplay(stream, interval=0.0), LiveDisplay])
def test_a_reader_that_goes_away_is_no_error(stream, make):
    with stream() as gone:  # closing it flushes what is left
        display = make(gone)
        for _ in range(2):
            display.line("a line that stays")
            display.show([activity(**STATUS)], standing())
        display.close()
        display.line("the end")


def test_a_full_disk_is_an_error():
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "w") as full:
        PlainDisplay(full).line("a line that stays")


def test_a_run_goes_on_without_a_reader_and_ends_by_its_verdict(matrix):
    matrix.write("faults", "")
    stub = str(Path(__file__).parents[1] / "stub_trainer.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", RUNNER, str(matrix.repository), stub, *GIVEN, "--root-out", "mine"]
    runner = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    assert runner.stdout.readline()
    runner.stdout.close()
    assert runner.stderr is not None
    assert runner.stderr.read() == ""
    assert runner.wait() == 0
    record = json.loads((matrix.repository / "output" / "train" / "mine" / "run.json").read_text())
    assert (record["ended"], record["all_pass"]) == ("done", True)
