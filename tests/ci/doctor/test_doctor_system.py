"""The doctor's checks of the machine, each in its good and its bad states."""

import importlib.metadata
import os
import shutil
import socket
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from ci.doctor import system_checks as checks
from ci.doctor.finding import State
from ci.doctor.machine import Machine

GIGABYTE = 10**9
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def machine(tmp_path):
    for folder in ("dev", "proc/self", "sys/fs/cgroup", "repository"):
        (tmp_path / folder).mkdir(parents=True)
    return Machine(tmp_path / "repository", root=tmp_path)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes programs of a PATH that holds nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return add


@pytest.fixture
def free_bytes(monkeypatch):
    """Sets the free and the total space of every file system."""

    def say(free, total=10**12):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(total, total - free, free))

    return say


def test_python(machine, monkeypatch):
    assert checks.check_python(machine).state is State.OK
    monkeypatch.setattr(checks, "MINIMUM_PYTHON", (99, 1))
    finding = checks.check_python(machine)
    assert (finding.state, finding.remedy) == (State.FIX, "use Python 99.1 or newer")


NUMPY = importlib.metadata.version("numpy")
PYTEST = importlib.metadata.version("pytest")


@pytest.mark.parametrize(
    ("constraints", "dependencies", "dev", "state", "found", "remedy"),
    [
        (f"# tested\nnumpy=={NUMPY}  # here\n", "numpy>=1", "pytest", State.OK, "1, each in the version of", ""),
        (f"numpy=={NUMPY}\nnot-here==1\n", "numpy", "pytest", State.OK, "1, each in the version of", ""),
        (
            f"numpy==0.1\npytest=={PYTEST}\n",
            "numpy",
            "pytest",
            State.FIX,
            f"numpy is {NUMPY}, tested with 0.1",
            "python -m pip install numpy==0.1",
        ),
        (
            "not-here==1\n",
            "not-here",
            "pytest",
            State.FIX,
            "not-here is not installed",
            "python -m pip install -c constraints.txt -e .[dev]",
        ),
        (
            f"numpy=={NUMPY}\n",
            "numpy",
            "not-here",
            State.LOOK,
            "without not-here, which tests and lint need",
            "python -m pip install -c constraints.txt -e .[dev]",
        ),
    ],
)
def test_packages(machine, constraints, dependencies, dev, state, found, remedy):
    (machine.repository / "constraints.txt").write_text(constraints)
    project = f'[project]\ndependencies = ["{dependencies}"]\n[project.optional-dependencies]\ndev = ["{dev}"]\n'
    (machine.repository / "pyproject.toml").write_text(project)
    finding = checks.check_packages(machine)
    assert (finding.state, finding.remedy) == (state, remedy)
    assert found in finding.found


def test_a_build_of_the_right_version_is_no_mismatch(machine, monkeypatch):
    (machine.repository / "constraints.txt").write_text("torch==2.13.0\n")
    (machine.repository / "pyproject.toml").write_text('[project]\ndependencies = ["torch"]\n')
    monkeypatch.setattr(checks, "installed_version", lambda name: "2.13.0+cpu")
    assert checks.check_packages(machine).state is State.OK
    monkeypatch.setattr(checks, "installed_version", lambda name: "2.13.1+cpu")
    assert checks.check_packages(machine).state is State.FIX


def test_git(machine, programs):
    finding = checks.check_git(machine)
    assert (finding.state, finding.remedy) == (State.LOOK, "apt-get install -y git")
    programs("git", "true")
    assert checks.check_git(machine).state is State.OK


def test_an_image_of_changed_code_is_said_to_be_one(machine, monkeypatch):
    monkeypatch.setenv("MIMICKIT_REVISION", "0123456789abcdef-dirty")
    finding = checks.check_checkout(machine)
    assert (finding.state, finding.found) == (State.LOOK, "0123456789ab with changes that are not committed")


def test_checkout(machine, monkeypatch):
    monkeypatch.delenv("MIMICKIT_REVISION", raising=False)
    assert checks.check_checkout(machine).state is State.LOOK
    git = ["git", "-C", str(machine.repository), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (machine.repository / "file").write_text("one\n")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "one"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    finding = checks.check_checkout(machine)
    assert (finding.state, finding.found) == (State.OK, commit[:12])
    (machine.repository / "file").write_text("two\n")
    finding = checks.check_checkout(machine)
    assert (finding.state, finding.found) == (State.LOOK, f"{commit[:12]} with changes that are not committed")


ONE_GPU = "echo 'GPU-0, NVIDIA H100 80GB HBM3, 81559, 570.124.06'"


def test_a_machine_without_gpu_is_fine_and_says_so(machine, programs):
    finding = checks.check_gpu(machine)
    assert finding.state is State.OK
    assert finding.found.startswith("none: cases run on the CPU")
    assert machine.engine == "data/engines/mujoco_engine.yaml"


def test_a_gpu_that_answers(machine, programs):
    programs("nvidia-smi", ONE_GPU)
    (machine.root / "dev" / "nvidia0").touch()
    (machine.root / "dev" / "nvidiactl").touch()
    finding = checks.check_gpu(machine)
    assert finding.state is State.OK
    assert finding.found == "NVIDIA H100 80GB HBM3, 86 GB, driver 570.124.06"
    assert machine.engine == "data/engines/newton_engine.yaml"


def test_a_driver_that_does_not_answer(machine, programs):
    programs("nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not communicate'; exit 9")
    finding = checks.check_gpu(machine)
    assert finding.state is State.FIX
    assert "could not communicate" in finding.found
    assert finding.remedy
    assert machine.engine == "data/engines/mujoco_engine.yaml"


def test_a_gpu_that_the_driver_has_lost(machine, programs):
    programs("nvidia-smi", ONE_GPU)
    for number in (0, 1):
        (machine.root / "dev" / f"nvidia{number}").touch()
    finding = checks.check_gpu(machine)
    assert finding.state is State.FIX
    assert finding.found.startswith("2 NVIDIA devices in /dev, and the driver lists 1 (NVIDIA H100")


@pytest.mark.parametrize(
    ("free", "state"), [(30 * GIGABYTE, State.OK), (3 * GIGABYTE, State.LOOK), (0.7 * GIGABYTE, State.FIX)]
)
def test_disk(machine, free_bytes, free, state):
    free_bytes(free)
    finding = checks.check_disk(machine)
    assert finding.state is state
    assert finding.found.count("GB free") == 3
    assert ("output/train" in finding.remedy) == (state is not State.OK)


def test_a_folder_that_may_not_be_written(machine, free_bytes, monkeypatch):
    free_bytes(30 * GIGABYTE)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != machine.repository)
    finding = checks.check_disk(machine)
    assert finding.state is State.FIX
    assert f"output: {machine.repository} may not be written" in finding.found


