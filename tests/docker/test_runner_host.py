"""What a host of runners does around a job: the docker that a runner finds, cleaning, a new runner for every job."""

import getpass
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.docker.scripts import changed

RUNNER = Path(__file__).resolve().parents[2] / "docker" / "runner"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


# --- the docker that a runner finds

JOB = ["create", "--name", "x", "--user", "1001", "--gpus", "all", "--cap-drop", "ALL", "image", "-f", "/dev/null"]


def gate(folder: Path, runner: str, admitted: bool = True) -> Path:
    """The gate of one runner, before a docker that writes down what it is asked for."""
    docker = script(folder / "real-docker", f'printf "%s\\n" "$@" > {folder}/asked\n')
    state = folder / "states" / runner / "state"
    state.mkdir(parents=True, exist_ok=True)
    if admitted:
        (state / "admitted").touch()
    made = {"DOCKER": docker, "STATES": folder / "states"}
    return changed(RUNNER / "docker-gate.sh", folder / "gates" / runner / "docker", made)


def asked(folder: Path, runner: str, words: Sequence[str]) -> list[str]:
    subprocess.run([gate(folder, runner), *words], check=True, timeout=60)
    return (folder / "asked").read_text().splitlines()


@pytest.mark.parametrize("words", [JOB, ["version"], ["pull", "image"], ["run", "image"], ["exec", "x", "sh"], []])
def test_docker_does_nothing_for_a_job_that_was_not_admitted(tmp_path, words):
    done = subprocess.run([gate(tmp_path, "3", admitted=False), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has not admitted this job" in done.stderr
    assert not (tmp_path / "asked").exists()


def test_a_runner_does_not_pass_for_another(tmp_path):
    gate(tmp_path, "2")
    done = subprocess.run([gate(tmp_path, "3", admitted=False), "version"], check=False)
    assert done.returncode == 1


def test_a_job_gets_the_runner_s_gpu_and_number(tmp_path):
    expected = ["create", "--label", "mimickit-runner=3", *JOB[1:]]
    expected[expected.index("all")] = "device=3"
    assert asked(tmp_path, "3", JOB) == expected


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        (["--gpus=all"], ["--gpus=device=3"]),
        (["--gpus", '"device=0,1"'], ["--gpus", "device=3"]),
        (["--gpus", "2", "--gpus=all"], ["--gpus", "device=3", "--gpus=device=3"]),
        (["--gpus"], ["--gpus", "device=3"]),
        (["-e", "A=--gpus all b"], ["-e", "A=--gpus all b"]),
        (["-e", "A=two\twords", ""], ["-e", "A=two\twords", ""]),
    ],
)
def test_whatever_a_workflow_says_of_gpus(tmp_path, given, passed_on):
    assert asked(tmp_path, "3", ["run", *given]) == ["run", "--label", "mimickit-runner=3", *passed_on]


def test_a_runner_for_all_gpus_leaves_them_as_they_are(tmp_path):
    assert asked(tmp_path, "all", JOB) == ["create", "--label", "mimickit-runner=all", *JOB[1:]]


@pytest.mark.parametrize(
    ("words", "passed_on"),
    [
        (["network", "create", "n"], ["network", "create", "--label", "mimickit-runner=3", "n"]),
        (["volume", "create", "n"], ["volume", "create", "--label", "mimickit-runner=3", "n"]),
        (["network", "rm", "n"], ["network", "rm", "n"]),
        (["exec", "-i", "x", "sh", "-c", "--gpus all"], ["exec", "-i", "x", "sh", "-c", "--gpus all"]),
        (["--config", "c", "pull", "--gpus"], ["--config", "c", "pull", "--gpus"]),
    ],
)
def test_other_commands(tmp_path, words, passed_on):
    assert asked(tmp_path, "3", words) == passed_on


