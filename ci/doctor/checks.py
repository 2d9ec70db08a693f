"""All checks by name, and running them."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ci.doctor import framework_checks as framework
from ci.doctor import system_checks as system
from ci.doctor.finding import Finding, fix
from ci.doctor.machine import Machine
from ci.errors import UsageError

Check = Callable[[Machine], Finding]

# Rows of the table, in order. Those of QUICK take under two seconds together.
QUICK: Mapping[str, Check] = {
    "python": system.check_python,
    "packages": system.check_packages,
    "git": system.check_git,
    "checkout": system.check_checkout,
    "gpu": system.check_gpu,
    "disk": system.check_disk,
    "memory": system.check_memory,
    "cores": system.check_cores,
    "/dev/shm": system.check_shm,
    "ports": system.check_ports,
    "cases": framework.check_cases,
    "characters": framework.check_characters,
    "clips": framework.check_clips,
    "priors": framework.check_priors,
    "kernels": framework.check_kernels,
}
SLOW: Mapping[str, Check] = {
    "torch": framework.check_torch,
    "drawing": framework.check_gl,
    "engine": framework.check_engine,
}


@dataclass(frozen=True)
class Row:
    """A check by name, what it found, and its seconds."""

    name: str
    finding: Finding
    seconds: float


def run_checks(machine: Machine, checks: Mapping[str, Check]) -> Iterator[Row]:
    """A row for each check as it is done. What a check cannot read or start is a finding of its own."""
    for name, check in checks.items():
        started = time.monotonic()
        try:
            finding = check(machine)
        except (OSError, UsageError, ValueError, KeyError) as error:
            finding = fix(f"cannot be checked: {type(error).__name__}: {error}", "repair what the message names")
        yield Row(name, finding, time.monotonic() - started)
