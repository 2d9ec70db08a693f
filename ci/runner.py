"""One case: its data, then its ladder of tries, each a train, a test and a rendering, until one settles the matter."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ci.cases import Case
from ci.evidence import CHECKS, Asked, check_checkpoint
from ci.failures import Failure, classify
from ci.files import read_json_object, tail
from ci.ladder import Rung, devices, rungs
from ci.options import Options
from ci.priors import agent_with_prior, missing_prior, prior_command, prior_file
from ci.process import Job, Stopped, finish, running
from ci.progress import Display, read_status
from ci.records import Attempt, CaseResult, CaseRow, StageRecord, relative, write_attempts
from ci.report import LOG_LINES
from ci.stages import COMMANDS, STAGES, Programs, StageCommand, checkpoint_command, data_command

TAIL_LINES = 200  # of a log, for its message and, last of all, its class
CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class Context:
    """What every case of a run shares."""

    repository: Path
    root: Path  # output/train/NAME
    options: Options
    programs: Programs
    display: Display
    commit: str
    # Called about once a second and around every stage: the case, what it is doing, the stage's status.json.
    on_change: Callable[[CaseResult, str, Mapping[str, Any]], None]


def pending(case: Case) -> CaseResult:
    """A selected case before it ran: its row already counts as a failure, so an unfinished run never looks passed."""
    return CaseResult(case, CaseRow(case.name, case.method, case.case_type, note="not run yet"))


def run_case(result: CaseResult, context: Context) -> None:
    """Run the case of ``result`` and fill it in. attempts.json is rewritten after every stage.

    Raises Stopped after recording it; any other failure of the case ends up in its row.
    """
    case_dir = context.root / "runs" / result.case.name
    case_dir.mkdir(parents=True)
    try:
        failure = _prepare(result, context, case_dir)
        if failure is None:
            _climb(result, context, case_dir)
        else:
            result.row.note = failure.sentence(result.prepared.name if result.prepared else "case")
            if result.prepared is not None:
                _tell(result.prepared, context)
    except Stopped as stop:
        result.row.note = Failure("stopped", f"the matrix was ended by {stop}").sentence("case")
        raise
    finally:
        result.finished = True
        write_attempts(case_dir / "attempts.json", result, context.repository)


def _prepare(result: CaseResult, context: Context, case_dir: Path) -> Failure | None:
    """Check the arg file and have the case's clips built, and its motion prior where it needs one."""
    if result.case.problem:
        return Failure("input", result.case.problem)
    command = data_command(result.case, context.options, context.programs, case_dir)
    record = result.data = StageRecord(command.name, command.argv, command.log)
    _run(command, record, result, context)
    if record.failure is not None and record.failure.kind in ("input", "unexpected"):
        record.failure = Failure("missing_data", record.failure.message)
    return record.failure or _prepare_prior(result, context, case_dir)


def _prepare_prior(result: CaseResult, context: Context, case_dir: Path) -> Failure | None:
    """Train the prior that the case's agent names and nobody has trained; the case then uses the run's own."""
    case = result.case
    try:
        missing = missing_prior(context.repository, case)
        if missing is None:
            return None
        device = devices(case, context.options)[0]
        command = prior_command(case, context.options, context.programs, case_dir, device)
        record = result.prior = StageRecord(command.name, command.argv, command.log)
        _run(command, record, result, context)
        if record.failure is None and not prior_file(command).is_file():
            record.failure = Failure("no_evidence", f"{prior_file(command).name} was not written, despite exit code 0")
        if record.failure is None:
            result.case = replace(case, agent_config=agent_with_prior(context.repository, case, command))
            context.display.line(f"  {_title(command, result)}: {missing} is not there; trained for this run alone")
    except ValueError as error:
        return Failure("input", str(error))
    return record.failure


def _climb(result: CaseResult, context: Context, case_dir: Path) -> None:
    """Try the rungs from the top until one passes or fails in a way that a lower one cannot help."""
    try:
        ladder = rungs(result.case, context.options, context.repository)
    except ValueError as error:
        result.row.note = Failure("input", str(error)).sentence("case")
        return
    dropped: list[str] = []
    for rung in ladder:
        attempt = _attempt(rung, result, context, case_dir)
        failed = attempt.failed_stage
        if failed is None:
            result.row.final_ok = True
            notes = [f"passed after {'; '.join(dropped)}"] if dropped else []
            if result.prior is not None:
                iterations = context.options.profile.prior_iterations
                notes.append(f"with a motion prior of {iterations:,} iterations, made for this run")
            result.row.note = "; ".join(notes)
            return
        failure = failed.failure or Failure("unexpected", "did not pass")
        result.row.note = failure.sentence(failed.name)
        if failed.name != "train" or failure.about.action != "next_rung":
            return
        dropped.append(f"{failure.kind} with {rung.num_envs} environments ({rung.variant})")
        context.display.line(f"  {rung.label}: {failure.kind}: the next rung is tried")
    result.row.note = f"no rung of the ladder fits: {result.row.note}"


def _attempt(rung: Rung, result: CaseResult, context: Context, case_dir: Path) -> Attempt:
    """Train, test and render one rung, stopping at the first stage that does not pass."""
    out_dir = case_dir / rung.label
    attempt = Attempt(rung.variant, rung.agent_config, rung.num_envs, rung.max_samples, out_dir)
    result.attempts.append(attempt)
    _start_row(result.row, attempt, context, devices(result.case, context.options))
    if not _stage("train", rung, attempt, result, context).ok:
        return attempt
    # The model is read on its own beside the test, which reads it anyway: reading it costs a start of Python and torch.
    check = checkpoint_command(context.programs, out_dir, CHECKPOINT_SECONDS)
    with running(check.argv, context.repository, check.environment, check.log) as reader:
        tested = _stage("test", rung, attempt, result, context)
        train = attempt.stages["train"]
        _finish_checkpoint(reader, check, train)
    if not train.ok:
        result.row.train_ok = False
        _tell(train, context)
    elif tested.ok:
        _stage("viz", rung, attempt, result, context)
    return attempt


