"""Runs of the job matrix, and the journals that they leave."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ci.host import IMAGE_REVISION
from mimickit.bench.part import Bench, python
from mimickit.bench.programs import Ended, ProgramError, log_tail

HERE = Path()
ROOTS = Path("output/train")  # where the matrix writes, in its repository


def run_matrix(bench: Bench, name: str, deadline: float, *words: object, repository: Path = HERE) -> tuple[Ended, Path]:
    """``python -m ci e2e`` in ``repository``; how it ended, and the root of what it wrote."""
    root = f"bench_{bench.folder.name}_{name.replace(' ', '_')}"
    command = python("-m", "ci", "e2e", "--profile", "pr", "--root-out", root, *words)
    revision = {} if repository == HERE else {IMAGE_REVISION: bench.machine.revision}
    ended = bench.programs.run(name, command, deadline, revision, folder=repository)
    return ended, repository / ROOTS / root


def journal_of(root: Path, case: str, ended: Ended) -> dict[str, Any]:
    """The attempts.json of a case; ProgramError when there is none."""
    path = root / "runs" / f"{case}_args" / "attempts.json"
    if not path.exists():
        raise ProgramError(ended.name, f"left no {path}", log_tail(ended.log))
    return json.loads(path.read_text(encoding="utf-8"))


def attempts_of(journal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each rung of the ladder: environments, whether it passed, and the class of the first stage that did not."""
    return [_attempt(attempt) for attempt in journal["attempts"]]


def most_envs(journal: Mapping[str, Any]) -> int:
    """The environments of the largest rung that passed; 0 when none did."""
    return max((attempt["num_envs"] for attempt in journal["attempts"] if attempt["ok"]), default=0)


def said(attempt: Mapping[str, Any]) -> str:
    """A rung in words."""
    return f"{attempt['num_envs']} environments, {'passed' if attempt['ok'] else attempt['failure']}"


def _attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    failed = next((stage for stage in attempt["stages"] if not stage["ok"]), None)
    kind = (failed["failure"] or {"kind": "unexpected"})["kind"] if failed else None
    return {"num_envs": attempt["num_envs"], "ok": attempt["ok"], "failure": kind}
