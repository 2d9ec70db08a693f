"""The run: choose the cases, run one after another, keep every table current, and say whether all of them passed."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ci.cases import Case, discover, select
from ci.errors import UsageError
from ci.files import write_json
from ci.host import checked_out_commit, require_packages
from ci.options import Options
from ci.process import Stopped, stop_signals_raise
from ci.progress import Display, clock, make_display
from ci.records import CaseResult, relative, write_manifest, write_rows
from ci.report import RunFacts, all_pass, result_lines, write_junit, write_summary
from ci.runner import Context, pending, run_case
from ci.stages import Programs

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
DEFAULT_ROOT = "case_e2e_all_"


def selected_cases(options: Options, repository: Path) -> list[Case]:
    """The cases that ``options`` name. Raises UsageError for unknown names and an empty choice."""
    return select(discover(repository), options.names, options.include_nontrainable, options.shard)


def run_e2e(
    options: Options,
    repository: Path,
    programs: Programs | None = None,
    display: Display | None = None,
) -> int:
    """Run the selected cases; returns the exit code. Raises UsageError before anything is started or written."""
    programs = programs or Programs()
    display = display or make_display()
    cases = selected_cases(options, repository)
    require_packages(options.require_deps)
    root = _make_root(repository / "output" / "train", options.root_out)
    with stop_signals_raise():
        return _Run(options, repository, root, programs, display, cases).run()


def _make_root(parent: Path, name: str | None) -> Path:
    """A folder that did not exist before: results of an earlier run can never be taken for this one's."""
    if name is not None:
        names = [name]
    else:
        stem = DEFAULT_ROOT + datetime.now().strftime("%Y%m%d_%H%M%S")
        names = [stem, *(f"{stem}_{number}" for number in range(2, 10))]
    for root in (parent / name for name in names):
        try:
            root.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"{root} cannot be made: {error}.") from error
        return root
    raise UsageError(f"{parent / names[-1]} exists already: choose another --root-out, or remove it.")


class _Run:
    """The state of one run, and its tables on disk."""

    def __init__(
        self,
        options: Options,
        repository: Path,
        root: Path,
        programs: Programs,
        display: Display,
        cases: Sequence[Case],
    ) -> None:
        self.options = options
        self.repository = repository
        self.root = root
        self.display = display
        self.results = [pending(case) for case in cases]
        self.started = time.monotonic()
        self.started_at = datetime.now().astimezone().isoformat(timespec="seconds")
        self.commit = checked_out_commit(repository)
        self.context = Context(
            repository=repository,
            root=root,
            options=options,
            programs=programs,
            display=display,
            commit=self.commit,
            on_change=self._write_progress,
        )

    def run(self) -> int:
        """Run every case; the tables on disk are right after each of them, and after a stop."""
        say = self.display.line
        say(f"{self.options.why}")
        say(f"{len(self.results)} case(s) into {relative(self.root, self.repository)}")
        write_manifest(self.root / "case_manifest.tsv", [result.case for result in self.results])
        self._write_tables()
        stopped: Stopped | None = None
        for number, result in enumerate(self.results, start=1):
            say(f"[{number}/{len(self.results)}] {result.case.name}")
            try:
                run_case(result, self.context)
            except Stopped as stop:
                stopped = stop
            self._write_tables()
            say(f"[{number}/{len(self.results)}] {result.case.name}: {self._verdict(result)}")
            if stopped is not None:
                break
        self._write_progress(None, "done" if stopped is None else f"ended by {stopped}", {})
        for line in result_lines(self.results):
            say(line)
        say(f"{relative(self.root, self.repository)}: best_by_case.tsv, summary.md, junit.xml")
        say(f"{clock(time.monotonic() - self.started)} in all")
        say(f"all_pass {all_pass(self.results)}")
        if stopped is not None:
            return 128 + stopped.signum
        return EXIT_PASSED if all_pass(self.results) else EXIT_FAILED

    def _verdict(self, result: CaseResult) -> str:
        note = f" ({result.row.note})" if result.row.note else ""
        return ("passed" if result.ok else "FAILED") + note

    def _write_tables(self) -> None:
        facts = RunFacts(
            root=self.root,
            engine=self.options.engine_name,
            devices=",".join(self.options.devices_train),
            profile=self.options.profile.name,
            commit=self.commit,
            seconds=time.monotonic() - self.started,
        )
        write_rows(self.root / "best_by_case.tsv", self.results)
        write_junit(self.root / "junit.xml", self.results)
        write_summary(self.root / "summary.md", self.results, facts)

    def _write_progress(self, current: CaseResult | None, doing: str, status: Mapping[str, Any]) -> None:
        finished = [result for result in self.results if result.finished]
        state = {
            "started": self.started_at,
            "updated": datetime.now().astimezone().isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self.started, 1),
            "total": len(self.results),
            "finished": len(finished),
            "passed": sum(result.ok for result in finished),
            "failed": sum(not result.ok for result in finished),
            "case": current.case.name if current else None,
            "doing": doing,
            "status": dict(status),
            "all_pass": all_pass(self.results),
        }
        write_json(self.root / "progress.json", state)
