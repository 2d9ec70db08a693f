"""Typed dataclasses from documents: every key known, every value of its type and in its range, or one clear error."""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from mimickit.config.document import DEFAULT, Document, KeyPath, Source, fail, nearest, read_yaml

__all__ = ["BadValue", "build", "build_kind", "field_sources", "inner_configs", "option", "read_yaml", "require"]

T = TypeVar("T")

_OR_NULL = " or null"  # left out on a command line, where nothing can be written as null


class BadValue(ValueError):
    """Values out of range: pairs of a field's name and what it must be."""

    def __init__(self, failures: Collection[tuple[str, str]]) -> None:
        self.failures = tuple(failures)
        super().__init__("; ".join(f"{key} must be {expected}" for key, expected in self.failures))


def require(*rules: tuple[str, bool, str]) -> None:
    """Raise BadValue for every rule ``(field name, holds, what it must be)`` that does not hold."""
    failures = [(key, expected) for key, holds, expected in rules if not holds]
    if failures:
        raise BadValue(failures)


def option(help: str, *, example: str = "", shown_default: str = "", **default: Any) -> Any:
    """A dataclass field with a sentence of help, and perhaps an example, for a command-line key."""
    metadata = {"help": help, "example": example, "shown_default": shown_default}
    return dataclasses.field(metadata=metadata, **default)


class _Mismatch(Exception):
    """A value that is not of its type; ``path`` leads from the field to the value."""

    def __init__(self, expected: str, value: Any, path: KeyPath = (), hint: str = "") -> None:
        super().__init__(expected)
        self.expected, self.value, self.path, self.hint = expected, value, path, hint


def build(cls: type[T], document: Document) -> T:
    """The dataclass ``cls`` from the values of ``document``.

    Fields may be bool, int, float, str, Path, a Literal, a tuple of these, a mapping, or one of these with None; or
    another dataclass, or a tuple of any length of one. Numbers may be written as text (``"1e-4"``), a whole number as
    ``1e8``; a boolean only as true or false in any case. Ranges are the class's ``__post_init__``, through ``require``.

    Raises InputError that lists every unknown key (with the nearest valid one), missing key and bad value.
    """
    problems: list[str] = []
    built = _build(cls, document, (), document.values, problems)
    if problems or built is None:
        fail(problems)
    return built


def build_kind(kinds: Mapping[str, type[T]], kind_key: str, document: Document) -> T:
    """The dataclass that ``kinds`` has for the document's ``kind_key`` (``engine_name``, ``env_name``...)."""
    listed = ", ".join(sorted(kinds))
    if kind_key not in document.values:
        near = nearest(kind_key, document.values)
        hint = "" if near is None else f"; the nearest key there is '{near}' ({document.source((near,))})"
        fail([f"{document.origin}: required key '{kind_key}' (one of {listed}) is missing{hint}"])
    kind = document.values[kind_key]
    if not isinstance(kind, str) or kind not in kinds:
        fail([f"{document.source((kind_key,))}: {_must_be(kind_key, f'one of {listed}', kind, str(kind), kinds)}"])
    return build(kinds[kind], document)


def field_sources(config: Any, document: Document, path: KeyPath = ()) -> dict[str, Source]:
    """The source of every field of ``config``, which was built from what lies at ``path`` in ``document``.

    Keys are as in messages, ``model.actor_net`` and ``objects[0].file``; an empty list has its own, ``objects``.
    """
    found: dict[str, Source] = {}
    for field in dataclasses.fields(config):
        here = (*path, field.name)
        value = getattr(config, field.name)
        if not field.metadata.get("key", True):
            continue
        inner = inner_configs(value)
        for place, inner_config in inner:
            found |= field_sources(inner_config, document, (*here, *place))
        if not inner:
            key = document.key_name(here).removeprefix(document.key_prefix)
            found[key] = document.source(here) if _is_given(document, here) else DEFAULT
    return found


def inner_configs(value: Any) -> list[tuple[KeyPath, Any]]:
    """The dataclasses that a field's ``value`` is, or is a list of, each with the way there from the field."""
    if dataclasses.is_dataclass(value):
        return [((), value)]
    items = enumerate(value) if isinstance(value, tuple) else ()
    return [((index,), item) for index, item in items if dataclasses.is_dataclass(item)]


def _is_given(document: Document, path: KeyPath) -> bool:
    values: Any = document.values
    for part in path:
        if isinstance(part, str) and part not in values:  # an item of a list is as given as the list
            return False
        values = values[part]
    return True


def _build(cls: type[T], document: Document, path: KeyPath, values: Mapping[str, Any], problems: list[str]) -> T | None:
    """``cls`` from ``values``, which lie at ``path`` in ``document``; None after adding to ``problems``."""
    hints = typing.get_type_hints(cls)
    specs = dataclasses.fields(cls)  # type: ignore[arg-type]
    fields = {field.name: field for field in specs if field.metadata.get("key", True)}
    mistyped: set[str] = set()
    before = len(problems)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        here = (*path, key)
        if key not in fields:
            near = nearest(key, fields) or ""
            mistyped.add(near)
            name, near_name = document.key_name(here), document.key_name((*path, near))
            problems.append(f"{document.source(here)}: unknown key '{name}'; the nearest valid key is '{near_name}'")
        else:
            arguments[key] = _read(hints[key], document, here, value, problems)
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in values and not has_default and name not in mistyped:
            key = document.key_name((*path, name))
            problems.append(f"{document.source(path)}: required key '{key}' ({_describe(hints[name])}) is missing")
    if len(problems) > before:
        return None
    try:
        return cls(**arguments)
    except BadValue as error:
        for name, expected in error.failures:
            here = (*path, name)
            given = name in values
            value = _shown(values[name]) if given else f"its default {_shown(fields[name].default)}"
            problems.append(f"{document.source(here)}: '{document.key_name(here)}' must be {expected}, not {value}")
    except ValueError as error:
        problems.append(f"{document.source(path)}: {error}")
    return None


