"""The run for other readers: junit.xml for a CI system, summary.md for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from junit_xml import TestCase, TestSuite, to_xml_report_string

from ci.files import tail, write_text
from ci.records import CaseResult, StageRecord

LOG_LINES = 30


@dataclass(frozen=True)
class RunFacts:
    """What all cases of a run share."""

    root: Path
    engine: str
    devices: str
    profile: str
    commit: str
    seconds: float


def all_pass(results: Sequence[CaseResult]) -> bool:
    """The verdict: there are cases, and every one of them passed."""
    return bool(results) and all(result.ok for result in results)


def write_junit(path: Path, results: Sequence[CaseResult]) -> None:
    """A suite per case, a test per stage. A stage that was not started is an error, never a skip: skips look green."""
    suites = []
    for result in results:
        tests = []
        for stage in result.stages.values():
            test = TestCase(stage.name, classname=result.case.name, elapsed_sec=stage.seconds or 0.0)
            if not stage.ok:
                failure = stage.failure
                text = failure.sentence(stage.name) if failure else f"{stage.name} did not pass"
                if failure is not None and failure.kind == "not_run":
                    test.add_error_info(message=result.row.note or text, output=text, error_type="not_run")
                else:
                    kind = failure.kind if failure else "unexpected"
                    test.add_failure_info(message=text, output=_log_text(stage), failure_type=kind)
            tests.append(test)
        suites.append(TestSuite(result.case.name, tests, package=result.case.method))
    write_text(path, to_xml_report_string(suites, encoding="utf-8"))


def write_summary(path: Path, results: Sequence[CaseResult], facts: RunFacts) -> None:
    """summary.md: the verdict on the first line, failures before successes."""
    passed = sum(result.ok for result in results)
    lines = [
        f"# all_pass {all_pass(results)}: {passed} of {len(results)} cases passed",
        "",
        f"`{facts.root.name}` · engine {facts.engine} on {facts.devices} · profile {facts.profile} · "
        f"commit {facts.commit[:12]} · {facts.seconds:.0f} s",
        "",
        "| case | result | environments | samples | samples/s | mean return | episode length | episodes | frames "
        "| train s | test s | viz s | note |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for result in sorted(results, key=lambda result: (result.ok, result.case.name)):
        row = result.row
        numbers = (
            _shown(row.num_envs, "d"),
            _shown(row.samples, ",d"),
            _shown(row.samples_per_s, ",.0f"),
            _shown(row.mean_return, ".3f"),
            _shown(row.mean_ep_len, ".1f"),
            _shown(row.episodes, "d"),
            _shown(row.frames, "d"),
            _shown(row.train_seconds, ".1f"),
            _shown(row.test_seconds, ".1f"),
            _shown(row.viz_seconds, ".1f"),
        )
        verdict = "passed" if result.ok else "**FAILED**"
        lines.append(f"| {row.case} | {verdict} | {' | '.join(numbers)} | {row.note.replace('|', '/')} |")
    write_text(path, "\n".join(lines) + "\n")


def result_lines(results: Sequence[CaseResult]) -> list[str]:
    """The closing table of a terminal: one aligned line per case."""
    columns = ("case", "result", "envs", "samples", "samples/s", "return", "ep. len", "episodes", "frames", "seconds")
    table = [columns]
    for result in results:
        row = result.row
        seconds = sum(value or 0.0 for value in (row.train_seconds, row.test_seconds, row.viz_seconds))
        table.append(
            (
                row.case,
                "passed" if result.ok else "FAILED",
                _shown(row.num_envs, "d"),
                _shown(row.samples, ",d"),
                _shown(row.samples_per_s, ",.0f"),
                _shown(row.mean_return, ".2f"),
                _shown(row.mean_ep_len, ".1f"),
                _shown(row.episodes, "d"),
                _shown(row.frames, "d"),
                f"{seconds:.1f}",
            )
        )
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    lines = []
    for line in table:
        left = [word.ljust(width) for word, width in zip(line[:2], widths[:2], strict=True)]
        right = [word.rjust(width) for word, width in zip(line[2:], widths[2:], strict=True)]
        lines.append("  ".join([*left, *right]).rstrip())
    return lines


def _log_text(stage: StageRecord) -> str:
    return "\n".join(tail(stage.log, LOG_LINES)) if stage.log else ""


def _shown(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)
