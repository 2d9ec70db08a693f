"""One case: its data, then its ladder of tries, each a train, a test and a rendering, until one settles the matter."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ci.cases import Case
from ci.evidence.checks import CHECKS, Asked, check_checkpoint
from ci.failures.classify import Failure, classify
from ci.files import read_json_object, tail
from ci.ladder import Rung, rungs
from ci.options import Options
from ci.records.journal import NAME as JOURNAL
from ci.records.journal import write_journal
from ci.records.results import Attempt, CaseResult, StageRecord, not_run, relative
from ci.run.pool import Share
from ci.run.priors import agent_with_prior, missing_prior, prior_command, prior_file
from ci.run.process import Job, Stop, Stopped, finish, running
from ci.run.progress import Activity, read_status
from ci.run.stages import (
    COMMANDS,
    TRAININGS,
    Programs,
    StageCommand,
    StageRequest,
    checkpoint_command,
    data_command,
    last_training,
)

TAIL_LINES = 200  # of a log, for its message and, last of all, its class
SHOWN_LINES = 30  # of a log, for a person
CHECKPOINT_SECONDS = 300.0
SET_ASIDE = "earlier"


@dataclass(frozen=True)
class Context:
    """What every case of a run shares."""

    repository: Path
    root: Path  # output/train/NAME
    options: Options
    programs: Programs
    stop: Stop
    say: Callable[[str], None]  # lines that stay


@dataclass
class Work:
    """One case at work: its result as it grows, what an earlier part of the run left of it, and what it runs on."""

    result: CaseResult
    earlier: CaseResult | None
    share: Share
    activity: Activity
    context: Context
    began: float = field(default_factory=time.monotonic)

    @property
    def case_dir(self) -> Path:
        return self.context.root / "runs" / self.result.case.name

    def write(self) -> None:
        write_journal(self.case_dir / JOURNAL, self.result, self.context.repository)


def pending(case: Case, wanted: tuple[str, ...]) -> CaseResult:
    """A selected case before it ran: it already counts as a failure, so an unfinished run never looks passed."""
    return CaseResult(case, wanted)


def run_case(work: Work) -> None:
    """Run the case and fill its result in. Its journal is rewritten after every stage.

    When the matrix is told to stop, the case is recorded as not over. A failure of the case ends up in its result.
    """
    result = work.result
    work.case_dir.mkdir(parents=True, exist_ok=True)
    try:
        result.failure = _prepare(work) or _climb(work)
        result.finished = True
    except Stopped as stop:
        result.failure = Failure("stopped", f"the matrix was ended by {stop.reason}")
        result.note = result.failure.sentence("case")
    finally:
        work.write()


def _prepare(work: Work) -> Failure | None:
    """Check the arg file and have the case's clips built, and its motion prior where it needs one."""
    result, context = work.result, work.context
    if result.case.problem:
        return _noted(work, "case", Failure("input", result.case.problem))
    command = data_command(result.case, context.options, context.programs, work.case_dir)
    record = result.data = StageRecord(command.name, command.argv, command.log)
    _run(command, record, work)
    if record.failure is not None and record.failure.kind in ("input", "unexpected"):
        record.failure = Failure("missing_data", record.failure.message)
    if record.failure is not None:
        _tell(record, work)
        return _noted(work, command.name, record.failure)
    return _prepare_prior(work)


def _prepare_prior(work: Work) -> Failure | None:
    """Train the prior that the case's agent names and nobody has trained; the case then uses the run's own."""
    case, context = work.result.case, work.context
    try:
        missing = missing_prior(context.repository, case)
        if missing is None:
            return None
        command = prior_command(case, context.options, context.programs, work.case_dir, work.share.devices[0])
        before = work.earlier.prior if work.earlier else None
        if before is not None and before.ok and prior_file(command).is_file():
            work.result.prior = before
        else:
            _set_aside(command)
            record = work.result.prior = StageRecord(command.name, command.argv, command.log)
            _run(command, record, work)
            if record.failure is None and not prior_file(command).is_file():
                message = f"{prior_file(command).name} was not written, despite exit code 0"
                record.failure = Failure("no_evidence", message)
            if record.failure is not None:
                _tell(record, work)
                return _noted(work, command.name, record.failure)
        work.result.case = replace(case, agent_config=agent_with_prior(context.repository, case, command))
        context.say(f"  {case.name} prior: {missing} is not there; trained for this run alone")
    except ValueError as error:
        return _noted(work, "case", Failure("input", str(error)))
    return None


