"""What the checks look at: a repository, this machine, and what was asked; each question is asked once."""

import importlib.metadata
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ci.cases import Case, discover, read_engine_name
from ci.doctor.configuration import CaseConfiguration, read_configurations
from ci.doctor.probes import CLIPS, ask
from ci.errors import UsageError
from ci.host import Gpu, gpus
from ci.options import CPU_ENGINES

INSTALL = "python -m pip install -c constraints.txt -e .[dev]"
PROBE_SECONDS = 120.0
ENGINE_SECONDS = 600.0  # Newton compiles its kernels when it starts for the first time


@dataclass(frozen=True)
class Gpus:
    """The GPUs that answered, and what is wrong when one in the machine did not."""

    found: tuple[Gpu, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Machine:
    """``arg_file`` is the case asked about, ``engine_config`` the engine; both relative to ``repository``.

    ``root`` is where /dev, /proc and /sys begin.
    """

    repository: Path
    arg_file: str | None = None
    engine_config: str | None = None
    root: Path = Path("/")
    probe_seconds: float = PROBE_SECONDS
    engine_seconds: float = ENGINE_SECONDS

    @property
    def cgroups(self) -> Path:
        """The tree of control groups, where limits are."""
        return self.root / "sys/fs/cgroup"

    @property
    def membership(self) -> Path:
        """In which of them this process is."""
        return self.root / "proc/self/cgroup"

    @cached_property
    def gpus(self) -> Gpus:
        """What the driver says, compared with the devices in /dev."""
        try:
            found = gpus()
        except UsageError as error:
            return Gpus((), str(error))
        devices = len(list((self.root / "dev").glob("nvidia[0-9]*")))
        if found and len(found) < devices:
            return Gpus(found, f"{devices} NVIDIA devices in /dev, and the driver lists {len(found)}")
        return Gpus(found)

    @cached_property
    def engine(self) -> str:
        """The engine file to try: the one asked for, else what a run of the matrix would take here."""
        return self.engine_config or f"data/engines/{'newton' if self.gpus.found else 'mujoco'}_engine.yaml"

    @cached_property
    def engine_name(self) -> str:
        """Its ``engine_name``; UsageError when there is none."""
        return read_engine_name(self.repository, self.engine)

    @property
    def device(self) -> str:
        """The device that engine runs on here."""
        on_gpu = bool(self.gpus.found) and self.engine_name not in CPU_ENGINES
        return "cuda:0" if on_gpu else "cpu"

    @cached_property
    def cases(self) -> list[Case]:
        """Every case in args/."""
        return discover(self.repository)

    @cached_property
    def configurations(self) -> Mapping[str, CaseConfiguration]:
        """Of every case and of the one asked about, by arg file. Raises ValueError when they are not to be had."""
        arg_files = [case.arg_file for case in self.cases]
        named = [self.arg_file] if self.arg_file else []
        return read_configurations(self.repository, [*dict.fromkeys([*named, *arg_files])], self.engine)

    @property
    def asked(self) -> list[str]:
        """The arg file asked about, or all of args/ when there is none or it cannot be read."""
        if self.arg_file and self.configurations[self.arg_file].settings:
            return [self.arg_file]
        return [case.arg_file for case in self.cases]

    @cached_property
    def clips(self) -> Mapping[str, Mapping[str, Any]]:
        """``probes.CLIPS`` for ``asked``. Raises ValueError when it is not to be had."""
        answer = ask([sys.executable, "-c", CLIPS, *self.asked], self.repository, self.probe_seconds)
        found = answer.json()
        if found is None:
            raise ValueError(f"the clips of the cases cannot be listed: {answer.reason}")
        return found

    @cached_property
    def built_clips(self) -> frozenset[str]:
        """Clips that this project built, relative to data/motions; every other clip there is somebody's own."""
        manifest = self.repository / "data" / "motions" / ".built.json"
        return frozenset(json.loads(manifest.read_text())) if manifest.is_file() else frozenset()

    @property
    def kernels(self) -> Path:
        """Warp's folder of compiled kernels; below it there is a folder for each version."""
        named = os.environ.get("WARP_CACHE_PATH")
        return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warp"


def installed_version(name: str) -> str | None:
    """The version of an installed distribution; nothing is imported."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
