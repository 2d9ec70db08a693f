"""What the page says of each case: its films and curves, its tries, and the commands that repeat it by hand."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ci.plan.plan import Plan, PlannedCase
from ci.records.results import CaseResult, CaseRow, Entry, RunFacts, StageRecord, relative
from ci.report.curves import Chart, charts_of, read_log
from ci.report.pictures import Picture, read_picture
from ci.report.shown import Trouble, log_tail, number, trouble
from ci.stage_kinds import ENVIRONMENTS

TRAINING_TITLES = {"train": "training", "long": "long training"}
NO_TRY = "no try was made"


@dataclass(frozen=True)
class Link:
    """A file of the run: its name and its address relative to the page."""

    text: str
    address: str


class Links:
    """Addresses of files relative to the folder that the page lies in."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.abspath(folder)

    def to(self, path: Path | None, text: str = "") -> Link | None:
        """A link to ``path``; None when there is no such file. A browser takes no part of a name for a scheme."""
        if path is None or not path.is_file():
            return None
        address = quote(Path(os.path.relpath(path, self._folder)).as_posix().encode("utf-8", "surrogateescape"))
        return Link(text or path.name, address)


@dataclass(frozen=True)
class StageLine:
    """A line of the table of processes."""

    name: str
    outcome: str  # 'passed', 'not run', or the class of failure
    good: bool
    why: str  # '' when it passed
    seconds: str
    code: str
    cpu_seconds: str
    memory: str
    log: Link | None


@dataclass(frozen=True)
class Try:
    """A rung that was tried; the preparations are a try of their own, with an empty title."""

    title: str
    outcome: str
    good: bool
    stages: tuple[StageLine, ...]


@dataclass(frozen=True)
class Training:
    """The curves of one training, and in words what is missing of them."""

    title: str
    charts: tuple[Chart, ...]
    trouble: str
    log: Link | None


@dataclass(frozen=True)
class CaseSection:
    """One case. ``sheet_trouble`` says why there is no contact sheet."""

    anchor: str
    row: CaseRow
    trouble: Trouble | None
    tail: tuple[str, ...]
    planned: PlannedCase | None
    sheet: Picture | None
    sheet_trouble: str
    video: Link | None
    trainings: tuple[Training, ...]
    tries: tuple[Try, ...]
    commands: tuple[tuple[str, str], ...]
    links: tuple[Link, ...]


def sections_of(entries: Sequence[Entry], run: RunFacts, plan: Plan | None, links: Links) -> list[CaseSection]:
    """A section for each of ``entries``, in their order, each with an anchor of its own."""
    planned = {case.name: case for case in plan.cases} if plan else {}
    anchors: dict[str, int] = {}
    sections = []
    for entry in entries:
        anchor = "case-" + re.sub(r"[^\w.\-]", "-", entry.row.case, flags=re.ASCII)
        anchors[anchor] = anchors.get(anchor, 0) + 1
        if anchors[anchor] > 1:
            anchor = f"{anchor}-{anchors[anchor]}"
        sections.append(_section(entry, anchor, run, planned.get(entry.row.case), links))
    return sections


def _section(entry: Entry, anchor: str, run: RunFacts, planned: PlannedCase | None, links: Links) -> CaseSection:
    failed, result = trouble(entry), entry.result
    out_dir = result.attempts[-1].out_dir if result and result.attempts else None
    sheet, sheet_trouble = _sheet(result, out_dir)
    journal = run.root / "runs" / entry.row.case / "attempts.json"
    files = (
        links.to(failed.log, f"{failed.stage}.log") if failed else None,
        links.to(out_dir / "viz" / "contact_sheet.png" if out_dir else None, "contact sheet in full size"),
        links.to(journal),
    )
    return CaseSection(
        anchor=anchor,
        row=entry.row,
        trouble=failed,
        tail=tuple(log_tail(failed.log)) if failed else (),
        planned=planned,
        sheet=sheet,
        sheet_trouble=sheet_trouble,
        video=links.to(out_dir / "viz" / "video.mp4" if out_dir else None, "film"),
        trainings=tuple(_trainings(result, out_dir, links)),
        tries=tuple(_tries(result, links)),
        commands=tuple(_commands(result, run)),
        links=tuple(link for link in files if link is not None),
    )


