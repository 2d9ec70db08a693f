"""The command line of ``ci e2e``, and the run it asks for once the profile and the machine have filled the gaps."""

import argparse
import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci import values
from ci.cases import read_engine_name
from ci.errors import UsageError
from ci.host import ENGINE_PACKAGES, gpus
from ci.profiles import PROFILES, Profile, profile_as_json, profile_from_json

HERE = "here"
EXECUTORS = (HERE, "slurm", "local")  # where a run is done; all but the first are rows of ci/cluster/executors.py
CPU_ENGINES = ("mujoco",)  # engines that never use a GPU, whether there is one or not

EPILOG = """\
examples:
  nox -s e2e                                          every case, sized to this machine
  nox -s e2e -- deepmimic_humanoid_ppo_args.txt       one case
  nox -s e2e -- --profile pr --shard 2/8              the second of eight parts that take about as long
  nox -s e2e -- --plan output/plan/plan.json --shard 2/8    the same, as nox -s matrix planned it
  nox -s e2e -- --devices-train cuda:0,cuda:1         train each case on two GPUs; test and render on the first
  nox -s e2e -- --one-device-each                     every GPU, several cases at once on each as memory allows
  nox -s e2e -- --resume case_e2e_all_20260101_120000      go on with a run that was ended or killed
  nox -s e2e -- --profile longcycle --long-budget-hours 8 amp_humanoid_args.txt
  nox -s e2e -- --profile nightly --executor slurm --shards 8 --slurm partition=gpu,gpus-per-node=1,cpus-per-task=16

A case passes when it trains, its model tests, and a test is rendered, each with exit code 0 and with evidence: a
finite model and log, finite metrics over the episodes asked for, and a video in which the character is seen to move.
Read best_by_case.tsv, summary.md, junit.xml or report.html in output/train/ROOT; runs/CASE/ there holds logs, videos
and attempts.

exit code: 0 every selected case passed; 1 some did not, or the run was not complete; 2 the command is wrong, nothing
was started; 128 + n ended by signal n.
"""

SKIP_STATUS = {
    "all": "cases that failed are left as they are: the default",
    "ok": "cases that failed go on at the stage that failed",
    "none": "every case starts from the beginning",
}
DEFAULT_SKIP_STATUS = "all"


