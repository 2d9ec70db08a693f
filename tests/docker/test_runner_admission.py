"""Which jobs a GPU machine lets in: the check of docker/runner as its own process, over made payloads."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from docker.runner import admission

ADMISSION = Path(__file__).resolve().parents[2] / "docker" / "runner" / "admission.py"
HEAD = "3f2a9c0d1e4b5a6978877665544332211000ffee"
OLDER = "aaaaaaaaaaaabbbbbbbbbbbbccccccccccccdddd"
LABEL = f"run-on-gpu:{HEAD[:32]}"
ALLOWED = """# a comment
repository=octo/gym
events=pull_request push schedule workflow_dispatch merge_group
branch=main
"""
REPOSITORY = {"full_name": "octo/gym", "id": 1}
FORK = {"full_name": "mallory/gym", "id": 2}
ADMITTED, REFUSED = 0, 3


PERSON = {"login": "contributor", "type": "User"}
BOT = {"login": "dependabot[bot]", "type": "Bot"}


def pull_request(
    head: object = None, labels: tuple[str, ...] = (), sha: object = HEAD, user: object = PERSON
) -> dict[str, Any]:
    """The parts of the payload that are read, as in GitHub's description of the event, and some that are not."""
    return {
        "action": "labeled",
        "number": 7,
        "repository": REPOSITORY,
        "sender": {"login": "maintainer"},
        "pull_request": {
            "title": f"{LABEL} $(id) ::add-mask::x",
            "user": user,
            "head": {"sha": sha, "ref": "main", "repo": head},
            "base": {"sha": "0" * 40, "ref": "main", "repo": REPOSITORY},
            "labels": [{"id": 5, "name": name, "color": "ffffff"} for name in labels],
        },
    }


PUSH = {"ref": "refs/heads/main", "repository": REPOSITORY, "after": HEAD}
QUEUE = "refs/heads/gh-readonly-queue/main/pr-7-0123"
GROUP = {"repository": REPOSITORY, "merge_group": {"head_ref": QUEUE, "base_ref": "refs/heads/main"}}
DISPATCH = {"repository": REPOSITORY, "ref": "refs/heads/main", "inputs": {"long": True}}


def without(payload: Mapping[str, Any], keys: str) -> dict[str, Any]:
    """A copy without what is at the path."""
    changed = copy.deepcopy(dict(payload))
    *outer, last = keys.split(".")
    place = changed
    for key in outer:
        place = place[key]
    del place[last]
    return changed


def with_value(payload: Mapping[str, Any], keys: str, value: object) -> dict[str, Any]:
    """A copy with something else at the path."""
    changed = copy.deepcopy(dict(payload))
    *outer, last = keys.split(".")
    place = changed
    for key in outer:
        place = place[key]
    place[last] = value
    return changed


@dataclass(frozen=True)
class Case:
    """A job, what becomes of it, and a word of the reason."""

    name: str
    event: str
    payload: object
    status: int
    reason: str
    ref: str = "refs/heads/main"
    variables: Mapping[str, str | None] = field(default_factory=dict)
    allowed: str = ALLOWED
    mode: int = 0o644
    prepare: Callable[[Path], object] = lambda work: None


def of_pull_request(name: str, payload: object, status: int, reason: str, **more: Any) -> Case:
    return Case(name, "pull_request", payload, status, reason, **{"ref": "refs/pull/7/merge", **more})


def of_user_1001(path: Path) -> None:
    """A folder of the runner's user; where the tests are not root's, of theirs."""
    path.mkdir()
    if os.geteuid() == 0:
        os.chown(path, 1001, 1001)


OWN = pull_request(REPOSITORY)
FORKED = pull_request(FORK)
LABELLED = pull_request(FORK, ("bug", LABEL))
WORKFLOW = "octo/gym/.github/workflows/pull-request.yml"

