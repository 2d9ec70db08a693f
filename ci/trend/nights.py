"""The history as it stands after a night: what each case came to, night by night, and since when one fails."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ci.trend.history import SWEEP, HistoryRow

SHOWN = 5  # nights that are shown of a failing case; what did not run in any of them is forgotten
WORDS: Mapping[bool | None, str] = {True: "pass", False: "fail", None: "-"}


@dataclass(frozen=True)
class Trouble:
    """A case that does not pass, or a whole run: its row, its last nights in words, and the first night of its failing.

    ``is_first`` when that night is the first in which the history has the case at all.
    """

    row: HistoryRow
    words: tuple[str, ...]
    since: str
    is_first: bool


class Nights:
    """The rows up to a night. Where a profile ran several times in one night, the run that was recorded last counts."""

    def __init__(self, rows: Iterable[HistoryRow], night: str) -> None:
        self.night = night
        rows = [row for row in rows if row.night <= night]
        last_run = {(row.night, row.profile): row.run for row in rows}
        self._sweeps: dict[tuple[str, str], dict[str, HistoryRow]] = {}
        for row in rows:
            if last_run[row.night, row.profile] == row.run:
                self._sweeps.setdefault((row.night, row.profile), {})[row.case] = row
        self.nights = sorted({name for name, _ in self._sweeps})

    @property
    def shown(self) -> list[str]:
        """The last nights, oldest first."""
        return self.nights[-SHOWN:]

    @property
    def profiles(self) -> list[str]:
        """The profiles that ran, or were to run, in one of the last nights."""
        return sorted({profile for night, profile in self._sweeps if night in self.shown})

    def sweep(self, profile: str, night: str | None = None) -> Mapping[str, HistoryRow]:
        """The rows of a profile's run by case: of that night, or of this one. Empty when it did not run."""
        return self._sweeps.get((night or self.night, profile), {})

    def last_night(self, profile: str) -> str:
        """The last night in which the profile ran, or was to run."""
        return max(night for night, name in self._sweeps if name == profile)

    def standing(self, profile: str) -> list[HistoryRow]:
        """The last word on each case of a profile: its last run's. A run that came to nothing leaves the one before it
        to speak for the cases."""
        runs = [run for night in reversed(self.shown) if (run := self.sweep(profile, night))]
        with_cases = next((run for run in runs if run.keys() != {SWEEP}), {})
        rows = [row for row in with_cases.values() if row.case != SWEEP]
        return [*rows, *(run[SWEEP] for run in runs[:1] if SWEEP in run)]

    def passed(self, night: str, profile: str, case: str) -> bool | None:
        """None when it did not run. A run against which nothing speaks has no row of its own."""
        run = self.sweep(profile, night)
        if case in run:
            return run[case].passed
        return True if case == SWEEP and run else None

    def troubles(self) -> list[Trouble]:
        """What does not pass: whole runs first, then what began to fail last."""
        found = [
            self._trouble(row) for profile in self.profiles for row in self.standing(profile) if row.passed is False
        ]
        found.sort(key=lambda one: (one.row.profile, one.row.case))
        found.sort(key=lambda one: one.since, reverse=True)
        return sorted(found, key=lambda one: one.row.case != SWEEP)

    def earlier_green(self, row: HistoryRow, count: int) -> list[HistoryRow]:
        """The last ``count`` passes of a case before ``row``, on the same engine and device, oldest first."""
        found = [
            earlier
            for night in self.nights
            if night < row.night and (earlier := self.sweep(row.profile, night).get(row.case)) is not None
        ]
        place = row.engine, row.device_name
        return [one for one in found if one.passed and (one.engine, one.device_name) == place and None not in place][
            -count:
        ]

    def _trouble(self, row: HistoryRow) -> Trouble:
        words = tuple(WORDS[self.passed(night, row.profile, row.case)] for night in self.shown)
        since, is_first = row.night, True
        for night in reversed([night for night in self.nights if night < row.night]):
            passed = self.passed(night, row.profile, row.case)
            if passed:
                is_first = False
                break
            if passed is False:
                since = night
        return Trouble(row, words, since, is_first)
