"""junit.xml: nothing that did not pass may look green."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from ci.report.junit import write_junit
from ci.stage_kinds import LONG_STAGES


def suites(path):
    """Per suite, per test: the tag inside it, or 'green'."""
    root = ElementTree.parse(path).getroot()
    return {
        suite.get("name"): {test.get("name"): next((child.tag for child in test), "green") for test in suite}
        for suite in root
    }


def test_a_suite_per_case_and_a_test_per_stage(shop, tmp_path):
    write_junit(tmp_path / "junit.xml", [shop.entry("amp_a_args"), shop.of(shop.result("ppo_b_args", LONG_STAGES))])
    green = {"train": "green", "test": "green", "viz": "green"}
    assert suites(tmp_path / "junit.xml") == {"amp_a_args": green, "ppo_b_args": {**green, "long": "green"}}
    times = [float(test.get("time")) for test in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")]
    assert times == [10.0, 3.0, 5.0, 10.0, 20.0, 3.0, 5.0]


def test_what_failed_is_a_failure_and_what_was_not_started_an_error(shop, tmp_path):
    entry = shop.failed("amp_a_args")
    write_junit(tmp_path / "junit.xml", [entry])
    assert suites(tmp_path / "junit.xml") == {"amp_a_args": {"train": "failure", "test": "error", "viz": "error"}}
    failure = next(ElementTree.parse(tmp_path / "junit.xml").iter("failure"))
    assert failure.get("type") == "divergence"
    assert "the loss is NaN; remedy: look at the first non-finite column" in failure.get("message")
    assert "train is done" in failure.text
    errors = list(ElementTree.parse(tmp_path / "junit.xml").iter("error"))
    assert {error.get("message") for error in errors} == {entry.row.note}


def test_a_case_without_a_journal_is_all_errors(shop, tmp_path):
    write_junit(tmp_path / "junit.xml", [shop.lost("amp_a_args")])
    assert suites(tmp_path / "junit.xml") == {"amp_a_args": {"train": "error", "test": "error", "viz": "error"}}
    error = next(ElementTree.parse(tmp_path / "junit.xml").iter("error"))
    assert "no shard brought it back" in error.get("message")


def test_a_case_that_its_row_calls_failed_is_red_even_when_its_stages_are_green(shop, tmp_path):
    entry = shop.entry("amp_a_args")
    write_junit(tmp_path / "junit.xml", [replace(entry, row=replace(entry.row, final_ok=False))])
    assert suites(tmp_path / "junit.xml")["amp_a_args"] == {
        "train": "green",
        "test": "green",
        "viz": "green",
        "case": "error",
    }


def test_a_failed_preparation_makes_every_stage_an_error(shop, tmp_path):
    result = shop.failed("amp_a_args", "missing_data", "no clip").result
    result.attempts.clear()
    write_junit(tmp_path / "junit.xml", [shop.of(result)])
    assert set(suites(tmp_path / "junit.xml")["amp_a_args"].values()) == {"error"}


def test_a_log_of_any_bytes_gives_a_file_that_can_be_parsed(shop, tmp_path):
    entry = shop.failed("amp_a_args", message="\x1b[31mred\x1b[0m \x00 <&> \ud800")
    entry.result.stages["train"].log.write_bytes(b"\xff\xfe ]]> \x1b[2K\x07 <b> \x00 end\n")
    write_junit(tmp_path / "junit.xml", [entry])
    failure = next(ElementTree.parse(tmp_path / "junit.xml").iter("failure"))
    assert "red" in failure.get("message")
    assert "\x1b" not in failure.get("message")
    assert "]]> " in failure.text
    assert "[2K" not in failure.text
    assert "<b> " in failure.text
