"""What the machine and the checkout say of themselves."""

import subprocess

import pytest

from ci.errors import UsageError
from ci.host import Checkout, Gpu, checkout, free_memory_gb, gpus, host_memory_gb, usable_cores


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a program of that name on the path, which runs the given lines of shell."""

    def answer(script):
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return answer


def test_gpus_have_name_memory_and_driver(nvidia_smi):
    nvidia_smi("echo 'GPU-aa, NVIDIA H100 80GB HBM3, 81559, 570.86.15'; echo 'GPU-bb, NVIDIA GB10, [N/A], 580.1'")
    first, second = gpus()
    assert (first.name, first.driver) == ("NVIDIA H100 80GB HBM3", "570.86.15")
    assert first.memory_gb == pytest.approx(85.52, abs=0.01)
    assert second == Gpu("NVIDIA GB10", host_memory_gb(), "580.1")  # it shares the host's


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'NVIDIA-SMI has failed' >&2; exit 9", "NVIDIA-SMI has failed"),
        ("exit 0", "no output"),
        ("echo 'No devices were found'", "lists no GPU"),
        ("echo 'GPU-aa, H100, many, 570'", "could not convert"),
    ],
)
def test_a_driver_that_does_not_answer_is_no_cpu_machine(nvidia_smi, script, words):
    nvidia_smi(script)
    with pytest.raises(UsageError, match=words):
        gpus()


def git(folder, *arguments):
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_an_image_says_what_it_was_made_from_and_a_checkout_knows_better(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMICKIT_REVISION", "0123abc")
    assert checkout(tmp_path) == Checkout("0123abc", False, "")
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one\n")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "one")
    assert checkout(tmp_path).commit == git(tmp_path, "rev-parse", "HEAD")


@pytest.fixture
def image(tmp_path, monkeypatch):
    """A copy without git, of an image that was made from a changed tree."""
    monkeypatch.setenv("MIMICKIT_REVISION", "0123abc-dirty")
    for name in ("args/a.txt", "ci/host.py", "data/envs/a.yaml", "mimickit/run.py", "mimickit/envs/env.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    return tmp_path


def test_an_image_of_a_changed_tree_is_not_its_commit(image, monkeypatch):
    dirty = checkout(image)
    assert (dirty.commit, dirty.dirty) == ("0123abc", True)
    assert dirty.changes != ""
    assert checkout(image) == dirty
    monkeypatch.setenv("MIMICKIT_REVISION", "-dirty")
    assert checkout(image) == Checkout("unknown", True, dirty.changes)
    monkeypatch.setenv("MIMICKIT_REVISION", "0123abc")
    assert checkout(image) == Checkout("0123abc", False, "")


@pytest.mark.parametrize("changed", [False, True])
def test_what_git_describe_says_of_a_tree_is_understood(tmp_path, monkeypatch, changed):
    """As docs/container.md gives it to the image; a tag does not hide the commit."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    for folder in (source, copy):
        folder.mkdir()
    git(source, "init", "-q")
    (source / "file").write_text("one\n")
    git(source, "add", "file")
    git(source, "commit", "-qm", "one")
    git(source, "tag", "-am", "a tag", "v1")
    (source / "file").write_text("two\n" if changed else "one\n")
    said = git(source, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    monkeypatch.setenv("MIMICKIT_REVISION", said)
    found = checkout(copy)
    assert (found.commit, found.dirty, found.changes != "") == (git(source, "rev-parse", "HEAD"), changed, changed)


@pytest.mark.parametrize("name", ["args/a.txt", "ci/host.py", "data/envs/a.yaml", "mimickit/envs/env.py"])
def test_images_of_differing_code_differ(image, name):
    first = checkout(image)
    (image / name).write_text("something else\n")
    second = checkout(image)
    (image / name).rename(image / f"{name}.bak")
    third = checkout(image)
    assert len({first.changes, second.changes, third.changes}) == 3


@pytest.mark.parametrize(
    "name",
    [
        "data/motions/g1/clip.pkl",
        "data/models/model.pt",
        "mimickit/envs/__pycache__/env.cpython-311.pyc",
        "output/train/a/run.json",
        "notes",
    ],
)
def test_what_a_run_writes_in_an_image_is_none_of_its_code(image, name):
    before = checkout(image)
    (image / name).parent.mkdir(parents=True, exist_ok=True)
    (image / name).write_text("written\n")
    assert checkout(image) == before


def test_a_checkout_is_its_commit_and_what_differs_from_it(tmp_path, monkeypatch):
    monkeypatch.delenv("MIMICKIT_REVISION", raising=False)
    assert checkout(tmp_path) == Checkout("unknown", False, "")
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one\n")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert checkout(tmp_path) == Checkout(commit, False, "")
    (tmp_path / "notes").write_text("of no account\n")
    assert checkout(tmp_path) == Checkout(commit, False, "")
    new = tmp_path / "mimickit" / "new.py"
    new.parent.mkdir()
    new.write_text("1\n")
    added = checkout(tmp_path)
    assert (added.commit, added.dirty) == (commit, True)
    new.write_text("2\n")
    assert checkout(tmp_path).changes not in ("", added.changes)
    new.unlink()
    (tmp_path / "file").write_text("two\n")
    two = checkout(tmp_path)
    assert (two.commit, two.dirty) == (commit, True)
    git(tmp_path, "add", "file")
    assert checkout(tmp_path) == two
    (tmp_path / "file").write_text("three\n")
    assert checkout(tmp_path).changes != two.changes


def test_a_checkout_that_git_does_not_answer_for_is_an_error(tmp_path):
    (tmp_path / ".git").mkdir()
    with pytest.raises(UsageError, match="git cannot say which code this is: .*not a git repository.*safe.directory"):
        checkout(tmp_path)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (None, "abc"),
        ("", ""),
        ("1", "b"),
        ("2,0", "ca"),
        ("GPU-b", "b"),
        ("GPU-b1,0", "ba"),
        ("1,7,0", "b"),  # as CUDA has it: nothing after the first that is not there
        ("-1", ""),
        ("GPU-", ""),
    ],
)
def test_only_what_programs_see_counts(nvidia_smi, monkeypatch, chosen, names):
    nvidia_smi('for x in a b c; do echo "GPU-${x}1, $x, 1000, 570"; done')
    if chosen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert "".join(gpu.name for gpu in gpus()) == names


