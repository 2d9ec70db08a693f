"""What a run remembers of a case: its tries, their stages, and the row of best_by_case.tsv that sums them up."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ci.cases import Case
from ci.failures.classify import Failure
from ci.stage_kinds import STAGES


@dataclass(frozen=True)
class ProcessResult:
    """How a program ended: its exit code (negative: the signal), whether its deadline did it, and what it took."""

    returncode: int
    timed_out: bool
    seconds: float
    cpu_seconds: float = 0.0  # of all its processes
    memory_gb: float = 0.0  # the largest resident set of any one of its processes, 1e9 bytes


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
    """One rung of a case's ladder: its stages by name, those that were not started included.

    ``repeated`` holds the tries of a stage that failed for a reason outside the case and were run once more.
    """

    variant: str
    agent_config: str
    num_envs: int
    max_samples: int
    devices: tuple[str, ...]
    out_dir: Path
    stages: dict[str, StageRecord]
    repeated: list[StageRecord] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.variant}_e{self.num_envs}"

    @property
    def ok(self) -> bool:
        return bool(self.stages) and all(stage.ok for stage in self.stages.values())

    @property
    def failed_stage(self) -> StageRecord | None:
        """The first stage that did not pass."""
        return next((stage for stage in self.stages.values() if not stage.ok), None)


@dataclass
class CaseResult:
    """Everything known about one selected case; complete enough for every report at any moment of the run."""

    case: Case
    wanted: tuple[str, ...] = STAGES  # the stages it is to go through
    data: StageRecord | None = None
    prior: StageRecord | None = None
    attempts: list[Attempt] = field(default_factory=list)
    note: str = "not run yet"
    failure: Failure | None = None
    finished: bool = False

    @property
    def ok(self) -> bool:
        if not self.finished or self.failure is not None or not self.attempts:
            return False
        return tuple(self.attempts[-1].stages) == self.wanted and self.attempts[-1].ok

    @property
    def stages(self) -> dict[str, StageRecord]:
        """The stages of the try that counts, which is the last."""
        return self.attempts[-1].stages if self.attempts else {name: not_run(name) for name in self.wanted}

    @property
    def processes(self) -> list[StageRecord]:
        """Every process that ran for the case, preparations and repetitions included."""
        prepared = [record for record in (self.data, self.prior) if record is not None]
        tried = [record for attempt in self.attempts for record in (*attempt.repeated, *attempt.stages.values())]
        return [record for record in (*prepared, *tried) if record.result is not None]


@dataclass(frozen=True)
class RunFacts:
    """What all cases of a run share."""

    root: Path
    repository: Path
    profile: str
    engine: str
    devices: tuple[str, ...]
    seed: int
    commit: str
    dirty: bool
    driver: str  # of the GPU; '' without one
    jobs: int
    seconds: float = 0.0


@dataclass
class CaseRow:
    """One row of best_by_case.tsv: the case's last try, which is its passing one if there is one. The fields are the
    columns, in order.

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
    long_rc: int | None = None  # of the long training, where there is one
    long_ok: bool | None = None
    long_log: str | None = None
    long_samples: int | None = None
    long_samples_per_s: float | None = None
    long_seconds: float | None = None
    failure: str | None = None  # the class, see ci/failures/table.py
    repeats: int = 0  # stages that were run once more after a failure outside the case
    seconds: float | None = None  # of all its processes
    memory_gb: float | None = None  # on a GPU the most that the training held there; else the largest process's
    dirty: bool | None = None  # tracked files differed from the commit
    device_name: str | None = None
    driver: str | None = None
    engine_version: str | None = None
    packages: str | None = None


ROW_COLUMNS = tuple(column.name for column in fields(CaseRow))

# The distribution that an engine_name stands for.
ENGINE_DISTRIBUTIONS = {"newton": "newton", "mujoco": "mujoco", "isaac_lab": "isaaclab", "isaac_gym": "isaacgym"}


def not_run(name: str) -> StageRecord:
    """The record of a stage that was not started."""
    return StageRecord(name, failure=Failure("not_run", "the stage was not started"))


def relative(path: Path, repository: Path) -> str:
    """``path`` as the tables show it."""
    return path.relative_to(repository).as_posix() if path.is_relative_to(repository) else str(path)


def row_of(result: CaseResult, run: RunFacts) -> CaseRow:
    """What best_by_case.tsv says of a case."""
    case = result.case
    row = CaseRow(case.name, case.method, case.case_type, final_ok=result.ok, note=result.note)
    row.engine, row.seed, row.commit, row.dirty = run.engine, run.seed, run.commit, run.dirty
    row.driver = run.driver or None
    row.failure = result.failure.kind if result.failure else None
    row.seconds = round(sum(record.seconds or 0.0 for record in result.processes), 3) or None
    row.memory_gb = max((record.result.memory_gb for record in result.processes if record.result), default=None)
    if not result.attempts:
        return row
    attempt = result.attempts[-1]
    row.variant, row.num_envs, row.agent_config = attempt.variant, attempt.num_envs, attempt.agent_config
    row.out_dir = relative(attempt.out_dir, run.repository)
    row.train_out_dir = f"{row.out_dir}/train"
    row.device = ",".join(attempt.devices)
    row.repeats = sum(len(earlier.repeated) for earlier in result.attempts)
    for name in result.wanted:
        setattr(row, f"{name}_log", f"{row.out_dir}/{name}.log")
        _fill(row, attempt.stages[name])
    return row


def _fill(row: CaseRow, record: StageRecord) -> None:
    """Put a stage into its columns."""
    result, facts = record.result, record.facts
    setattr(row, f"{record.name}_rc", result.returncode if result else None)
    setattr(row, f"{record.name}_ok", record.ok)
    setattr(row, f"{record.name}_seconds", record.seconds)
    for column, fact in _COLUMNS_OF_FACTS[record.name].items():
        setattr(row, column, facts.get(fact))
    if record.name == "train":
        row.train_timeout = result is not None and result.timed_out
        versions = facts.get("versions") or {}
        row.packages = ", ".join(f"{name} {version}" for name, version in versions.items()) or None
        row.engine_version = versions.get(ENGINE_DISTRIBUTIONS.get(row.engine or "", ""))
        if row.device and row.device.startswith("cuda"):
            row.memory_gb = facts.get("gpu_memory_peak_gb")


_COLUMNS_OF_FACTS = {
    "train": {"samples": "samples", "samples_per_s": "samples_per_s", "device_name": "device_name"},
    "long": {"long_samples": "samples", "long_samples_per_s": "samples_per_s"},
    "test": {"mean_return": "mean_return", "mean_ep_len": "mean_ep_len", "episodes": "episodes"},
    "viz": {"frames": "frames"},
}


@dataclass(frozen=True)
class Entry:
    """One case as a report shows it: its row, and its journal unless that is missing or cannot be read."""

    row: CaseRow
    result: CaseResult | None
