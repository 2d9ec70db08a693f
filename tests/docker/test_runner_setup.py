"""Setting up a host of runners: what it would do, what it writes, and what it refuses."""

import configparser
import hashlib
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

RUNNER = Path(__file__).resolve().parents[2] / "docker" / "runner"
SCRIPTS = sorted(path.name for path in RUNNER.glob("*.sh"))
DIGEST = "0123456789abcdef" * 4
ASKED = ["--repository", "octo/gym", "--runner-version", "2.330.0", "--runner-sha256", DIGEST]
TOKEN = "github_pat_" + "y" * 40


def setup(*options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or os.environ["PATH"], "HOME": "/nonexistent"}
    command = ["bash", str(RUNNER / "setup.sh"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def planned(*options: str) -> list[str]:
    """What a dry run says."""
    done = setup(*ASKED, *options, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_bash(name):
    subprocess.run(["bash", "-n", str(RUNNER / name)], check=True)
    assert os.access(RUNNER / name, os.X_OK)


def test_a_dry_run_says_everything_and_does_nothing(tmp_path):
    """On a machine that has none of what a host needs: no docker, no curl, no systemctl."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "cat", "dirname", "id", "sed"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    done = setup(*ASKED, "--token-file", str(token), "--gpus", "0,1", "--dry-run", path=str(tools))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    wanted = [
        r"\+ docker run --rm --gpus all nvidia/cuda:\S+ nvidia-smi --list-gpus",
        rf"\+ install --mode 600 {token} download/token",
        r"\+ curl .*--proto =https .*https://github\.com/actions/runner/releases/download/v2\.330\.0/"
        r"actions-runner-linux-x64-2\.330\.0\.tar\.gz",
        rf"\+ sha256sum --check: .* must have {DIGEST}",
        r"\+ tar --extract .* /opt/mimickit-runner\.new/runner",
        r"\+ install --mode 755 .*job-started\.sh .*job-completed\.sh /opt/mimickit-runner\.new/hooks/",
        r"\+ install -D --mode 755 .*docker-gate\.sh /opt/mimickit-runner\.new/docker/0/docker",
        r"\+ install -D --mode 755 .*docker-gate\.sh /opt/mimickit-runner\.new/docker/1/docker",
        r"\+ systemctl disable --now every mimickit-runner@N",
        r"\+ mv /opt/mimickit-runner\.new /opt/mimickit-runner",
        r"\+ write /etc/mimickit-runner/allowed\.conf with mode 644:",
        r"    repository=octo/gym",
        r"    events=pull_request push schedule workflow_dispatch merge_group",
        r"    branch=main",
        r"    scope=repos/octo/gym",
        r"    labels=self-hosted,linux,x64,gpu",
        r"\+ install --mode 600 download/token /etc/mimickit-runner/token",
        r"\+ useradd --uid 1001 .* runner",
        r"\+ systemctl enable --now mimickit-runner@0",
        r"\+ systemctl enable --now mimickit-runner@1",
    ]
    places = [next((n for n, line in enumerate(lines) if re.fullmatch(each, line)), -1) for each in wanted]
    assert -1 not in places, [each for each, place in zip(wanted, places, strict=True) if place < 0]
    assert places == sorted(places)
    assert TOKEN not in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "token"]


def test_one_runner_with_all_gpus_unless_told_otherwise():
    units = [line for line in planned("--token-file", "t") if "systemctl enable" in line]
    assert units == ["+ systemctl enable --now mimickit-runner@all"]


def test_options_reach_the_files():
    lines = planned(
        "--jit-command", "j", "--labels", "a,b", "--scope", "orgs/octo", "--group", "5", "--branch", "trunk"
    )
    assert {"    labels=a,b", "    scope=orgs/octo", "    group=5", "    branch=trunk"} < set(lines)
    assert "+ install --mode 700 j download/jit-command" in lines
    assert "+ install --mode 700 download/jit-command /etc/mimickit-runner/jit-command" in lines
    assert not [line for line in lines if line.startswith("+ install --mode 600")]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--repository", "octo"], "--repository must be OWNER/NAME"),
        (["--repository", "octo/gym\nevents=x"], "--repository must be OWNER/NAME"),
        (["--runner-version", "latest"], "--runner-version must be X.Y.Z"),
        (["--runner-sha256", "0123"], "https://github.com/actions/runner/releases/tag/v2.330.0"),
        (["--runner-sha256", DIGEST.upper()], "must be the 64 digits"),
        (["--gpus", "0;1"], "--gpus must be"),
        (["--labels", "a b"], "--labels must be"),
        (["--scope", "octo/gym"], "--scope must be"),
        (["--events", "push pull_request_target"], "pull_request_target never runs"),
        (["--events", "workflow_run"], "workflow_run never runs"),
        (["--branch", "main\nx=y"], "--branch is no branch"),
        (["--group", "x"], "--group must be a number"),
        (["--jit-command", "j"], "give one of --token-file and --jit-command"),
        (["--fast"], "unknown option --fast"),
        (["--labels"], "--labels wants a value"),
    ],
)
def test_what_makes_no_sense_is_refused(options, reason):
    done = setup(*ASKED, "--token-file", "t", "--dry-run", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


@pytest.mark.parametrize("left_out", ["--repository", "--runner-version", "--runner-sha256", "--token-file"])
def test_what_must_be_said(left_out):
    options = [*ASKED, "--token-file", "t"]
    place = options.index(left_out)
    done = setup(*options[:place], *options[place + 2 :], "--dry-run")
    assert done.returncode == 2
    assert left_out in done.stderr


def archive(folder: Path) -> tuple[Path, str]:
    """An archive as the runner's, and its SHA-256."""
    path = folder / "runner.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        member = tarfile.TarInfo("run.sh")
        member.mode = 0o755
        member.size = 4
        packed.addfile(member, io.BytesIO(b"true"))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def installed(folder: Path, digest: str | None = None) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Write a host's files below a folder."""
    packed, right = archive(folder)
    token = folder / "token"
    token.write_text(TOKEN)
    options = ["--repository", "octo/gym", "--runner-version", "2.330.0", "--runner-sha256", digest or right]
    options += ["--runner-archive", str(packed), "--token-file", str(token), "--gpus", "0,1"]
    root = folder / "root"
    return root, setup(*options, "--root", str(root))


def test_what_is_written(tmp_path):
    root, done = installed(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    modes = {
        str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()
    }
    assert modes == {
        "etc/mimickit-runner/allowed.conf": 0o644,
        "etc/mimickit-runner/runner.conf": 0o644,
        "etc/mimickit-runner/token": 0o600,
        "etc/systemd/system/mimickit-runner@.service": 0o644,
        "opt/mimickit-runner/bin/jit_config.py": 0o644,
        "opt/mimickit-runner/bin/prepare.sh": 0o755,
        "opt/mimickit-runner/docker/0/docker": 0o755,
        "opt/mimickit-runner/docker/1/docker": 0o755,
        "opt/mimickit-runner/hooks/admission.py": 0o644,
        "opt/mimickit-runner/hooks/job-completed.sh": 0o755,
        "opt/mimickit-runner/hooks/job-started.sh": 0o755,
        "opt/mimickit-runner/runner/run.sh": 0o755,
    }
    folders = [path for path in root.rglob("*") if path.is_dir()]
    assert not [path for path in folders if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)]
    for name in ("job-started.sh", "job-completed.sh", "admission.py"):
        assert (root / "opt/mimickit-runner/hooks" / name).read_bytes() == (RUNNER / name).read_bytes()


def test_the_list_that_is_written_is_the_one_that_the_hook_reads(tmp_path):
    root, _ = installed(tmp_path)
    program = (
        f"import sys; sys.path.insert(0, {str(RUNNER)!r}); import admission, pathlib;"
        f"print(admission.read_allowed(pathlib.Path(sys.argv[1]), {os.getuid()}))"
    )
    command = [sys.executable, "-B", "-c", program, str(root / "etc/mimickit-runner/allowed.conf")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Allowed(repository='octo/gym', events=frozenset(")
    assert "branch='main'" in said
    assert said.count("'pull_request'") == 1


def test_setting_up_again_changes_the_version_and_the_gpus(tmp_path):
    root, _ = installed(tmp_path)
    (root / "opt/mimickit-runner/runner/old").touch()
    (root / "opt/mimickit-runner/docker/7").mkdir()
    installed(tmp_path)
    assert not (root / "opt/mimickit-runner/runner/old").exists()
    assert sorted(path.name for path in (root / "opt/mimickit-runner/docker").iterdir()) == ["0", "1"]


def test_an_archive_that_was_not_released_is_not_unpacked(tmp_path):
    root, done = installed(tmp_path, DIGEST)
    assert done.returncode == 2
    assert "is not what was released" in done.stderr
    assert not root.exists()


def test_removing_says_what_goes():
    done = setup("--remove", "--dry-run")
    assert done.returncode == 0
    for place in ("/opt/mimickit-runner", "/etc/mimickit-runner", "/var/lib/mimickit-runner", "/run/mimickit-runner"):
        assert re.search(rf"\+ rm --recursive .*{place}( |$)", done.stdout, re.MULTILINE)
    assert "+ rm --force /etc/systemd/system/mimickit-runner@.service" in done.stdout
    assert "+ userdel runner" in done.stdout


def unit() -> list[tuple[str, str]]:
    """Key and value of every line of the unit; keys may come more than once."""
    lines = (RUNNER / "mimickit-runner@.service").read_text().splitlines()
    parts = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return [(key, value) for key, _, value in parts]


def test_the_unit_starts_what_setup_installs():
    values = dict(unit())
    environment = dict(value.split("=", 1) for key, value in unit() if key == "Environment")
    assert (values["User"], values["Restart"], values["NoNewPrivileges"]) == ("runner", "always", "yes")
    assert values["ExecStartPre"] == "+/opt/mimickit-runner/bin/prepare.sh %i"
    assert values["ExecStopPost"] == "+/opt/mimickit-runner/hooks/job-completed.sh %i"
    assert environment["ACTIONS_RUNNER_HOOK_JOB_STARTED"] == "/opt/mimickit-runner/hooks/job-started.sh"
    assert environment["ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER"] == "true"
    assert environment["PATH"].split(":")[0] == "/opt/mimickit-runner/docker/%i"
    assert environment["MIMICKIT_RUNNER_STATE"] == "/run/mimickit-runner/%i/state"
    assert "ACTIONS_RUNNER_HOOK_JOB_COMPLETED" not in environment  # a job can choose the bash that would run it
    assert not [name for name in environment if "TOKEN" in name]


def test_a_stop_waits_until_the_runner_has_ended_its_job():
    """Otherwise run.sh dies at the signal, and what cleans up runs beside the job."""
    lines = unit()
    assert ("Environment", "RUNNER_MANUALLY_TRAP_SIG=1") in lines
    assert dict(lines)["KillMode"] == "mixed"  # the signal is for run.sh, which passes it on
    assert int(dict(lines)["TimeoutStopSec"]) > 300  # the runner gives a cancelled job five minutes


def test_paths_are_the_same_in_every_file():
    """What one script writes, another reads."""
    constants: dict[str, set[str]] = {}
    for name in SCRIPTS:
        for key, value in re.findall(r"^readonly ([A-Z]+)=(/\S+)", (RUNNER / name).read_text(), re.MULTILINE):
            constants.setdefault(key, set()).add(value)
    assert {key: values for key, values in constants.items() if len(values) > 1} == {}
    assert constants["STATES"] == {"/run/mimickit-runner"}
    assert constants["FOLDERS"] == {"/var/lib/mimickit-runner"}
    assert constants["PROGRAM"] == {"/opt/mimickit-runner"}


def test_systemd_reads_the_unit(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    text = (RUNNER / "mimickit-runner@.service").read_text()
    text = re.sub(r"^(Exec\w+=\+?)\S+.*$", r"\1/bin/true", text, flags=re.MULTILINE)
    text = re.sub(r"^(Requires=.*\n|User=.*\n|Group=.*\n|SupplementaryGroups=.*\n)", "", text, flags=re.MULTILINE)
    (tmp_path / "mimickit-runner@.service").write_text(text)
    command = [analyze, "verify", "--man=no", str(tmp_path / "mimickit-runner@.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in done.stderr.splitlines() if "mimickit-runner" in line]
    assert complaints == []


def test_the_unit_has_no_key_twice_that_counts_once():
    repeated = {"Environment"}
    parser = configparser.ConfigParser(strict=True, interpolation=None, delimiters=("=",))
    text = (RUNNER / "mimickit-runner@.service").read_text()
    parser.read_string("".join(line for line in text.splitlines(keepends=True) if line.split("=")[0] not in repeated))
    assert parser.sections() == ["Unit", "Service", "Install"]


def test_the_guide_speaks_of_what_there_is():
    """The label that it has people make, the options that it gives, and the files that it names."""
    guide = (RUNNER.parents[1] / "docs" / "self-hosted-runners.md").read_text()
    admission = (RUNNER / "admission.py").read_text()
    (digits,) = re.findall(r"^LABEL_DIGITS = (\d+)$", admission, re.MULTILINE)
    (label,) = re.findall(r'^LABEL = "(.*)"$', admission, re.MULTILINE)
    assert f"label={label}$(git rev-parse --short={digits} review-N)" in guide
    assert len(label) + int(digits) <= 50  # GitHub's longest name
    known = setup("--help").stdout
    commands = re.findall(r"setup\.sh [^`]*|`--[a-z-]+[ `]", guide)
    options = set(re.findall(r"--[a-z0-9-]+", " ".join(commands)))
    assert {"--scope", "--jit-command", "--events"} <= options
    assert {option for option in options if f"{option} " not in known} == set()
    for name in re.findall(r"docker/runner/([\w@-]+\.\w+)", guide):
        assert (RUNNER / name).is_file(), name
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", guide)}
    listed = [int(number) for number in re.findall(r"^(\d+)\. .*https://", guide, re.MULTILINE)]
    assert cited == set(listed) == set(range(1, len(listed) + 1))
