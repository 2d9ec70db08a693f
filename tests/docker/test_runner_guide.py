"""What docs/self-hosted-runners.md has people do: settings, the review of a fork, the owners of what the gate runs."""

import fnmatch
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
GUIDE = (REPOSITORY / "docs" / "self-hosted-runners.md").read_text()
# What a change could pass itself with: the workflows, the gate and its packages, the image and the hooks.
GATE = [".github/workflows/pull-request.yml", ".github/actions/verdict/action.yml", "ci/gate/jobs.py"]
GATE += ["docker/Dockerfile", "docker/runner/admission.py", "constraints.txt", "pyproject.toml"]


def test_settings_have_their_variables_and_are_as_committed():
    committed = json.loads((REPOSITORY / ".github" / "matrix.json").read_text())
    rows = re.findall(r"^\| `(\w+)` \| `(MIMICKIT_\w+)` \| `(.*?)` \|", GUIDE, re.MULTILINE)
    assert {name for name, _, _ in rows} == {"runner_labels", "max_parallel", "shards", "profile"}
    for name, variable, text in rows:
        assert variable == f"MIMICKIT_{name.upper()}"
        assert text in (committed[name], json.dumps(committed[name]))


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *identity, "-C", str(folder), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A maintainer's clone, of a repository with a fork's pull request 7."""
    there = tmp_path / "there"
    there.mkdir()
    git(there, "init", "--initial-branch", "main")
    (there / "train.py").write_text("print('gym')\n")
    git(there, "add", ".")
    git(there, "commit", "--message", "first")
    git(tmp_path, "clone", "there", "here")
    git(there, "switch", "--create", "fork")
    (there / ".gitattributes").write_text("* -diff\n")
    (there / "hidden.py").write_text("steal('hidden by an attribute')\n")
    git(there, "add", ".")
    git(there, "commit", "--message", "second")
    git(there, "switch", "main")
    (there / "later.py").write_text("print('of main')\n")
    git(there, "add", ".")
    git(there, "commit", "--message", "third")
    git(there, "switch", "fork")
    git(there, "merge", "--no-commit", "main")
    (there / "merged.py").write_text("steal('hidden in a merge')\n")
    git(there, "add", ".")
    git(there, "commit", "--message", "merge")
    git(there, "update-ref", "refs/pull/7/head", "HEAD")
    git(there, "switch", "main")
    (there / "latest.py").write_text("print('of main')\n")
    git(there, "add", ".")
    git(there, "commit", "--message", "fourth")
    return tmp_path / "here"


def review(folder: Path) -> str:
    """Run the guide's own lines, but for those of gh, for pull request 7; the label at the end."""
    (block,) = (block for block in re.findall(r"^```\n(.*?)^```", GUIDE, re.M | re.S) if "run-on-gpu" in block)
    lines = [line.replace("N", "7") for line in block.splitlines() if not line.startswith("gh ")]
    script = "\n".join(["set -e", *lines, 'echo "$label"'])
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["bash", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_a_review_shows_what_a_fork_would_hide(checkout):
    shown = review(checkout).splitlines()
    assert "+steal('hidden by an attribute')" in shown
    assert "+steal('hidden in a merge')" in shown
    assert not [line for line in shown if "of main" in line]  # no change of the fork's


def test_the_label_is_of_what_was_read_and_nothing_is_checked_out(checkout):
    before = git(checkout, "rev-parse", "HEAD")
    head = git(checkout, "ls-remote", "origin", "refs/pull/7/head").split()[0]
    assert review(checkout).splitlines()[-1] == f"run-on-gpu:{head[:32]}"
    assert git(checkout, "rev-parse", "HEAD") == before
    assert sorted(path.name for path in checkout.iterdir()) == [".git", "train.py"]


def test_a_fork_that_was_written_anew_is_read_anew(checkout):
    review(checkout)
    there = checkout.parent / "there"
    git(there, "switch", "--detach", "main")
    (there / "other.py").write_text("steal('in a second attempt')\n")
    git(there, "add", ".")
    git(there, "commit", "--message", "other")
    git(there, "update-ref", "refs/pull/7/head", "HEAD")
    head = git(there, "rev-parse", "HEAD").strip()
    shown = review(checkout).splitlines()
    assert "+steal('in a second attempt')" in shown
    assert shown[-1] == f"run-on-gpu:{head[:32]}"


def is_owned(path: str) -> bool:
    """By the lines of CODEOWNERS that the guide shows: of a folder, or of files directly in one."""
    patterns = [pattern.removeprefix("/") for pattern in re.findall(r"^ +(/\S+) +@OWNER$", GUIDE, re.MULTILINE)]
    assert patterns
    return any(
        path.startswith(pattern)
        if pattern.endswith("/")
        else fnmatch.fnmatch(path, pattern) and path.count("/") == pattern.count("/")
        for pattern in patterns
    )


@pytest.mark.parametrize("path", GATE)
def test_what_the_gate_is_made_of_has_owners(path):
    assert (REPOSITORY / path).is_file()
    assert is_owned(path)


def test_what_the_gate_imports_has_owners():
    """all_pass runs `ci merge` of the pull request's own checkout, on a plan that its `ci matrix` made."""
    program = "import sys, ci.merge.command, ci.plan.command\n"
    program += "ours = [m for name, m in sys.modules.items() if name.split('.')[0] in ('ci', 'mimickit')]\n"
    program += "print(*(module.__file__ for module in ours), sep='\\n')"
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    imported = [str(Path(line).relative_to(REPOSITORY)) for line in printed.splitlines()]
    assert "ci/merge/command.py" in imported
    assert [path for path in imported if not is_owned(path)] == []
