"""What a run remembers: a row per case in best_by_case.tsv, every try in attempts.json, each replaced in one step."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ci.cases import Case
from ci.failures import Failure
from ci.files import write_json, write_text
from ci.process import ProcessResult
from ci.stages import STAGES

MANIFEST_COLUMNS = ("case", "method", "case_type", "mode", "agent_config", "env_config")


@dataclass
class CaseRow:
    """One row of best_by_case.tsv: the case's passing try, or its last one. The fields are the columns, in order.

    ``None`` is written as an empty cell, a truth value as 1 or 0. Paths are relative to the repository.
    """

    case: str
    method: str
    case_type: str
    variant: str | None = None
    agent_config: str | None = None
    num_envs: int | None = None  # per device
    train_rc: int | None = None  # exit code; negative: the signal
    train_timeout: bool = False
    train_ok: bool = False
    test_rc: int | None = None
    test_ok: bool = False
    viz_rc: int | None = None
    viz_ok: bool = False
    final_ok: bool = False
    note: str = ""
    out_dir: str | None = None
    train_out_dir: str | None = None
    train_log: str | None = None
    test_log: str | None = None
    viz_log: str | None = None
    engine: str | None = None
    device: str | None = None
    seed: int | None = None
    commit: str | None = None
    samples: int | None = None
    samples_per_s: float | None = None  # without start-up
    mean_return: float | None = None
    mean_ep_len: float | None = None  # control steps
    episodes: int | None = None
    frames: int | None = None
    train_seconds: float | None = None
    test_seconds: float | None = None
    viz_seconds: float | None = None


ROW_COLUMNS = tuple(column.name for column in fields(CaseRow))


@dataclass
class StageRecord:
    """One process that ran (or was not started): how it ended, what its files showed."""

    name: str
    argv: tuple[str, ...] = ()
    log: Path | None = None
    result: ProcessResult | None = None
    failure: Failure | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Passed: it ran, it exited with 0 and its evidence holds."""
        return self.result is not None and self.result.returncode == 0 and self.failure is None

    @property
    def seconds(self) -> float | None:
        return round(self.result.seconds, 3) if self.result else None


@dataclass
class Attempt:
    """One rung of a case's ladder: its stages by name, those that were not started included."""

    variant: str
    agent_config: str
    num_envs: int
    max_samples: int
    out_dir: Path
    stages: dict[str, StageRecord] = field(default_factory=lambda: {name: not_run(name) for name in STAGES})

    @property
    def ok(self) -> bool:
        return all(stage.ok for stage in self.stages.values())

    @property
    def failed_stage(self) -> StageRecord | None:
        """The first stage that did not pass."""
        return next((stage for stage in self.stages.values() if not stage.ok), None)


@dataclass
class CaseResult:
    """Everything known about one selected case; complete enough for every report at any moment of the run."""

    case: Case
    row: CaseRow
    data: StageRecord | None = None
    prior: StageRecord | None = None
    attempts: list[Attempt] = field(default_factory=list)
    finished: bool = False

    @property
    def ok(self) -> bool:
        return self.row.final_ok

    @property
    def prepared(self) -> StageRecord | None:
        """The last step that made something the case needs."""
        return self.prior or self.data

    @property
    def stages(self) -> dict[str, StageRecord]:
        """The stages of the try that counts."""
        return self.attempts[-1].stages if self.attempts else {name: not_run(name) for name in STAGES}


def not_run(name: str) -> StageRecord:
    """The record of a stage that was not started."""
    return StageRecord(name, failure=Failure("not_run", "the stage was not started"))


def relative(path: Path, repository: Path) -> str:
    """``path`` as the tables show it."""
    return path.relative_to(repository).as_posix() if path.is_relative_to(repository) else str(path)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A TSV with a header line. Tabs and line breaks inside a cell become spaces."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    write_text(path, text.getvalue())


def write_rows(path: Path, results: Sequence[CaseResult]) -> None:
    """best_by_case.tsv."""
    write_table(path, ROW_COLUMNS, ([getattr(result.row, name) for name in ROW_COLUMNS] for result in results))


def write_manifest(path: Path, cases: Sequence[Case]) -> None:
    """case_manifest.tsv: what was selected, before anything ran."""
    columns = ("name", *MANIFEST_COLUMNS[1:])
    write_table(path, MANIFEST_COLUMNS, ([getattr(case, name) for name in columns] for case in cases))


def write_attempts(path: Path, result: CaseResult, repository: Path) -> None:
    """attempts.json: preparations and tries, with stages, command lines, exit codes, facts and failures."""

    def stage(record: StageRecord) -> dict[str, object]:
        failure = record.failure
        return {
            "name": record.name,
            "ok": record.ok,
            "rc": record.result.returncode if record.result else None,
            "timed_out": record.result.timed_out if record.result else False,
            "seconds": record.seconds,
            "log": relative(record.log, repository) if record.log else None,
            "command": list(record.argv),
            "facts": record.facts,
            "failure": failure
            and {
                "kind": failure.kind,
                "message": failure.message,
                "remedy": failure.about.remedy,
                "action": failure.about.action,
            },
        }

    attempts = [
        {
            "variant": attempt.variant,
            "agent_config": attempt.agent_config,
            "num_envs": attempt.num_envs,
            "max_samples": attempt.max_samples,
            "ok": attempt.ok,
            "out_dir": relative(attempt.out_dir, repository),
            "stages": [stage(record) for record in attempt.stages.values()],
        }
        for attempt in result.attempts
    ]
    prepared = {
        name: stage(record) if record else None for name, record in (("data", result.data), ("prior", result.prior))
    }
    write_json(path, {"case": result.case.name, "ok": result.ok, **prepared, "attempts": attempts})


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(str(value).replace('"', "'").split())