def _climb(work: Work) -> Failure | None:
    """Try the rungs from the top until one passes or fails in a way that a lower one cannot help."""
    result, context = work.result, work.context
    profile = context.options.profile
    try:
        ladder = rungs(result.case, profile, len(work.share.devices), context.repository)
    except ValueError as error:
        return _noted(work, "case", Failure("input", str(error)))
    dropped: list[str] = []
    for rung in ladder:
        attempt = _kept_drop(rung, work) or _attempt(rung, work)
        failed = attempt.failed_stage
        if failed is None:
            notes = [f"passed after {'; '.join(dropped)}"] if dropped else []
            if result.prior is not None:
                notes.append(f"with a motion prior of {profile.prior_iterations:,} iterations, made for this run")
            notes += [f"{again.name} was repeated after {_kind(again)}" for again in attempt.repeated]
            result.note = "; ".join(notes)
            return None
        failure = failed.failure or Failure("unexpected", "did not pass")
        _noted(work, failed.name, failure)
        if failed.name != "train" or failure.about.action != "next_rung":
            return failure
        dropped.append(f"{failure.kind} with {rung.num_envs} environments ({rung.variant})")
        context.say(f"  {result.case.name} {rung.label}: {failure.kind}: the next rung is tried")
    result.note = f"no rung of the ladder fits: {result.note}"
    return failure


def _kept_drop(rung: Rung, work: Work) -> Attempt | None:
    """The try of this rung that an earlier part of the run made and dropped; None when there is none.

    A case that was over and failed is another matter: who asks for it again expects its rungs to be tried again.
    """
    attempt = _earlier_attempt(rung, work)
    if attempt is None or work.earlier is None or work.earlier.finished or attempt.stages["train"].failure is None:
        return None
    if attempt.stages["train"].failure.about.action != "next_rung":
        return None
    work.result.attempts.append(attempt)
    return attempt


def _earlier_attempt(rung: Rung, work: Work) -> Attempt | None:
    attempts = work.earlier.attempts if work.earlier else []
    return next((attempt for attempt in attempts if attempt.label == rung.label), None)


def _attempt(rung: Rung, work: Work) -> Attempt:
    """Go through the stages of one rung, stopping at the first that does not pass."""
    result, context = work.result, work.context
    request = StageRequest(
        case=result.case,
        wanted=result.wanted,
        rung=rung,
        devices=work.share.devices,
        options=context.options,
        programs=context.programs,
        attempt_dir=work.case_dir / rung.label,
    )
    attempt = Attempt(
        variant=rung.variant,
        agent_config=rung.agent_config,
        num_envs=rung.num_envs,
        max_samples=rung.max_samples,
        devices=request.devices,
        out_dir=request.attempt_dir,
        stages={name: not_run(name) for name in result.wanted},
    )
    before = _earlier_attempt(rung, work)
    attempt.repeated = list(before.repeated) if before else []
    result.attempts.append(attempt)
    for name in result.wanted:
        passed = (_test_beside_checkpoint if name == "test" else _stage_passes)(name, request, attempt, before, work)
        if before is not None and attempt.stages[name] is not before.stages[name]:
            before = None  # what an earlier part made of another model proves nothing about this one
        if not passed:
            break
    return attempt


def _stage_passes(name: str, request: StageRequest, attempt: Attempt, before: Attempt | None, work: Work) -> bool:
    return _stage(name, request, attempt, before, work).ok


def _test_beside_checkpoint(
    name: str, request: StageRequest, attempt: Attempt, before: Attempt | None, work: Work
) -> bool:
    """Test the model, and read it on its own beside that: reading it costs a start of Python and torch.

    Whether both went well; a model that does not hold fails its training.
    """
    context = work.context
    trained = attempt.stages[last_training(work.result.wanted)]
    if "parameters" in trained.facts:  # an earlier part of the run has read it
        return _stage(name, request, attempt, before, work).ok
    check = checkpoint_command(context.programs, attempt.out_dir, trained.name, CHECKPOINT_SECONDS)
    cores = work.share.cores
    with running(check.argv, context.repository, check.environment, check.log, cores) as reader:
        tested = _stage(name, request, attempt, before, work)
        _finish_checkpoint(reader, check, trained, context.stop)
    if not trained.ok:
        _tell(trained, work)
    work.write()
    return trained.ok and tested.ok


def _finish_checkpoint(reader: Job, command: StageCommand, trained: StageRecord, stop: Stop) -> None:
    ended = finish(reader, command.timeout, stop)
    lines = [line for line in tail(command.log, TAIL_LINES) if not line.startswith("$ ")]
    evidence = check_checkpoint(ended.returncode, "\n".join(lines))
    trained.failure = evidence.failure
    trained.facts.update(evidence.facts)


