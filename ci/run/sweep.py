"""The cases of a run at work: as many at once as fit, every table on disk current, and the verdict at the end."""

import errno
import queue
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path

from ci.cases import TRAINABLE, Case
from ci.durations import clock
from ci.errors import UsageError
from ci.failures.classify import Failure
from ci.files import write_json
from ci.gate.gate import Finding, all_pass, judge_root, verdict_line
from ci.host import checkout
from ci.plan.plan import Plan
from ci.records.results import CaseResult, Entry, RunFacts, relative, row_of
from ci.records.roots import FINDINGS, JUNIT, MANIFEST, PAGE, PROGRESS, ROWS, SUMMARY
from ci.records.run_record import DONE, RunRecord, write_run
from ci.records.run_record import NAME as RUN
from ci.records.tables import write_manifest, write_rows
from ci.report.baseline import find_last_green, read_baseline
from ci.report.junit import write_junit
from ci.report.page import write_page
from ci.report.summary import write_summary
from ci.report.terminal import result_lines
from ci.run.pool import Pool, Share
from ci.run.process import Stop, adopting_orphans, stop_on_signals
from ci.run.progress import Activity, Display, Standing
from ci.run.runner import Context, Work, pending, run_case
from ci.run.stages import Programs
from ci.stage_kinds import TRAININGS