@dataclass(frozen=True)
class Options:
    """One run of the matrix, nothing left open."""

    names: tuple[str, ...]
    include_nontrainable: bool
    shard: tuple[int, int]
    plan_file: str | None
    profile: Profile  # with the options of the command line put in
    engine_config: str
    engine_name: str
    devices_train: tuple[str, ...]
    devices_nontrainable: tuple[str, ...]
    one_device_each: bool
    jobs: int | None  # None: as many as fit
    root_out: str | None  # None: a new name with the time
    seed: int
    require_deps: tuple[str, ...]
    deadline: float | None
    why: str  # how engine, devices and profile were chosen, for the person who reads the log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``ci e2e``. A default shown as 'profile' comes from the table in ci/profiles.py."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = profile_table() + "\n" + EPILOG
    parser.add_argument("--list", action="store_true", help="print the selected cases and start nothing")
    add = add_case_arguments(parser).add_argument
    add(
        "--shard",
        type=values.shard,
        metavar="I/N",
        help="part I of N of the selected cases, parts that take about as long by ci/case_seconds.tsv; beside --plan "
        "one of its shards, or 1/1 for all of them",
    )
    add("--plan", metavar="FILE", help="the plan.json of nox -s matrix: its cases, its shards, its profile and seed")

    group = parser.add_argument_group("on what")
    add = group.add_argument
    add("--engine-config", metavar="F", help="engine file (default: Newton with a GPU, MuJoCo without)")
    add(
        "--devices-train", type=values.words, metavar="D,D", help="where to train (default: cuda:0, or cpu without GPU)"
    )
    add(
        "--devices-nontrainable",
        type=values.words,
        metavar="D",
        help="for cases that do not train (default: the first)",
    )
    add(
        "--one-device-each",
        action="store_true",
        help="a case uses one of the devices, the one with the most memory left, instead of all together",
    )
    add(
        "--jobs",
        type=values.count,
        metavar="N",
        help="cases at once; each has its own part of the cores (default: as many as memory and cores allow)",
    )
    add("--require-deps", type=values.words, metavar="P,P", help="packages that must be there (default: the engine's)")

    group = parser.add_argument_group("how much")
    add = group.add_argument
    add_profile_arguments(group, "pr with a GPU, smoke without")
    add("--deadline", type=values.positive, metavar="S", help="end the run after S seconds, resumable and red")
    add("--rand-seed", type=values.whole, metavar="N", help="seed of every stage (default: 1)")

    group = parser.add_argument_group("to where, and going on")
    add = group.add_argument
    add(
        "--root-out",
        type=values.folder_name,
        metavar="NAME",
        help="folder under output/train/ (default: case_e2e_all_TIME); must not exist yet",
    )
    add(
        "--resume",
        metavar="ROOT",
        help="go on with a run that did not end, at the first stage without evidence, with the options it had; only "
        "--jobs, --deadline and --resume-skip-status may be given beside it",
    )
    add(
        "--resume-skip-status",
        choices=tuple(SKIP_STATUS),
        help="what --resume leaves alone. " + "; ".join(f"{name}: {text}" for name, text in SKIP_STATUS.items()),
    )
    add(
        "--retry-failed",
        metavar="ROOT",
        help="a new run of the cases that did not pass in ROOT, with the options it had; --root-out, --jobs and "
        "--deadline may be given beside it. ROOT stays as it is, and red",
    )

    group = parser.add_argument_group("on a cluster: docs/slurm.md")
    add = group.add_argument
    add(
        "--executor",
        choices=EXECUTORS,
        default=HERE,
        help="here: this machine, this process (default). slurm: plan the run, submit a job for each shard, wait for "
        "them, merge. local: the same with processes of this machine in place of jobs, to try it out",
    )
    add("--shards", type=values.count, metavar="N", help="jobs (default: one for each case)")
    add(
        "--slurm",
        action="append",
        default=[],
        metavar="WORD=VALUE,WORD=VALUE",
        help="what is asked of Slurm for each job, by sbatch's names: partition=gpu,gpus-per-node=1,mem=64G",
    )


def add_case_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What says which cases; the group, for more of it."""
    parser.add_argument("case", nargs="*", help="files in args/ (default: those of the profile)")
    group = parser.add_argument_group("which cases")
    add = group.add_argument
    add("--cases", type=values.words, default=(), metavar="A.txt,B.txt", help="the same as naming them one by one")
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
    return group


def add_profile_arguments(group: argparse._ArgumentGroup, default: str) -> None:
    """``--profile`` and an option for each value of it."""
    add = group.add_argument
    add("--profile", choices=tuple(PROFILES), help=f"row of the table below (default: {default})")
    for name, meaning in _LADDERS.items():
        add(f"--{name}", type=values.ladder, metavar="N,N", help=f"environments per device, largest first: {meaning}")
    for name, (kind, meaning) in _NUMBERS.items():
        add(f"--{name}", type=kind, metavar="N" if kind is values.count else "X", help=meaning)


BESIDE_RESUME = ("resume", "resume_skip_status", "jobs", "deadline")
BESIDE_RETRY = ("retry_failed", "root_out", "jobs", "deadline")


def require_alone(arguments: argparse.Namespace, allowed: Sequence[str]) -> None:
    """UsageError when an option outside ``allowed`` (whose first names the one they belong to) was given."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    defaults = vars(parser.parse_args([]))
    given = [key for key, default in defaults.items() if getattr(arguments, key) != default and key not in allowed]
    if given:
        listed = ", ".join("cases" if key == "case" else "--" + key.replace("_", "-") for key in given)
        raise UsageError(
            f"--{allowed[0].replace('_', '-')} takes the options of the earlier run; {listed} cannot be given "
            "beside it."
        )


@dataclass(frozen=True)
class Planned:
    """What a plan file fixes of a run."""

    profile: Profile
    seed: int
    engine_config: str
    device: str
    device_nontrainable: str