def _read(hint: Any, document: Document, path: KeyPath, value: Any, problems: list[str]) -> Any:
    """``value``, which lies at ``path`` in ``document``, as the type ``hint``; adds to ``problems`` where it is not."""
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _build(typing.cast(type[Any], hint), document, path, value, problems)
    item = _item_class(hint)
    if item is not None and isinstance(value, (list, tuple)):
        return tuple(_read(item, document, (*path, index), each, problems) for index, each in enumerate(value))
    try:
        return _convert(hint, value)
    except _Mismatch as error:
        where = (*path, *error.path)
        expected = error.expected if not document.key_prefix else error.expected.removesuffix(_OR_NULL)
        wrong = f"must be {expected}, not {_shown(error.value)}{error.hint}"
        problems.append(f"{document.source(where)}: '{document.key_name(where)}' {wrong}")
        return None


def _item_class(hint: Any) -> Any:
    """The dataclass of which ``hint`` is a tuple of any length; None for other types."""
    members = typing.get_args(hint) if typing.get_origin(hint) is tuple else ()
    return members[0] if members[1:] == (Ellipsis,) and dataclasses.is_dataclass(members[0]) else None


def _must_be(key: str, expected: str, value: Any, word: str, valid: Collection[str]) -> str:
    return f"'{key}' must be {expected}, not {_shown(value)}; the nearest is '{nearest(word, valid)}'"


def _shown(value: Any) -> str:
    """The offending value as a message quotes it, shortened when it is long."""
    plain = {True: "true", False: "false", None: "null"}
    text = plain[value] if value is None or isinstance(value, bool) else repr(value)
    if isinstance(value, Path):
        text = repr(value.as_posix())
    return text if len(text) <= 80 else text[:77] + "..."


def _convert(hint: Any, value: Any) -> Any:
    """``value`` as the type ``hint``; raises _Mismatch."""
    origin = typing.get_origin(hint) or hint
    if origin in _BY_ORIGIN:
        return _BY_ORIGIN[origin](hint, value)
    if dataclasses.is_dataclass(hint):
        raise _Mismatch(_describe(hint), value)
    return _PLAIN[hint][1](value)


def _describe(hint: Any) -> str:
    """What a value of the type ``hint`` is called in a message."""
    origin = typing.get_origin(hint) or hint
    arguments = typing.get_args(hint)
    if origin in _UNIONS:
        return _describe(arguments[0]) + _OR_NULL
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        item = _item_class(hint)
        return f"a list of {count}{_PLURALS[arguments[0]] if item is None else f'mappings{_with_keys(item)}'}"
    if origin is Mapping or dataclasses.is_dataclass(hint):
        return f"a mapping{_with_keys(hint)}"
    return _PLAIN[hint][0]


def _with_keys(hint: Any) -> str:
    names = [field.name for field in dataclasses.fields(hint)] if dataclasses.is_dataclass(hint) else []
    return f" with the keys {', '.join(names)}" if names else ""


def _to_bool(value: Any) -> bool:
    words = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise _Mismatch("true or false", value)


def _to_float(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float, str)) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _Mismatch("a number", value)
    return number


def _to_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+(?:_[0-9]+)*", value):
        return int(value)
    try:
        number = _to_float(value)
    except _Mismatch:
        number = math.nan
    if not number.is_integer():
        raise _Mismatch("a whole number", value)
    return int(number)


def _to_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Mismatch("text", value)
    return value


def _to_path(value: Any) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise _Mismatch("a path", value)
    return Path(value)


def _to_none(value: Any) -> None:
    if value is not None:
        raise _Mismatch("null", value)


_PLAIN: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    bool: ("true or false", _to_bool),
    int: ("a whole number", _to_int),
    float: ("a number", _to_float),
    str: ("text", _to_text),
    Path: ("a path", _to_path),
    type(None): ("null", _to_none),
}
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts", Path: "paths", bool: "booleans"}


def _to_tuple(hint: Any, value: Any) -> tuple[Any, ...]:
    members = typing.get_args(hint)
    any_length = members[-1] is Ellipsis
    if not isinstance(value, (list, tuple)) or not (any_length or len(value) == len(members)):
        raise _Mismatch(_describe(hint), value)
    items = []
    for index, item in enumerate(value):
        try:
            items.append(_convert(members[0] if any_length else members[index], item))
        except _Mismatch as error:
            raise _Mismatch(error.expected, error.value, (index, *error.path), error.hint) from None
    return tuple(items)


def _to_literal(hint: Any, value: Any) -> Any:
    choices = typing.get_args(hint)
    if value not in choices or isinstance(value, bool):
        raise _Mismatch(_describe(hint), value, hint=f"; the nearest is '{nearest(str(value), choices)}'")
    return value


def _to_optional(hint: Any, value: Any) -> Any:
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    if value is None:
        return None
    try:
        return _convert(members[0], value)
    except _Mismatch as error:
        expected = error.expected if error.path else _describe(hint)
        raise _Mismatch(expected, error.value, error.path, error.hint) from None


def _to_mapping(hint: Any, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Mismatch(_describe(hint), value)
    return value


_UNIONS = (types.UnionType, typing.Union)
_BY_ORIGIN: dict[Any, Callable[[Any, Any], Any]] = {
    tuple: _to_tuple,
    Literal: _to_literal,
    types.UnionType: _to_optional,
    typing.Union: _to_optional,
    Mapping: _to_mapping,
}