def _finish_checkpoint(reader: Job, command: StageCommand, train: StageRecord) -> None:
    ended = finish(reader, command.timeout)
    lines = [line for line in tail(command.log, TAIL_LINES) if not line.startswith("$ ")]
    evidence = check_checkpoint(ended.returncode, "\n".join(lines))
    train.failure = evidence.failure
    train.facts.update(evidence.facts)


def _stage(name: str, rung: Rung, attempt: Attempt, result: CaseResult, context: Context) -> StageRecord:
    """Run one stage of an attempt, check its evidence, put both into the row and on disk."""
    options = context.options
    command = COMMANDS[name](result.case, rung, options, context.programs, attempt.out_dir)
    record = attempt.stages[name] = StageRecord(name, command.argv, command.log)
    _run(command, record, result, context)
    if record.failure is None:
        used = devices(result.case, options)
        asked = Asked(
            engine=options.engine_name,
            devices=used if name == "train" else used[:1],
            seed=options.seed,
            samples=rung.max_samples,
            episodes=options.profile.viz_episodes if name == "viz" else options.profile.test_episodes,
        )
        evidence = CHECKS[name](command.out_dir, command.log, asked)
        record.facts, record.failure = evidence.facts, evidence.failure
    _fill_row(result.row, record)
    if record.ok:
        context.display.line(f"  {_title(command, result)}: passed in {record.seconds:.1f} s")
    else:
        _tell(record, context)
    write_attempts(attempt.out_dir.parent / "attempts.json", result, context.repository)
    context.on_change(result, f"{_title(command, result)} ended", {})
    return record


def _run(command: StageCommand, record: StageRecord, result: CaseResult, context: Context) -> None:
    """Run a process to its end and classify how it ended; evidence is another matter."""
    title = _title(command, result)
    started = time.monotonic()
    command.out_dir.mkdir(parents=True, exist_ok=True)

    def tick() -> None:
        status = read_status(command.out_dir)
        context.display.update(title, time.monotonic() - started, status)
        context.on_change(result, title, status)

    context.on_change(result, title, {})
    context.display.update(title, 0.0, {})
    try:
        with running(command.argv, context.repository, command.environment, command.log) as job:
            ended = finish(job, command.timeout, tick)
    except OSError as error:
        record.failure = Failure("unexpected", f"{command.argv[0]} cannot be started: {error}")
        return
    except Stopped as stop:
        record.failure = Failure("stopped", f"the matrix was ended by {stop}")
        raise
    finally:
        context.display.stage_done()
    record.result = ended
    report = _error_report(command.out_dir)
    if ended.returncode != 0 or ended.timed_out or report is not None:
        log_tail = tail(command.log, TAIL_LINES)
        record.failure = classify(ended.returncode, ended.timed_out, report, log_tail, command.timeout)


def _error_report(out_dir: Path) -> dict[str, object] | None:
    """error.json of a stage; a file that cannot be read counts as an error of no known kind."""
    try:
        return read_json_object(out_dir / "error.json")
    except FileNotFoundError:
        return None
    except ValueError:
        return {}


def _tell(record: StageRecord, context: Context) -> None:
    """Show the end of a failed stage's log; the sentence about it is the case's note."""
    if record.log is None:
        return
    context.display.line(f"  the end of {relative(record.log, context.repository)}:")
    for line in tail(record.log, LOG_LINES):
        context.display.line(f"    | {line}")


def _title(command: StageCommand, result: CaseResult) -> str:
    rung = f" {command.out_dir.parent.name}" if command.name in STAGES else ""
    return f"{result.case.name}{rung} {command.name}"


def _start_row(row: CaseRow, attempt: Attempt, context: Context, used: tuple[str, ...]) -> None:
    """Point the row at a new attempt and forget what an earlier one left in it."""
    fresh = CaseRow(row.case, row.method, row.case_type)
    fresh.variant, fresh.num_envs = attempt.variant, attempt.num_envs
    fresh.agent_config = attempt.agent_config
    fresh.out_dir = relative(attempt.out_dir, context.repository)
    fresh.train_out_dir = f"{fresh.out_dir}/train"
    fresh.train_log, fresh.test_log, fresh.viz_log = (f"{fresh.out_dir}/{name}.log" for name in STAGES)
    fresh.engine, fresh.device = context.options.engine_name, ",".join(used)
    fresh.seed, fresh.commit = context.options.seed, context.commit
    row.__dict__.update(fresh.__dict__)


def _fill_row(row: CaseRow, record: StageRecord) -> None:
    """Put a finished stage into its columns."""
    result, facts = record.result, record.facts
    setattr(row, f"{record.name}_rc", result.returncode if result else None)
    setattr(row, f"{record.name}_ok", record.ok)
    setattr(row, f"{record.name}_seconds", record.seconds)
    if record.name == "train":
        row.train_timeout = result is not None and result.timed_out
        row.samples, row.samples_per_s = facts.get("samples"), facts.get("samples_per_s")
        if facts.get("device_name"):
            row.device = f"{row.device} ({facts['device_name']})"
    elif record.name == "test":
        row.mean_return, row.mean_ep_len = facts.get("mean_return"), facts.get("mean_ep_len")
        row.episodes = facts.get("episodes")
    else:
        row.frames = facts.get("frames")