def _stage(name: str, request: StageRequest, attempt: Attempt, before: Attempt | None, work: Work) -> StageRecord:
    """Run one stage, or keep what an earlier part of the run proved; a failure outside the case gets a second try."""
    command = COMMANDS[name](request)
    kept = before.stages[name] if before else None
    if kept is not None and kept.ok and _judge(kept, request, work).ok:
        attempt.stages[name] = kept
        work.context.say(f"  {_title(command, work)}: kept, its evidence holds")
        return kept
    if name != "long" or "--resume" not in command.argv:
        _set_aside(command)
    record = _run_stage(command, request, attempt, work)
    failure = record.failure
    repeated = any(earlier.name == name for earlier in attempt.repeated)
    if failure is not None and failure.about.action == "retry_once" and not repeated:
        work.context.say(f"  {_title(command, work)}: {failure.kind}: {failure.message}: run once more")
        attempt.repeated.append(replace(record, log=_set_aside(command)))
        record = _run_stage(COMMANDS[name](request), request, attempt, work)
    if record.ok:
        work.context.say(f"  {_title(command, work)}: passed in {record.seconds:.1f} s")
    else:
        _tell(record, work)
    return record


def _run_stage(command: StageCommand, request: StageRequest, attempt: Attempt, work: Work) -> StageRecord:
    """Run a stage's process, check its evidence, and write both down."""
    record = attempt.stages[command.name] = StageRecord(command.name, command.argv, command.log)
    _run(command, record, work, attempt.label)
    if record.failure is None:
        _judge(record, request, work)
    work.write()
    return record


def _judge(record: StageRecord, request: StageRequest, work: Work) -> StageRecord:
    """Put into ``record`` what its files show, or why they do not count."""
    options, name = work.context.options, record.name
    profile = options.profile
    samples = request.rung.max_samples
    if name == "long":
        samples = profile.long_max_samples or samples
    asked = Asked(
        engine=options.engine_name,
        devices=request.devices if name in TRAININGS else request.devices[:1],
        seed=options.seed,
        samples=samples,
        episodes=profile.viz_episodes if name == "viz" else profile.test_episodes,
    )
    assert record.log is not None
    evidence = CHECKS[name](request.attempt_dir / name, record.log, asked)
    record.failure = evidence.failure
    record.facts.update(evidence.facts)
    return record


def _run(command: StageCommand, record: StageRecord, work: Work, rung: str = "") -> None:
    """Run a process to its end and classify how it ended; evidence is another matter. Raises Stopped."""
    context = work.context
    work.activity.begin(command.name, rung)
    command.out_dir.mkdir(parents=True, exist_ok=True)

    def tick() -> None:
        work.activity.status = read_status(command.out_dir)

    context.stop.check()
    try:
        with running(
            command.argv, context.repository, command.environment, command.log, work.share.cores, command.grace
        ) as job:
            ended = finish(job, command.timeout, context.stop, tick)
    except Stopped as stop:
        record.failure = Failure("stopped", f"the matrix was ended by {stop.reason}")
        raise
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


def _set_aside(command: StageCommand) -> Path:
    """Rename the log and the folder of a stage that ran before, so that nothing in them is taken for the next run's.

    Returns the new name of the log.
    """
    number = 1
    while command.log.with_suffix(f".{SET_ASIDE}{number}.log").exists():
        number += 1
    log = command.log.with_suffix(f".{SET_ASIDE}{number}.log")
    if command.log.exists():
        os.replace(command.log, log)
    if command.out_dir.exists():
        os.replace(command.out_dir, command.out_dir.with_name(f"{command.out_dir.name}.{SET_ASIDE}{number}"))
    return log


def _noted(work: Work, stage: str, failure: Failure) -> Failure:
    work.result.note = failure.sentence(stage)
    return failure


def _kind(record: StageRecord) -> str:
    return record.failure.kind if record.failure else "no failure"


def _tell(record: StageRecord, work: Work) -> None:
    """Show the end of a failed stage's log, in one piece; the sentence about it is the case's note."""
    if record.log is None:
        return
    head = f"  the end of {relative(record.log, work.context.repository)}:"
    work.context.say("\n".join([head, *(f"    | {line}" for line in tail(record.log, SHOWN_LINES))]))


def _title(command: StageCommand, work: Work) -> str:
    rung = f" {command.out_dir.parent.name}" if command.name in COMMANDS else ""
    return f"{work.result.case.name}{rung} {command.name}"
