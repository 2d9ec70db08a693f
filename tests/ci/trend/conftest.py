"""Merged roots and histories as merging and recording leave them, made by hand."""

import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ci.plan.plan import Plan, PlannedCase, write_plan
from ci.profiles import PROFILES
from ci.records.results import CaseRow
from ci.records.tables import write_rows
from ci.trend.history import HistoryRow

COMMIT = "c0ffee" * 6 + "abcd"
NAMES = ("add_one_args", "amp_two_args", "ppo_three_args")
URL = "https://example.org/lab/runs/7"
STORE = Path(__file__).resolve().parents[3] / ".github" / "actions" / "store-history" / "store.sh"
# Somebody else pushes: BRANCH FILE TEXT. The text is added to the file, on a branch that is begun if need be.
RIVAL = """\
set -euo pipefail
here="$(dirname "$0")"
folder="$(mktemp -d "$here/rival.XXXXXX")"
git clone --quiet "$here/origin.git" "$folder" 2> "$here/warnings"
cd "$folder"
if ! git checkout --quiet "$1" 2> "$here/warnings"; then
    git checkout --quiet --orphan "$1"
    git rm -rf --quiet --ignore-unmatch .
fi
printf '%s\\n' "$3" >> "$2"
git add "$2"
git -c user.name=rival -c user.email=rival@example.org commit --quiet --message "of a rival"
git push --quiet origin "HEAD:refs/heads/$1"
"""


def case_row(name: str, **changes: object) -> CaseRow:
    """A case that passed."""
    row = CaseRow(
        case=name,
        method=name.split("_")[0],
        case_type="trainable",
        **{f"{stage}_rc": 0 for stage in ("train", "test", "viz")},
        **{f"{stage}_ok": True for stage in ("train", "test", "viz")},
        final_ok=True,
        engine="newton",
        device="cuda:0",
        commit=COMMIT,
        driver="600.1",
        device_name="H100",
        samples=4096,
        samples_per_s=1234.5,
        mean_return=5.25,
        mean_ep_len=20.5,
        seconds=61.5,
        memory_gb=3.25,
    )
    return dataclasses.replace(row, **changes)


def failed_row(name: str, failure: str = "divergence") -> CaseRow:
    return case_row(name, final_ok=False, test_ok=False, test_rc=6, failure=failure, mean_return=None)


def make_plan(profile: str = "nightly", names: Iterable[str] = NAMES, commit: str = COMMIT) -> Plan:
    stages = PROFILES[profile].stages
    cases = tuple(PlannedCase(name, "trainable", stages, 10.0, True) for name in names)
    return Plan(
        settings=PROFILES[profile],
        engine_config="data/engines/newton_engine.yaml",
        engine="newton",
        device="cuda",
        device_nontrainable="cuda",
        seed=1,
        commit=commit,
        changes="",
        cases=cases,
        shards=tuple((case.name,) for case in cases),
        nonce="tonight",
    )


def make_root(
    root: Path,
    profile: str = "nightly",
    rows: Mapping[str, CaseRow] | None = None,
    findings: Iterable[tuple[str, str]] = (),
    commit: str = COMMIT,
    **run: object,
) -> Path:
    """The folder that merging leaves: ``rows`` beside cases that passed, ``findings`` as (kind, case)."""
    plan = make_plan(profile, commit=commit)
    found = [{"kind": kind, "case": case, "message": "a message"} for kind, case in findings]
    write_plan(root / "plan.json", plan)
    write_rows(root / "best_by_case.tsv", [(rows or {}).get(name) or case_row(name) for name in NAMES])
    (root / "findings.json").write_text(json.dumps(found))
    content: dict[str, Any] = {
        **{"format": 1, "plan": plan.id, "shard": [1, 1], "profile": profile, "engine": "newton", "driver": "600.1"},
        **{"devices": ["cuda:0"], "seed": 1, "commit": commit, "dirty": False, "changes": "", "jobs": 1},
        **{"started": "2026-11-22T02:10:00+00:00", "seconds": 300.5, "ended": "done", "all_pass": not found},
        **{"merged": ["shard_1"]},
    }
    (root / "run.json").write_text(json.dumps(content | run))
    return root


def past(night: str, case: str = NAMES[0], failure: str | None = None, **changes: object) -> HistoryRow:
    """A row of the history: a pass on an H100, unless there is a ``failure``."""
    row = HistoryRow(
        night=night,
        started=f"{night}T02:10:00+00:00",
        run_url=f"{URL}{night[-2:]}",
        commit=COMMIT,
        profile="nightly",
        engine="newton",
        device_name="H100",
        driver="600.1",
        case=case,
        passed=failure is None,
        failure=failure,
        samples=4096,
        samples_per_s=1000.0,
        mean_return=5.0,
        seconds=60.0,
    )
    return dataclasses.replace(row, **changes)


@pytest.fixture
def merged_root(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes the merged root of that name."""
    return lambda name="root", *arguments, **changes: make_root(tmp_path / name, *arguments, **changes)


@pytest.fixture
def row() -> Callable[..., CaseRow]:
    return case_row


@pytest.fixture
def failed() -> Callable[..., CaseRow]:
    return failed_row


@pytest.fixture
def history_row() -> Callable[..., HistoryRow]:
    return past


class Origin:
    """A bare repository with a branch main, and ways to push to its branch results."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.temporary = folder, folder / "origin.git", folder / "temporary"
        self.temporary.mkdir()
        (folder / "rival.sh").write_text(RIVAL)
        command = ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.path)]
        subprocess.run(command, env=self.environment(), check=True)
        self.rival("main", "README.md", "the code")

    def environment(self, **env: str) -> dict[str, str]:
        """Of the script; nothing in it is of whoever runs the tests."""
        given = {"REMOTE": str(self.path), "BRANCH": "results", "FILE": "history.tsv", "MESSAGE": "Night 2026-11-22"}
        tools = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "TMPDIR": str(self.temporary)}
        own = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_"))}
        return {**own, **given, **tools, "TOKEN": "secret", "PAUSE_SECONDS": "0", **env}

    def rival(self, branch: str, name: str, text: str) -> None:
        """Somebody else pushes a line more."""
        command = ["bash", str(self.folder / "rival.sh"), branch, name, text]
        subprocess.run(command, env=self.environment(), check=True)

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.path), *words]
        return subprocess.run(command, env=self.environment(), check=True, capture_output=True, text=True).stdout

    def show(self, name: str = "history.tsv") -> str:
        return self.git("show", f"results:{name}")

    def log(self, style: str) -> list[str]:
        return self.git("log", f"--format={style}", "results").splitlines()

    def store(self, *command: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the script; it leaves nothing in the folder for temporary files."""
        words = ["bash", str(STORE), *map(str, command)]
        done = subprocess.run(words, env=self.environment(**env), capture_output=True, text=True, timeout=120)
        assert list(self.temporary.iterdir()) == []
        return done


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    folder = tmp_path / "hub"
    folder.mkdir()
    return Origin(folder)
