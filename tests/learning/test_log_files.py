"""log.txt, TensorBoard and Weights & Biases."""

import sys

import pytest

from mimickit.errors import InputError
from mimickit.learning.logger import COLUMN_WIDTH, Logger, TextLog, check_logger, format_number, read_log

ROWS = [
    {"Iteration": 0, "Wall_Time": 0.25, "Samples": 131072, "Test_Return": -1.5e-7},
    {"Iteration": 100, "Wall_Time": 1234.5678, "Samples": 13238272, "Test_Return": 307.123456},
]


def test_columns_have_a_fixed_width(tmp_path):
    log = TextLog(tmp_path / "log.txt")
    for row in ROWS:
        log.write(row, 0)
    lines = (tmp_path / "log.txt").read_text().split("\n")  # before close: a row is on disk at once
    log.close()
    assert lines.pop() == ""
    cells = [[line[i : i + COLUMN_WIDTH].rstrip() for i in range(0, 4 * COLUMN_WIDTH, COLUMN_WIDTH)] for line in lines]
    assert cells == [
        ["Iteration", "Wall_Time", "Samples", "Test_Return"],
        ["0", "0.25", "131072", "-1.5e-07"],
        ["100", "1234.57", "13238272", "307.123"],
    ]
    assert COLUMN_WIDTH == 25


def test_what_is_written_can_be_read(tmp_path):
    log = TextLog(tmp_path / "log.txt")
    for row in ROWS:
        log.write(row, 0)
    log.close()
    columns = read_log(tmp_path / "log.txt")
    assert list(columns) == list(ROWS[0])
    assert columns["Samples"] == [131072.0, 13238272.0]
    assert columns["Test_Return"] == pytest.approx([-1.5e-7, 307.123])


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\r\n\n"])
def test_rows_may_end_as_in_published_logs(tmp_path, end):
    text = end.join(["Iteration   Samples", "0   10", "100   nan", ""])
    (tmp_path / "log.txt").write_bytes(text.encode())
    columns = read_log(tmp_path / "log.txt")
    assert columns["Iteration"] == [0.0, 100.0]
    assert columns["Samples"][0] == 10.0
    assert len(columns["Samples"]) == 2


@pytest.mark.parametrize(("text", "words"), [("", "empty"), ("\r\n", "empty"), ("A B\n1 2\n3\n", "row 3 has 1")])
def test_a_broken_log_is_refused(tmp_path, text, words):
    (tmp_path / "log.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        read_log(tmp_path / "log.txt")


def test_columns_may_not_change(tmp_path):
    log = TextLog(tmp_path / "log.txt")
    log.write({"A": 1}, 0)
    with pytest.raises(ValueError, match="columns changed"):
        log.write({"B": 1}, 0)
    log.close()


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (123456789, "123456789"), (0.1 + 0.2, "0.3"), (float("inf"), "inf"), (2.0, "2")]
)
def test_numbers(value, text):
    assert format_number(value) == text


def test_txt_writes_only_the_text_log(tmp_path):
    logger = Logger("txt", tmp_path)
    logger.write(ROWS[0], 131072)
    logger.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.txt"]


def test_tb_writes_scalars_over_samples_beside_the_text_log(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = Logger("tb", tmp_path)
    for row in ROWS:
        logger.write(row, row["Samples"])
    logger.close()
    assert len(read_log(tmp_path / "log.txt")["Samples"]) == 2
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == set(ROWS[0])
    points = [(event.step, event.value) for event in events.Scalars("Test_Return")]
    assert points == [(131072, pytest.approx(-1.5e-7)), (13238272, pytest.approx(307.123456))]


@pytest.mark.parametrize(("kind", "package"), [("tb", "tensorboard"), ("wandb", "wandb")])
def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"--logger {kind} .*pip install {package}"):
        check_logger(kind)
    with pytest.raises(InputError, match=f"--logger {kind}"):
        Logger(kind, tmp_path)
    assert not list(tmp_path.iterdir())
