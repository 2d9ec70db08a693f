"""A refused job does not go on: job-started.sh, started by a process that stands for the runner's."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.scripts import changed

RUNNER = Path(__file__).resolve().parents[2] / "docker" / "runner"
BASH = shutil.which("bash") or "/bin/bash"
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Machine:
    """A folder with the hook, its list, a docker that says there is nothing, and a job that may run."""

    folder: Path
    environment: dict[str, str]

    @property
    def hook(self) -> Path:
        return self.folder / "hooks" / "job-started.sh"

    @property
    def admitted(self) -> bool:
        return (self.folder / "state" / "admitted").exists()

    def docker(self, script: str) -> None:
        path = self.folder / "docker"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def command(self, between: str = "") -> list[str]:
        """The hook below a Runner.Worker, which says so when it survives, below a Runner.Listener, which must."""
        for name in ("Runner.Listener", "Runner.Worker"):
            link = self.folder / name
            if not link.exists():
                link.symlink_to(BASH)
        hook = f"{between} bash -e {self.hook}; status=$?; echo the steps run >&2; exit $status"
        worker = f"{self.folder}/Runner.Worker -c '{hook}'; status=$?; echo listener: $status; exit 0"
        return [str(self.folder / "Runner.Listener"), "-c", worker]

    def run(self, between: str = "", **variables: str) -> tuple[int, str, str]:
        """Exit code of the worker, and what was written to the two streams of the job's log."""
        environment = {**self.environment, **variables}
        done = subprocess.run(
            self.command(between), env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        log, _, status = done.stdout.partition("listener: ")
        return int(status), log, done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    constants = {
        "ALLOWED": str(tmp_path / "allowed.conf"),
        "OWNER": str(os.getuid()),
        "PYTHON": sys.executable,
        "DOCKER": str(tmp_path / "docker"),
        "LOG_SECONDS": "0",
    }
    changed(RUNNER / "job-started.sh", tmp_path / "hooks" / "job-started.sh", constants)
    shutil.copy(RUNNER / "admission.py", tmp_path / "hooks" / "admission.py")
    (tmp_path / "allowed.conf").write_text("repository=octo/gym\nevents=push\nbranch=main\n")
    (tmp_path / "event.json").write_text(
        json.dumps({"ref": "refs/heads/main", "repository": {"full_name": "octo/gym"}})
    )
    (tmp_path / "work" / "gym" / "gym").mkdir(parents=True)
    (tmp_path / "state").mkdir()
    made = Machine(
        tmp_path,
        {
            "PATH": os.environ["PATH"],
            "GITHUB_REPOSITORY": "octo/gym",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_WORKFLOW_REF": "octo/gym/.github/workflows/nightly.yml@refs/heads/main",
            "GITHUB_ACTOR": "maintainer",
            "GITHUB_WORKSPACE": str(tmp_path / "work" / "gym" / "gym"),
            "MIMICKIT_RUNNER_STATE": str(tmp_path / "state"),
            "MIMICKIT_RUNNER_INSTANCE": "3",
        },
    )
    made.docker("exit 0")
    return made


def is_refused(machine: Machine, reason: str, between: str = "", **variables: str) -> None:
    """The worker is dead before its steps, one line of its log says why, and no container may start."""
    status, log, errors = machine.run(between, **variables)
    assert status == 128 + signal.SIGKILL
    assert "the steps run" not in errors.splitlines()
    (line,) = (line for line in errors.splitlines() if line.startswith("::error::"))
    assert reason in line, errors
    assert not machine.admitted
    assert "may run here:" not in log


def test_a_job_that_may_run_does(machine):
    status, log, errors = machine.run()
    assert (status, errors) == (0, "the steps run\n")
    assert "This job may run here: a push to main, for maintainer." in log
    assert machine.admitted


def test_a_refused_job_ends_with_the_process_that_would_run_its_steps(machine):
    """A step that says if: always() would run after an exit code alone."""
    is_refused(machine, "push may start jobs for main alone", GITHUB_REF="refs/heads/x",
               GITHUB_WORKFLOW_REF="octo/gym/.github/workflows/nightly.yml@refs/heads/x")  # fmt: skip


def test_a_shell_between_does_not_save_it(machine):
    between = machine.folder / "between.sh"
    between.write_text('"$@"; true\n')
    is_refused(machine, "this machine is for octo/gym", f"sh {between}", GITHUB_REPOSITORY="mallory/gym")


def test_a_worker_of_another_name_is_ended_too(machine):
    parent = subprocess.run(
        [BASH, "-c", f"bash -e {machine.hook}; echo the steps run"],
        env={**machine.environment, "GITHUB_REPOSITORY": "mallory/gym"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (parent.returncode, parent.stdout) == (KILLED, "")


@pytest.mark.parametrize(
    "broken", ["raise ValueError('x\\ny')", "def", "import nothing_of_this_name", "raise SystemExit(7)"]
)
def test_a_check_that_breaks_is_a_refusal(machine, broken):
    (machine.folder / "hooks" / "admission.py").write_text(broken)
    is_refused(machine, "the check of it ended with")


def test_a_check_that_is_not_there_is_a_refusal(machine):
    (machine.folder / "hooks" / "admission.py").unlink()
    is_refused(machine, "the check of it ended with 2")


def test_a_python_that_is_not_there_is_a_refusal(machine):
    text = machine.hook.read_text().replace(f"readonly PYTHON={sys.executable}", "readonly PYTHON=/nowhere/python3")
    machine.hook.write_text(text)
    is_refused(machine, "the check of it ended with 127")


def test_a_hook_that_fails_on_its_way_is_a_refusal(machine):
    """Whatever fails: nothing but the end of the file lets a job in."""
    marker = ': > "$state/admitted"'
    text = machine.hook.read_text()
    assert text.count(marker) == 1
    machine.hook.write_text(text.replace(marker, "false"))
    is_refused(machine, "did not come to its end")


@pytest.mark.parametrize("state", ["", "/nowhere"])
def test_a_runner_without_a_folder_of_its_own_is_refused(machine, state):
    is_refused(machine, "MIMICKIT_RUNNER_STATE", MIMICKIT_RUNNER_STATE=state)


def test_a_runner_has_one_job(machine):
    machine.run()
    status, _, errors = machine.run()
    assert status == 128 + signal.SIGKILL
    assert "this runner has had its one job" in errors


def test_containers_of_an_earlier_job_are_a_refusal(machine):
    """Those with the runner's own number; docker is asked for no others."""
    machine.docker('[ "$*" = "ps --all --quiet --filter label=mimickit-runner=3" ] && echo 0123')
    is_refused(machine, "an earlier job has left containers")


def test_a_docker_that_does_not_answer_is_a_refusal(machine):
    machine.docker("exit 1")
    is_refused(machine, "docker does not say")


def test_without_docker_nobody_is_asked_for_containers(machine):
    """A pod of Kubernetes has no number, and nothing of an earlier job."""
    machine.docker("exit 1")
    del machine.environment["MIMICKIT_RUNNER_INSTANCE"]
    assert machine.run()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_cancelled_run_does_not_save_the_job(machine, number):
    """The runner sends these when a run is cancelled, and goes on to the always() steps of its job."""
    text = machine.hook.read_text()
    machine.hook.write_text(text.replace("readonly LOG_SECONDS=0", "readonly LOG_SECONDS=1"))
    environment = {**machine.environment, "GITHUB_REPOSITORY": "mallory/gym"}
    process = subprocess.Popen(
        machine.command(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    hook = wait_for_hook(machine.hook)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("::error::")
    os.kill(hook, number)
    out, errors = process.communicate(timeout=60)
    assert out == f"listener: {128 + signal.SIGKILL}\n"
    assert "the steps run" not in errors.splitlines()


def wait_for_hook(hook: Path) -> int:
    """The process that runs the hook."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[1:3] == [b"-e", str(hook).encode()]:
                return int(path.parent.name)
        time.sleep(0.01)
    raise AssertionError("the hook was not started")


def test_a_refusal_is_told_to_the_machine_s_journal(machine):
    """Of a job whose log GitHub lost with its worker."""
    (machine.folder / "bin").mkdir()
    logger = machine.folder / "bin" / "logger"
    logger.write_text(f'#!/bin/sh\necho "$@" > {machine.folder}/journal\n')
    logger.chmod(0o755)
    text = machine.hook.read_text()
    assert text.count("PATH=/usr/sbin:/usr/bin:/sbin:/bin\n") == 1
    machine.hook.write_text(text.replace("PATH=/usr/sbin", f"PATH={machine.folder}/bin:/usr/sbin"))
    is_refused(machine, "this machine is for octo/gym", GITHUB_REPOSITORY="mallory/gym", GITHUB_RUN_ID="42")
    assert "mallory/gym run 42: This job may not run here" in (machine.folder / "journal").read_text()