EXIT_PASSED = 0
EXIT_FAILED = 1
LOOK_SECONDS = 0.2  # between two looks at what is running
PROGRESS_SECONDS = 1.0  # between two writings of progress.json
STAGE_PROCESSES = (*TRAININGS, "prior", "test", "viz")  # what is no overhead
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class Sweep:
    """One run, or one part of a run that is gone on with."""

    def __init__(
        self,
        repository: Path,
        root: Path,
        lock: int,  # the descriptor that holds the root
        record: RunRecord,
        plan: Plan,
        shard: int | None,  # counted from 0; None for the whole plan
        cases: Mapping[str, Case],
        earlier: Mapping[str, CaseResult],
        finished: Mapping[str, CaseResult],
        memory_gb: Mapping[str, float],  # of each case
        pool: Pool,
        programs: Programs,
        display: Display,
    ) -> None:
        self.root, self.repository, self.record = root, repository, record
        self.plan, self.shard = plan, shard
        self.earlier = earlier
        self.memory_gb, self.pool, self.display = memory_gb, pool, display
        order = [name for names in plan.shards for name in names] if shard is None else plan.shards[shard]
        self.waiting = [name for name in order if name not in finished]
        self.results = {
            name: finished.get(name) or pending(cases[name], plan.case(name).stages) for name in sorted(order)
        }
        self.stop = Stop()
        self.said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.context = Context(
            repository=repository,
            root=root,
            options=record.options,
            programs=programs,
            stop=self.stop,
            say=self.said.put,
            lock=lock,
        )
        self.running: dict[Future[None], Work] = {}
        self.before = record.seconds
        self.started = time.monotonic()

    def run(self) -> int:
        """Run every case that is not over yet; the tables on disk are right after each of them, and after a stop."""
        say = self.display.line
        say(self.record.options.why)
        say(f"{len(self.results)} case(s), {self.record.jobs} at once, into {relative(self.root, self.repository)}")
        try:
            write_manifest(self.root / MANIFEST, [result.case for result in self.results.values()])
            self._write_tables()
            with stop_on_signals(self.stop), adopting_orphans(), ThreadPoolExecutor(self.record.jobs) as threads:
                try:
                    self._work_off(threads)
                finally:
                    if self.running:  # something went wrong here, not in a case: end the cases, too
                        self.stop.ask("an error of the matrix itself")
            findings = self._conclude()
        except OSError as error:
            self.display.close()
            say(f"the run's own files cannot be written: {error}")
            say(verdict_line([Finding("failed", "", str(error))]))
            return EXIT_FAILED
        if self.stop.signum and self.record.ended != DONE:
            return 128 + self.stop.signum
        return EXIT_PASSED if all_pass(findings) else EXIT_FAILED

    def _work_off(self, threads: ThreadPoolExecutor) -> None:
        written = time.monotonic()
        looked = written
        told = False
        while self.running or (self.waiting and not self.stop.asked):
            if not self.stop.asked:
                self._start_what_fits(threads)
            done, _ = wait(self.running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._finish(future, self.running.pop(future))
            now = time.monotonic()
            if len(self.running) + len(done) == 0:
                self.record.idle_seconds += now - looked
            looked = now
            deadline = self.record.options.deadline
            if deadline is not None and now - self.started >= deadline:
                self.stop.ask(f"its deadline of {deadline:g} s")
            self._drain()
            if self.stop.asked and not told:
                told = True
                self.display.line(f"ending, by {self.stop.reason}; Ctrl-C once more ends what is at work without grace")
            self.display.show([work.activity for work in self.running.values()], self._standing())
            if done:
                self._write_tables()
            if done or now - written >= PROGRESS_SECONDS:
                self._write_progress("running")
                written = now

    def _start_what_fits(self, threads: ThreadPoolExecutor) -> None:
        options = self.record.options
        for name in list(self.waiting):
            result = self.results[name]
            trainable = result.case.case_type == TRAINABLE
            devices = options.devices_train if trainable else options.devices_nontrainable
            earlier = self.earlier.get(name)
            if options.one_device_each and earlier is not None and earlier.attempts:
                devices = earlier.attempts[-1].devices  # what it did there is kept
            share = self.pool.take(devices, self.memory_gb[name], options.one_device_each)
            if share is None:
                continue
            self.waiting.remove(name)
            work = Work(result, self.earlier.get(name), share, Activity(name), self.context)
            self.display.line(f"[{len(self.results) - len(self.waiting)}/{len(self.results)}] {name}{_where(share)}")
            self.running[threads.submit(run_case, work)] = work

    def _finish(self, future: "Future[None]", work: Work) -> None:
        """Take the case's share back and say how it went; a failure of the matrix itself fails the case."""
        result = work.result
        self.pool.give_back(work.share)
        error = future.exception()
        if error is not None:
            full = isinstance(error, OSError) and error.errno in FULL_DISK
            result.failure = Failure("disk_full" if full else "unexpected", f"{type(error).__name__}: {error}")
            result.note = result.failure.sentence("case")
            result.finished = True
            self.said.put("".join(traceback.format_exception(error)).rstrip())
        kept = {id(record) for record in work.earlier.processes} if work.earlier else set()
        mine = [record for record in result.processes if id(record) not in kept]
        self.record.case_seconds += time.monotonic() - work.began
        self.record.stage_seconds += sum(record.seconds or 0.0 for record in mine if record.name in STAGE_PROCESSES)
        self._drain()
        verdict = "passed" if result.ok else "FAILED" if result.finished else "not over"
        over = sum(one.finished for one in self.results.values())
        note = f" ({result.note})" if result.note else ""
        self.display.line(f"[{over} of {len(self.results)} over] {result.case.name}: {verdict}{note}")

    def _conclude(self) -> list[Finding]:
        """The last tables, the report and the verdict."""
        over = all(result.finished for result in self.results.values())
        self.record.ended = DONE if over else f"ended by {self.stop.reason}"
        self.record.code_at_end = self._other_code()
        findings = self._write_tables()
        self._write_page(findings)
        self.record.all_pass = all_pass(findings)
        self.record.seconds = self._seconds()
        write_run(self.root / RUN, self.record)
        self._write_progress(self.record.ended)
        self._drain()
        self.display.close()
        say = self.display.line
        for line in result_lines(self._entries()):
            say(line)
        for finding in findings:
            say(finding.sentence())
        if self.record.ended != DONE:
            say(f"go on with: nox -s e2e -- --resume {self.root.name}")
        say(f"{relative(self.root, self.repository)}: {ROWS}, {SUMMARY}, {JUNIT}, {PAGE}")
        say(f"{clock(self.record.seconds)} in all, {self.record.overhead:.1%} of it the matrix's own")
        say(verdict_line(findings))
        return findings

    def _other_code(self) -> str:
        """The code that is checked out by now, '' while it is what the run was started with."""
        try:
            code = checkout(self.repository)
        except UsageError as error:  # not a wrong command any more: the run is over, and nobody can say what it ran
            return str(error)
        same = (code.commit, code.changes) == (self.record.commit, self.record.changes)
        return "" if same else f"{code.commit} {code.changes}".rstrip()

    def _entries(self) -> list[Entry]:
        facts = self._facts()
        return [Entry(row_of(result, facts), result) for result in self.results.values()]

    def _write_tables(self) -> list[Finding]:
        """Everything but the page, and what the gate says of it so far."""
        entries = self._entries()
        self.record.seconds = self._seconds()
        write_rows(self.root / ROWS, [entry.row for entry in entries])
        write_junit(self.root / JUNIT, entries)
        write_run(self.root / RUN, self.record)
        findings = judge_root(self.plan, self.root, self.shard)
        write_summary(self.root / SUMMARY, entries, self._facts(), findings)
        return findings

    def _write_page(self, findings: list[Finding]) -> None:
        green = find_last_green(self.root.parent, self.root)
        baseline = read_baseline(green) if green else None
        content = [{"kind": one.kind, "case": one.case, "message": one.message} for one in findings]
        write_json(self.root / FINDINGS, content)
        write_page(self.root / PAGE, self._entries(), self._facts(), findings, self.plan, baseline)

    def _facts(self) -> RunFacts:
        record = self.record
        return RunFacts(
            root=self.root,
            repository=self.repository,
            profile=record.profile,
            engine=record.engine,
            devices=record.devices,
            seed=record.seed,
            commit=record.commit,
            dirty=record.dirty,
            driver=record.driver,
            jobs=record.jobs,
            seconds=self._seconds(),
        )

    def _seconds(self) -> float:
        return round(self.before + time.monotonic() - self.started, 3)

    def _standing(self) -> Standing:
        """How far it is, and how long the rest takes by the plan."""
        over = [result for result in self.results.values() if result.finished]
        left = sum(self.plan.case(name).seconds for name in self.waiting)
        left += sum(self.plan.case(work.result.case.name).seconds for work in self.running.values())
        # What the plan expects was measured elsewhere, or for another profile: scaled by the cases that are over.
        expected = sum(self.plan.case(result.case.name).seconds for result in over)
        taken = sum(record.seconds or 0.0 for result in over for record in result.processes)
        left *= taken / expected if expected else 0.0
        left = max(left - sum(time.monotonic() - work.began for work in self.running.values()), 0.0)
        return Standing(
            total=len(self.results),
            passed=sum(result.ok for result in over),
            failed=sum(not result.ok for result in over),
            seconds=self._seconds(),
            left=left / self.record.jobs if left else None,  # nobody knows before the first case is over
        )

    def _write_progress(self, doing: str) -> None:
        standing = self._standing()
        state = {
            "started": self.record.started,
            "updated": datetime.now().astimezone().isoformat(timespec="seconds"),
            "seconds": round(standing.seconds, 1),
            "left_s": standing.left,
            "total": standing.total,
            "finished": standing.passed + standing.failed,
            "passed": standing.passed,
            "failed": standing.failed,
            "doing": doing,
            "running": [
                {
                    "case": work.activity.case,
                    "stage": work.activity.stage,
                    "rung": work.activity.rung,
                    "seconds": round(work.activity.seconds, 1),
                    "status": dict(work.activity.status),
                }
                for work in self.running.values()
            ],
            "all_pass": self.record.all_pass,
        }
        write_json(self.root / PROGRESS, state)

    def _drain(self) -> None:
        """Print what the cases' threads had to say."""
        while not self.said.empty():
            self.display.line(self.said.get())


def _where(share: Share) -> str:
    cores = f", cores {','.join(map(str, share.cores))}" if share.cores else ""
    return f" on {','.join(share.devices)}{cores}"
