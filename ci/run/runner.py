"""One case: its data, then its ladder of tries, each a train, a test and a rendering, until one settles the matter."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ci.cases import Case
from ci.evidence.checks import CHECKS, MODEL_FACTS, Evidence, check_checkpoint
from ci.failures.classify import Failure, classify
from ci.files import tail
from ci.ladder import Rung, rungs
from ci.options import Options
from ci.records.journal import NAME as JOURNAL
from ci.records.journal import write_journal
from ci.records.results import Attempt, CaseResult, StageRecord, not_run, relative
from ci.run.pool import Share
from ci.run.priors import agent_with_prior, missing_prior, prior_command, prior_file
from ci.run.process import Job, Stop, Stopped, finish, running
from ci.run.progress import Activity, read_status
from ci.run.remains import (
    earlier_attempt,
    earlier_drop,
    error_report,
    log_size,
    set_aside,
    set_endings_aside,
)
from ci.run.stages import (
    ASKED,
    COMMANDS,
    Programs,
    StageCommand,
    StageRequest,
    checkpoint_command,
    data_command,
    last_training,
)
from ci.stage_kinds import TRAININGS

TAIL_LINES = 200  # of a log, for its message and, last of all, its class
SHOWN_LINES = 30  # of a log, for a person
CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class Context:
    """What every case of a run shares."""

    repository: Path
    root: Path  # output/train/NAME
    options: Options
    programs: Programs
    stop: Stop
    say: Callable[[str], None]  # lines that stay
    lock: int | None = None  # the descriptor that holds the root; what is started holds it, too, until it has ended


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
        if not result.finished and not result.attempts and work.earlier is not None:
            # It was ended before it came to them: the part after this one can still keep them.
            result.attempts = list(work.earlier.attempts)
            result.data = work.earlier.data or result.data
            result.prior = result.prior or work.earlier.prior
        work.write()


def _prepare(work: Work) -> Failure | None:
    """Check the arg file and have the case's clips built, and its motion prior where it needs one."""
    result, context = work.result, work.context
    if result.case.problem:
        return _noted(work, "case", Failure("input", result.case.problem))
    command = data_command(result.case, context.options, context.programs, work.case_dir)
    record = result.data = StageRecord(command.name, command.argv, command.log)
    _run(command, record, work)
    if record.failure is not None:
        _tell(record, work)
        return _noted(work, command.name, record.failure)
    before = work.earlier.data if work.earlier else None
    if before is not None and before.ok:
        result.data = before  # what it took to build the clips, not to find them built
    return _prepare_prior(work)


def _prepare_prior(work: Work) -> Failure | None:
    """Train the prior that the case's agent names and nobody has trained; the case then uses the run's own.

    One that an earlier part of the run has trained is used again, even where somebody has put the missing one in place
    since: what follows was, and will be, made with the same.
    """
    case, context = work.result.case, work.context
    command = prior_command(case, context.options, context.programs, work.case_dir, work.share.devices[0])
    before = work.earlier.prior if work.earlier else None
    try:
        if before is not None and before.ok and prior_file(command).is_file():
            work.result.prior = before
            context.say(f"  {case.name} prior: kept, it was trained for this run")
        else:
            missing = missing_prior(context.repository, case)
            if missing is None:
                return None
            failure = _train_prior(command, work)
            if failure is not None:
                return failure
            context.say(f"  {case.name} prior: {missing} is not there; trained for this run alone")
        work.result.case = replace(case, agent_config=agent_with_prior(context.repository, case, command))
    except ValueError as error:
        return _noted(work, "case", Failure("input", str(error)))
    return None


def _train_prior(command: StageCommand, work: Work) -> Failure | None:
    if work.earlier is not None:
        work.earlier = replace(work.earlier, attempts=[])  # they were made with another prior
    set_aside(command)
    record = work.result.prior = StageRecord(command.name, command.argv, command.log)
    _run(command, record, work)
    if record.failure is None and not prior_file(command).is_file():
        record.failure = Failure("no_evidence", f"{prior_file(command).name} was not written, despite exit code 0")
    if record.failure is None:
        return None
    _tell(record, work)
    return _noted(work, command.name, record.failure)


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
        attempt = earlier_drop(rung, work.earlier)
        if attempt is None:
            attempt = _attempt(rung, work)
        else:
            result.attempts.append(attempt)
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
    before = earlier_attempt(rung, work.earlier)
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
    start = log_size(check.log)
    with _start(check, work) as reader:
        tested = _stage(name, request, attempt, before, work)
        _finish_checkpoint(reader, check, start, trained, context.stop)
    if not trained.ok:
        _tell(trained, work)
    work.write()
    return trained.ok and tested.ok


