"""The tests that need a GPU: ``pytest -m gpu``."""

import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mimickit.bench.figures import Figure, figure_from_json
from mimickit.bench.part import Bench, python
from mimickit.bench.programs import ProgramError, log_tail
from mimickit.bench.record import PartRecord

DEADLINE = 1800.0
PROCESSES = 4  # which share the first GPU
TESTS, MARK = Path("tests"), "pytest.mark.gpu"


@dataclass(frozen=True)
class Counts:
    """What pytest's JUnit file says: names of what failed, how many were skipped by reason, and what tests measured.

    A test tells a figure by pytest's ``record_property("figure", ...)`` with what `figure_from_json` reads.
    """

    passed: int
    failed: tuple[str, ...]
    skipped: dict[str, int]
    figures: tuple[Figure, ...]


def measure(bench: Bench, part: PartRecord) -> None:
    """Run them and count; ProgramError when there are none."""
    results = bench.folder / "gpu_tests.xml"
    words = ("-n", PROCESSES, "-m", "gpu", "-ra", f"--junitxml={results}", *marked_files(TESTS))
    command = python("-m", "pytest", *words)
    ended = bench.programs.run("pytest -m gpu", command, DEADLINE)
    if ended.timed_out or not results.exists():
        part.fail("pytest -m gpu", ended.how, log_tail(ended.log))
        return
    counts = read_results(results)
    judge(part, counts, ended.returncode, ended.how, log_tail(ended.log, 40))


def marked_files(folder: Path) -> list[Path]:
    """The test files with such tests: only these, for a GPU machine need not have what others import."""
    found = sorted(path for path in folder.rglob("test_*.py") if MARK in path.read_text(encoding="utf-8"))
    if not found:
        raise ProgramError("pytest -m gpu", f"no file below {folder} has a {MARK}", "")
    return found


def read_results(path: Path) -> Counts:
    """The counts in a JUnit file of pytest."""
    passed, failed, figures, skipped = 0, [], [], Counter[str]()
    for test in ElementTree.parse(path).iter("testcase"):
        name = f"{test.get('classname')}.{test.get('name')}"
        skip = test.find("skipped")
        for told in test.iterfind("properties/property[@name='figure']"):
            figures.append(figure_from_json(json.loads(told.get("value", ""))))
        if test.find("failure") is not None or test.find("error") is not None:
            failed.append(name)
        elif skip is not None:
            skipped[skip.get("message", "")] += 1
        else:
            passed += 1
    return Counts(passed, tuple(failed), dict(skipped), tuple(figures))


def judge(part: PartRecord, counts: Counts, returncode: int, how: str, tail: str) -> None:
    """Put the counts into ``part``; no test at all, or a failure outside the tests, is one too."""
    part.figures += [
        Figure("tests on the GPU, passed", "tests", [float(counts.passed)], at_least=1),
        Figure("tests on the GPU, failed", "tests", [float(len(counts.failed))], at_most=0),
        *counts.figures,
    ]
    for name in counts.failed:
        part.fail(name, "failed", "")
    if returncode != 0:
        part.fail("pytest -m gpu", how, tail)
    for reason, number in counts.skipped.items():
        part.leave_out(f"{number} tests on the GPU", f"skipped: {reason}")
