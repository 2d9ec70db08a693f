"""trend.md and issue.json: the verdict first, numbers beside what they are compared with, nothing is markup."""

import re

from ci.trend.document import trend_document
from ci.trend.history import SWEEP
from ci.trend.issue import LIMIT_BYTES, MARKER, issue
from ci.trend.nights import Nights

NIGHT = "2026-11-22"
URL = "https://example.org/lab/runs/722"
REMEDY = "look at the first non-finite column of train/log.txt; lower the learning rate or the time step"


def document(rows, night=NIGHT):
    return trend_document(Nights(rows, night))


def issue_of(rows, night=NIGHT):
    return issue(Nights(rows, night))


def table(text, heading):
    """The rows of the table whose header begins with ``heading``, as lists of cells."""
    lines = text.split("\n")
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    columns = lines[start].count("|")
    assert lines[start - 1] == ""
    assert re.fullmatch(r"\|(--[-:]\|)+", lines[start + 1])
    assert lines[start + 1].count("|") == columns
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert all(len(row) == columns - 1 for row in rows)
    return rows


def section(text, title):
    return text.split(f"## {title}\n")[1].split("\n## ")[0].strip()


def failing_history(history_row):
    nights = [f"2026-11-{day}" for day in range(17, 23)]
    rows = [history_row(night, case="other_args") for night in nights]
    rows += [history_row(night) for night in nights[:-3]]
    rows += [history_row(nights[3], failure="timeout"), history_row(nights[4])]
    rows += [history_row(NIGHT, failure="divergence")]
    return sorted(rows, key=lambda row: row.night)


def test_a_green_night(history_row):
    text = document([history_row(NIGHT), history_row(NIGHT, case="other_args")])
    assert text.split("\n")[:4] == [
        "# Night 2026-11-22: 2 of 2 cases passed",
        "",
        "- profile nightly: 2 of 2 cases passed · commit c0ffeec0ffee · engine newton on H100 · driver 600.1 · "
        f"[the run]({URL})",
        "",
    ]
    assert "Failing cases" not in text
    assert section(text, "Throughput") == (
        "Too few nights, of 3 that it takes: add_one_args (nightly: 0), other_args (nightly: 0)."
    )


def test_a_failing_case_has_its_nights_class_remedy_and_beginning(history_row):
    text = document(failing_history(history_row))
    assert text.startswith("# Night 2026-11-22: 1 of 2 cases failed\n")
    assert "Nights, oldest first: 2026-11-18, 2026-11-19, 2026-11-20, 2026-11-21, 2026-11-22;" in text
    assert table(text, "case") == [
        ["add_one_args", "nightly", "pass pass fail pass fail", "divergence", REMEDY, "2026-11-22"]
    ]


def test_a_case_that_never_passed_says_so(history_row):
    (line,) = table(document([history_row(NIGHT, failure="timeout")]), "case")
    assert line[-1] == "2026-11-22 (its first night here)"


def test_what_happened_to_a_whole_run_has_the_remedy_of_a_finding(history_row):
    rows = [history_row(NIGHT), history_row(NIGHT, case=SWEEP, failure="unexpected")]
    rows += [history_row(NIGHT, case="b_args", failure="unexpected"), history_row(NIGHT, case="a", failure="zero_test")]
    remedies = {line[0]: line[4] for line in table(document(rows), "case")}
    assert remedies["(the sweep)"].startswith("hand over folders of this plan only")
    assert remedies["b_args"] == "read the traceback at the end of the log"
    assert remedies["a"] == "find out why the stage tested nothing; a skip is no pass"
    assert "2 of 3 cases failed; the sweep of profile nightly failed (unexpected)\n" in document(rows)


def test_a_class_of_another_version_has_a_remedy(history_row):
    (line,) = table(document([history_row(NIGHT, failure="gremlins")]), "case")
    assert line[3:5] == ["gremlins", "see its log"]


def lost_rows(history_row):
    changes = dict.fromkeys(("started", "commit", "engine", "device_name", "driver", "samples_per_s", "mean_return"))
    return [history_row(NIGHT, case=SWEEP, failure="missing", profile="longcycle", **changes), history_row(NIGHT)]


def test_a_lost_profile(history_row):
    text = document(lost_rows(history_row))
    assert text.startswith("# Night 2026-11-22: 1 of 1 cases passed; the sweep of profile longcycle failed (missing)\n")
    assert f"\n- profile longcycle: came to no result · [the run]({URL})\n" in text
    assert [line[:4] for line in table(text, "case")] == [["(the sweep)", "longcycle", "fail", "missing"]]
    before = history_row("2026-11-21", profile="longcycle")
    assert "came to no result · what its cases came to before stands" in document([before, *lost_rows(history_row)])
    assert document(lost_rows(history_row)[:1]).startswith("# Night 2026-11-22: no case ran; the sweep of profile lon")


def test_a_profile_that_did_not_run(history_row):
    text = document([history_row("2026-11-20", profile="longcycle"), history_row(NIGHT)])
    assert "\n- profile longcycle: did not run this night; what it came to on 2026-11-20 stands\n" in text
    assert text.startswith("# Night 2026-11-22: 2 of 2 cases passed\n")


