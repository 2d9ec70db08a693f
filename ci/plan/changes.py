"""Which files a change touches, and which cases that concerns. Where that cannot be told, all of them."""

import fnmatch
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.cases import Case
from ci.plan.dependencies import all_dependencies

GIT_SECONDS = 60.0
DOCUMENTS = ("*.md", "docs/*", "LICENSE", ".gitignore")  # '*' takes in folders
TESTS = ("tests/*",)
FASTEST = 2  # cases that run when none is concerned: proof that the matrix itself still works
SHOWN = 3  # paths in one sentence


@dataclass(frozen=True)
class Selection:
    """Names of cases in order, never none, and the sentence that says why these."""

    names: tuple[str, ...]
    why: str


def changed_paths(repository: Path, ref: str) -> tuple[str, ...]:
    """The files that differ between here and where this branch left ``ref``, in order; both paths of a renamed file.

    Commits count, and so do changed, staged and untracked files that git does not ignore. ValueError when git is not
    there, knows no such ``ref``, or finds no common commit, as in a shallow clone.
    """
    top = _git(repository, "rev-parse", "--show-toplevel").rstrip("\n")
    if Path(top).resolve() != repository.resolve():
        raise ValueError(f"{repository} is not the top of a git checkout, {top} is")
    commit = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
    try:
        base = _git(repository, "merge-base", commit, "HEAD").strip()
    except ValueError as error:
        hint = f"{ref} and HEAD have no common commit here; a shallow clone needs the whole history"
        raise ValueError(f"{hint} ({error})") from error
    committed = _git(repository, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", base, "HEAD")
    pending = _git(repository, "status", "--porcelain=v1", "--no-renames", "--untracked-files=all", "-z")
    paths = {*committed.split("\0"), *(entry[3:] for entry in pending.split("\0"))}  # an entry is 'XY path'
    return tuple(sorted(paths - {""}))


def select_changed(
    cases: Sequence[Case],
    paths: Sequence[str],
    dependencies: Mapping[str, frozenset[str]],
    seconds: Mapping[str, float],
) -> Selection:
    """The ``cases`` that a change of ``paths`` can touch.

    ``dependencies`` are those of all cases of the repository, of which ``cases`` may be a part. A change of documents
    and tests alone, which no case reads, gives the fastest two by ``seconds``. A path that no case is known to read
    gives all ``cases``, and so does a change that concerns none of them: such a change is not understood.
    """
    kinds = {path: _kind(path) for path in paths}
    code = [path for path in paths if not kinds[path]]
    if paths and not code:
        fastest = sorted(cases, key=lambda case: (seconds[case.name], case.name))[:FASTEST]
        what = " and ".join(sorted(set(kinds.values())))
        return Selection(tuple(sorted(case.name for case in fastest)), f"the fastest: only {what} changed")
    everything = tuple(sorted(case.name for case in cases))
    known = frozenset().union(*dependencies.values())
    unknown = [path for path in code if path not in known]
    if unknown:
        return Selection(everything, f"all: no case is known to read {_listed(unknown)}, so it may concern any")
    touched = tuple(name for name in everything if not dependencies[name].isdisjoint(code))
    if not paths:
        return Selection(everything, "all: nothing changed")
    if not touched:
        return Selection(everything, f"all: none of these cases reads {_listed(code)}")
    return Selection(touched, f"{len(touched)} of {len(everything)} read what changed: {_listed(code)}")


def select_changed_from(
    repository: Path, ref: str, cases: Sequence[Case], all_cases: Sequence[Case], seconds: Mapping[str, float]
) -> Selection:
    """``select_changed`` of what differs from ``ref``; all ``cases`` when that or what they read cannot be told."""
    try:
        paths = changed_paths(repository, ref)
        return select_changed(cases, paths, all_dependencies(repository, all_cases), seconds)
    except ValueError as error:
        names = tuple(sorted(case.name for case in cases))
        return Selection(names, f"all: it cannot be told what changed since {ref}: {error}")


def _kind(path: str) -> str:
    """'documents', 'tests', or '' for what a case may read."""
    for kind, patterns in (("documents", DOCUMENTS), ("tests", TESTS)):
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            return kind
    return ""


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more


def _git(repository: Path, *arguments: str) -> str:
    """What git prints. ValueError with its own words when it fails."""
    command = ["git", "-C", str(repository), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"git {arguments[0]}: {error}") from error
    if answer.returncode != 0:
        said = answer.stderr.decode("utf-8", "replace").strip() or f"it found nothing for {arguments[-1]}"
        raise ValueError(f"git {arguments[0]} failed: {said}")
    return os.fsdecode(answer.stdout)