@pytest.mark.parametrize(
    ("available", "limit", "used", "state", "found"),
    [
        (8_000_000, "max", "5", State.OK, "8.2 GB free"),
        (2_000_000, "max", "5", State.LOOK, "2.0 GB free"),
        (8_000_000, "4000000000", "3500000000", State.FIX, "0.5 GB free"),
        (8_000_000, "99000000000", "0", State.OK, "8.2 GB free"),
    ],
)
def test_memory_is_the_least_of_machine_and_container(machine, available, limit, used, state, found):
    (machine.root / "proc/meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable:   {available} kB\n")
    (machine.root / "sys/fs/cgroup/memory.max").write_text(f"{limit}\n")
    (machine.root / "sys/fs/cgroup/memory.current").write_text(f"{used}\n")
    finding = checks.check_memory(machine)
    assert finding.state is state
    assert finding.found.startswith(found)


def in_a_job(machine, **limits):
    """The groups of a cluster's job: this process is in a group without limits, the job above it has those given."""
    (machine.root / "proc/self/cgroup").write_text("0::/slurm/job_7/step_0\n")
    job = machine.root / "sys/fs/cgroup/slurm/job_7"
    (job / "step_0").mkdir(parents=True)
    for name, limit in limits.items():
        (job / name.replace("_", ".")).write_text(f"{limit}\n")


def test_memory_is_that_of_the_job_which_this_process_is_in(machine):
    (machine.root / "proc/meminfo").write_text("MemAvailable: 8000000 kB\n")
    in_a_job(machine, memory_max=4 * GIGABYTE, memory_current=2 * GIGABYTE)
    finding = checks.check_memory(machine)
    assert (finding.state, finding.found) == (State.LOOK, "2.0 GB free, which a long run may fill")


def test_cores_are_those_of_the_job_which_this_process_is_in(machine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    in_a_job(machine, cpu_max="300000 100000")
    finding = checks.check_cores(machine)
    assert (finding.state, finding.found) == (State.OK, "3")


def test_memory_that_cannot_be_read(machine):
    assert checks.check_memory(machine).state is State.LOOK


@pytest.mark.parametrize(
    ("mine", "quota", "state", "found"),
    [
        (4, "max 100000", State.OK, "4"),
        (4, "250000 100000", State.OK, "2"),
        (4, "190000 100000", State.LOOK, "1"),
        (4, "50000 100000", State.LOOK, "1"),
        (1, None, State.LOOK, "1"),
    ],
)
def test_cores_are_those_of_the_process_and_its_container(machine, monkeypatch, mine, quota, state, found):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(mine)), raising=False)
    if quota:
        (machine.root / "sys/fs/cgroup/cpu.max").write_text(quota + "\n")
    finding = checks.check_cores(machine)
    assert (finding.state, finding.found) == (state, found)


@pytest.mark.parametrize(
    ("gpus", "total", "state"),
    [
        (0, None, State.OK),
        (0, 64_000_000, State.OK),
        (1, 64_000_000, State.OK),
        (2, 64_000_000, State.FIX),
        (2, None, State.FIX),
        (2, 2 * GIGABYTE, State.OK),
    ],
)
def test_shared_memory_matters_to_several_gpus(machine, programs, free_bytes, gpus, total, state):
    if gpus:
        programs("nvidia-smi", "\n".join(ONE_GPU.replace("GPU-0", f"GPU-{number}") for number in range(gpus)))
    if total:
        (machine.root / "dev/shm").mkdir()
        free_bytes(total, total)
    finding = checks.check_shm(machine)
    assert finding.state is state
    assert bool(finding.remedy) == (state is State.FIX)


def test_ports(machine, monkeypatch):
    assert checks.check_ports(machine).state is State.OK

    def refuse(*arguments, **options):
        raise PermissionError("sockets are not allowed")

    monkeypatch.setattr(socket, "create_connection", refuse)
    finding = checks.check_ports(machine)
    assert finding.state is State.FIX
    assert "sockets are not allowed" in finding.found
