"""Cases: one file in ``args/`` each; finding them, reading what the matrix needs of them, choosing among them."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

from ci.errors import UsageError, nearest
from mimickit.config.arguments import read_arg_file
from mimickit.errors import InputError

ARGS, SUFFIX = "args", ".txt"  # where they are, and what their names end with
TRAINABLE = "trainable"
NONTRAINABLE = "nontrainable"

# Methods whose name is more than the file name's first word.
LONG_METHODS = ("view_motion", "dof_test")


@dataclass(frozen=True)
class Case:
    """What one arg file says, as far as the matrix cares; paths are as written, relative to the repository.

    ``problem`` is empty, or the sentence that says why the file cannot be run: such a case is listed and fails.
    """

    name: str  # the file's name without .txt
    arg_file: str
    method: str
    case_type: str  # TRAINABLE or NONTRAINABLE
    mode: str
    agent_config: str
    env_config: str
    problem: str = ""


def method_of(name: str) -> str:
    """The method a case is named after: 'amp' of 'amp_humanoid_args', 'view_motion' of 'view_motion_g1_args'."""
    return next((method for method in LONG_METHODS if name.startswith(method)), name.split("_", 1)[0])


def read_case(repository: Path, file_name: str, is_file: Callable[[str], bool]) -> Case:
    """``args/FILE_NAME`` as a case. A file that cannot be read gives a case with its ``problem``.

    ``is_file`` tells whether there is a file of that name in the repository: cases name the same few.
    """
    relative = f"{ARGS}/{file_name}"
    name = file_name.removesuffix(SUFFIX)
    problem = ""
    try:
        values = read_arg_file(repository / relative).values
    except InputError as error:
        values, problem = {}, str(error)
    chosen = {key: (values.get(key) or [""])[0] for key in ("mode", "agent_config", "env_config")}
    mode = chosen["mode"] or "train"
    missing = [chosen[key] for key in ("agent_config", "env_config") if chosen[key]]
    missing = [config for config in missing if not is_file(config)]
    if not problem and not chosen["env_config"]:
        problem = f"{relative} names no env_config"
    if not problem and missing:
        problem = f"{relative} names {' and '.join(missing)}, which does not exist"
    trainable = mode == "train" and bool(chosen["agent_config"])
    return Case(
        name=name,
        arg_file=relative,
        method=method_of(name),
        case_type=TRAINABLE if trainable or not values else NONTRAINABLE,
        mode=mode,
        agent_config=chosen["agent_config"],
        env_config=chosen["env_config"],
        problem=problem,
    )


def discover(repository: Path) -> list[Case]:
    """Every case of the repository, by name."""
    is_file = functools.cache(lambda name: (repository / name).is_file())
    file_names = sorted(path.name for path in (repository / ARGS).glob(f"*{SUFFIX}"))
    return [read_case(repository, file_name, is_file) for file_name in file_names]


def select(
    cases: Sequence[Case],
    names: Sequence[str] = (),
    include_nontrainable: bool = True,
    patterns: Sequence[str] = ("*",),
) -> list[Case]:
    """The cases asked for, by name, each once; ``names`` may be file names, stems or paths.

    No name means those that match one of ``patterns``. UsageError for an unknown case and for nothing left: an empty
    selection is never a success.
    """
    by_name = {case.name: case for case in cases}
    wanted = [Path(name).name.removesuffix(SUFFIX) for name in names]
    if not names:
        wanted = [name for name in by_name if any(fnmatch(name, pattern) for pattern in patterns)]
    unknown = sorted(set(wanted) - set(by_name))
    if unknown:
        hints = "".join(f"\n  {name}{nearest(name, by_name)}" for name in unknown)
        raise UsageError(f"no such case in args/:{hints}\nnox -s e2e -- --list prints the {len(by_name)} there are.")
    chosen = [by_name[name] for name in sorted(set(wanted))]
    if not include_nontrainable:
        chosen = [case for case in chosen if case.case_type == TRAINABLE]
    if not chosen:
        raise UsageError(f"no case is selected: args/ holds {len(by_name)}, none of them matches.")
    return chosen


def read_steps_per_iter(repository: Path, agent_config: str) -> int:
    """``steps_per_iter`` of an agent file; ValueError names the file and what is wrong with it."""
    try:
        settings = yaml.safe_load((repository / agent_config).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{agent_config} cannot be read: {error}") from error
    steps = settings.get("steps_per_iter") if isinstance(settings, dict) else None
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"{agent_config}: steps_per_iter must be a whole number above 0, found {steps!r}")
    return steps


def read_engine_name(repository: Path, engine_config: str) -> str:
    """``engine_name`` of an engine file; UsageError when there is none."""
    path = repository / engine_config
    if not path.is_file():
        known = sorted(file.name for file in (repository / "data" / "engines").glob("*.yaml"))
        raise UsageError(f"--engine-config {engine_config} does not exist; data/engines/ holds {', '.join(known)}.")
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    name = settings.get("engine_name") if isinstance(settings, dict) else None
    if not isinstance(name, str):
        raise UsageError(f"--engine-config {engine_config} has no engine_name.")
    return name
