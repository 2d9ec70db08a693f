"""What the processes of a run must agree on before they begin: settings, files, the seed, where a training goes on."""

import dataclasses
import hashlib
import json
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimickit.anim.motion_library import read_motion_list
from mimickit.config.case import Case, effective_values, named_files
from mimickit.distributed.process_groups import Group
from mimickit.errors import InputError
from mimickit.learning.resume import find_training, is_complete, reached
from mimickit.run_records import versions

# Keys that may differ between hosts: of the files that these name, the content is compared.
_OF_ONE_HOST = ("arg_file", "engine_config", "env_config", "agent_config", "devices")


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes:
        devices: of all processes, by rank.
        resumed_at: iterations after which a training goes on, 0 for a new one; samples: that it has.
        reached: what of its goal a training has that need not go on; empty otherwise.
    """

    seed: int
    devices: tuple[str, ...]
    resumed_at: int = 0
    samples: int = 0
    reached: str = ""


def make_plan(case: Case, num_processes: int, devices: Sequence[str], ranks: Iterable[int]) -> Plan:
    """The plan as far as this process can see it.

    Args:
        ranks: of the processes whose part of a training's state this one should see.

    Raises:
        InputError: a training is to be resumed that cannot be.
    """
    run = case.run
    if not run.resume:
        seed = run.rand_seed if run.rand_seed is not None else int.from_bytes(os.urandom(3), "little")
        return Plan(seed, tuple(devices))
    saved = find_training(case, num_processes, ranks)
    has = reached(run, saved.samples, saved.course.wall_s)
    return Plan(
        seed=saved.origin.seed,
        devices=tuple(devices),
        resumed_at=saved.course.iterations,
        samples=saved.samples,
        reached=has if has and is_complete(saved, run.out_dir) else "",
    )


def agreed_plan(case: Case, group: Group, device: str) -> Plan:
    """The first process's plan, when every process sees the same training to go on with.

    Raises:
        InputError: on every process, for what the first of them lacks that lacks something.
    """
    place = group.place
    try:
        plan, problem = make_plan(case, place.size, (), [place.rank]), ""
    except InputError as error:
        plan, problem = Plan(0, ()), str(error)
    devices = group.all_say("device", device)
    answers = [json.loads(answer) for answer in group.all_say("plan", json.dumps([problem, dataclasses.astuple(plan)]))]
    hosts = group.all_say("host", socket.gethostname())
    for rank, (problem, _) in enumerate(answers):
        if problem:
            raise InputError(f"{problem} (process {rank} on {hosts[rank]})")
    plans = [Plan(*values) for _, values in answers]
    for rank, other in enumerate(plans):
        if other.resumed_at != plans[0].resumed_at:
            raise InputError(
                f"--resume true: {case.run.out_dir} holds {plans[0].resumed_at} iterations on {hosts[0]}, and "
                f"{other.resumed_at} on {hosts[rank]}: it must be one folder that every host sees"
            )
    return dataclasses.replace(plans[0], devices=tuple(devices))


def require_same_settings(case: Case, group: Group) -> None:
    """Raise InputError, on every process, if any was started with other settings or finds another file."""
    hosts = group.all_say("settings host", socket.gethostname())
    first, *others = (json.loads(text) for text in group.all_say("settings", json.dumps(_settings(case))))
    for rank, other in enumerate(others, start=1):
        for key in {**first, **other}:
            if first.get(key) != other.get(key):
                shown = f"--{key.removeprefix('run.')}" if key.startswith("run.") else key
                raise InputError(
                    f"the processes were not started alike: {shown} is {_shown(first.get(key))} in process 0 on "
                    f"{hosts[0]}, and {_shown(other.get(key))} in process {rank} on {hosts[rank]}"
                )


def _shown(value: str | None) -> str:
    return "not there" if value is None else value


def _settings(case: Case) -> dict[str, str]:
    """Every setting that must be the same, versions, and a digest of every file that a setting names, as text."""
    values = {key: json.dumps(value) for key, value in effective_values(case).items()}
    for key in _OF_ONE_HOST:
        values.pop(f"run.{key}", None)
    values["run.devices"] = json.dumps(case.run.devices[0].partition(":")[0])
    files = [path for config in (case.env, case.agent) for _, path in named_files(config)]
    if case.run.model_file is not None:
        files.append(case.run.model_file)
    motion_file = getattr(case.env, "motion_file", None)
    if motion_file is not None:
        files += [path for path, _ in read_motion_list(motion_file)]
    values |= {f"the version of {package}": version for package, version in versions().items()}
    return values | {f"the content of {path}": _digest(path) for path in files}


def _digest(path: Path) -> str:
    """Empty where a clip of a dataset is missing, which is told when it is loaded."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""