def resolve(arguments: argparse.Namespace, repository: Path, planned: Planned | None = None) -> Options:
    """Fill what the command line left open from the profile and from this machine. Raises UsageError.

    With a plan the command line may say where to run and how many cases at once, nothing that changes a result; and
    this machine must have the devices that the plan is for.
    """
    engine_config = engine_path(arguments.engine_config)
    if planned is not None:
        _require_nothing_else(arguments, planned, engine_config)
        engine_config = planned.engine_config
    given_engine = read_engine_name(repository, engine_config) if engine_config else None
    if arguments.devices_train:
        on_gpu = any(device == "all" or device.startswith("cuda") for device in arguments.devices_train)
        found = "devices as asked for"
    else:
        names = [gpu.name for gpu in gpus()]
        on_gpu = bool(names) and given_engine not in CPU_ENGINES
        if planned is not None:
            on_gpu = _require_gpu(names) if planned.device == "cuda" else False
        counted = [f"{number} x {name}" if number > 1 else name for name, number in Counter(names).items()]
        found = f"found {', '.join(counted)}" if names else "no GPU found"
        if len(names) > 1 and not arguments.one_device_each:
            found += " (one is used: see --one-device-each and --devices-train)"
    name = arguments.profile or ("pr" if on_gpu else "smoke")
    profile = planned.profile if planned else profile_of(name, arguments)
    engine_config = engine_config or default_engine_config(on_gpu)
    engine_name = given_engine or read_engine_name(repository, engine_config)
    devices_train = _devices(arguments, on_gpu)
    share = devices_train if arguments.one_device_each else devices_train[:1]
    devices_nontrainable = arguments.devices_nontrainable or share
    for devices in (devices_train, devices_nontrainable):
        if len({kind_of(device) for device in devices}) > 1:
            raise UsageError(f"{','.join(devices)}: devices of one kind, cpu or cuda, are needed.")
        if len(set(devices)) < len(devices):
            raise UsageError(f"{','.join(devices)}: a device is named twice.")
    if planned is not None:
        kinds = (kind_of(devices_train[0]), kind_of(devices_nontrainable[0]))
        wanted = (planned.device, planned.device_nontrainable)
        if kinds != wanted:
            raise UsageError(f"the plan is for {' and '.join(wanted)}, these devices are {' and '.join(kinds)}.")
    seed = 1 if arguments.rand_seed is None else arguments.rand_seed
    return Options(
        names=(*arguments.case, *arguments.cases),
        include_nontrainable=arguments.include_nontrainable,
        shard=arguments.shard or (1, 1),
        plan_file=arguments.plan,
        profile=profile,
        engine_config=engine_config,
        engine_name=engine_name,
        devices_train=devices_train,
        devices_nontrainable=devices_nontrainable,
        one_device_each=arguments.one_device_each,
        jobs=arguments.jobs,
        root_out=arguments.root_out,
        seed=planned.seed if planned else seed,
        require_deps=arguments.require_deps or ENGINE_PACKAGES.get(engine_name, ("torch",)),
        deadline=arguments.deadline,
        why=f"{found}; engine {engine_name} ({engine_config}) on {','.join(devices_train)}, profile {profile.name}",
    )


def _devices(arguments: argparse.Namespace, on_gpu: bool) -> tuple[str, ...]:
    given: tuple[str, ...] | None = arguments.devices_train
    if given == ("all",) or (given is None and on_gpu and arguments.one_device_each):
        every = tuple(f"cuda:{index}" for index in range(len(gpus())))
        if not every:
            raise UsageError("--devices-train all: there is no GPU here.")
        return every
    return given or (("cuda:0",) if on_gpu else ("cpu",))


def kind_of(device: str) -> str:
    """'cuda' of 'cuda:3', 'cpu' of 'cpu'."""
    return device.partition(":")[0]


def default_engine_config(on_gpu: bool) -> str:
    """The engine file for a machine with a GPU, or without."""
    return f"data/engines/{'newton' if on_gpu else 'mujoco'}_engine.yaml"


def _require_gpu(names: Sequence[str]) -> bool:
    if not names:
        raise UsageError("the plan is for a GPU, and there is none here.")
    return True


