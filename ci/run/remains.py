"""What earlier starts of a stage left behind: put aside before the next start, so that nothing of it counts for that,
and read when a later part of a run may keep it."""

import os
from pathlib import Path

from ci.files import read_json_object
from ci.ladder import Rung
from ci.records.results import Attempt, CaseResult
from ci.run.stages import StageCommand

SET_ASIDE = "earlier"
# What a stage says of how it ended. Left by an earlier start in the same folder, it would be taken for this one's.
ENDINGS = ("error.json", "train_summary.json")


def set_aside(command: StageCommand) -> Path:
    """Rename the log and the folder of a stage that ran before; a folder that the stage is to go on with stays.

    Returns the new name of the log.
    """
    log, folder = _free(command.log, command.out_dir)
    if command.log.exists():
        os.replace(command.log, log)
    if command.out_dir.exists() and not command.resumes:
        os.replace(command.out_dir, folder)
    return log


def set_endings_aside(folder: Path) -> None:
    """Rename what an earlier start in the same folder said of its end."""
    for path in (folder / name for name in ENDINGS):
        if path.exists():
            (aside,) = _free(path)
            os.replace(path, aside)


def _free(*paths: Path) -> tuple[Path, ...]:
    """New names for files that belong together, with the first number that none of them has had."""
    number = 1
    while any(_numbered(path, number).exists() for path in paths):
        number += 1
    return tuple(_numbered(path, number) for path in paths)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{SET_ASIDE}{number}{path.suffix}")


def error_report(folder: Path) -> dict[str, object] | None:
    """error.json of a stage; a file that cannot be read counts as an error of no known kind."""
    try:
        return read_json_object(folder / "error.json")
    except FileNotFoundError:
        return None
    except ValueError:
        return {}


def log_size(log: Path) -> int:
    """Bytes that a log holds already: what is written next begins there."""
    return log.stat().st_size if log.is_file() else 0


def earlier_attempt(rung: Rung, earlier: CaseResult | None) -> Attempt | None:
    """What an earlier part of the run tried with the same agent file, environments and samples."""
    wanted = (rung.label, rung.agent_config, rung.max_samples)
    attempts = earlier.attempts if earlier else []
    return next(
        (attempt for attempt in attempts if (attempt.label, attempt.agent_config, attempt.max_samples) == wanted), None
    )


def earlier_drop(rung: Rung, earlier: CaseResult | None) -> Attempt | None:
    """The try of this rung that an earlier part of the run made and dropped; None when there is none.

    Of a case that was over and failed the last try is another matter: who asks for it again expects that one again.
    """
    attempt = earlier_attempt(rung, earlier)
    if earlier is None or attempt is None or (earlier.finished and attempt is earlier.attempts[-1]):
        return None
    failure = attempt.stages["train"].failure
    return attempt if failure is not None and failure.about.action == "next_rung" else None