def _sheet(result: CaseResult | None, out_dir: Path | None) -> tuple[Picture | None, str]:
    if result is None or out_dir is None:
        return None, NO_TRY if result else "attempts.json is missing or cannot be read"
    viz = result.stages.get("viz")
    if viz is None or viz.result is None:
        return None, "viz was not run"
    try:
        return read_picture(out_dir / "viz" / "contact_sheet.png"), ""
    except FileNotFoundError:
        return None, "viz/contact_sheet.png was not written, or is not here"
    except ValueError as error:
        return None, str(error)


def _trainings(result: CaseResult | None, out_dir: Path | None, links: Links) -> list[Training]:
    if result is None or out_dir is None:
        return []
    names = [name for name in result.wanted if name in TRAINING_TITLES]
    found = []
    for name in names:
        title = "probe training" if name == "train" and "long" in names else TRAINING_TITLES[name]
        path = out_dir / name / "log.txt"
        try:
            log = read_log(path)
        except FileNotFoundError:
            found.append(Training(title, (), f"{name}/log.txt was not written, or is not here", None))
            continue
        except (OSError, ValueError) as error:
            found.append(Training(title, (), f"{name}: {error}", links.to(path)))
            continue
        charts = tuple(charts_of(log))
        missing = "" if charts else f"{name}/log.txt has no return and no episode length"
        found.append(Training(title, charts, "; ".join(filter(None, (log.trouble, missing))), links.to(path)))
    return found[::-1]  # the long training is what a reader looks for


def _tries(result: CaseResult | None, links: Links) -> list[Try]:
    if result is None:
        return []
    prepared = [record for record in (result.data, result.prior) if record is not None]
    good = all(record.ok for record in prepared)
    tries = [Try("", "", good, tuple(_line(record, links) for record in prepared))] if prepared else []
    for attempt in result.attempts:
        failed = attempt.failed_stage
        outcome = "passed"
        if failed is not None:
            outcome = failed.failure.sentence(failed.name) if failed.failure else f"{failed.name} did not pass"
        title = f"{attempt.label}: {attempt.num_envs} environments, {attempt.max_samples:,} samples"
        if attempt.devices:
            title += f", on {', '.join(attempt.devices)}"
        lines = [_line(record, links, repeated=True) for record in attempt.repeated]
        lines += [_line(record, links) for record in attempt.stages.values()]
        tries.append(Try(title, outcome, attempt.ok, tuple(lines)))
    return tries


def _line(record: StageRecord, links: Links, repeated: bool = False) -> StageLine:
    ended, failure = record.result, record.failure
    outcome = "passed" if record.ok else failure.kind.replace("not_run", "not run") if failure else "did not pass"
    return StageLine(
        name=f"{record.name}, then run once more" if repeated else record.name,
        outcome=outcome,
        good=record.ok,
        why="" if record.ok or failure is None or failure.kind == "not_run" else failure.message,
        seconds=number(record.seconds, ".1f"),
        code=number(ended.returncode if ended else None, "d"),
        cpu_seconds=number(ended.cpu_seconds if ended else None, ".1f"),
        memory=number(ended.memory_gb if ended else None, ".2f"),
        log=links.to(record.log),
    )


def _commands(result: CaseResult | None, run: RunFacts) -> list[tuple[str, str]]:
    """The last try's command lines, for a shell in the repository's root; its folders are shown as the tables do."""
    if result is None:
        return []
    records = [record for record in (result.data, result.prior, *result.stages.values()) if record and record.argv]
    commands = []
    for record in records:
        environment = [f"{name}={shlex.quote(value)}" for name, value in ENVIRONMENTS.get(record.name, {}).items()]
        words = [relative(Path(word), run.repository) if word.startswith("/") else word for word in record.argv]
        commands.append((record.name, " ".join([*environment, shlex.join(words)])))
    return commands
