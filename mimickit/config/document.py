"""Mappings that remember where each value was written, and the YAML reader that makes them."""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from mimickit.errors import InputError

KeyPath = tuple[str | int, ...]
"""Where a value lies in nested mappings and lists: ``("model", "actor_net")``, ``("joint_err_w", 3)``."""


@dataclass(frozen=True)
class Source:
    """Where a value came from: a file (with its line, from 1), the command line, or a default."""

    place: str
    line: int | None = None

    def __str__(self) -> str:
        return self.place if self.line is None else f"{self.place}:{self.line}"


COMMAND_LINE = Source("command line")
DEFAULT = Source("default")


@dataclass(frozen=True)
class Document:
    """Plain values (text, numbers, booleans, None, lists, mappings) and the source of each.

    ``origin`` stands for the whole; ``sources`` may miss any value, whose nearest enclosing one then answers.
    ``key_prefix`` is what a user writes before a top-level key: ``--`` on a command line, nothing in YAML.
    """

    origin: Source
    values: Mapping[str, Any]
    sources: Mapping[KeyPath, Source] = field(default_factory=dict)
    key_prefix: str = ""

    def source(self, path: KeyPath) -> Source:
        """The source of the value at ``path``."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.sources:
                return self.sources[path[:length]]
        return self.origin

    def key_name(self, path: KeyPath) -> str:
        """The key as a person would write it: ``model.actor_net``, ``joint_err_w[3]``, ``--num_envs``."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        return self.key_prefix + text.removeprefix(".")

    def section(self, key: str) -> "Document":
        """The mapping under the top-level ``key`` as a document of its own."""
        sources = {path[1:]: source for path, source in self.sources.items() if path[0] == key and len(path) > 1}
        return Document(self.source((key,)), self.values[key], sources)

    def overlaid(self, other: "Document") -> "Document":
        """This document with the top-level values of ``other`` put over it, each keeping its own source."""
        values = {**self.values, **other.values}
        sources = {path: source for path, source in self.sources.items() if path[0] not in other.values}
        for key in other.values:
            sources[(key,)] = other.source((key,))
        sources.update(other.sources)
        return Document(self.origin, values, sources, self.key_prefix)


def fail(problems: Iterable[str], kind: type[InputError] = InputError) -> NoReturn:
    """Raise one ``InputError``, or one of the class ``kind``, for all ``problems``."""
    found = list(dict.fromkeys(problems))
    if len(found) == 1:
        raise kind(found[0])
    raise kind("\n  ".join([f"{len(found)} problems:", *found]))


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word most like ``word``; None when there is none to choose from."""
    return max(valid, key=lambda other: difflib.SequenceMatcher(None, word, other).ratio(), default=None)


def nearest_file(path: Path) -> str:
    """A hint for a ``path`` that does not exist: the nearest name that does, or why there is none."""
    folder = path.parent
    if not folder.is_dir():
        siblings = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] if folder.parent.is_dir() else []
        like = nearest(folder.name, siblings)
        hint = "" if like is None else f"; the nearest folder is {(folder.parent / like).as_posix()}"
        return f"the folder {folder.as_posix()} does not exist (seen from {Path.cwd()}){hint}"
    files = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    like = nearest(path.name, [name for name in files if Path(name).suffix == path.suffix] or files)
    if like is None:
        return f"the folder {folder.as_posix()} holds no file"
    return f"the nearest existing file is {(folder / like).as_posix()}"


def missing_file(path: Path) -> str | None:
    """Why ``path`` is no readable file, with a hint; None when it is one."""
    name = path.as_posix()
    try:
        if path.is_file():
            return None if os.access(path, os.R_OK) else f"{name} may not be read: permission denied"
        if path.is_dir():
            return f"{name} is a folder, not a file"
        return f"{name} is not a regular file" if path.exists() else f"{name} does not exist; {nearest_file(path)}"
    except OSError as error:
        return f"{name} cannot be reached: {error.strerror}"


def read_text(path: Path) -> str:
    """The text of the UTF-8 file ``path``; InputError when it is missing, unreadable or not text."""
    problem = missing_file(path)
    if problem is not None:
        raise InputError(problem)
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.as_posix()} is not UTF-8 text: byte {error.start} cannot be read") from None


class _Loader(yaml.SafeLoader):
    """YAML whose plain words mean what YAML 1.2 says: ``1e-4`` is a number; ``yes``, ``off`` and ``1:30`` are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


_TAG = "tag:yaml.org,2002:"
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_TAG + "bool", re.compile(r"(?:true|false)$", re.IGNORECASE), list("tTfF"))
_Loader.add_implicit_resolver(_TAG + "int", re.compile(r"[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)

_SCALARS: dict[str, Callable[[str], Any]] = {
    _TAG + "null": lambda text: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": int,
    _TAG + "float": float,
    _TAG + "str": str,
}


def read_yaml(path: Path | str) -> Document:
    """The mapping in the YAML file ``path``, with the line of every value.

    Raises InputError for a missing file, a syntax error, a key given twice, or anything but one mapping with text keys.
    """
    path = Path(path)
    name = path.as_posix()
    try:
        node = yaml.compose(read_text(path), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise InputError(f"{Source(name, line)}: not valid YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        raise InputError(f"{name}: not valid YAML: {error.reason} at character {error.position}") from None
    if node is None:
        raise InputError(f"{name}: the file is empty; it must hold a mapping of keys to values")
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{Source(name, 1)}: the file must hold a mapping of keys to values")
    sources: dict[KeyPath, Source] = {}
    problems: list[str] = []
    values = _read_node(node, (), name, sources, problems, ())
    if problems:
        fail(problems)
    return Document(Source(name), values, sources)


def _read_node(
    node: yaml.Node,
    path: KeyPath,
    name: str,
    sources: dict[KeyPath, Source],
    problems: list[str],
    parents: tuple[yaml.Node, ...],
) -> Any:
    """The plain value of ``node``; fills ``sources`` and ``problems`` on the way."""
    here = Source(name, node.start_mark.line + 1)
    if any(node is parent for parent in parents):
        problems.append(f"{here}: an alias (*) refers to a value that contains it")
        return None
    parents = (*parents, node)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        items = []
        for index, child in enumerate(node.value):
            sources[(*path, index)] = Source(name, child.start_mark.line + 1)
            items.append(_read_node(child, (*path, index), name, sources, problems, parents))
        return items
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _read_mapping(node, path, name, sources, problems, parents)
    if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
        try:
            return _SCALARS[node.tag](node.value)
        except ValueError:
            problems.append(f"{here}: {node.value!r} is not a valid {node.tag.removeprefix(_TAG)}")
            return None
    problems.append(f"{here}: the tag {node.tag} is not allowed; write plain text, numbers, lists and mappings")
    return None


def _read_mapping(
    node: yaml.MappingNode,
    path: KeyPath,
    name: str,
    sources: dict[KeyPath, Source],
    problems: list[str],
    parents: tuple[yaml.Node, ...],
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, child in node.value:
        here = Source(name, key_node.start_mark.line + 1)
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
            problems.append(f"{here}: a key must be text, not {getattr(key_node, 'value', key_node)!r}")
            continue
        key = key_node.value
        if key in values:
            problems.append(f"{here}: key '{key}' is given twice; it is on line {sources[(*path, key)].line} already")
            continue
        sources[(*path, key)] = here
        values[key] = _read_node(child, (*path, key), name, sources, problems, parents)
    return values
