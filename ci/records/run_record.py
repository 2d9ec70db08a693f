"""run.json: what a run was asked to do, on what, and how far it came. A later run goes on from it."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.files import read_json_object, write_json
from ci.host import Checkout
from ci.options import Options, options_as_json, options_from_json

NAME = "run.json"
FORMAT = 1
RUNNING = ""  # ``ended`` while a run is at work; it stays so when the run is killed
DONE = "done"


@dataclass
class RunRecord:
    """Times are seconds, over all parts of a resumed run.

    ``case_seconds`` is the time from the first to the last act for each case, summed; ``stage_seconds`` what the
    processes of training (priors included), testing and rendering took of it; ``idle_seconds`` the time with no case at
    work.
    """

    plan: str  # the plan's id
    shard: tuple[int, int]
    profile: str
    engine: str
    devices: tuple[str, ...]
    seed: int
    commit: str
    dirty: bool
    changes: str
    driver: str
    jobs: int
    started: str
    options: Options
    seconds: float = 0.0
    case_seconds: float = 0.0
    stage_seconds: float = 0.0
    idle_seconds: float = 0.0
    ended: str = RUNNING
    all_pass: bool = False
    code_at_end: str = ""  # commit and changes, where they are not those it was started with
    parts: list[str] = field(default_factory=list)  # when each part of the run began

    @property
    def overhead(self) -> float:
        """The share of the run's time in which the matrix itself was what everybody waited for."""
        total = self.case_seconds + self.idle_seconds
        return (total - self.stage_seconds) / total if total else 0.0

    @property
    def checkout(self) -> Checkout:
        """The code that the run was started with."""
        return Checkout(self.commit, self.dirty, self.changes)


def write_run(path: Path, record: RunRecord) -> None:
    """``record`` as JSON, in one step."""
    content = {key: value for key, value in vars(record).items() if key != "options"}
    write_json(path, {"format": FORMAT, **content, "options": options_as_json(record.options)})


def read_run(path: Path) -> RunRecord:
    """What ``write_run`` wrote. FileNotFoundError; ValueError that names the file and what is wrong with it."""
    content: dict[str, Any] = read_json_object(path)
    if content.pop("format", None) != FORMAT:
        raise ValueError(f"{path}: not a run of this version (format {FORMAT})")
    wanted = {spec.name for spec in dataclasses.fields(RunRecord)}
    if set(content) != wanted:
        raise ValueError(f"{path}: its keys are not those of this version: {sorted(set(content) ^ wanted)}")
    try:
        options = options_from_json(content.pop("options"))
        content["shard"] = (int(content["shard"][0]), int(content["shard"][1]))
        content["devices"] = tuple(content["devices"])
        return RunRecord(options=options, **content)
    except (TypeError, IndexError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
