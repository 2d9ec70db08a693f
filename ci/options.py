"""The command line of ``ci e2e``, and the run it asks for once the profile and the machine have filled the gaps."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.cases import read_engine_name
from ci.errors import UsageError
from ci.host import ENGINE_PACKAGES, gpu_names
from ci.profiles import PROFILES, Profile

CPU_ENGINES = ("mujoco",)  # engines that never use a GPU, whether there is one or not

EPILOG = """\
examples:
  nox -s e2e                                          every case, sized to this machine
  nox -s e2e -- deepmimic_humanoid_ppo_args.txt       one case
  nox -s e2e -- --profile pr --shard 2/8              every eighth case, with the budgets of a pull request
  nox -s e2e -- --devices-train cuda:0,cuda:1         train on two GPUs; test and render on the first

A case passes when it trains, its model tests, and a test is rendered, each with exit code 0 and with evidence: a
finite model and log, finite metrics over the episodes asked for, and a video in which the character is seen to move.
Read best_by_case.tsv, summary.md or junit.xml in output/train/ROOT; runs/CASE/ there holds logs, videos and attempts.

exit code: 0 every selected case passed; 1 some did not; 2 the command is wrong, nothing was started; 128 + n ended by
signal n.
"""


@dataclass(frozen=True)
class Options:
    """One run of the matrix, nothing left open."""

    names: tuple[str, ...]
    include_nontrainable: bool
    shard: tuple[int, int]
    profile: Profile  # with the options of the command line put in
    engine_config: str
    engine_name: str
    devices_train: tuple[str, ...]
    devices_nontrainable: tuple[str, ...]
    root_out: str | None  # None: a new name with the time
    seed: int
    require_deps: tuple[str, ...]
    why: str  # how engine, devices and profile were chosen, for the person who reads the log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``ci e2e``. A default shown as 'profile' comes from the table in ci/profiles.py."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _profile_table() + "\n" + EPILOG
    add = parser.add_argument
    add("case", nargs="*", help="files in args/ (default: all of them)")
    add("--list", action="store_true", help="print the selected cases and start nothing")

    group = parser.add_argument_group("which cases")
    add = group.add_argument
    add("--cases", type=_words, default=(), metavar="A.txt,B.txt", help="the same as naming them one by one")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--include-nontrainable",
        dest="include_nontrainable",
        action="store_true",
        default=True,
        help="also the cases that have no agent (dof_test_*, view_motion_*): the default",
    )
    either.add_argument(
        "--trainable-only", dest="include_nontrainable", action="store_false", help="only the cases that have an agent"
    )
    add("--shard", type=_shard, default=(1, 1), metavar="I/N", help="part I of N of the selected cases")

    group = parser.add_argument_group("on what")
    add = group.add_argument
    add("--engine-config", metavar="F", help="engine file (default: Newton with a GPU, MuJoCo without)")
    add("--devices-train", type=_words, metavar="D,D", help="where to train (default: cuda:0 with a GPU, else cpu)")
    add("--devices-nontrainable", type=_words, metavar="D", help="for cases that do not train (default: the first)")
    add("--require-deps", type=_words, metavar="P,P", help="packages that must be installed (default: the engine's)")

    group = parser.add_argument_group("how much")
    add = group.add_argument
    add("--profile", choices=tuple(PROFILES), help="row of the table below (default: pr with a GPU, smoke without)")
    for name, meaning in _LADDERS.items():
        add(f"--{name}", type=_ladder, metavar="N,N", help=f"environments per device to try, largest first: {meaning}")
    for name, (kind, meaning) in _NUMBERS.items():
        add(f"--{name}", type=kind, metavar="N" if kind is _count else "S", help=meaning)
    add("--rand-seed", type=_whole, default=1, metavar="N", help="seed of every stage (default: 1)")
    parser.add_argument_group("to where").add_argument(
        "--root-out", metavar="NAME", help="folder under output/train/ (default: case_e2e_all_TIME); must not exist yet"
    )


def resolve(arguments: argparse.Namespace, repository: Path) -> Options:
    """Fill what the command line left open from the profile and from this machine. Raises UsageError."""
    engine_config = _engine_path(arguments.engine_config)
    given_engine = read_engine_name(repository, engine_config) if engine_config else None
    if arguments.devices_train:
        on_gpu = any(device.startswith("cuda") for device in arguments.devices_train)
        found = "devices as asked for"
    else:
        gpus = gpu_names()
        on_gpu = bool(gpus) and given_engine not in CPU_ENGINES
        found = f"found {', '.join(gpus)}" if gpus else "no GPU found"
    name = arguments.profile or ("pr" if on_gpu else "smoke")
    engine_config = engine_config or f"data/engines/{'newton' if on_gpu else 'mujoco'}_engine.yaml"
    engine_name = given_engine or read_engine_name(repository, engine_config)
    devices_train = arguments.devices_train or (("cuda:0",) if on_gpu else ("cpu",))
    chosen = PROFILES[name]
    fields = [option.replace("-", "_") for option in (*_LADDERS, *_NUMBERS)]
    given = {field: getattr(arguments, field) for field in fields if getattr(arguments, field) is not None}
    return Options(
        names=(*arguments.case, *arguments.cases),
        include_nontrainable=arguments.include_nontrainable,
        shard=arguments.shard,
        profile=Profile(**{**vars(chosen), **given}),
        engine_config=engine_config,
        engine_name=engine_name,
        devices_train=devices_train,
        devices_nontrainable=arguments.devices_nontrainable or devices_train[:1],
        root_out=_root_name(arguments.root_out),
        seed=arguments.rand_seed,
        require_deps=arguments.require_deps or ENGINE_PACKAGES.get(engine_name, ("torch",)),
        why=f"{found}; engine {engine_name} ({engine_config}) on {','.join(devices_train)}, profile {name}",
    )


def _engine_path(given: str | None) -> str | None:
    """A bare file name means the one in data/engines."""
    return f"data/engines/{given}" if given and "/" not in given else given


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise argparse.ArgumentTypeError("expected one or more names with commas between them")
    return words


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}")
    return int(text)


def _count(text: str) -> int:
    if _whole(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number above 0, found 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected seconds, found {text!r}") from error
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, found {text!r}")
    return value


def _ladder(text: str) -> tuple[int, ...]:
    rungs = tuple(_count(word) for word in _words(text))
    if list(rungs) != sorted(set(rungs), reverse=True):
        raise argparse.ArgumentTypeError(f"a ladder goes down, each rung once; found {text}")
    return rungs


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, such as 2/8; found {text!r}")
    return int(match[1]), int(match[2])


def _root_name(name: str | None) -> str | None:
    if name is not None and (not re.fullmatch(r"[\w.\-]+", name) or name.strip(".") == ""):
        raise UsageError(f"--root-out {name!r} must be one folder name of letters, digits, '.', '_' and '-'.")
    return name


_LADDERS = {
    "default-ladder": "every case but those below",
    "pi-plus-ladder": "pi_plus cases",
    "amp-pi-plus-ladder": "pi_plus cases with AMP",
}
_NUMBERS = {
    "train-iters": (_count, "training iterations; samples = environments * devices * steps_per_iter * this"),
    "train-timeout": (_seconds, "seconds a training may take before its processes are ended"),
    "test-timeout": (_seconds, "the same for a test"),
    "viz-timeout": (_seconds, "the same for a rendering"),
    "test-episodes": (_count, "episodes of a test, at least"),
    "viz-episodes": (_count, "episodes of a rendering"),
    "nontrainable-num-envs": (_count, "environments of a case that does not train"),
    "nontrainable-max-samples": (_count, "samples of its bootstrap"),
}


def _profile_table() -> str:
    lines = ["profiles:"]
    for profile in PROFILES.values():
        ladder = ",".join(map(str, profile.default_ladder))
        lines.append(f"  {profile.name:8} {profile.meaning}")
        lines.append(f"           --default-ladder {ladder} --train-iters {profile.train_iters}")
        seconds = (profile.train_timeout, profile.test_timeout, profile.viz_timeout)
        lines.append("           --train-timeout {:g} --test-timeout {:g} --viz-timeout {:g}".format(*seconds))
        lines.append(f"           --test-episodes {profile.test_episodes} --viz-episodes {profile.viz_episodes}")
    return "\n".join(lines) + "\n"


def parse(argv: Sequence[str], repository: Path) -> Options:
    """``resolve`` of a command line, as the command does it."""
    parser = argparse.ArgumentParser(prog="python -m ci e2e", allow_abbrev=False)
    add_arguments(parser)
    return resolve(parser.parse_args(argv), repository)
