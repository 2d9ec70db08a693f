"""Setting up a made host, and once more for a new version: what fails leaves the runners as they are."""

import hashlib
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.scripts import changed

RUNNER = Path(__file__).resolve().parents[2] / "docker" / "runner"
UNIT = "mimickit-runner@all.service"
TOKEN = "github_pat_" + "y" * 40
# Each writes down how it was called. Docker's disk has the gigabytes of a file, and one unit runs once it was enabled.
TOOLS = {
    "curl": 'cp "$HOME/archive" "${@: -2:1}"',
    "df": 'echo Avail; cat "$HOME/free"',
    "docker": "echo GPU 0",
    "id": 'case "$*" in "-u runner") echo 1001 ;; -u) echo 0 ;; esac',
    "logger": "",
    "systemctl": f'case "$1" in list-units) ! [ -e "$HOME/unit" ] || echo {UNIT} loaded ;; '
    'enable) touch "$HOME/unit" ;; disable) rm "$HOME/unit" ;; esac',
}


@dataclass(frozen=True)
class Host:
    """A folder that stands for a machine, where setup.sh is root and nothing is installed yet."""

    folder: Path

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def program(self) -> Path:
        return self.folder / "opt"

    @property
    def settings(self) -> Path:
        return self.folder / "etc"

    def release(self, version: str, dependencies: str = "") -> str:
        """Put an archive of this version where it is downloaded from; its SHA-256."""
        path = self.folder / "archive"
        with tarfile.open(path, "w:gz") as packed:
            for name, text in (("version", version), ("bin/installdependencies.sh", f"#!/bin/sh\n{dependencies}\n")):
                member = tarfile.TarInfo(name)
                member.mode, member.size = 0o755, len(text)
                packed.addfile(member, io.BytesIO(text.encode()))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def given(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def setup(self, version: str, digest: str, *options: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "calls").unlink(missing_ok=True)
        command = [str(self.folder / "runner" / "setup.sh"), "--repository", "octo/gym", "--runner-version", version]
        environment = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "HOME": str(self.folder)}
        return subprocess.run(
            [*command, "--runner-sha256", digest, *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def update(self, *options: str) -> subprocess.CompletedProcess[str]:
        done = self.setup("2.0.0", self.release("2.0.0"), *options)
        assert done.returncode == 0, done.stderr
        return done

    def credentials(self) -> dict[str, tuple[str, int]]:
        """Text and mode of each that is installed."""
        paths = [self.settings / name for name in ("token", "jit-command")]
        return {path.name: (path.read_text(), stat.S_IMODE(path.stat().st_mode)) for path in paths if path.exists()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """With 70 GB left, and the first version released."""
    for name, text in TOOLS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> "$HOME/calls"\n{text}\n')
        path.chmod(0o755)
    shutil.copytree(RUNNER, tmp_path / "runner")
    constants = {
        "PROGRAM": tmp_path / "opt",
        "SETTINGS": tmp_path / "etc",
        "FOLDERS": tmp_path / "var",
        "UNITS": tmp_path / "units",
        "DOCKER": tmp_path / "bin" / "docker",
        "PYTHON": sys.executable,
    }
    changed(RUNNER / "setup.sh", tmp_path / "runner" / "setup.sh", constants)
    (tmp_path / "free").write_text("70\n")
    return Host(tmp_path)


@pytest.fixture
def running(host: Host) -> Host:
    """With a runner of version 1.0.0."""
    done = host.setup("1.0.0", host.release("1.0.0"), "--token-file", host.given("given", TOKEN))
    assert done.returncode == 0, done.stderr
    return host


def of_systemd(host: Host) -> list[str]:
    return [call for call in host.calls if re.match("systemctl (enable|disable)", call)]


def test_a_new_host_starts_its_runner(running):
    assert (running.program / "runner" / "version").read_text() == "1.0.0"
    assert (running.program / "docker" / "all" / "docker").exists()
    assert (running.folder / "units" / "mimickit-runner@.service").exists()
    assert running.credentials() == {"token": (TOKEN, 0o600)}
    assert of_systemd(running) == ["systemctl enable --now mimickit-runner@all"]
    assert not (running.folder / "opt.new").exists()


def test_a_new_version_takes_the_place_of_the_old(running):
    (running.program / "runner" / "old").touch()
    running.update()
    assert (running.program / "runner" / "version").read_text() == "2.0.0"
    assert not (running.program / "runner" / "old").exists()
    assert of_systemd(running) == [f"systemctl disable --now {UNIT}", "systemctl enable --now mimickit-runner@all"]
    fetched = next(number for number, call in enumerate(running.calls) if call.startswith("curl"))
    assert fetched < running.calls.index(f"systemctl disable --now {UNIT}")


def of_no_network(host: Host) -> str:
    (host.folder / "bin" / "curl").write_text("#!/bin/sh\nexit 6\n")
    return "0" * 64


def of_no_archive(host: Host) -> str:
    return hashlib.sha256(Path(host.given("archive", "nothing packed")).read_bytes()).hexdigest()


FAILURES = {
    "no network": of_no_network,
    "another archive": lambda host: host.release("2.0.0")[::-1],
    "no archive": of_no_archive,
    "no dependencies": lambda host: host.release("2.0.0", dependencies="exit 1"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_fails_leaves_the_runners_as_they_are(running, failure):
    done = running.setup("2.0.0", FAILURES[failure](running))
    assert done.returncode != 0
    assert of_systemd(running) == []
    assert (running.folder / "unit").exists()
    assert (running.program / "runner" / "version").read_text() == "1.0.0"
    assert running.credentials() == {"token": (TOKEN, 0o600)}
    assert not (running.folder / "opt.new").exists()


def test_the_installed_token_stays(running):
    running.update()
    assert running.credentials() == {"token": (TOKEN, 0o600)}


@pytest.mark.parametrize(("option", "name"), [("--token-file", "token"), ("--jit-command", "jit-command")])
def test_the_installed_credential_can_be_named(running, option, name):
    """And nobody is then told to remove it."""
    running.update(option, running.given("new", "new\n"))
    done = running.update(option, str(running.settings / name))
    assert running.credentials() == {name: ("new\n", 0o600 if name == "token" else 0o700)}
    assert "remove" not in done.stdout


def test_a_new_credential_takes_the_place_of_the_old(running):
    running.update("--jit-command", running.given("jit", "echo\n"))
    assert running.credentials() == {"jit-command": ("echo\n", 0o700)}
    running.update()
    assert running.credentials() == {"jit-command": ("echo\n", 0o700)}
    other = running.given("other", "another token")
    done = running.update("--token-file", other)
    assert running.credentials() == {"token": ("another token", 0o600)}
    assert f"remove {other}" in done.stdout


def test_the_first_time_wants_a_credential(host):
    done = host.setup("1.0.0", host.release("1.0.0"))
    assert done.returncode == 2
    assert "give --token-file or --jit-command" in done.stderr
    assert host.calls == []


def test_a_new_host_wants_more_of_the_disk_than_one_that_has_run_jobs(host):
    digest, token = host.release("1.0.0"), host.given("given", TOKEN)
    (host.folder / "free").write_text("59\n")
    done = host.setup("1.0.0", digest, "--token-file", token)
    assert done.returncode == 2
    assert "Docker has 59 GB left, and a new host wants 60" in done.stderr
    (host.folder / "free").write_text("60\n")
    assert host.setup("1.0.0", digest, "--token-file", token).returncode == 0
    (host.folder / "free").write_text("41\n")
    host.update()
