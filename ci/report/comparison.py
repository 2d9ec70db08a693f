"""This run beside the last green one: numbers that moved, cases that began or ceased to pass, that came or went."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ci.records.results import CaseRow, Entry
from ci.report.shown import number, passed

MARGIN = 0.2  # a relative change beyond this is pointed out


@dataclass(frozen=True)
class Measure:
    """A number that is compared: its heading, its field in the row, its format, and whether more of it is better."""

    heading: str
    field: str
    style: str
    more_is_better: bool


MEASURES = (
    Measure("mean return", "mean_return", ".3f", True),
    Measure("episode length", "mean_ep_len", ".1f", True),
    Measure("samples/s", "samples_per_s", ",.0f", True),
    Measure("seconds", "seconds", ".1f", False),
)


@dataclass(frozen=True)
class Change:
    """One number now and then. ``ratio`` is now over then, None unless both are finite and above zero.

    ``verdict`` is 'better' or 'worse' beyond the margin, 'same' within it, '' where there is nothing to compare.
    """

    now_value: float | None
    then_value: float | None
    style: str
    ratio: float | None
    verdict: str

    @property
    def now(self) -> str:
        return number(self.now_value, self.style)

    @property
    def then(self) -> str:
        return number(self.then_value, self.style)

    @property
    def ratio_text(self) -> str:
        return "" if self.ratio is None else f"\N{MULTIPLICATION SIGN}{self.ratio:.2f}"


@dataclass(frozen=True)
class CaseComparison:
    """A case's changes, in the order of MEASURES. ``status`` is 'newly failing', 'newly passing', 'new' or ''."""

    case: str
    status: str
    changes: tuple[Change, ...]

    @property
    def moved(self) -> bool:
        """Whether anything is worth a look."""
        return bool(self.status) or any(change.verdict in ("better", "worse") for change in self.changes)


@dataclass(frozen=True)
class Comparison:
    """All cases of this run, those that moved first; ``gone`` are those that only the earlier run has."""

    cases: tuple[CaseComparison, ...]
    gone: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many cases have each status that occurs, then how many of all numbers are worse and better."""
        words = [case.status for case in self.cases if case.status]
        words += ["gone" for _ in self.gone]
        words += [change.verdict for case in self.cases for change in case.changes]
        order = ("newly failing", "newly passing", "new", "gone", "worse", "better")
        return {word: words.count(word) for word in order if word in words}


STATUS_ORDER = ("newly failing", "newly passing", "new", "")


def compare(entries: Sequence[Entry], baseline: Mapping[str, CaseRow], elsewhere: Collection[str] = ()) -> Comparison:
    """``entries`` against the rows of an earlier run, by case. ``elsewhere``: cases that other shards of the same plan
    run, which are not gone."""
    cases = [_compare_case(entry, baseline.get(entry.row.case)) for entry in entries]
    cases.sort(key=lambda case: (STATUS_ORDER.index(case.status), not case.moved, case.case))
    here = {entry.row.case for entry in entries} | set(elsewhere)
    return Comparison(tuple(cases), tuple(sorted(set(baseline) - here)))


def _compare_case(entry: Entry, then: CaseRow | None) -> CaseComparison:
    now = entry.row
    status = "new"
    if then is not None:
        turned = {(True, False): "newly passing", (False, True): "newly failing"}
        status = turned.get((passed(entry), then.final_ok), "")
    return CaseComparison(now.case, status, tuple(_change(measure, now, then) for measure in MEASURES))


def _change(measure: Measure, now_row: CaseRow, then_row: CaseRow | None) -> Change:
    now: float | None = getattr(now_row, measure.field)
    then: float | None = getattr(then_row, measure.field) if then_row is not None else None
    if now is None or then is None or not (math.isfinite(now) and math.isfinite(then)):
        return Change(now, then, measure.style, None, "")
    ratio = now / then if now > 0.0 and then > 0.0 else None
    verdict = "same"
    if abs(now - then) > MARGIN * abs(then):
        verdict = "better" if (now > then) == measure.more_is_better else "worse"
    return Change(now, then, measure.style, ratio, verdict)