def test_a_container_s_limits_count(tmp_path):
    machine, cores = host_memory_gb(tmp_path), usable_cores(tmp_path)
    (tmp_path / "memory.max").write_text("7000000000\n")
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert host_memory_gb(tmp_path) == min(7.0, machine)
    assert usable_cores(tmp_path) == cores[:1]
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert (host_memory_gb(tmp_path), usable_cores(tmp_path)) == (machine, cores)


def test_the_limits_of_a_cluster_s_job_count_and_of_all_that_it_is_in(tmp_path):
    """As Slurm has it: the job's group has the memory, a group above it the cores, and others no file at all."""
    member, job = tmp_path / "membership", tmp_path / "system.slice" / "job_7" / "step_0"
    job.mkdir(parents=True)
    machine, cores = host_memory_gb(tmp_path, member), usable_cores(tmp_path, member)
    (job.parent / "memory.max").write_text("2000000000\n")
    (job / "memory.max").write_text("max\n")
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "system.slice" / "cpu.max").write_text("100000 100000\n")
    (job / "cpu.max").write_text("900000 100000\n")
    member.write_text("12:pids:/\n0::/system.slice/job_7/step_0\n")
    assert host_memory_gb(tmp_path, member) == 2.0
    assert usable_cores(tmp_path, member) == cores[:1]
    member.write_text("0::/../../job_9\n")  # of a process that came into this container from outside
    assert host_memory_gb(tmp_path, member) == 3.0
    member.write_text("4:memory:/version_1\n")
    assert (host_memory_gb(tmp_path, member), machine > 3.0) == (3.0, True)


def test_the_free_memory_is_the_least_that_is_left_anywhere(tmp_path):
    """Of 9.0e9 bytes, of which the job may have 4e9 and its step 3e9; what others in the job use counts too."""
    memory, member, step = tmp_path / "meminfo", tmp_path / "membership", tmp_path / "job_7" / "step_0"
    step.mkdir(parents=True)
    assert free_memory_gb(tmp_path, member, memory) is None
    memory.write_text("MemTotal: 99999999 kB\n")
    assert free_memory_gb(tmp_path, member, memory) is None
    memory.write_text("MemTotal: 99999999 kB\nMemAvailable:    8789062 kB\nBuffers: 1 kB\n")
    member.write_text("0::/job_7/step_0\n")
    assert free_memory_gb(tmp_path, member, memory) == 8.999999488
    limits = ((step, 3, 1.0, 2.0), (step.parent, 4, 2.5, 1.5), (tmp_path, "max", 8.0, 1.5))
    for group, limit, used, free in limits:
        (group / "memory.max").write_text(f"{limit}000000000\n" if limit != "max" else "max\n")
        (group / "memory.current").write_text(f"{int(used * 1e9)}\n")
        assert free_memory_gb(tmp_path, member, memory) == free
