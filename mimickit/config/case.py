"""One case: the run's arguments and the engine, environment and agent configurations they name."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mimickit.config.agent_config import AGENT_CONFIGS, AgentConfig, PolicyFreeConfig
from mimickit.config.arguments import RunConfig
from mimickit.config.document import DEFAULT, Document, KeyPath, Source, fail, missing_file, nearest
from mimickit.config.engine_config import ENGINE_CONFIGS, EngineConfig
from mimickit.config.env_config import ENV_CONFIGS, CharEnvConfig
from mimickit.config.schema import build_kind, field_sources, inner_configs, read_yaml
from mimickit.errors import InputError, MissingDataError

# Keys that name a file of settings; the others name data.
_SETTINGS = ("smp_prior_cfg",)
# What to do about a missing file, by the key that names it.
_REMEDIES = {
    "motion_file": "; `nox -s data` builds the open clips",
    "smp_prior_model": "; `python -m mimickit.learning.smp_prior --arg_file {arg_file}` trains it",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a run needs to know; a case that names no ``agent_config`` has a `PolicyFreeConfig`.

    ``sources`` has the origin of every value under its dotted key: ``run.num_envs``, ``engine.sim_freq``,
    ``agent.model.actor_net``, ``env.objects[0].file``.
    """

    run: RunConfig
    engine: EngineConfig
    env: CharEnvConfig
    agent: AgentConfig
    sources: Mapping[str, Source] = field(default_factory=dict, repr=False, compare=False)


def load_case(run: RunConfig, to_be_made: Collection[str] = ()) -> Case:
    """Read, check and combine the YAML files that ``run`` names.

    ``to_be_made`` are keys of the environment's and the agent's configurations whose files need not exist yet.

    The environment's ``engine`` block overrides values of the engine's file; its keys may belong to any backend, and
    the chosen backend uses those it knows. Raises InputError for anything unknown, missing, of the wrong type or out
    of range, and for a character, motion, object or motion prior file that does not exist.
    """
    env_document = read_yaml(run.env_config)
    env = build_kind(ENV_CONFIGS, "env_name", env_document)
    engine_document = engine_settings(read_yaml(run.engine_config), env_document)
    engine = build_kind(ENGINE_CONFIGS, "engine_name", engine_document)
    _require_files(env, env_document, run, to_be_made)
    parts: list[tuple[str, Any, Document]] = [("engine", engine, engine_document), ("env", env, env_document)]
    agent: AgentConfig = PolicyFreeConfig()
    if run.agent_config is not None:
        agent_document = read_yaml(run.agent_config)
        agent = build_kind(AGENT_CONFIGS, "agent_name", agent_document)
        _require_files(agent, agent_document, run, to_be_made)
        parts.append(("agent", agent, agent_document))
    sources = {f"run.{key}": source for key, source in run.sources.items()}
    for name, config, document in parts:
        sources |= {f"{name}.{key}": source for key, source in field_sources(config, document).items()}
    return Case(run=run, engine=engine, env=env, agent=agent, sources=sources)


def load_env(path: Path) -> CharEnvConfig:
    """The environment configuration in the YAML file ``path``; the files it names need not exist."""
    return build_kind(ENV_CONFIGS, "env_name", read_yaml(path))


def engine_settings(engine: Document, env: Document) -> Document:
    """The engine's values with the environment's ``engine`` block over them."""
    if not env.values.get("engine"):
        return engine
    block = env.section("engine")
    known = {spec.name for config in ENGINE_CONFIGS.values() for spec in dataclasses.fields(config)} - {"engine_name"}
    problems = []
    if "engine_name" in block.values:
        problems.append(
            f"{block.source(('engine_name',))}: 'engine.engine_name' may not be overridden; "
            "--engine_config chooses the backend"
        )
    for key in block.values.keys() - known - {"engine_name"}:
        problems.append(
            f"{block.source((key,))}: unknown key 'engine.{key}'; the nearest valid key is "
            f"'engine.{nearest(key, sorted(known))}'"
        )
    if problems:
        fail(sorted(problems))
    config = ENGINE_CONFIGS.get(engine.values.get("engine_name", ""), EngineConfig)
    used = {spec.name for spec in dataclasses.fields(config)}
    values = {key: value for key, value in block.values.items() if key in used}
    sources = {path: source for path, source in block.sources.items() if path[0] in used}
    return engine.overlaid(Document(block.origin, values, sources))


