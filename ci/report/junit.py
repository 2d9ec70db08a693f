"""junit.xml: the run for a CI system."""

from collections.abc import Sequence
from pathlib import Path

from junit_xml import TestCase, TestSuite, to_xml_report_string

from ci.files import write_text
from ci.records.results import Entry, StageRecord
from ci.report.shown import log_tail, passed, printable, trouble
from ci.stage_kinds import STAGES


def write_junit(path: Path, entries: Sequence[Entry]) -> None:
    """A suite per case, a test per wanted stage. A stage that was not started is an error, never a skip: skips look
    green. Every stage of a case whose journal is missing is an error.

    A case that did not pass although each of its stages did (its row says otherwise, or it was not finished) has one
    test more, ``case``, which is an error.
    """
    suites = []
    for entry in entries:
        wanted = entry.result.wanted if entry.result else STAGES
        records = entry.result.stages if entry.result else {}
        tests = [_test(name, records.get(name), entry) for name in wanted]
        if not passed(entry) and not any(test.failures or test.errors for test in tests):
            tests.append(_error("case", entry))
        suites.append(TestSuite(entry.row.case, tests, package=entry.row.method))
    write_text(path, to_xml_report_string(suites, encoding="utf-8"))


def _test(name: str, record: StageRecord | None, entry: Entry) -> TestCase:
    failure = record.failure if record else None
    if record is None or record.result is None and (failure is None or failure.kind == "not_run"):
        return _error(name, entry)
    test = TestCase(name, classname=entry.row.case, elapsed_sec=record.seconds or 0.0)
    if not record.ok:
        text = failure.sentence(name) if failure else f"{name} did not pass"
        kind = failure.kind if failure else "unexpected"
        test.add_failure_info(message=printable(text), output="\n".join(log_tail(record.log)), failure_type=kind)
    return test


def _error(name: str, entry: Entry) -> TestCase:
    """A stage that was not started, with the reason why the case ended before it."""
    why = trouble(entry)
    reason = why.failure.sentence(why.stage) if why else "the stage was not started"
    text = printable(reason if entry.result is None else entry.row.note or reason)
    test = TestCase(name, classname=entry.row.case, elapsed_sec=0.0)
    test.add_error_info(message=text, output=text, error_type="not_run" if entry.result else "no_evidence")
    return test
