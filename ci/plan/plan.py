"""What a run is expected to bring back, written before it starts: its cases, their stages, which shard brings which.

The gate compares results with this file and with nothing that the results themselves say was selected.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.cases import TRAINABLE
from ci.files import read_json_object, write_json
from ci.profiles import Profile, profile_as_json, profile_from_json

FORMAT = 2


@dataclass(frozen=True)
class PlannedCase:
    """One case: what it is expected to go through, and the seconds that is expected to take."""

    name: str
    case_type: str
    stages: tuple[str, ...]
    seconds: float
    measured: bool  # False: nobody has measured it, ``seconds`` is the median of those that were


@dataclass(frozen=True)
class Plan:
    """A whole run. ``shards`` holds case names, each case in one shard; a run that is not split has one shard.

    What decides what a run does is all in here, and in its ``id``: the profile with every value that was changed, the
    engine, the kinds of devices ("cpu" or "cuda") that cases with and without training run on, and the code, whose
    ``changes`` are a fingerprint of what differs from the commit.

    ``nonce`` tells two runs of the same plan apart: results of last night's must not pass for tonight's. A run that was
    started without a plan file has none, so that several machines can work out the same plan by themselves.
    """

    settings: Profile
    engine_config: str
    engine: str
    device: str
    device_nontrainable: str
    seed: int
    commit: str
    changes: str
    cases: tuple[PlannedCase, ...]
    shards: tuple[tuple[str, ...], ...]
    why: str = ""  # how the cases were chosen, for the person who reads it
    nonce: str = ""

    @property
    def id(self) -> str:
        """A fingerprint of everything above except the estimates and the explanation."""
        parts = _as_json(self)
        del parts["why"]
        parts["cases"] = [(case.name, case.case_type, case.stages) for case in self.cases]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def profile(self) -> str:
        """The name of its profile."""
        return self.settings.name

    @property
    def dirty(self) -> bool:
        """Whether the code differs from the commit."""
        return bool(self.changes)

    def device_of(self, case_type: str) -> str:
        """The kind of device that a case of that type runs on."""
        return self.device if case_type == TRAINABLE else self.device_nontrainable

    def case(self, name: str) -> PlannedCase:
        """The planned case of that name; KeyError when there is none."""
        return self._by_name[name]

    @functools.cached_property
    def _by_name(self) -> dict[str, PlannedCase]:
        return {case.name: case for case in self.cases}


def write_plan(path: Path, plan: Plan) -> None:
    """``plan`` as JSON, in one step."""
    write_json(path, {"format": FORMAT, "id": plan.id, **_as_json(plan)})


def read_plan(path: Path) -> Plan:
    """The plan in ``path``. FileNotFoundError; ValueError that names the file and what is wrong with it."""
    content = read_json_object(path)
    if content.get("format") != FORMAT:
        raise ValueError(f"{path}: 'format' is {content.get('format')!r}, expected {FORMAT}")
    try:
        plan = Plan(
            settings=profile_from_json(_typed(content, "settings", dict)),
            engine_config=_typed(content, "engine_config", str),
            engine=_typed(content, "engine", str),
            device=_typed(content, "device", str),
            device_nontrainable=_typed(content, "device_nontrainable", str),
            seed=_typed(content, "seed", int),
            commit=_typed(content, "commit", str),
            changes=_typed(content, "changes", str),
            cases=tuple(_case(case) for case in _typed(content, "cases", list)),
            shards=tuple(_words(names) for names in _typed(content, "shards", list)),
            why=_typed(content, "why", str),
            nonce=_typed(content, "nonce", str),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a plan: {error}") from error
    problems = _problems(plan)
    if content.get("id") != plan.id:
        problems.insert(0, f"its id is {content.get('id')!r}, its content gives {plan.id!r}: it was changed by hand")
    if problems:
        raise ValueError(f"{path}: {'; '.join(problems)}")
    return plan


def _as_json(plan: Plan) -> dict[str, Any]:
    content = {spec.name: getattr(plan, spec.name) for spec in dataclasses.fields(plan)}
    cases = [dict(vars(case)) for case in plan.cases]  # flat; dataclasses.asdict takes thirty times as long
    return {**content, "settings": profile_as_json(plan.settings), "cases": cases}


def _problems(plan: Plan) -> list[str]:
    """What makes a plan that reads well unusable."""
    planned = [case.name for case in plan.cases]
    sharded = [name for shard in plan.shards for name in shard]
    problems = []
    if not planned:
        problems.append("it has no case")
    if not all(plan.shards):
        problems.append("a shard is empty")
    if len(set(planned)) < len(planned):
        problems.append("it names a case twice")
    if sorted(sharded) != sorted(planned):
        problems.append("its shards do not hold each of its cases once")
    if not all(case.stages for case in plan.cases):
        problems.append("a case has no stage")
    return problems


def _case(content: Mapping[str, Any]) -> PlannedCase:
    return PlannedCase(
        name=_typed(content, "name", str),
        case_type=_typed(content, "case_type", str),
        stages=_words(_typed(content, "stages", list)),
        seconds=float(_typed(content, "seconds", (int, float))),
        measured=_typed(content, "measured", bool),
    )


def _words(content: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(word, str) for word in content):
        raise TypeError(f"expected a list of words, found {content!r}")
    return tuple(content)


def _typed(content: Mapping[str, Any], key: str, kind: type | tuple[type, ...]) -> Any:
    """``content[key]``; TypeError when it is of another kind (a truth value is no number)."""
    value = content[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"'{key}' is {value!r}")
    return value