def _require_files(config: Any, document: Document, run: RunConfig, to_be_made: Collection[str] = ()) -> None:
    """Raise one error for all paths in ``config`` that are no files: MissingDataError, unless one is of settings."""
    problems = []
    kind: type[InputError] = MissingDataError
    for place, path in named_files(config):
        key = document.key_name(place)
        reason = None if key in to_be_made else missing_file(path)
        if reason is not None:
            remedy = _REMEDIES.get(key, "").format(arg_file=run.arg_file or "args/CASE.txt")
            problems.append(f"{document.source(place)}: '{key}' must name a file: {reason}{remedy}")
            kind = InputError if key in _SETTINGS else kind
    if problems:
        fail(problems, kind)


def named_files(config: Any, place: KeyPath = ()) -> Iterator[tuple[KeyPath, Path]]:
    """Every path in the dataclass ``config``, which lies at ``place``, and where it lies itself."""
    for spec in dataclasses.fields(config):
        here, value = (*place, spec.name), getattr(config, spec.name)
        if isinstance(value, Path):
            yield here, value
        for there, inner_config in inner_configs(value):
            yield from named_files(inner_config, (*here, *there))


def effective_values(case: Case) -> dict[str, Any]:
    """Every value under its dotted key, as in ``sources``; tuples are lists, paths text."""
    parts = {name: getattr(case, name) for name in ("run", "engine", "env", "agent")}
    return {key: value for name, config in parts.items() for key, value in _values(config, name)}


def _values(config: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of the dataclass ``config``, which lies at ``prefix``."""
    for spec in dataclasses.fields(config):
        if not spec.metadata.get("key", True):
            continue
        key, value = f"{prefix}.{spec.name}", getattr(config, spec.name)
        inner = inner_configs(value)
        if not inner:
            yield key, _plain(value)
        for place, inner_config in inner:
            yield from _values(inner_config, key + "".join(f"[{number}]" for number in place))


def format_case(case: Case) -> str:
    """The effective configuration as YAML: ``run``, ``engine``, ``env``, ``agent``, each value with its origin."""
    lines = ["# Effective configuration; the comment after a value says where it came from."]
    for name in ("run", "engine", "env", "agent"):
        lines.append(f"{name}:")
        lines += _lines(getattr(case, name), name, case, 1)
    return "\n".join(lines) + "\n"


def _lines(config: Any, prefix: str, case: Case, depth: int) -> Iterator[str]:
    """The YAML lines of the dataclass ``config``, indented by ``depth`` levels."""
    indent = "  " * depth
    for spec in dataclasses.fields(config):
        if not spec.metadata.get("key", True):
            continue
        key, value = f"{prefix}.{spec.name}", getattr(config, spec.name)
        inner = inner_configs(value)
        if not inner:
            unused = _unused_engine_keys(case, key)
            note = f" (not used by {case.engine.engine_name}: {', '.join(unused)})" if unused else ""
            yield f"{indent}{spec.name}: {_flow(value)}  # {case.sources.get(key, DEFAULT)}{note}"
            continue
        yield f"{indent}{spec.name}:"
        for place, inner_config in inner:
            index = "".join(f"[{number}]" for number in place)
            lines = list(_lines(inner_config, key + index, case, depth + 1 + len(place)))
            if place:  # an item of a list, which begins with a dash
                lines[0] = f"{indent}  - {lines[0].lstrip()}"
            yield from lines


def _unused_engine_keys(case: Case, key: str) -> list[str]:
    """The keys of the environment's engine block that the chosen backend does not have."""
    return [name for name in case.env.engine if not hasattr(case.engine, name)] if key == "env.engine" else []


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(_plain(value), default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    """Tuples as lists and paths as text."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value.as_posix() if isinstance(value, Path) else value