def test_a_step_s_variables_run_nothing_in_the_gate(tmp_path):
    """The runner gives docker the variables of the step, and bash would run some of them."""
    environment = {
        "PATH": os.environ["PATH"],
        "BASH_ENV": f"$(touch {tmp_path}/ran)",
        "ENV": f"$(touch {tmp_path}/ran)",
        "SHELLOPTS": "xtrace",
        "PS4": f"$(touch {tmp_path}/ran)",
        "BASH_FUNC_exec%%": f"() {{ touch {tmp_path}/ran; }}",
        "BASH_FUNC_set%%": f"() {{ touch {tmp_path}/ran; }}",
    }
    subprocess.run([gate(tmp_path, "3"), "version"], env=environment, check=True, timeout=60)
    assert (tmp_path / "asked").read_text() == "version\n"
    assert not (tmp_path / "ran").exists()


def test_a_container_of_kubernetes_waits_for_the_hook_too(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.fail("needs node: apt-get install -y --no-install-recommends nodejs")
    text = (RUNNER / "container-gate.js").read_text()
    for old, new in (("/run/mimickit-runner", str(tmp_path)), ("/home/runner/k8s/index.js", str(tmp_path / "k8s.js"))):
        assert text.count(f"'{old}") == 1
        text = text.replace(old, new)
    (tmp_path / "gate.js").write_text(text)
    (tmp_path / "k8s.js").write_text("process.stdin.pipe(process.stdout)\n")
    command = [node, tmp_path / "gate.js"]
    before = subprocess.run(command, input="{}", capture_output=True, text=True, timeout=60, check=False)
    assert (before.returncode, before.stdout) == (1, "")
    assert "has not admitted this job" in before.stderr
    (tmp_path / "admitted").touch()
    after = subprocess.run(command, input="{}", capture_output=True, text=True, timeout=60, check=False)
    assert (after.returncode, after.stdout) == (0, "{}")


# --- after a job

LABEL = "label=mimickit-runner=3"
WORLD = {
    f"ps --all --quiet --no-trunc --filter {LABEL}": "c1\n",
    "ps --all --quiet --no-trunc": "c0\nc1\nc2\n",
    f"network ls --quiet --filter {LABEL}": "n1\n",
    f"volume ls --quiet --filter {LABEL}": "v1\n",
    "volume ls --quiet": "v0\nv1\nv2\nbusy\n",
}


def clean(
    folder: Path, world: Mapping[str, str] = WORLD, runners: int = 1, argument: str = "3"
) -> tuple[int, list[str]]:
    """Run the cleaning on a made docker: exit code, and what was removed."""
    cases = "".join(f"'{question}') printf '{answer}' ;;\n" for question, answer in world.items())
    cases += "*' rm '*busy) exit 1 ;;\n"
    removed = folder / "removed"
    text = f'case "$*" in *" rm "*) echo "$*" >> {removed} ;; esac\ncase "$*" in\n{cases}esac\n'
    constants = {
        "FOLDERS": folder / "folders",
        "STATES": folder / "states",
        "RUNNERS": folder / "gates",
        "DOCKER": script(folder / "world-docker", text),
    }
    for number in range(3, 3 + runners):
        (folder / "gates" / str(number)).mkdir(parents=True, exist_ok=True)
    for place in ("folders/3/_work/gym", "states/3/state", "folders/4"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "states" / "3" / "containers.before").write_text("c0\n")
    (folder / "states" / "3" / "volumes.before").write_text("v0\n")
    cleaner = changed(RUNNER / "job-completed.sh", folder / "job-completed.sh", constants)
    environment = {"PATH": os.environ["PATH"], "MIMICKIT_RUNNER_INSTANCE": "3"}
    done = subprocess.run(
        [cleaner, *([argument] if argument else [])], env=environment, capture_output=True, timeout=60, check=False
    )
    return done.returncode, removed.read_text().splitlines() if removed.exists() else []


def test_the_only_runner_removes_all_that_was_not_there_before(tmp_path):
    status, removed = clean(tmp_path)
    assert status == 0
    assert [line.replace("container rm --force --volumes", "container rm") for line in removed] == [
        "container rm c1",
        "container rm c2",
        "network rm n1",
        "volume rm busy",
        "volume rm v1",
        "volume rm v2",
    ]


def test_one_of_several_runners_removes_the_containers_of_its_own(tmp_path):
    _, removed = clean(tmp_path, runners=2)
    assert "container rm --force --volumes c1" in removed
    assert not [line for line in removed if "c2" in line or "c0" in line]


def test_the_runner_s_folders_go_and_another_s_stay(tmp_path):
    (tmp_path / "folders" / "3" / "_work").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (tmp_path / "folders" / "3" / "_work" / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "folders" / "3" / ".env").touch()
    assert clean(tmp_path)[0] == 0
    assert sorted(path.name for path in (tmp_path / "folders").iterdir()) == ["4"]
    assert sorted((tmp_path / "states").iterdir()) == []
    assert (tmp_path / "precious").exists()


def test_cleaning_that_failed_says_so(tmp_path):
    """prepare.sh then lets no further job in."""
    cases = dict(WORLD)
    cases[f"ps --all --quiet --no-trunc --filter {LABEL}"] = "busy\n"
    assert clean(tmp_path, cases)[0] == 1


@pytest.mark.parametrize("argument", ["", "..", "3/../..", "3 4", "-1", "*"])
def test_a_name_that_is_no_runner_s_is_refused(tmp_path, argument):
    """Nor does the variable name one that a hook of the runner would have: this is none."""
    assert clean(tmp_path, argument=argument) == (2, [])


# --- before a job


def prepared(folder: Path, free_gb: int = 0, cleaning: str = "exit 0", jit: str | None = "echo JIT=$1") -> int:
    """Run the preparation of runner 3 with a made docker, and programs of two files."""
    docker = f'case "$1" in info) echo {folder} ;; ps) echo c1; echo c0 ;; volume) echo v0 ;;'
    docker += f" image) touch {folder}/pruned ;; esac\n"
    constants = {
        "SETTINGS": folder / "settings",
        "PROGRAM": folder / "program",
        "FOLDERS": folder / "folders",
        "STATES": folder / "states",
        "OWNER": getpass.getuser(),
        "DOCKER": script(folder / "docker", docker),
        "FREE_GB": free_gb,
    }
    script(folder / "program" / "hooks" / "job-completed.sh", f'echo "$@" > {folder}/cleaned\n{cleaning}\n')
    script(folder / "program" / "runner" / "run.sh", "")
    if jit is not None:
        script(folder / "settings" / "jit-command", jit + "\n")
    command = [changed(RUNNER / "prepare.sh", folder / "prepare.sh", constants), "3"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def test_a_runner_is_new_for_every_job(tmp_path):
    assert prepared(tmp_path) == 0
    assert (tmp_path / "cleaned").read_text() == "3\n"
    assert (tmp_path / "folders" / "3" / "run.sh").stat().st_mode & 0o777 == 0o755
    states = tmp_path / "states" / "3"
    assert stat.S_IMODE((states / "jit.env").stat().st_mode) == 0o600
    assert re.fullmatch(r"JIT=[\w.-]+-3-\d+\n", (states / "jit.env").read_text())
    assert stat.S_IMODE((states / "state").stat().st_mode) == 0o700
    assert list((states / "state").iterdir()) == []
    assert (states / "containers.before").read_text() == "c0\nc1\n"
    assert (states / "volumes.before").read_text() == "v0\n"
    assert not (tmp_path / "pruned").exists()


def test_no_job_where_an_earlier_one_could_not_be_removed(tmp_path):
    assert prepared(tmp_path, cleaning="exit 1") != 0
    assert not (tmp_path / "states").exists()


def test_no_job_without_a_configuration(tmp_path):
    assert prepared(tmp_path, jit="exit 1") != 0


def test_no_job_on_a_full_disk(tmp_path):
    assert prepared(tmp_path, free_gb=10**9) != 0
    assert (tmp_path / "pruned").exists()
    assert not (tmp_path / "folders").exists()