def moved_rows(history_row):
    rows = []
    for day, speed in zip(range(12, 22), (98, 99, 100, 101, 102, 98, 99, 100, 101, 102), strict=True):
        rows += [
            history_row(f"2026-11-{day}", case=case, samples_per_s=1000.0 * speed, mean_return=speed / 20.0)
            for case in ("slow_args", "fast_args", "same_args")
        ]
    for case, speed, gain in (("slow_args", 60_000, 5.0), ("fast_args", 120_000, 5.5), ("same_args", 100_500, 5.0)):
        rows.append(history_row(NIGHT, case=case, samples_per_s=float(speed), mean_return=gain))
    return [*rows, history_row(NIGHT, case="new_args")]


def test_numbers_that_moved_name_what_they_are_compared_with(history_row):
    text = document(moved_rows(history_row))
    throughput = section(text, "Throughput")
    assert throughput.split("\n")[0] == (
        "This night's samples/s and long samples/s beside those of the last nights before it, 10 at most, in which the "
        "case passed with the same profile, engine and device. Outside of their spread, by more than half its width: "
        "2 of 3 numbers."
    )
    spread = ["100,000", "98,000 to 102,000", "10", "H100"]
    assert table(throughput, "case") == [
        ["slow_args", "nightly", "samples/s", "60,000", "lower", "0.60", *spread],
        ["fast_args", "nightly", "samples/s", "120,000", "higher", "1.20", *spread],
    ]
    assert throughput.endswith("Too few nights, of 3 that it takes: new_args (nightly: 0).")
    learning = section(text, "Learning")
    assert table(learning, "case") == [
        ["fast_args", "nightly", "mean return", "5.500", "higher", "1.10", "5.000", "4.900 to 5.100", "10", "H100"]
    ]


def test_many_cases_with_too_few_nights_are_counted(history_row):
    rows = [history_row(NIGHT, case=f"case_{number:02}", long_samples_per_s=1.0) for number in range(25)]
    last = section(document(rows), "Throughput").split("\n")[-1]
    assert last.count("(nightly: 0)") == 10
    assert last.endswith("case_09 (nightly: 0) and 15 more.")


def test_nothing_to_compare(history_row):
    assert section(document([history_row(NIGHT, failure="timeout")]), "Learning") == (
        "No case that passed this night has mean return."
    )


def test_nothing_is_markup_and_nobody_is_called(history_row):
    rows = [
        history_row(NIGHT, case="a|b\\[x](y) <img src=x> #12 @octocat", failure="timeout", commit="`rm`"),
        history_row(NIGHT, case="c", device_name="H100 `80` *GB* | @all"),
    ]
    for text in (document(rows), str(issue_of(rows)["body"])):
        (line,) = table(text, "case")
        assert line[0] == "a\\|b\\\\\\[x\\](y) &lt;img src=x&gt; \\#12 @\u200boctocat"
        assert "on H100, H100 \\`80\\` \\*GB\\* \\| @\u200ball" in text
        assert "commit \\`rm\\`" in text


def test_the_issue_is_open_with_the_failing_cases(history_row):
    rows = failing_history(history_row)
    assert {key: value for key, value in issue_of(rows).items() if key != "body"} == {
        "title": "Nightly run: 1 of 2 cases failed",
        "state": "open",
        "labels": ["nightly"],
    }
    body = issue_of(rows)["body"]
    assert body.split("\n")[:3] == [
        "<!-- mimickit-nightly -->",
        "",
        "Night 2026-11-22: 1 of 2 cases failed.",
    ]
    assert body.count(MARKER) == 1
    assert table(body, "case") == table(document(rows), "case")
    assert f"[the run]({URL})" in body


def test_the_issue_is_closed_when_all_passed(history_row):
    found = issue_of([history_row(NIGHT)])
    assert (found["title"], found["state"]) == ("Nightly run: 1 of 1 cases passed", "closed")
    assert found["body"].startswith(f"{MARKER}\n\nNight 2026-11-22: 1 of 1 cases passed.\n")
    assert "|" not in found["body"]


def test_the_issue_stays_open_while_a_profile_is_lost(history_row):
    assert issue_of(lost_rows(history_row))["state"] == "open"


def test_a_long_issue_is_cut_at_a_whole_row_and_says_so(history_row):
    def body_of(count):
        name = "\u00e9" * 80
        rows = [history_row(NIGHT, case=f"{name}{number:05}", failure="signal") for number in range(count)]
        body = issue_of(rows)["body"]
        return body, [line for line in body.split("\n") if line.startswith("| \u00e9")]

    body, lines = body_of(1000)
    assert LIMIT_BYTES == 60_000
    assert len(body.encode()) < 60_000
    kept = len(body.rsplit("\n\n", 1)[0].encode()) + 1
    assert kept <= 60_000 - 300 < kept + len(lines[0].encode()) + 1  # 300 for the last line
    assert {line.count("|") for line in lines} == {7}
    assert body.endswith(f"\n\n{1000 - len(lines)} more: no room here; see the summary of the run.\n")
    whole, _ = body_of(len(lines))
    assert "no room here" not in whole
    one_more, shown = body_of(len(lines) + 1)
    assert len(shown) == len(lines)
    assert one_more.endswith("\n\n1 more: no room here; see the summary of the run.\n")
