"""Measured seconds: from tables of earlier runs, from the committed one, and what stands in for the rest."""

from pathlib import Path

import pytest

from ci.plan.seconds import TABLE, Measured, case_memory, expected_seconds, read_results, read_table, record

REPOSITORY = Path(__file__).parents[3]


def table(path, header, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["\t".join(header.split()), *("\t".join(row.split(" ")) for row in rows)]) + "\n")
    return path


def committed(repository, *rows):
    return table(repository / TABLE, "profile case seconds memory_gb", *rows)


def test_rows_that_passed_count_with_all_their_seconds(tmp_path):
    path = table(tmp_path / "best_by_case.tsv", "case final_ok seconds memory_gb", "a 1 12.5 1.5", "b 0 3 1", "c 1 4 ")
    assert read_results(path) == read_results(tmp_path) == {"a": Measured(12.5, 1.5), "c": Measured(4.0, None)}


def test_without_that_column_it_is_the_sum_of_the_stages(tmp_path):
    header = "case final_ok train_seconds test_seconds viz_seconds"
    assert read_results(table(tmp_path / "x.tsv", header, "a 1 1 20 300", "b 0   ")) == {"a": Measured(321.0)}


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("case final_ok seconds", "a 1 nan", "x.tsv:2: seconds must be a number of at least 0, found 'nan'"),
        ("case final_ok seconds", "a 1 -1", "x.tsv:2: seconds must be"),
        ("case final_ok seconds", "a 1 ", "x.tsv:2: seconds must be"),
        ("case final_ok seconds", "a 1", "x.tsv:2: 2 cells for 3 columns"),
        ("case seconds", "a 1", "x.tsv:2: there is no column 'final_ok'"),
        ("case final_ok train_seconds test_seconds", "a 1 1 1", "no column 'viz_seconds'"),
    ],
)
def test_a_bad_table_is_an_error_that_names_the_line(tmp_path, header, row, words):
    with pytest.raises(ValueError, match=words):
        read_results(table(tmp_path / "x.tsv", header, row))


def test_an_empty_or_missing_table_is_an_error(tmp_path):
    (tmp_path / "best_by_case.tsv").write_text("")
    with pytest.raises(ValueError, match="is empty"):
        read_results(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_results(tmp_path / "nowhere")


def test_several_runs_give_the_median_and_the_unknown_the_median_of_all(tmp_path):
    runs = [
        table(tmp_path / f"{number}.tsv", "case final_ok seconds", f"a 1 {seconds}", *more)
        for number, (seconds, more) in enumerate([(10, ["b 1 100"]), (90, []), (30, ["c 1 40"])])
    ]
    found = expected_seconds(tmp_path, ["a", "b", "c", "d"], "pr", runs)
    assert found.seconds == {"a": 30.0, "b": 100.0, "c": 40.0, "d": 40.0}
    assert found.measured == {"a", "b", "c"}
    assert found.absolute
    assert found.why == "seconds: 3 case(s) from earlier runs; the median for 1 that nobody has measured"


def test_none_known_means_all_equal_and_says_so(tmp_path):
    found = expected_seconds(tmp_path, ["b", "a"], "smoke")
    assert (found.seconds, found.measured, found.absolute) == ({"a": 1.0, "b": 1.0}, frozenset(), False)
    assert "nobody has measured any of the 2 case(s): all count the same" in found.why


def test_a_median_is_of_the_cases_that_are_asked_for(tmp_path):
    committed(tmp_path, "smoke a 10 ", "smoke b 1000 ", "smoke c 3000 ")
    assert expected_seconds(tmp_path, ["a", "new"], "smoke").seconds["new"] == 10.0


def test_the_table_fills_gaps_at_the_pace_of_the_runs(tmp_path):
    committed(tmp_path, "smoke a 10 ", "smoke b 20 ", "smoke c 30 ", "smoke d 40 ")
    run = table(tmp_path / "x.tsv", "case final_ok seconds", "a 1 20", "b 1 60", "c 1 120")
    found = expected_seconds(tmp_path, "abcd", "smoke", [run])  # 2, 3 and 4 times as slow
    assert found.seconds == {"a": 20.0, "b": 60.0, "c": 120.0, "d": 120.0}


def test_another_profile_takes_the_figures_of_smoke_as_weights(tmp_path):
    committed(tmp_path, "pr a 100 ", "smoke a 10 ", "smoke b 20 ")
    pr, nightly = (expected_seconds(tmp_path, "ab", profile) for profile in ("pr", "nightly"))
    assert (pr.seconds, pr.absolute) == ({"a": 100.0, "b": 100.0}, True)
    assert (nightly.seconds, nightly.absolute) == ({"a": 10.0, "b": 20.0}, False)
    assert "no figures of profile nightly, those of smoke stand in" in nightly.why


def test_recording_replaces_what_was_measured_and_keeps_the_rest(tmp_path):
    path = committed(tmp_path, "smoke a 10 1", "smoke b 20 ", "smoke gone 5 ", "pr a 7 ")
    record(path, "smoke", {"a": Measured(11.26, 2.5), "new": Measured(3.0)}, {"a", "b", "new"})
    assert read_table(path) == {
        "pr": {"a": Measured(7.0)},
        "smoke": {"a": Measured(11.3, 2.5), "b": Measured(20.0), "new": Measured(3.0)},
    }
    text = path.read_text()
    assert "# Written by: nox -s matrix -- --record-seconds ROOT\n" in text
    record(path, "smoke", {}, {"a", "b", "new"})
    assert path.read_text() == text


def test_memory_is_of_the_profile_alone(tmp_path):
    committed(tmp_path, "smoke a 10 1.5", "smoke b 10 ", "pr b 10 9")
    assert case_memory(tmp_path, "smoke") == {"a": 1.5}
    assert case_memory(tmp_path, "nightly") == {}
    assert case_memory(tmp_path / "elsewhere", "smoke") == {}


def test_a_case_twice_in_the_table_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"case_seconds\.tsv:3: a of profile smoke stands there twice"):
        read_table(committed(tmp_path, "smoke a 10 ", "smoke a 11 "))


def test_the_committed_table_names_cases_that_exist_and_no_others():
    cases = {path.stem for path in (REPOSITORY / "args").glob("*.txt")}
    for rows in read_table(REPOSITORY / TABLE).values():
        assert rows.keys() <= cases
        assert all(case.seconds > 0.0 for case in rows.values())
