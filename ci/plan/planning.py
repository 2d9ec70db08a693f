"""The plan of a run: its cases, what they are expected to take, and the shards they are divided into."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.cases import Case
from ci.errors import UsageError
from ci.host import checkout
from ci.plan.plan import Plan, PlannedCase
from ci.plan.seconds import CaseSeconds, expected_seconds
from ci.plan.shards import balance
from ci.profiles import Profile


def case_seconds(
    repository: Path, cases: Sequence[Case], profile: Profile, sources: Sequence[Path] = ()
) -> CaseSeconds:
    """``expected_seconds`` of ``cases``. Raises UsageError for files that cannot be read."""
    try:
        return expected_seconds(repository, [case.name for case in cases], profile.name, sources)
    except (OSError, ValueError) as error:
        raise UsageError(f"what earlier runs took cannot be read: {error}") from error


@dataclass(frozen=True)
class Target:
    """What a run runs on, as far as it decides the results."""

    engine_config: str
    engine: str
    device: str  # "cpu" or "cuda", of cases that train
    device_nontrainable: str


def plan_run(
    repository: Path,
    cases: Sequence[Case],
    profile: Profile,
    shards: int,
    target: Target,
    *,
    seed: int = 1,
    seconds: CaseSeconds | None = None,
    nonce: str = "",
    why: str = "",
) -> Plan:
    """The plan of a run of ``cases`` in at most ``shards`` shards.

    Without ``seconds`` the committed table decides, and without ``nonce`` nothing is random: machines with the same
    files checked out come to the same plan. Raises UsageError when the table cannot be read.
    """
    seconds = seconds or case_seconds(repository, cases, profile)
    expected = {case.name: round(seconds.seconds[case.name], 3) for case in cases}
    planned = [
        PlannedCase(
            case.name,
            case.case_type,
            profile.stages_of(case.case_type),
            expected[case.name],
            case.name in seconds.measured,
        )
        for case in sorted(cases, key=lambda case: case.name)
    ]
    code = checkout(repository)
    return Plan(
        settings=profile,
        engine_config=target.engine_config,
        engine=target.engine,
        device=target.device,
        device_nontrainable=target.device_nontrainable,
        seed=seed,
        commit=code.commit,
        changes=code.changes,
        cases=tuple(planned),
        shards=balance(expected, shards),
        why=why,
        nonce=nonce,
    )
