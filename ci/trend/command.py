"""``python -m ci trend``: put a night into the history, and write what it says in the morning."""

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path

from ci import values
from ci.errors import UsageError
from ci.files import write_json, write_text
from ci.profiles import PROFILES
from ci.records.roots import FINDINGS, PLAN, ROWS
from ci.records.run_record import NAME as RUN
from ci.trend import history
from ci.trend.document import trend_document, verdict
from ci.trend.history import HistoryRow, last_nights, read_history, recorded, write_history
from ci.trend.issue import issue
from ci.trend.nights import Nights
from ci.trend.sweep import Sweep, lost_row, read_sweep, rows_of

SUMMARY = "put a night's merged runs into the history of nights, and say what fails since when and what moved"
DOCUMENT = "trend.md"
ISSUE = "issue.json"
KEEP_NIGHTS = 365

EPILOG = f"""\
examples:
  python -m ci trend output/train/nightly output/train/longcycle --history history.tsv --out output/trend
  python -m ci trend output/train/nightly --lost longcycle --history history.tsv --out output/trend --night 2026-11-22
  python -m ci trend output/train/nightly --history history.tsv --out output/trend --new-history    the first night

ROOTs are folders that merging wrote, one for each profile: {PLAN}, {RUN}, {ROWS} and {FINDINGS}
are read. A profile that came to none is named with --lost, and recorded as such; a ROOT that cannot be read is an error
unless there is such a profile for it.

The history has a row for each night, profile and case. Rows of the same night, profile and --run-url are replaced, so
that a job may be done again; of several runs in one night, the one recorded last counts.

{DOCUMENT} is for the summary of a job and is about this night. {ISSUE} is for the one issue that is kept up to
date, and is about the newest night of the history.

exit code: 0 written, whatever the verdict; 2 the command is wrong, or a file cannot be read or written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``ci trend``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("root", nargs="*", type=Path, metavar="ROOT", help="merged runs of the night, one for each profile")
    add("--history", type=Path, required=True, metavar="F", help="the table of all nights, which is brought up to date")
    add("--out", type=Path, required=True, metavar="DIR", help=f"of {DOCUMENT} and {ISSUE}")
    add(
        "--lost",
        action="append",
        default=[],
        choices=tuple(PROFILES),
        metavar="PROFILE",
        help="a profile that came to no merged run this night; once for each",
    )
    add("--night", type=_value(history.night), metavar="DATE", help="(default: of the first run's start, in UTC)")
    add("--run-url", type=_value(history.url), metavar="URL", help="page of the workflow's run")
    add(
        "--keep-nights",
        type=values.count,
        default=KEEP_NIGHTS,
        metavar="N",
        help=f"nights that the history keeps (default: {KEEP_NIGHTS})",
    )
    add("--new-history", action="store_true", help="begin a history where there is none")


def run(arguments: argparse.Namespace, repository: Path) -> int:
    """Record and write; returns the exit code. Raises UsageError."""
    before = _history(arguments.history, arguments.new_history)
    lost = list(dict.fromkeys(arguments.lost))
    sweeps, unread = _sweeps(arguments.root, lost)
    night = arguments.night or _night(sweeps)
    new = [row for sweep in sweeps for row in rows_of(sweep, night, arguments.run_url)]
    new += [lost_row(profile, night, arguments.run_url) for profile in lost]
    rows = last_nights(recorded(before, new), arguments.keep_nights)
    names = sorted({row.night for row in rows})
    if night not in names:
        raise UsageError(f"--night {night} is older than the {arguments.keep_nights} nights that --keep-nights keeps.")
    try:
        rows = write_history(arguments.history, rows)
        nights = Nights(rows, night)
        write_text(arguments.out / DOCUMENT, trend_document(nights))
        write_json(arguments.out / ISSUE, issue(Nights(rows, names[-1])))
    except ValueError as error:
        raise UsageError(f"the night cannot be recorded: {error}") from error
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from error
    for message in unread:
        print(f"note: {message}")
    print(f"{arguments.history}: night {night} in {len(new)} rows, {len(names)} nights in all")
    print(f"{arguments.out}: {DOCUMENT}, {ISSUE}")
    print(verdict(nights))
    return 0


def _history(path: Path, new: bool) -> list[HistoryRow]:
    try:
        return read_history(path)
    except FileNotFoundError:
        if new:
            return []
        raise UsageError(
            f"--history {path} does not exist. If it was lost, bring it back; --new-history begins a new one."
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"--history {error}") from error


def _sweeps(roots: Sequence[Path], lost: Sequence[str]) -> tuple[list[Sweep], list[str]]:
    """The roots that can be read, and what is wrong with the others: there are no more of these than lost profiles."""
    sweeps, unread = [], []
    for root in roots:
        try:
            sweeps.append(read_sweep(root))
        except FileNotFoundError as error:
            unread.append(f"{root} is no merged run: {Path(error.filename).name} is not there")
        except (OSError, ValueError) as error:
            unread.append(f"{root} cannot be read: {error}")
    if not roots and not lost:
        raise UsageError("no ROOT: name the merged runs of the night, and with --lost the profiles that came to none.")
    if len(unread) > len(lost):
        raise UsageError(f"{'; '.join(unread)}. If a profile came to no merged run, say so: --lost PROFILE.")
    profiles = [sweep.profile for sweep in sweeps] + list(lost)
    doubled = sorted({profile for profile in profiles if profiles.count(profile) > 1})
    if doubled:
        raise UsageError(f"profile {', '.join(doubled)} came twice: one ROOT, or --lost, for each.")
    commits = sorted({sweep.commit for sweep in sweeps})
    if len(commits) > 1:
        raise UsageError(f"the ROOTs are not of one night: their commits are {' and '.join(commits)}.")
    return sweeps, unread


def _night(sweeps: Sequence[Sweep]) -> str:
    starts = [sweep.started for sweep in sweeps if sweep.started is not None]
    if not starts:
        raise UsageError("no run says when it started: name the night with --night, such as 2026-11-22.")
    return min(starts).astimezone(UTC).date().isoformat()


def _value(read: Callable[[str], str]) -> Callable[[str], str]:
    """``read`` as argparse wants it."""

    def typed(text: str) -> str:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected {error}, found {text!r}") from error

    return typed
