"""The command line and the arg file of a run: ``--key value...``, the command line first."""

import dataclasses
import re
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mimickit.config.document import COMMAND_LINE, Document, KeyPath, Source, fail, missing_file, read_text
from mimickit.config.schema import build, field_sources, option, require

_DEVICE = re.compile(r"cpu|cuda:[0-9]+")


def default_devices() -> tuple[str, ...]:
    """``("cuda:0",)`` on a machine with an NVIDIA device node, otherwise ``("cpu",)``."""
    return ("cuda:0",) if any(Path("/dev").glob("nvidia[0-9]*")) else ("cpu",)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What one run is asked to do; each field is a key of the command line and of arg files.

    ``sources`` says where each value came from: the command line, a line of the arg file, or a default.
    Paths are relative to the current directory.
    """

    arg_file: Path | None = option(
        "File of '--key value' lines to start from; '#' begins a comment. The command line beats it.",
        default=None,
        example="args/deepmimic_humanoid_ppo_args.txt",
    )
    mode: Literal["train", "test"] = option("Train a policy, or test one.", default="train", example="test")
    num_envs: int = option("Environments simulated side by side, in each process.", default=1, example="1024")
    engine_config: Path = option("Physics backend.", example="data/engines/mujoco_engine.yaml")
    env_config: Path = option(
        "Environment: character, motion, reward.", example="data/envs/deepmimic_humanoid_env.yaml"
    )
    agent_config: Path | None = option(
        "Learning method; none runs without a policy.",
        default=None,
        example="data/agents/deepmimic_humanoid_ppo_agent.yaml",
    )
    devices: tuple[str, ...] = option(
        "'cpu' or 'cuda:N'; several train in one process each. Under torchrun those of this host.",
        default_factory=default_devices,
        shown_default="cuda:0 where there is an NVIDIA GPU, otherwise cpu",
        example="cuda:0 cuda:1",
    )
    visualize: bool = option("Open a window.", default=False, example="true")
    video: bool = option("Record a video without a window (with --mode test).", default=False, example="true")
    out_dir: Path = option("Folder for everything the run writes.", default=Path("output"), example="output/walk")
    model_file: Path | None = option(
        "Trained model to load; without one the policy is untrained.", default=None, example="output/walk/model.pt"
    )
    max_samples: int | None = option(
        "Stop training after this many samples.", default=None, shown_default="no limit", example="2000000"
    )
    max_seconds: float | None = option(
        "Stop training after the iteration in which it has run for this long; parts before a --resume count.",
        default=None,
        shown_default="no limit",
        example="3600",
    )
    resume: bool = option(
        "Go on with the training in --out_dir, where it wrote its last model.", default=False, example="true"
    )
    save_state: bool = option(
        "Write beside every model what --resume needs: optimizers, replay, random numbers; up to a gigabyte.",
        default=True,
        example="false",
    )
    test_episodes: int | None = option(
        "Episodes of a test.", default=None, shown_default="the agent's test_episodes", example="32"
    )
    logger: Literal["txt", "tb", "wandb"] = option(
        "Where the log goes besides log.txt: nowhere, TensorBoard, or Weights & Biases.", default="txt", example="tb"
    )
    rand_seed: int | None = option(
        "Seed of every random number.", default=None, shown_default="a new one each run", example="7"
    )
    master_port: int | None = option(
        "TCP port on which several processes meet.", default=None, shown_default="a free one", example="29500"
    )
    save_int_models: bool = option("Keep the model of every output iteration.", default=False, example="true")
    print_config: bool = option("Print the effective configuration as YAML and stop.", default=False, example="true")
    sources: Mapping[str, Source] = field(default_factory=dict, repr=False, compare=False, metadata={"key": False})

    def __post_init__(self) -> None:
        cuda = [device for device in self.devices if device.startswith("cuda")]
        shaped = bool(self.devices) and all(_DEVICE.fullmatch(device) for device in self.devices)
        require(
            ("num_envs", self.num_envs >= 1, "at least 1"),
            ("devices", shaped, "'cpu' or 'cuda:N' with a number N, for example 'cuda:0'"),
            ("devices", not cuda or len(cuda) == len(self.devices), "all of one kind, cpu or cuda"),
            ("devices", len(set(cuda)) == len(cuda), "different CUDA devices"),
            ("max_samples", self.max_samples is None or self.max_samples >= 1, "at least 1"),
            ("max_seconds", self.max_seconds is None or self.max_seconds > 0, "more than 0"),
            ("resume", not self.resume or self.mode == "train", "false with --mode test: only a training is resumed"),
            ("save_state", self.save_state or not self.resume, "true with --resume true"),
            ("test_episodes", self.test_episodes is None or self.test_episodes >= 1, "at least 1"),
            ("rand_seed", self.rand_seed is None or 0 <= self.rand_seed < 2**32, "between 0 and 4294967295"),
            ("video", not self.video or self.mode == "test", "false while training: film a test (--mode test)"),
            (
                "visualize",
                not self.visualize or self.mode == "test",
                "false while training: watch a test (--mode test)",
            ),
            (
                "visualize",
                not (self.visualize and self.video),
                "false with --video true: one test is filmed or watched",
            ),
            ("master_port", self.master_port is None or 1 <= self.master_port <= 65535, "between 1 and 65535"),
        )


_FIELDS = {spec.name: spec for spec in dataclasses.fields(RunConfig) if spec.metadata.get("key", True)}
_HINTS = typing.get_type_hints(RunConfig)


def parse_run_arguments(argv: Sequence[str]) -> RunConfig:
    """The run that ``argv`` (without the program's name) and the arg file it may name ask for.

    ``--help`` prints the help and raises SystemExit(0). Anything unknown, missing or of the wrong type, and any file
    that does not exist, raises InputError.
    """
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(format_help())
        raise SystemExit(0)
    document = _command_line(argv)
    if "arg_file" in document.values:
        document = read_arg_file(_arg_file(document)).overlaid(document)
    elif set(document.values) <= set(_FIELDS) - {"engine_config", "env_config"}:
        both = "give --arg_file args/<case>.txt, or --engine_config and --env_config"
        fail([f"{COMMAND_LINE}: no case is named: {both}; --help explains every key"])
    document = _shaped(document)
    config = build(RunConfig, document)
    problems = []
    for key in ("engine_config", "env_config", "agent_config", "model_file"):
        path = getattr(config, key)
        reason = None if path is None else missing_file(path)
        if reason is not None:
            problems.append(f"{document.source((key,))}: '--{key}' must name a file: {reason}")
    if problems:
        fail(problems)
    return dataclasses.replace(config, sources=field_sources(config, document))


def read_arg_file(path: Path) -> Document:
    """The keys of an arg file, each with the list of words after it and its line.

    A line is ``--key value...``; a value with spaces stands in quotation marks; ``#`` at the start of a word begins a
    comment. Raises InputError for a missing file, a line of another form, and a key given twice.
    """
    name = path.as_posix()
    values: dict[str, list[str]] = {}
    sources: dict[KeyPath, Source] = {}
    problems: list[str] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        here = Source(name, number)
        try:
            words = _words(line)
        except ValueError as error:
            problems.append(f"{here}: {error}")
            continue
        if words and not words[0].startswith("--"):
            problems.append(f"{here}: a line must begin with a --key, not {words[0]!r}")
        else:
            problems += _collect(words, here, values, sources)
    if "arg_file" in values:
        problems.append(f"{sources[('arg_file',)]}: '--arg_file' may be given on the command line only")
    if problems:
        fail(problems)
    return Document(Source(name), values, sources, key_prefix="--")


def _words(line: str) -> list[str]:
    """The words of an arg file's line up to a comment; raises ValueError for an unclosed quotation mark."""
    words = []
    for word in re.findall(r"""\"[^\"]*\"|'[^']*'|\S+""", line):
        if word.startswith("#"):
            break
        if word[0] in "\"'":
            if len(word) < 2 or word[-1] != word[0]:
                raise ValueError(f"the quotation mark of {word} is not closed")
            word = word[1:-1]
        words.append(word)
    return words


def _collect(
    words: Iterable[str], here: Source, values: dict[str, list[str]], sources: dict[KeyPath, Source]
) -> list[str]:
    """Add ``--key value...`` words to ``values`` and ``sources``; the problems found."""
    problems: list[str] = []
    current: list[str] | None = None
    for word in words:
        if not word.startswith("--"):
            if current is None:
                problems.append(f"{here}: {word!r} stands before any --key")
                current = []
            current.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        current = [value] if equals else []
        if key in values:
            first = sources[(key,)]
            place = "" if first.line is None else f"; it is on line {first.line} already"
            problems.append(f"{here}: '--{key}' is given twice{place}")
        else:
            values[key] = current
            sources[(key,)] = here
    return problems


def _command_line(argv: Iterable[str]) -> Document:
    values: dict[str, list[str]] = {}
    sources: dict[KeyPath, Source] = {}
    problems = _collect(argv, COMMAND_LINE, values, sources)
    if problems:
        fail(problems)
    return Document(COMMAND_LINE, values, sources, key_prefix="--")


def _arg_file(document: Document) -> Path:
    """The arg file that the command line names."""
    words = document.values["arg_file"]
    if len(words) != 1:
        fail([f"{COMMAND_LINE}: '--arg_file' takes one value (a path), not {_listed(words)}"])
    path = Path(words[0])
    reason = missing_file(path)
    if reason is not None:
        fail([f"{COMMAND_LINE}: '--arg_file' must name a file: {reason}"])
    return path


def _shaped(document: Document) -> Document:
    """``document`` with one word for every key that takes one, and ``true`` for a boolean that stands alone."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, words in document.values.items():
        hint = _HINTS.get(key)
        if hint is bool and not words:
            values[key] = "true"
        elif key not in _FIELDS or (typing.get_origin(hint) is tuple and words):
            values[key] = words
        elif len(words) == 1:
            values[key] = words[0]
        else:
            count = "at least one value" if typing.get_origin(hint) is tuple else "one value"
            problems.append(f"{document.source((key,))}: '--{key}' takes {count} ({_kind(hint)}), not {_listed(words)}")
    if problems:
        fail(problems)
    return dataclasses.replace(document, values=values)


def _listed(words: Sequence[str]) -> str:
    return " ".join(map(repr, words)) if words else "none"


_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    tuple: "cpu or cuda:N",
}


def _kind(hint: Any) -> str:
    """What a key's value is called in the help."""
    members = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return " | ".join(members)
    if typing.get_origin(hint) is types.UnionType:
        return _kind(members[0])
    return _KINDS[typing.get_origin(hint) or hint]


def format_help() -> str:
    """The text of ``--help``: usage, then every key with its type, default and an example."""
    width = min(shutil.get_terminal_size((110, 24)).columns, 120)
    lines = [
        "usage: python mimickit/run.py --arg_file args/<case>.txt [--key value ...]",
        "",
        "Train or test one case. A value on the command line beats the same key in the arg file;",
        "a boolean key alone means true. Paths are relative to the current directory.",
        "",
        "  python mimickit/run.py --arg_file args/deepmimic_humanoid_ppo_args.txt --num_envs 1024",
        "  python mimickit/run.py --arg_file args/deepmimic_humanoid_ppo_args.txt --mode test \\",
        "      --model_file output/model.pt --video true",
        "",
        "keys:",
    ]
    for key, spec in _FIELDS.items():
        default = _shown_default(spec)
        text = f"{spec.metadata['help']} {default}. Example: --{key} {spec.metadata['example']}"
        lines.append(f"  --{key}  ({_kind(_HINTS[key])})")
        lines += textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def _shown_default(spec: "dataclasses.Field[Any]") -> str:
    if spec.metadata["shown_default"]:
        return f"Default: {spec.metadata['shown_default']}"
    if spec.default is dataclasses.MISSING:
        return "Required"
    if spec.default is None:
        return "Default: none"
    return f"Default: {str(spec.default).lower() if isinstance(spec.default, bool) else spec.default}"