CASES = [
    # what may run
    of_pull_request("own branch", OWN, ADMITTED, "own branch"),
    of_pull_request("fork, labelled", LABELLED, ADMITTED, LABEL),
    of_pull_request("fork, labelled, old label too", pull_request(FORK, (f"run-on-gpu:{OLDER[:32]}", LABEL)), 0, LABEL),
    of_pull_request("fork, longer label", pull_request(FORK, (f"run-on-gpu:{HEAD[:39]}",)), ADMITTED, HEAD[:39]),
    Case("push to main", "push", PUSH, ADMITTED, "push"),
    Case("schedule", "schedule", {"schedule": "17 1 * * *"}, ADMITTED, "scheduled"),
    Case("by hand", "workflow_dispatch", DISPATCH, ADMITTED, "by hand"),
    Case("merge queue", "merge_group", GROUP, ADMITTED, "merge queue", ref=QUEUE),
    # forks
    of_pull_request("fork", FORKED, REFUSED, "nobody has labelled"),
    of_pull_request("fork, other labels", pull_request(FORK, ("run-on-gpu", "gpu", HEAD)), REFUSED, "nobody has"),
    of_pull_request("fork, older commit", pull_request(FORK, (f"run-on-gpu:{OLDER[:32]}",)), REFUSED, "another commit"),
    of_pull_request("fork, 12 digits", pull_request(FORK, (LABEL[:23],)), REFUSED, "at least 32 digits"),
    of_pull_request("fork, no digits", pull_request(FORK, ("run-on-gpu:",)), REFUSED, "at least 32 digits"),
    of_pull_request("fork, 31 digits", pull_request(FORK, (LABEL[:-1],)), REFUSED, "at least 32 digits"),
    of_pull_request("fork, capitals", pull_request(FORK, (LABEL.upper(),)), REFUSED, "nobody has labelled"),
    of_pull_request("fork, label and more", pull_request(FORK, (LABEL + " ",)), REFUSED, "another commit"),
    of_pull_request("fork of the same name", pull_request({"full_name": "octo/gym", "id": 2}), REFUSED, "nobody has"),
    of_pull_request("fork of the same number", pull_request({"full_name": "x/gym", "id": 1}), REFUSED, "nobody has"),
    of_pull_request("fork that is gone", pull_request(None, (LABEL,)), REFUSED, "no pull_request.head.repo"),
    of_pull_request("labels are no list", with_value(LABELLED, "pull_request.labels", LABEL), REFUSED, "labels"),
    of_pull_request("label without a name", with_value(LABELLED, "pull_request.labels", [{"id": 5}]), REFUSED, "name"),
    of_pull_request("label is a word", with_value(LABELLED, "pull_request.labels", [LABEL]), REFUSED, "no name"),
    # bots, whose branches are the repository's own
    of_pull_request("bot", pull_request(REPOSITORY, user=BOT), REFUSED, "dependabot[bot] is not a person, and nobody"),
    of_pull_request("bot, labelled", pull_request(REPOSITORY, (LABEL,), user=BOT), ADMITTED, LABEL),
    of_pull_request("bot, older", pull_request(REPOSITORY, (f"run-on-gpu:{OLDER[:32]}",), user=BOT), 3, "another"),
    of_pull_request("bot, by hand", {**pull_request(REPOSITORY, user=BOT), "sender": PERSON}, 3, "not a person"),
    of_pull_request("bot's fork", pull_request(FORK, user=BOT), REFUSED, "mallory/gym is a fork, and nobody"),
    of_pull_request("unheard of", pull_request(REPOSITORY, user={**BOT, "type": "Agent"}), REFUSED, "not a person"),
    of_pull_request("no type", without(OWN, "pull_request.user.type"), REFUSED, "no pull_request.user.type"),
    of_pull_request("nobody", pull_request(REPOSITORY, user=None), REFUSED, "no pull_request.user.login"),
    # pull requests that are not what they seem
    of_pull_request("head is no commit", pull_request(REPOSITORY, sha="main"), REFUSED, "not a commit"),
    of_pull_request("head is a number", pull_request(REPOSITORY, sha=7), REFUSED, "head.sha"),
    of_pull_request("another number", with_value(OWN, "number", 8), REFUSED, "not of refs/pull/7/merge"),
    of_pull_request("number is true", with_value(OWN, "number", True), 3, "no number", ref="refs/pull/True/merge"),
    of_pull_request("head instead of merge", OWN, REFUSED, "not of refs/pull/7/head", ref="refs/pull/7/head"),
    of_pull_request("to a fork", with_value(OWN, "pull_request.base.repo", FORK), REFUSED, "not one to octo/gym"),
    of_pull_request("no pull request", without(OWN, "pull_request"), REFUSED, "no pull_request"),
    of_pull_request("no ids", without(OWN, "pull_request.head.repo.id"), REFUSED, "head.repo.id"),
    of_pull_request("of another repository", with_value(OWN, "repository", FORK), REFUSED, "payload is of mallory/gym"),
    of_pull_request("of no repository", without(OWN, "repository"), REFUSED, "no repository.full_name"),
    # other refs than the default branch's
    Case("push to a branch", "push", PUSH, REFUSED, "main alone", ref="refs/heads/other"),
    Case("push of a tag", "push", PUSH, REFUSED, "main alone", ref="refs/tags/main"),
    Case("push, payload of a branch", "push", with_value(PUSH, "ref", "refs/heads/x"), REFUSED, "another ref"),
    Case("push of another repository", "push", with_value(PUSH, "repository", FORK), REFUSED, "mallory/gym"),
    Case("schedule elsewhere", "schedule", {"schedule": "x"}, REFUSED, "main alone", ref="refs/heads/other"),
    Case("by hand elsewhere", "workflow_dispatch", DISPATCH, REFUSED, "main alone", ref="refs/heads/other"),
    Case("by hand, a tag", "workflow_dispatch", DISPATCH, REFUSED, "main alone", ref="refs/tags/v1"),
    Case("by hand, of another", "workflow_dispatch", with_value(DISPATCH, "repository", FORK), REFUSED, "mallory"),
    Case("queue of a branch", "merge_group", with_value(GROUP, "merge_group.base_ref", "refs/heads/x"), 3, "x", QUEUE),
    Case("no queue", "merge_group", with_value(GROUP, "merge_group.head_ref", "refs/heads/x"), 3, "not a branch of",
         "refs/heads/x"),
    Case("another group", "merge_group", with_value(GROUP, "merge_group.head_ref", QUEUE + "x"), 3, "another merge",
         QUEUE),
    Case("group of another", "merge_group", with_value(GROUP, "repository", FORK), REFUSED, "mallory", QUEUE),
    # events
    Case("pull_request_target", "pull_request_target", OWN, REFUSED, "never", ref="refs/heads/main"),
    Case("workflow_run", "workflow_run", PUSH, REFUSED, "never"),
    Case("issue_comment", "issue_comment", PUSH, REFUSED, "never"),
    Case("never, even if listed", "workflow_run", PUSH, 3, "never", allowed=ALLOWED.replace("push", "workflow_run")),
    Case("release", "release", PUSH, REFUSED, "not an event that this check knows"),
    Case("listed, not known", "release", PUSH, 3, "check knows", allowed=ALLOWED.replace("push", "release")),
    Case("push, not listed", "push", PUSH, 3, "not among the events", allowed=ALLOWED.replace(" push", "")),
    # repositories and workflows
    Case("another repository", "push", PUSH, 3, "is for octo/gym", variables={"GITHUB_REPOSITORY": "octo/other"}),
    Case("a fork's own run", "push", PUSH, 3, "is for octo/gym", variables={"GITHUB_REPOSITORY": "mallory/gym"}),
    Case("workflow of another repository", "push", PUSH, 3, "not one of octo/gym", variables={
        "GITHUB_WORKFLOW_REF": "octo/other/.github/workflows/x.yml@refs/heads/main"}),
    Case("workflow of another ref", "push", PUSH, 3, "not one of octo/gym", variables={
        "GITHUB_WORKFLOW_REF": f"{WORKFLOW}@refs/heads/other"}),
    Case("workflow elsewhere", "push", PUSH, 3, "not one of octo/gym", variables={
        "GITHUB_WORKFLOW_REF": "octo/gym/.github/workflows/a/../../x.yml@refs/heads/main"}),
    # nothing is known
    Case("payload is no JSON", "push", "{", REFUSED, "cannot be read"),
    Case("payload is empty", "push", "", REFUSED, "cannot be read"),
    Case("payload is a list", "push", "[]", REFUSED, "not an object"),
    Case("payload has nothing", "push", {}, REFUSED, "no repository.full_name"),
    Case("no payload", "push", PUSH, 3, "cannot be read", variables={"GITHUB_EVENT_PATH": "/nowhere/event.json"}),
    *(
        Case(f"no {name}", "push", PUSH, REFUSED, f"{name} is not set", variables={name: value})
        for name in ("GITHUB_REPOSITORY", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_REF",
                     "GITHUB_WORKFLOW_REF", "GITHUB_ACTOR", "GITHUB_WORKSPACE")
        for value in (None, "")
    ),
    # the list of what may run
    Case("list that a group can write", "push", PUSH, REFUSED, "alone", mode=0o664),
    Case("list that all can write", "push", PUSH, REFUSED, "alone", mode=0o646),
    Case("list without a branch", "push", PUSH, 3, "does not say branch", allowed=ALLOWED.replace("branch=main\n", "")),
    Case("list with a key twice", "push", PUSH, REFUSED, "not understood", allowed=ALLOWED + "repository=octo/x\n"),
    Case("list with an unknown key", "push", PUSH, REFUSED, "not understood", allowed=ALLOWED + "fork=yes\n"),
    Case("list with half a line", "push", PUSH, REFUSED, "not understood", allowed=ALLOWED + "events\n"),
    Case("list with nothing", "push", PUSH, REFUSED, "does not say repository, events, branch", allowed=""),
    # what an earlier job left
    Case("files of an earlier job", "push", PUSH, REFUSED, "an earlier job left",
         prepare=lambda work: (work / "gym" / "gym" / "model.pt").touch()),
    Case("hidden files of an earlier job", "push", PUSH, REFUSED, "an earlier job left",
         prepare=lambda work: (work / "gym" / "gym" / ".git").mkdir()),
    Case("folder of another repository", "push", PUSH, REFUSED, "an earlier job left",
         prepare=lambda work: (work / "other").mkdir()),
    Case("second checkout", "push", PUSH, REFUSED, "an earlier job left",
         prepare=lambda work: (work / "gym" / "again").mkdir()),
    Case("lost+found is a file", "push", PUSH, REFUSED, "an earlier job left",
         prepare=lambda work: (work / "lost+found").touch()),
    Case("lost+found is a link", "push", PUSH, REFUSED, "an earlier job left",
         prepare=lambda work: (work / "lost+found").symlink_to("/")),
    Case("lost+found of another", "push", PUSH, REFUSED, "an earlier job left",
         prepare=lambda work: of_user_1001(work / "lost+found")),
    Case("no folder to work in", "push", PUSH, REFUSED, "no folder",
         prepare=lambda work: (work / "gym" / "gym").rmdir()),
]  # fmt: skip