def _require_nothing_else(arguments: argparse.Namespace, planned: Planned, engine_config: str | None) -> None:
    """UsageError when an option beside ``--plan`` would change what the plan says."""
    given = [field.replace("_", "-") for field in _profile_fields() if getattr(arguments, field) is not None]
    if given:
        raise UsageError(
            f"--{given[0]} cannot be given beside --plan: nox -s matrix takes it, and puts it into the plan."
        )
    repeated = (
        ("profile", arguments.profile, planned.profile.name),
        ("rand-seed", arguments.rand_seed, planned.seed),
        ("engine-config", engine_config, planned.engine_config),
    )
    for option, value, wanted in repeated:
        if value is not None and value != wanted:
            raise UsageError(f"--{option} {value} contradicts the plan, which says {wanted}.")


def _profile_fields() -> list[str]:
    return [option.replace("-", "_") for option in (*_LADDERS, *_NUMBERS)]


def profile_of(name: str, arguments: argparse.Namespace) -> Profile:
    """The profile with the values of the command line in it. UsageError for those it has no use for."""
    given = {field: getattr(arguments, field) for field in _profile_fields() if getattr(arguments, field) is not None}
    chosen = PROFILES[name]
    long = [field for field in given if field.startswith("long_")]
    if long and "long" not in chosen.stages:
        raise UsageError(f"--{long[0].replace('_', '-')} needs a profile with a long training: --profile longcycle.")
    if "long_max_samples" in given and "long_budget_hours" not in given:
        given["long_budget_hours"] = None  # of the two, what is asked for beats what the profile says
    return dataclasses.replace(chosen, **given)


def options_as_json(options: Options) -> dict[str, Any]:
    """The options, for run.json."""
    return {**vars(options), "profile": profile_as_json(options.profile)}


def options_from_json(content: Any) -> Options:
    """What ``options_as_json`` gave, after JSON; ValueError when it is not that."""
    try:
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in content.items()
        }
        return Options(profile=profile_from_json(fields.pop("profile")), **fields)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f"the options are not those of this version: {error}") from error


def engine_path(given: str | None) -> str | None:
    """A bare file name means the one in data/engines."""
    return f"data/engines/{given}" if given and "/" not in given else given


_LADDERS = {
    "default-ladder": "every case but those below",
    "pi-plus-ladder": "pi_plus cases",
    "amp-pi-plus-ladder": "pi_plus cases with AMP",
}
_NUMBERS = {
    "train-iters": (values.count, "training iterations; samples = environments * devices * steps_per_iter * this"),
    "train-timeout": (values.positive, "seconds a training may take before its processes are ended"),
    "test-timeout": (values.positive, "the same for a test"),
    "viz-timeout": (values.positive, "the same for a rendering"),
    "test-episodes": (values.count, "episodes of a test, at least"),
    "viz-episodes": (values.count, "episodes of a rendering"),
    "nontrainable-num-envs": (values.count, "environments of a case that does not train"),
    "nontrainable-max-samples": (values.count, "samples of its bootstrap"),
    "long-max-samples": (values.count, "samples of the long training (profile longcycle)"),
    "long-budget-hours": (values.positive, "hours of the long training, over all its parts when it is resumed"),
    "long-timeout": (values.positive, "seconds a long training by samples may take; then it leaves a checkpoint"),
}


def profile_table() -> str:
    """The profiles, for a help text."""
    lines = ["profiles:"]
    for profile in PROFILES.values():
        ladder = ",".join(map(str, profile.default_ladder))
        lines.append(f"  {profile.name:9} {profile.meaning}")
        lines.append(f"            --default-ladder {ladder} --train-iters {profile.train_iters}")
        seconds = (profile.train_timeout, profile.test_timeout, profile.viz_timeout)
        lines.append("            --train-timeout {:g} --test-timeout {:g} --viz-timeout {:g}".format(*seconds))
        lines.append(f"            --test-episodes {profile.test_episodes} --viz-episodes {profile.viz_episodes}")
        if profile.long_budget_hours is not None:
            lines.append(f"            --long-budget-hours {profile.long_budget_hours:g}")
    return "\n".join(lines) + "\n"


def parse(argv: Sequence[str], repository: Path) -> Options:
    """``resolve`` of a command line without a plan."""
    parser = argparse.ArgumentParser(prog="python -m ci e2e", allow_abbrev=False)
    add_arguments(parser)
    return resolve(parser.parse_args(argv), repository)
