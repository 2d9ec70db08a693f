"""The closing table of a terminal."""

from ci.report.terminal import result_lines
from ci.stage_kinds import LONG_STAGES


def test_lines_are_aligned_and_say_who_failed(shop):
    lines = result_lines([shop.entry("amp_a_args"), shop.failed("deepmimic_b_args"), shop.lost("zzz_args")])
    assert [line.split() for line in lines] == [
        [
            "case",
            "result",
            "envs",
            "samples",
            "samples/s",
            "return",
            "ep.",
            "len",
            "episodes",
            "frames",
            "seconds",
        ],
        ["amp_a_args", "passed", "64", "8,192", "1,000", "5.000", "20.0", "10", "12", "19.0"],
        ["deepmimic_b_args", "FAILED", "divergence", "64", "-", "-", "-", "-", "-", "-", "5.0"],
        ["zzz_args", "FAILED", "-", "-", "-", "-", "-", "-", "-", "-"],
    ]
    assert len({line.index(word) for line, word in zip(lines, ("result", "passed", "FAILED"), strict=False)}) == 1
    assert len({len(line) for line in lines}) == 1


def test_repetitions_have_a_column_where_there_are_some(shop):
    entry = shop.entry("amp_a_args")
    entry.row.repeats = 1
    header, first, second = result_lines([entry, shop.entry("add_b_args")])
    assert header.split()[-2:] == ["repeats", "seconds"]
    assert (first.split()[-2], second.split()[-2]) == ("1", "0")


def test_a_long_training_has_columns_of_its_own(shop):
    header, row = result_lines([shop.of(shop.result("amp_a_args", LONG_STAGES))])
    assert header.split()[4:7] == ["samples/s", "long", "samples"]
    assert row.split()[4:7] == ["1,000", "90,000", "2,000"]
