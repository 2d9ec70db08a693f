"""The image, built from the Dockerfile with buildah and run with podman, without an engine and as root.

The base is a minimal Debian made here by debootstrap. What the build may ask of the network is what this machine may:
pip's own configuration, certificates and local folders of packages are lent to it, and nothing of them stays inside.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = "localhost/mimickit-test-base"
IMAGE = "localhost/mimickit-test"
TOOLS = ("buildah", "podman", "runc", "debootstrap")
BUILD_SECONDS = 1500.0
RUN_SECONDS = 600.0
LENT_SECONDS = 119  # a setting that the build is lent, by which it would be found again
# Limits that runc can set where this already runs in a container.
ULIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")


def call(command: Sequence[str], seconds: float, **options: object) -> subprocess.CompletedProcess[str]:
    """Run to the end; the output of both streams together."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False, **options
    )


def made(command: Sequence[str], seconds: float, **options: object) -> str:
    """The output of a command that must succeed."""
    done = call(command, seconds, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}"
    return done.stdout


@dataclass(frozen=True)
class Build:
    """One build of the image."""

    printed: str
    seconds: float

    @property
    def cached(self) -> list[str]:
        """The instructions whose layers were there."""
        lines = self.printed.splitlines()
        steps = [(number, line) for number, line in enumerate(lines) if re.search(r"STEP \d+/\d+: ", line)]
        ends = [number for number, _ in steps[1:]] + [len(lines)]
        return [
            line.split(": ", 1)[1]
            for (number, line), end in zip(steps, ends, strict=True)
            if any("Using cache" in each for each in lines[number:end])
        ]


@dataclass(frozen=True)
class Image:
    """The built image, and the folder that it was built from."""

    context: Path
    first: Build

    def build(self) -> Build:
        return build(self.context)

    def inspect(self) -> dict[str, Any]:
        (about,) = json.loads(made(["podman", "image", "inspect", IMAGE], 60.0))
        return about

    @property
    def size_gb(self) -> float:
        return self.inspect()["Size"] / 1e9

    def run(self, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """A container as compose.yaml has it: read-only root, no privileges, a user who is not root."""
        given = ["podman", "run", "--rm", "--runtime", "runc", *ULIMITS, "--network", "none", "--read-only"]
        given += ["--no-healthcheck"]  # podman has systemd start it
        given += ["--tmpfs", "/tmp:exec,mode=1777", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        return call([*given, *options, IMAGE, *command], RUN_SECONDS)


def pip_settings() -> dict[str, str]:
    """What pip is configured with here."""
    printed = made([sys.executable, "-m", "pip", "config", "list"], 60.0)
    found = {}
    for line in printed.splitlines():
        name, _, value = line.partition("=")
        found[name.rpartition(".")[2]] = value.strip("'\"")
    return {key: found[key] for key in ("cert", "index-url", "extra-index-url", "find-links") if key in found}


def build(context: Path) -> Build:
    """Build the CPU variant on the base."""
    settings = pip_settings()
    lent = context.parent / "lent"
    lent.mkdir(exist_ok=True)
    (lent / "pip.conf").write_text(
        f"[global]\ntimeout = {LENT_SECONDS}\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())
    )
    (lent / "apt.conf").write_text(f'Acquire::http::Timeout "{LENT_SECONDS}";\n')
    command = ["buildah", "bud", "--isolation", "chroot", "--layers", "--format", "docker", "--tag", IMAGE]
    command += ["--build-arg", f"BASE={BASE}", "--build-arg", "VARIANT=cpu", "--build-arg", "TORCH_INDEX="]
    command += ["--build-arg", "REVISION=0123abc", "--secret", f"id=pipconf,src={lent / 'pip.conf'}"]
    command += ["--secret", f"id=apt,src={lent / 'apt.conf'}"]
    certificates = settings.get("cert") or os.environ.get("SSL_CERT_FILE")
    if certificates:
        command += ["--secret", f"id=ca,src={certificates}"]
    for folder in local_folders(settings):
        command += ["--volume", f"{folder}:{folder}:ro"]
    started = time.monotonic()
    printed = made([*command, "--file", "docker/Dockerfile", "."], BUILD_SECONDS, cwd=context)
    return Build(printed, time.monotonic() - started)


def local_folders(settings: dict[str, str]) -> list[str]:
    """Folders of packages on this machine; the files of an index lie beside it."""
    words = [word for key in ("index-url", "extra-index-url", "find-links") for word in settings.get(key, "").split()]
    indexes = [str(Path(word.removeprefix("file://")).parent) for word in words if word.startswith("file://")]
    return sorted({*indexes, *(word for word in words if word.startswith("/"))})


def make_base(folder: Path) -> None:
    """A minimal Debian of this machine's release, from the mirror that apt uses."""
    if call(["podman", "image", "exists", BASE], 60.0).returncode == 0:
        return
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    suite = release["VERSION_CODENAME"].strip('"')
    asked = ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    targets = [line.split() for line in made(asked, 60.0).splitlines()]
    mirror = next(site for site, *rest in targets if rest == [suite, "main"])
    root = folder / "base"
    made(["debootstrap", "--variant=minbase", suite, str(root), mirror], BUILD_SECONDS)
    packed = folder / "base.tar"
    made(["tar", "-C", str(root), "-cf", str(packed), "."], BUILD_SECONDS)
    made(["podman", "import", str(packed), BASE], BUILD_SECONDS)
    shutil.rmtree(root)
    packed.unlink()


def copy_context(folder: Path) -> None:
    """The files that git knows of, and new ones, as a checkout has them."""
    listed = made(["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], 60.0)
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, built once."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.fail(f"needs root, and: apt-get install -y --no-install-recommends {' '.join(missing or TOOLS)}")
    folder = tmp_path_factory.mktemp("image")
    context = folder / "context"
    make_base(folder)
    copy_context(context)
    return Image(context, build(context))
