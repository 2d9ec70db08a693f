"""Whether this machine may run a job: job-started.sh asks before anything of the job has run.

The question is answered from what GitHub itself says of the job: the variables that the runner gives to its hooks and
the event's payload, neither of which a workflow file can change. What is not understood is refused. Exit code 0 with a
sentence that says why the job may run, 3 with one that says why not; anything else means that this program is broken,
and must be taken for a refusal. Standard library only: it runs with the system's Python, 3.10 or newer.
"""

import argparse
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

REFUSED = 3
LABEL = "run-on-gpu:"
# A commit that begins with twelve given digits (48 bits) is found by one gaming GPU within hours, and could replace the
# one that was read and labelled; 128 bits are out of reach. All forty would make a longer name than GitHub allows (50).
LABEL_DIGITS = 32
NAME = r"[A-Za-z0-9._-]+"
KEYS = ("repository", "events", "branch")

T = TypeVar("T", str, int, list)


class RefusedError(Exception):
    """The job may not run; the message says why, in one sentence."""


@dataclass(frozen=True)
class Allowed:
    """What this machine is for: one repository, the events that may start jobs, and its default branch."""

    repository: str
    events: frozenset[str]
    branch: str


@dataclass(frozen=True)
class Job:
    """What GitHub says of the job that is about to start."""

    repository: str
    event: str
    ref: str
    workflow_ref: str
    actor: str
    workspace: Path
    payload: Mapping[str, Any]


def read_allowed(path: Path, owner: int) -> Allowed:
    """Read the list of what may run, a line ``key=value`` for each of KEYS; only ``owner`` may be able to change it."""
    try:
        about = path.stat()
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"the list of what may run cannot be read: {error}") from error
    if about.st_uid != owner or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise RefusedError(f"{path} does not belong to user {owner} alone, so anybody may have written it")
    found: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in lines)):
        if line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        if not separator or key not in KEYS or key in found or not value:
            raise RefusedError(f"{path} has a line that is not understood: {line}")
        found[key] = value
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise RefusedError(f"{path} does not say {', '.join(missing)}")
    return Allowed(found["repository"], frozenset(found["events"].split()), found["branch"])


