"""attempts.json: everything that happened to one case, rewritten after every stage, and read back by a later run."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ci.cases import Case
from ci.failures.classify import Failure
from ci.failures.table import FAILURES
from ci.files import read_json_object, write_json
from ci.records.results import Attempt, CaseResult, ProcessResult, StageRecord, relative

FORMAT = 1
NAME = "attempts.json"


def write_journal(path: Path, result: CaseResult, repository: Path) -> None:
    """The case's preparations and tries, with stages, command lines, exit codes, facts and failures."""

    def stage(record: StageRecord) -> dict[str, object]:
        ended = record.result
        return {
            "name": record.name,
            "ok": record.ok,
            "rc": ended.returncode if ended else None,
            "timed_out": ended.timed_out if ended else False,
            "seconds": record.seconds,
            "cpu_seconds": round(ended.cpu_seconds, 3) if ended else None,
            "memory_gb": ended.memory_gb if ended else None,
            "log": relative(record.log, repository) if record.log else None,
            "command": list(record.argv),
            "facts": record.facts,
            "failure": _failure(record.failure),
        }

    attempts = [
        {
            "variant": attempt.variant,
            "agent_config": attempt.agent_config,
            "num_envs": attempt.num_envs,
            "max_samples": attempt.max_samples,
            "devices": list(attempt.devices),
            "ok": attempt.ok,
            "out_dir": relative(attempt.out_dir, repository),
            "stages": [stage(record) for record in attempt.stages.values()],
            "repeated": [stage(record) for record in attempt.repeated],
        }
        for attempt in result.attempts
    ]
    content = {
        "format": FORMAT,
        "case": result.case.name,
        "about": dataclasses.asdict(result.case),
        "wanted": list(result.wanted),
        "ok": result.ok,
        "finished": result.finished,
        "note": result.note,
        "failure": _failure(result.failure),
        "data": stage(result.data) if result.data else None,
        "prior": stage(result.prior) if result.prior else None,
        "attempts": attempts,
    }
    write_json(path, content)


def read_journal(path: Path, repository: Path) -> CaseResult:
    """What ``write_journal`` wrote. FileNotFoundError; ValueError that names the file and what is wrong with it."""

    def stage(content: Mapping[str, Any]) -> StageRecord:
        ended = None
        if content["rc"] is not None:
            ended = ProcessResult(
                returncode=int(content["rc"]),
                timed_out=bool(content["timed_out"]),
                seconds=float(content["seconds"]),
                cpu_seconds=float(content["cpu_seconds"]),
                memory_gb=float(content["memory_gb"]),
            )
        return StageRecord(
            name=str(content["name"]),
            argv=tuple(content["command"]),
            log=repository / content["log"] if content["log"] else None,
            result=ended,
            failure=_read_failure(content["failure"]),
            facts=dict(content["facts"]),
        )

    content = read_json_object(path)
    if content.get("format") != FORMAT:
        raise ValueError(f"{path}: 'format' is {content.get('format')!r}, expected {FORMAT}")
    try:
        result = CaseResult(
            case=Case(**content["about"]),
            wanted=tuple(content["wanted"]),
            data=stage(content["data"]) if content["data"] else None,
            prior=stage(content["prior"]) if content["prior"] else None,
            attempts=[
                Attempt(
                    variant=attempt["variant"],
                    agent_config=attempt["agent_config"],
                    num_envs=int(attempt["num_envs"]),
                    max_samples=int(attempt["max_samples"]),
                    devices=tuple(attempt["devices"]),
                    out_dir=repository / attempt["out_dir"],
                    stages={record["name"]: stage(record) for record in attempt["stages"]},
                    repeated=[stage(record) for record in attempt["repeated"]],
                )
                for attempt in content["attempts"]
            ],
            note=content["note"],
            failure=_read_failure(content["failure"]),
            finished=content["finished"] is True,
        )
        if any(tuple(attempt.stages) != result.wanted for attempt in result.attempts):
            raise ValueError(f"a try does not have the stages {', '.join(result.wanted)}")
        return result
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: not a journal of this version: {type(error).__name__}: {error}") from error


def _failure(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    about = failure.about
    return {"kind": failure.kind, "message": failure.message, "remedy": about.remedy, "action": about.action}


def _read_failure(content: Mapping[str, Any] | None) -> Failure | None:
    if content is None:
        return None
    if content["kind"] not in FAILURES:
        raise ValueError(f"unknown class of failure {content['kind']!r}")
    return Failure(content["kind"], content["message"])
