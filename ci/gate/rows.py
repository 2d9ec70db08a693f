"""The gate on rows: what a pass rests on must be there, be finite, and agree with the rest of the row and the plan."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ci.cases import TRAINABLE
from ci.gate.findings import Finding, shown
from ci.plan.plan import Plan, PlannedCase
from ci.records.results import CaseRow


@dataclass(frozen=True)
class Need:
    """A number that a passed stage leaves in its row, which must be above ``above``; ``kind`` when it is not."""

    column: str
    above: float = -math.inf
    kind: str = "inconsistent"


NEEDS: Mapping[str, tuple[Need, ...]] = {
    "train": (Need("samples", above=0), Need("samples_per_s", above=0)),
    "long": (Need("long_samples", above=0), Need("long_samples_per_s", above=0)),
    "test": (Need("mean_return"), Need("mean_ep_len", above=0), Need("episodes", above=0, kind="zero_test")),
    "viz": (Need("frames", above=0),),
}
CASE_NEEDS = (Need("seconds", above=0),)
SAME_EVERYWHERE = ("engine_version", "packages")  # in all rows that passed


def judge_row(plan: Plan, case: PlannedCase, row: CaseRow) -> Iterator[Finding]:
    for column in ("commit", "seed", "dirty"):
        found, planned = getattr(row, column), getattr(plan, column)
        if found != planned and (row.final_ok or found is not None):  # what did not pass may not have got that far
            yield Finding("stale", row.case, f"its {column} is {shown(found)}, planned was {shown(planned)}")
    if row.case_type != case.case_type:
        yield Finding("inconsistent", row.case, f"it is called {row.case_type}, planned was {case.case_type}")
    for column, value in vars(row).items():
        if isinstance(value, float) and not math.isfinite(value):
            yield Finding("non_finite", row.case, f"{column} is {value}")
    if row.final_ok is not True:
        yield Finding("failed", row.case, row.note or "it did not pass, and its row does not say why")
        return
    if row.failure:
        yield Finding("inconsistent", row.case, f"final_ok is 1 beside the failure {row.failure}")
    if row.train_timeout:
        yield Finding("inconsistent", row.case, "final_ok is 1 though the training was ended at its deadline")
    needs = [*CASE_NEEDS]
    for stage in case.stages:
        if stage not in NEEDS:
            yield Finding("inconsistent", row.case, f"the plan expects the stage {stage}, which no row can show")
            continue
        needs += NEEDS[stage]
        code, ok = getattr(row, f"{stage}_rc"), getattr(row, f"{stage}_ok")
        if code != 0 or ok is not True:
            state = f"{stage}_rc is {shown(code)} and {stage}_ok {shown(ok)}"
            yield Finding("inconsistent", row.case, f"final_ok is 1 though {state}")
    yield from _judge_settings(plan, case, row)
    for need in needs:
        value = getattr(row, need.column)
        if value is None:
            yield Finding(need.kind, row.case, f"final_ok is 1 though {need.column} is empty")
        elif math.isfinite(value) and not value > need.above:
            yield Finding(need.kind, row.case, f"final_ok is 1 though {need.column} is {value:g}")


def _judge_settings(plan: Plan, case: PlannedCase, row: CaseRow) -> Iterator[Finding]:
    """A pass must have been earned on the engine and the kind of device, and with the numbers, that were planned."""
    if row.engine != plan.engine:
        yield Finding("inconsistent", row.case, f"its engine is {shown(row.engine)}, planned was {plan.engine}")
    kinds = {device.partition(":")[0] for device in (row.device or "").split(",")}
    if kinds != {plan.device_of(case.case_type)}:
        planned = plan.device_of(case.case_type)
        yield Finding("inconsistent", row.case, f"its device is {shown(row.device)}, planned was {planned}")
    settings = plan.settings
    wanted = {"episodes": settings.test_episodes}
    if case.case_type != TRAINABLE:
        wanted |= {"samples": settings.nontrainable_max_samples, "num_envs": settings.nontrainable_num_envs}
    if "long" in case.stages and settings.long_max_samples and settings.long_budget_hours is None:
        wanted["long_samples"] = settings.long_max_samples
    for column, least in wanted.items():
        value = getattr(row, column)
        if value is not None and 0 < value < least:  # none at all is another finding
            yield Finding("inconsistent", row.case, f"its {column} are {value}, planned were {least}")


def differences(rows: Sequence[CaseRow]) -> Iterator[Finding]:
    """Rows of one run must come from the same engine and packages: else they are not one result."""
    for column in SAME_EVERYWHERE:
        cases: dict[str | None, list[str]] = {}
        for row in rows:
            cases.setdefault(getattr(row, column), []).append(row.case)
        if len(cases) > 1:
            kinds = sorted(f"{shown(value)} ({len(names)}, such as {min(names)})" for value, names in cases.items())
            yield Finding("inconsistent", "", f"the cases differ in {column}: {', '.join(kinds)}")