def read_job(environment: Mapping[str, str]) -> Job:
    """Read the variables of the hook and the payload that they name."""

    def variable(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            raise RefusedError(f"{name} is not set, so nothing is known of this job")
        return value

    path = Path(variable("GITHUB_EVENT_PATH"))
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedError(f"the event's payload cannot be read: {error}") from error
    if not isinstance(payload, dict):
        raise RefusedError("the event's payload is not an object")
    return Job(
        repository=variable("GITHUB_REPOSITORY"),
        event=variable("GITHUB_EVENT_NAME"),
        ref=variable("GITHUB_REF"),
        workflow_ref=variable("GITHUB_WORKFLOW_REF"),
        actor=variable("GITHUB_ACTOR"),
        workspace=Path(variable("GITHUB_WORKSPACE")),
        payload=payload,
    )


def field(payload: Mapping[str, Any], keys: str, kind: type[T]) -> T:
    """The value at a path of keys with dots between them; a payload that has none of this type there is refused."""
    value: Any = payload
    for key in keys.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise RefusedError(f"the event's payload has no {keys}")
    return value


def check_branch(job: Job, allowed: Allowed) -> None:
    if job.ref != f"refs/heads/{allowed.branch}":
        raise RefusedError(f"{job.event} may start jobs for {allowed.branch} alone, not for {job.ref}")


def check_payload_repository(job: Job) -> None:
    named = field(job.payload, "repository.full_name", str)
    if named != job.repository:
        raise RefusedError(f"the event's payload is of {named}, not of {job.repository}")


def admit_push(job: Job, allowed: Allowed) -> str:
    check_payload_repository(job)
    check_branch(job, allowed)
    if field(job.payload, "ref", str) != job.ref:
        raise RefusedError(f"the event's payload is of another ref than {job.ref}")
    return f"a push to {allowed.branch}"


def admit_schedule(job: Job, allowed: Allowed) -> str:
    """The payload of this event names no repository."""
    check_branch(job, allowed)
    return f"scheduled on {allowed.branch}"


def admit_workflow_dispatch(job: Job, allowed: Allowed) -> str:
    check_payload_repository(job)
    check_branch(job, allowed)
    return f"started by hand on {allowed.branch}"


def admit_merge_group(job: Job, allowed: Allowed) -> str:
    """Only who may write to the repository can put a pull request into the merge queue."""
    check_payload_repository(job)
    base = field(job.payload, "merge_group.base_ref", str)
    if base != f"refs/heads/{allowed.branch}":
        raise RefusedError(f"merge_group may start jobs for {allowed.branch} alone, not for {base}")
    if not job.ref.startswith(f"refs/heads/gh-readonly-queue/{allowed.branch}/"):
        raise RefusedError(f"{job.ref} is not a branch of the merge queue of {allowed.branch}")
    if field(job.payload, "merge_group.head_ref", str) != job.ref:
        raise RefusedError(f"the event's payload is of another merge group than {job.ref}")
    return f"the merge queue of {allowed.branch}"


def admit_pull_request(job: Job, allowed: Allowed) -> str:
    """A person's pull request from one of the repository's own branches; any other if its head commit is labelled.

    A bot's branch is often the repository's own (Dependabot's is), but what it brings is a third party's code.
    """
    check_payload_repository(job)
    number = field(job.payload, "number", int)
    if job.ref != f"refs/pull/{number}/merge":
        raise RefusedError(f"the event's payload is of pull request {number}, not of {job.ref}")
    if field(job.payload, "pull_request.base.repo.full_name", str) != job.repository:
        raise RefusedError(f"pull request {number} is not one to {job.repository}")
    commit = field(job.payload, "pull_request.head.sha", str)
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise RefusedError(f"the head of pull request {number} is not a commit: {commit}")
    head = field(job.payload, "pull_request.head.repo.full_name", str)
    ids = [field(job.payload, f"pull_request.{side}.repo.id", int) for side in ("head", "base")]
    author, kind = (field(job.payload, f"pull_request.user.{key}", str) for key in ("login", "type"))
    if head != job.repository or ids[0] != ids[1]:
        stranger = f"{head} is a fork"
    elif kind != "User":
        stranger = f"{author} is not a person"
    else:
        return f"pull request {number} of the repository's own branch at {commit}"
    names = [field(label, "name", str) for label in field(job.payload, "pull_request.labels", list)]
    return f"pull request {number} of {author} from {head}, {check_label(names, stranger, commit)}"


def check_label(names: Sequence[str], stranger: str, commit: str) -> str:
    """A maintainer's label is of this very commit; otherwise refuses, and says who the ``stranger`` is."""
    wanted = LABEL + commit[:LABEL_DIGITS]
    labels = [name for name in names if name.startswith(LABEL)]
    of_commit = [name for name in labels if commit.startswith(name.removeprefix(LABEL))]
    long_enough = [name for name in of_commit if len(name) >= len(wanted)]
    if long_enough:
        return f"labelled {long_enough[0]}"
    if of_commit:
        raise RefusedError(f"the label must have at least {LABEL_DIGITS} digits of the commit: {wanted}")
    if labels:
        raise RefusedError(f"the label {labels[-1]} is of another commit than the head, which needs {wanted}")
    raise RefusedError(f"{stranger}, and nobody has labelled the commit {wanted} after reading it")


EVENTS: Mapping[str, Callable[[Job, Allowed], str]] = {
    "merge_group": admit_merge_group,
    "pull_request": admit_pull_request,
    "push": admit_push,
    "schedule": admit_schedule,
    "workflow_dispatch": admit_workflow_dispatch,
}
# Anybody can cause these, and they run with the repository's own rights: no list can allow them.
NEVER = ("issue_comment", "pull_request_target", "workflow_run")


def check_workflow(job: Job) -> None:
    """The workflow file is one of the repository's, at the ref that the job is of."""
    beginning, end = f"{job.repository}/.github/workflows/", f"@{job.ref}"
    name = job.workflow_ref.removeprefix(beginning).removesuffix(end)
    if job.workflow_ref != beginning + name + end or not re.fullmatch(NAME + r"\.ya?ml", name):
        raise RefusedError(f"the workflow {job.workflow_ref} is not one of {job.repository} at {job.ref}")


def is_of_the_file_system(path: Path) -> bool:
    """The folder that ext4 makes at the root of a volume; a runner of Kubernetes has a volume to work in."""
    about = path.lstat()
    return path.name == "lost+found" and stat.S_ISDIR(about.st_mode) and about.st_uid == 0


def check_workspace(workspace: Path) -> None:
    """Nothing of an earlier job is there: the runner itself makes folders with a _ and an empty one to work in."""
    if not workspace.is_absolute() or not workspace.is_dir():
        raise RefusedError(f"there is no folder {workspace} to work in")
    work = workspace.parent.parent
    left = [path for path in work.iterdir() if path != workspace.parent and not path.name.startswith("_")]
    left = [path for path in left if not is_of_the_file_system(path)]
    left += [path for path in workspace.parent.iterdir() if path != workspace]
    left += list(workspace.iterdir())
    if left:
        raise RefusedError(f"an earlier job left {min(left)} behind, and a runner is to be used once")


def admit(job: Job, allowed: Allowed) -> str:
    """Why the job may run; raises RefusedError when it may not."""
    if job.repository != allowed.repository:
        raise RefusedError(f"this machine is for {allowed.repository}, not for {job.repository}")
    if job.event in NEVER:
        raise RefusedError(f"{job.event} never runs on this machine")
    if job.event not in EVENTS:
        raise RefusedError(f"{job.event} is not an event that this check knows")
    if job.event not in allowed.events:
        raise RefusedError(f"{job.event} is not among the events that may run here")
    check_workflow(job)
    reason = EVENTS[job.event](job, allowed)
    check_workspace(job.workspace)
    return f"{reason}, for {job.actor}"


def one_line(text: str) -> str:
    """What can be printed into a job's log: a payload's text could end the line, and begin a command to the runner."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:500]


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Say whether this machine may run the job that is about to start.")
    parser.add_argument("--allowed", type=Path, required=True, help="the list of what may run")
    parser.add_argument("--owner", type=int, default=0, help="number of the user who alone may change that list")
    options = parser.parse_args(arguments)
    try:
        reason = admit(read_job(os.environ), read_allowed(options.allowed, options.owner))
    except RefusedError as refused:
        print(one_line(f"This job may not run here: {refused}."))
        return REFUSED
    print(one_line(f"This job may run here: {reason}."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
