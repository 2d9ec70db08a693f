"""``python -m ci doctor``: is this machine, this checkout, and perhaps one case, fit to run?"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ci.cases import read_engine_name
from ci.doctor.checks import QUICK, SLOW, Check, Row, run_checks
from ci.doctor.configuration import CaseConfiguration, Difference, Nearest, Setting, known_good, nearest_good
from ci.doctor.display import Display
from ci.doctor.finding import Finding, State, fix, look, ok
from ci.doctor.machine import Machine
from ci.errors import UsageError
from ci.files import write_json

SUMMARY = "say what this machine lacks, and where a case's settings come from"

EPILOG = """\
examples:
  nox -s doctor                                           everything, half a minute
  nox -s doctor -- --quick                                what takes under two seconds: a container's health command
  nox -s doctor -- deepmimic_humanoid_ppo_args.txt        and a case: its settings, where each was set
  nox -s doctor -- --engine-config newton_engine.yaml     with another engine than a run would take here

A row is ok, look (runs start, but you should know) or fix this (they do not, or prove nothing), with a remedy.
exit code: 0 nothing needs fixing; 1 something does; 2 the command is wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "case", nargs="?", metavar="CASE.txt", help="a case of args/ (its name is enough) or an arg file"
    )
    parser.add_argument(
        "--quick", action="store_true", help="leave out torch, drawing and the start of the engine; about one second"
    )
    parser.add_argument(
        "--engine-config", metavar="FILE", help="engine to look at and to start (default: as nox -s e2e chooses)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it as JSON too")


def run(arguments: argparse.Namespace, repository: Path) -> int:
    """Check, print, and return the exit code. UsageError for an engine file that is none."""
    given = arguments.engine_config
    engine_config = f"data/engines/{given}" if given and "/" not in given else given
    if engine_config:
        read_engine_name(repository, engine_config)
    arg_file = _arg_file(repository, arguments.case) if arguments.case else None
    return examine(Machine(repository, arg_file, engine_config), arguments.quick, arguments.json, Display(sys.stdout))


def examine(machine: Machine, quick: bool, json_file: Path | None, display: Display) -> int:
    """Run the checks, show what they found, write it to ``json_file``."""
    checks: dict[str, Check] = {**({"case": check_case} if machine.arg_file else {}), **QUICK}
    checks |= {} if quick else SLOW
    rows = []
    for row in display.progress(run_checks(machine, checks), list(checks)):
        rows.append(row)
    display.checks(rows)
    configuration = nearest = None
    if machine.arg_file and next(row for row in rows if row.name == "case").finding.state is not State.FIX:
        configuration = machine.configurations[machine.arg_file]
        passed, basis = known_good(machine.repository, [case.name for case in machine.cases])
        nearest = nearest_good(configuration, machine.configurations.values(), passed, basis)
        display.configuration(configuration)
        display.nearest(configuration, nearest, basis)
    bad = [row.name for row in rows if row.finding.state is State.FIX]
    looks = [row.name for row in rows if row.finding.state is State.LOOK]
    if quick:
        display.line(f"left out by --quick: {', '.join(SLOW)}")
    display.verdict(bad, looks)
    if json_file is not None:
        _write(json_file, _record(rows, configuration, nearest))
    return 1 if bad else 0


def check_case(machine: Machine) -> Finding:
    """The case asked about can be read, and what it names is there or can be made."""
    here = machine.configurations[machine.arg_file or ""]
    if here.problem and not here.settings:
        return fix(here.problem, "correct what the message names; nox -s e2e -- --list prints the cases")
    if here.problem:
        return look(here.problem, "a run of the matrix makes it first; for a run by hand, do what the message says")
    return ok(f"{here.arg_file}, {len(here.settings)} settings")


def _arg_file(repository: Path, name: str) -> str:
    """The arg file a person means, as a path from the repository: a bare name is one of args/."""
    if "/" not in name:
        return f"args/{name.removesuffix('.txt')}.txt"
    path = Path(name).resolve()
    return path.relative_to(repository).as_posix() if path.is_relative_to(repository) else str(path)


def _record(rows: list[Row], configuration: CaseConfiguration | None, nearest: Nearest | None) -> dict[str, Any]:
    """Everything shown, for a program."""
    return {
        "ok": all(row.finding.state is not State.FIX for row in rows),
        "checks": [
            {
                "name": row.name,
                "state": row.finding.state.value,
                "found": row.finding.found,
                "remedy": row.finding.remedy,
                "seconds": round(row.seconds, 3),
            }
            for row in rows
        ],
        "case": configuration and {"arg_file": configuration.arg_file, "settings": _settings(configuration.settings)},
        "nearest": nearest
        and {
            "arg_file": nearest.arg_file,
            "basis": nearest.basis,
            "differences": [_difference(each) for each in nearest.differences],
        },
    }


def _settings(settings: Mapping[str, Setting]) -> dict[str, Any]:
    return {key: vars(setting) for key, setting in settings.items()}


def _difference(each: Difference) -> dict[str, Any]:
    return {"key": each.key, "here": each.here and vars(each.here), "there": each.there and vars(each.there)}


def _write(path: Path, record: Mapping[str, Any]) -> None:
    try:
        write_json(path, record)
    except OSError as error:
        raise UsageError(f"--json {path} cannot be written: {error}") from error