def ask(folder: Path, case: Case, admission: Path = ADMISSION) -> subprocess.CompletedProcess[str]:
    """Run the check as job-started.sh does, on a folder as the runner makes it."""
    work = folder / "_work"
    for name in ("_temp/_github_workflow", "_actions", "_tool", "_PipelineMapping", "gym/gym"):
        (work / name).mkdir(parents=True)
    event = work / "_temp" / "_github_workflow" / "event.json"
    event.write_text(case.payload if isinstance(case.payload, str) else json.dumps(case.payload))
    allowed = folder / "allowed.conf"
    allowed.write_text(case.allowed)
    allowed.chmod(case.mode)
    case.prepare(work)
    environment: dict[str, str | None] = {
        "GITHUB_REPOSITORY": "octo/gym",
        "GITHUB_EVENT_NAME": case.event,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REF": case.ref,
        "GITHUB_WORKFLOW_REF": f"{WORKFLOW}@{case.ref}",
        "GITHUB_ACTOR": "maintainer",
        "GITHUB_WORKSPACE": str(work / "gym" / "gym"),
        **case.variables,
    }
    return subprocess.run(
        [sys.executable, "-I", str(admission), "--allowed", str(allowed), "--owner", str(os.getuid())],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_job_is_let_in_or_not(tmp_path, case):
    done = ask(tmp_path, case)
    assert (done.returncode, done.stderr) == (case.status, ""), done.stdout
    assert case.reason in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(("place", "admitted"), [("", True), ("gym", False), ("gym/gym", False)])
def test_a_volume_s_own_folder_is_no_earlier_job_s(tmp_path, monkeypatch, place, admitted):
    """A runner of Kubernetes works at the root of a new ext4 volume, of which root's lost+found is a part."""
    workspace = tmp_path / "gym" / "gym"
    workspace.mkdir(parents=True)
    (tmp_path / place / "lost+found").mkdir(mode=0o700)

    def of_root(path):
        mode, inode, device, links, _, *rest = os.stat(path, follow_symlinks=False)
        return os.stat_result((mode, inode, device, links, 0, *rest))

    monkeypatch.setattr(Path, "lstat", of_root)
    with nullcontext() if admitted else pytest.raises(admission.RefusedError, match="an earlier job left"):
        admission.check_workspace(workspace)


def test_a_list_of_somebody_else_s_is_not_believed(tmp_path):
    """Nobody but the named owner may have written it: here the owner is not the one who did."""
    event, allowed = tmp_path / "event.json", tmp_path / "allowed.conf"
    event.write_text(json.dumps(PUSH))
    allowed.write_text(ALLOWED)
    names = ("REPOSITORY", "EVENT_NAME", "REF", "WORKFLOW_REF", "ACTOR", "WORKSPACE")
    environment = {f"GITHUB_{name}": "x" for name in names} | {"GITHUB_EVENT_PATH": str(event)}
    command = [sys.executable, "-I", str(ADMISSION), "--allowed", str(allowed), "--owner", str(os.getuid() + 1)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED
    assert "does not belong to user" in done.stdout


@pytest.mark.parametrize("text", ["x\n::add-path::/x", "x\r::stop-commands::y", "\x1b[2Jé\u2028::error::"])
def test_a_payload_writes_no_line_of_its_own_into_the_log(tmp_path, text):
    """The runner takes a line that begins with :: for a command."""
    done = ask(tmp_path, of_pull_request("", pull_request(FORK, (f"run-on-gpu:{text}",)), REFUSED, ""))
    assert done.returncode == REFUSED
    assert done.stdout.isascii()
    assert done.stdout.rstrip("\n").isprintable()
    assert done.stdout.count("\n") == 1


def test_nothing_of_the_folder_or_the_environment_is_imported(tmp_path):
    """The folder that the hook starts in is one that a workflow can name."""
    (tmp_path / "json.py").write_text("raise SystemExit(0)")
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "json.py"), "PATH": os.environ["PATH"]}
    hook = (ADMISSION.parent / "job-started.sh").read_text()
    assert '"$PYTHON" -I "$hooks/admission.py"' in hook
    command = [sys.executable, "-I", str(ADMISSION), "--allowed", "/nowhere"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED
