"""Checks of the machine: interpreter, packages, git, GPUs, room, network."""

import os
import re
import shutil
import socket
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ci.doctor.finding import Finding, few, fix, look, ok, worst
from ci.doctor.machine import INSTALL, Machine, installed_version
from ci.environment import MINIMUM_PYTHON
from ci.host import checkout, free_memory_gb, usable_cores
from mimickit.data.files import default_cache

GB = 1e9

# A smoke run of all 37 cases wrote 0.4 GB, the packages that clips are made from are 0.3 GB, and one training of 64
# environments on MuJoCo took 0.4 GB of memory. Bytes: below the first nothing runs, below the second not for long.
OUTPUT_BYTES = (1 * GB, 5 * GB)
CACHE_BYTES = (0.5 * GB, 2 * GB)
MEMORY_BYTES = (1 * GB, 3 * GB)
# Several GPUs exchange gradients through /dev/shm, since the matrix trains with NCCL_P2P_DISABLE=1.
SHM_BYTES = 1 * GB


def check_python(machine: Machine) -> Finding:
    """The interpreter that runs this is the one that runs the cases."""
    found = f"{sys.version.split()[0]} ({sys.executable})"
    if sys.version_info < MINIMUM_PYTHON:
        return fix(found, f"use Python {'.'.join(map(str, MINIMUM_PYTHON))} or newer")
    return ok(found)


def check_packages(machine: Machine) -> Finding:
    """What pyproject.toml asks for is installed, in the versions of constraints.txt."""
    wanted = dict(_constraints(machine.repository / "constraints.txt"))
    project = tomllib.loads((machine.repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = {name: version for name in wanted if (version := installed_version(name)) is not None}
    differing = {name: version for name, version in installed.items() if version.split("+")[0] != wanted[name]}
    missing = [name for name in _requirements(project["dependencies"]) if installed_version(name) is None]
    development = _requirements(project.get("optional-dependencies", {}).get("dev", []))
    if missing or differing:
        said = [f"{name} is not installed" for name in missing]
        said += [f"{name} is {version}, tested with {wanted[name]}" for name, version in differing.items()]
        names = " ".join(f"{name}=={wanted[name]}" for name in [*missing, *differing] if name in wanted)
        remedy = INSTALL if missing else f"python -m pip install {names}"
        return fix(few(said), remedy)
    absent = [name for name in development if installed_version(name) is None]
    found = f"{len(installed)}, each in the version of constraints.txt"
    if absent:
        return look(f"{found}; without {', '.join(absent)}, which tests and lint need", INSTALL)
    return ok(found)


def check_git(machine: Machine) -> Finding:
    """Every row of a result names the commit it came from."""
    program = shutil.which("git")
    if program is None:
        return look("git is not installed: no result will say which code it came from", "apt-get install -y git")
    return ok(program)


def check_checkout(machine: Machine) -> Finding:
    """Which code this is."""
    code = checkout(machine.repository)
    if code.commit == "unknown":
        return look(f"{machine.repository} is no git checkout", "results will not say which code they came from: clone")
    if code.dirty:
        found = f"{code.commit[:12]} with changes that are not committed"
        return look(found, "commit before a run whose numbers you quote")
    return ok(code.commit[:12])


def check_gpu(machine: Machine) -> Finding:
    """Every GPU in the machine answers; none at all is fine."""
    gpus = machine.gpus
    shown = "; ".join(f"{gpu.name}, {gpu.memory_gb:.0f} GB, driver {gpu.driver}" for gpu in gpus.found)
    if gpus.problem:
        remedy = "see dmesg, reload the driver or restart the machine; start a container with --gpus all"
        return fix(gpus.problem + (f" ({shown})" if shown else ""), remedy)
    return ok(shown or "none: cases run on the CPU, with the engine mujoco")


def check_disk(machine: Machine) -> Finding:
    """Room for results, downloads and temporary files, and leave to write there."""
    output = machine.repository / "output"
    remedy = "remove old folders of output/train/, or make output a link to a larger disk"
    return worst(
        [
            _room("output", output, OUTPUT_BYTES, remedy),
            _room("cache", default_cache(), CACHE_BYTES, "name a folder on a larger disk as MIMICKIT_CACHE"),
            _room("temporary", Path(tempfile.gettempdir()), CACHE_BYTES, "name a folder on a larger disk as TMPDIR"),
        ]
    )


def _room(name: str, folder: Path, least: tuple[float, float], remedy: str) -> Finding:
    """Free space and permission where ``folder`` is or would be made."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(place, os.W_OK):
        return fix(f"{name}: {place} may not be written", f"make {place} writable; {remedy}")
    free = shutil.disk_usage(place).free
    return _enough(f"{name} {free / GB:.1f} GB free", free, least, f"{remedy} ({folder})")


def check_memory(machine: Machine) -> Finding:
    """Memory that is free now, in this machine and within the limit of this container or of the cluster's job."""
    free = free_memory_gb(machine.cgroups, machine.membership, machine.root / "proc/meminfo")
    if free is None:
        return look("the free memory cannot be read here", "see that at least 3 GB are free")
    remedy = "end other programs, or raise the limit of the container or of the cluster's job"
    return _enough(f"{free:.1f} GB free", free * GB, MEMORY_BYTES, remedy)


def check_cores(machine: Machine) -> Finding:
    """Processor cores that a run here would use."""
    cores = len(usable_cores(machine.cgroups, machine.membership))
    if cores < 2:
        return look(f"{cores}", "give it two or more: a run on one core takes about twice as long")
    return ok(f"{cores}")


def check_shm(machine: Machine) -> Finding:
    """/dev/shm, through which the training processes of several GPUs talk."""
    folder = machine.root / "dev/shm"
    several = len(machine.gpus.found) > 1
    if not folder.is_dir():
        return fix("there is no /dev/shm", "mount it (a tmpfs)") if several else ok("none; only several GPUs need it")
    size = shutil.disk_usage(folder).total
    if several and size < SHM_BYTES:
        return fix(f"{size / GB:.2f} GB, too small for several GPUs", "docker run --shm-size=1g, or --ipc=host")
    return ok(f"{size / GB:.2f} GB" + ("" if several or size >= SHM_BYTES else "; several GPUs would need 1 GB"))


def check_ports(machine: Machine) -> Finding:
    """The processes of one training meet on a free port of 127.0.0.1."""
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            with socket.create_connection(listener.getsockname(), timeout=5.0):
                return ok(f"127.0.0.1:{listener.getsockname()[1]} was free and answered")
    except OSError as error:
        remedy = "bring the loopback interface up (ip link set lo up); allow sockets in this sandbox"
        return fix(f"no port of 127.0.0.1 can be used: {error}", remedy)


def _enough(found: str, amount: float, least: tuple[float, float], remedy: str) -> Finding:
    """ok, look below the second of ``least``, fix below the first."""
    lowest, low = least
    if amount < lowest:
        return fix(f"{found}, at least {lowest / GB:g} GB are needed", remedy)
    return look(f"{found}, which a long run may fill", remedy) if amount < low else ok(found)


def _constraints(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, version = line.partition("#")[0].strip().partition("==")
        if equals:
            yield name, version


def _requirements(lines: Sequence[str]) -> list[str]:
    """The names of requirements such as 'numpy>=2; python_version > "3"'."""
    return [match[0] for line in lines if (match := re.match(r"[\w.\-]+", line))]