def _finish_checkpoint(reader: Job, command: StageCommand, start: int, trained: StageRecord, stop: Stop) -> None:
    """What the reader said in its log since ``start`` goes into the training's facts, or fails it."""
    ended = finish(reader, command.timeout, stop)
    lines = [line for line in tail(command.log, TAIL_LINES, start=start) if not line.startswith("$ ")]
    evidence = check_checkpoint(ended.returncode, "\n".join(lines), command.out_dir / "model.pt", trained.facts)
    trained.failure = evidence.failure
    trained.facts.update(evidence.facts)


def _stage(name: str, request: StageRequest, attempt: Attempt, before: Attempt | None, work: Work) -> StageRecord:
    """Run one stage, or keep what an earlier part of the run proved; a failure outside the case gets a second try."""
    command = COMMANDS[name](request)
    if before is not None and _keep(name, request, attempt, before, work):
        return attempt.stages[name]
    if not command.resumes:  # both parts of a training that is gone on with are in one log
        set_aside(command)
    record = _run_stage(command, request, attempt, work)
    failure = record.failure
    repeated = sum(earlier.name == name for earlier in attempt.repeated)
    allowed = work.context.options.profile.repeats
    if failure is not None and failure.about.action == "retry_once" and repeated < allowed:
        work.context.say(f"  {_title(command, work)}: {failure.kind}: {failure.message}: run once more")
        command = COMMANDS[name](request)  # on another port, and going on with the state that there is now
        attempt.repeated.append(replace(record, log=set_aside(command)))
        record = _run_stage(command, request, attempt, work)
    if record.ok:
        work.context.say(f"  {_title(command, work)}: passed in {record.seconds:.1f} s")
    elif record.failure is None or record.failure.about.action != "next_rung":  # a rung that did not fit is no news
        _tell(record, work)
    return record


def _keep(name: str, request: StageRequest, attempt: Attempt, before: Attempt, work: Work) -> bool:
    """Take over what an earlier part of the run proved, if its files still show it, on the devices it ran on."""
    kept = before.stages[name]
    if not kept.ok:
        return False
    title = _title(COMMANDS[name](request), work)
    evidence = _evidence(kept, replace(request, devices=before.devices))
    why = evidence.failure.message if evidence.failure else ""
    if not why and any(kept.facts.get(fact) != evidence.facts.get(fact) for fact in MODEL_FACTS):
        why = "model.pt is another than the one that was trained"
    if why:
        work.context.say(f"  {title}: run again, its evidence does not hold: {why}")
        return False
    kept.facts.update(evidence.facts)
    attempt.stages[name] = kept
    if name in TRAININGS:
        attempt.devices = before.devices
    work.context.say(f"  {title}: kept, its evidence holds")
    return True


def _run_stage(command: StageCommand, request: StageRequest, attempt: Attempt, work: Work) -> StageRecord:
    """Run a stage's process, check its evidence, and write both down."""
    record = attempt.stages[command.name] = StageRecord(command.name, command.argv, command.log)
    _run(command, record, work, attempt.label)
    if record.failure is None:
        evidence = _evidence(record, request)
        record.failure = evidence.failure
        record.facts.update(evidence.facts)
    work.write()
    return record


def _evidence(record: StageRecord, request: StageRequest) -> Evidence:
    """What the stage's files show, or why they do not count."""
    assert record.log is not None
    return CHECKS[record.name](request.attempt_dir / record.name, record.log, ASKED[record.name](request))


def _run(command: StageCommand, record: StageRecord, work: Work, rung: str = "") -> None:
    """Run a process to its end and classify how it ended; evidence is another matter. Raises Stopped."""
    context = work.context
    work.activity.begin(command.name, rung)
    command.out_dir.mkdir(parents=True, exist_ok=True)
    set_endings_aside(command.out_dir)
    start = log_size(command.log)

    def tick() -> None:
        work.activity.status = read_status(command.out_dir)

    context.stop.check()
    with _start(command, work) as job:
        try:
            ended = finish(job, command.timeout, context.stop, tick)
        except Stopped as stop:
            record.result = job.result
            record.failure = Failure("stopped", f"the matrix was ended by {stop.reason}")
            raise
    record.result = ended
    report = error_report(command.out_dir)
    if ended.returncode != 0 or ended.timed_out or report is not None:
        log_tail = tail(command.log, TAIL_LINES, start=start)
        record.failure = classify(ended.returncode, ended.timed_out, report, log_tail, command.timeout)


def _start(command: StageCommand, work: Work) -> AbstractContextManager[Job]:
    """Start a process on the case's share of the machine."""
    context = work.context
    return running(
        argv=command.argv,
        cwd=context.repository,
        environment=command.environment,
        log=command.log,
        cores=work.share.cores,
        grace=command.grace,
        keep=() if context.lock is None else (context.lock,),
    )


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
