"""A history is read as it was written, or not at all; a job that is done again leaves no row twice."""

import dataclasses

import pytest

from ci.trend.history import COLUMNS, SWEEP, last_nights, read_history, recorded, write_history

HEADER = (
    "night started run_url commit profile engine device_name driver case passed failure samples samples_per_s "
    "mean_return mean_ep_len long_samples long_samples_per_s seconds memory_gb"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.tsv"


def test_rows_come_back_as_they_were(path, history_row):
    rows = [
        history_row("2026-11-21", mean_ep_len=20.5, long_samples=90_000, long_samples_per_s=2000.5, memory_gb=3.25),
        history_row("2026-11-22", case=SWEEP, failure="missing", started=None, run_url=None, device_name=None),
    ]
    assert write_history(path, rows) == rows
    assert read_history(path) == rows
    lines = path.read_text().split("\n")
    assert lines[0].split("\t") == HEADER.split() == list(COLUMNS)
    assert lines[1] == (
        "2026-11-21\t2026-11-21T02:10:00+00:00\thttps://example.org/lab/runs/721\t" + "c0ffee" * 6 + "abcd\tnightly\t"
        "newton\tH100\t600.1\tadd_one_args\t1\t\t4096\t1000\t5\t20.5\t90000\t2000.5\t60\t3.25"
    )
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_could_not_be_read_again_is_not_written(path, history_row):
    write_history(path, [history_row("2026-11-21")])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="line 2, column samples: '-5' is not a whole number"):
        write_history(path, [history_row("2026-11-22", samples=-5)])
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def spoil(text, column, cell):
    """``text`` with another cell in line 3."""
    lines = text.split("\n")
    cells = lines[2].split("\t")
    cells[lines[0].split("\t").index(column)] = cell
    lines[2] = "\t".join(cells)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-1], "line 3 is cut off"),
        (lambda text: text[:-10], "line 3 is cut off"),
        (lambda text: "", r"line 1: columns missing \['case', 'commit'"),
        (
            lambda text: text.replace("\tdriver\t", "\tdrivers\t"),
            r"line 1: columns missing \['driver'\], unknown \[",
        ),
        (lambda text: text.replace("mean_ep_len", "mean_return"), r"line 1: .* doubled \['mean_return'\]"),
        (lambda text: text.replace("memory_gb\n", "memory_gb\textra\n"), r"line 1: .* unknown \['extra'\]"),
        (lambda text: text + "2026-11-23\n", "line 4 has 1 cells for 19 columns"),
        (lambda text: text + "\n", "line 4 has 1 cells for 19 columns"),
        (lambda text: text + text.split("\n")[2] + "\n", "line 4, column case: 'add_one_args' stands in line 3"),
        (lambda text: spoil(text, "night", "22.11.2026"), "line 3, column night: '22.11.2026' is not a date such as"),
        (lambda text: spoil(text, "night", "2026-02-30"), "line 3, column night: '2026-02-30' is not a date"),
        (lambda text: spoil(text, "night", "20261122"), "column night: '20261122' is not a date"),
        (lambda text: spoil(text, "started", "at two"), "column started: 'at two' is not an ISO time"),
        (lambda text: spoil(text, "run_url", "javascript:x"), "column run_url: 'javascript:x' is not an address"),
        (lambda text: spoil(text, "profile", ""), "column profile: '' is not one word"),
        (lambda text: spoil(text, "case", ""), "column case: '' is not a name"),
        (lambda text: spoil(text, "passed", ""), "column passed: '' is not 0 or 1"),
        (lambda text: spoil(text, "passed", "true"), "column passed: 'true' is not 0 or 1"),
        (lambda text: spoil(text, "passed", "0"), "line 3, column failure: '' beside passed 0"),
        (lambda text: spoil(text, "failure", "timeout"), "line 3, column failure: 'timeout' beside passed 1"),
        (lambda text: spoil(text, "samples", "1.5"), "column samples: '1.5' is not a whole number"),
        (lambda text: spoil(text, "samples_per_s", "fast"), "column samples_per_s: 'fast' is not a finite number"),
        (lambda text: spoil(text, "mean_return", "nan"), "column mean_return: 'nan' is not a finite number"),
        (lambda text: spoil(text, "seconds", "inf"), "column seconds: 'inf' is not a finite number"),
        (lambda text: spoil(text, "memory_gb", "-inf"), "column memory_gb: '-inf' is not a finite number"),
    ],
)
def test_a_table_that_is_not_whole_is_refused(path, history_row, change, words):
    write_history(path, [history_row("2026-11-21"), history_row("2026-11-22")])
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=words) as refused:
        read_history(path)
    assert str(refused.value).startswith(f"{path}: line ")


def test_bytes_that_are_no_text_are_refused(path, history_row):
    write_history(path, [history_row("2026-11-21"), history_row("2026-11-22")])
    path.write_bytes(path.read_bytes()[:-1] + b"\xff\n")
    with pytest.raises(ValueError, match=r"history.tsv: line 3 is no text: .* byte 0xff"):
        read_history(path)


def test_columns_are_taken_by_name(path, history_row):
    rows = [history_row("2026-11-21")]
    write_history(path, rows)
    turned = ["\t".join(reversed(line.split("\t"))) for line in path.read_text().split("\n")]
    path.write_text("\n".join(turned))
    assert read_history(path) == rows


def test_the_same_run_again_replaces_its_rows(history_row):
    first = [history_row("2026-11-21"), history_row("2026-11-22"), history_row("2026-11-22", case="gone_args")]
    again = [history_row("2026-11-22", failure="timeout")]
    assert recorded(first, again) == [first[0], again[0]]
    for key, other in (("profile", "longcycle"), ("run_url", "https://example.org/8"), ("night", "2026-11-20")):
        new = dataclasses.replace(again[0], **{key: other})
        assert sorted(map(repr, recorded(first, [new]))) == sorted(map(repr, [*first, new])), key


def test_nights_are_in_order_and_what_was_recorded_last_is_last(history_row):
    nights = ("2026-11-20", "2026-11-22")
    before = [history_row(night, run_url="https://example.org/a") for night in nights]
    between = history_row("2026-11-21")
    assert recorded(before, [between]) == [before[0], between, before[1]]
    later = history_row("2026-11-20", run_url="https://example.org/b")
    assert recorded(before, [later]) == [before[0], later, before[1]]
    first_again = history_row("2026-11-20", run_url="https://example.org/a", failure="timeout")
    assert recorded([*before[:1], later], [first_again]) == [later, first_again]


def test_the_last_nights_are_kept_whole(history_row):
    rows = [history_row(f"2026-11-{day}", case=case) for day in (20, 18, 19) for case in ("a", "b")]
    kept = last_nights(rows, 2)
    assert [(row.night[-2:], row.case) for row in kept] == [("20", "a"), ("20", "b"), ("19", "a"), ("19", "b")]
    assert last_nights(rows, 9) == rows
