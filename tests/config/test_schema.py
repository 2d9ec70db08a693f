"""Dataclasses from documents: conversions, and errors with file, line, key and the nearest valid key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from mimickit.config.document import DEFAULT, Document, Source, read_yaml
from mimickit.config.schema import BadValue, build, build_kind, field_sources, require
from mimickit.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float
    name: Literal["red", "green"] = "red"

    def __post_init__(self) -> None:
        require(("rate", self.rate > 0, "greater than 0"))


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int
    flag: bool = False
    scale: float = 1.0
    label: str = "x"
    path: Path = Path("p")
    limit: int | None = None
    numbers: tuple[float, ...] = ()
    triple: tuple[float, float, float] = (0.0, 0.0, 0.0)
    names: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None
    inner: Inner = field(default_factory=lambda: Inner(rate=1.0))
    extra: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Inner, ...] = ()

    def __post_init__(self) -> None:
        require(("count", self.count >= 1, "at least 1"), ("limit", self.limit != 0, "other than 0"))
        if self.label == "odd":
            raise ValueError("an odd label")


def read(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "case.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("count", "3", 3),
        ("count", "1e8", 100_000_000),
        ("count", "'1e3'", 1000),
        ("count", "100_000", 100_000),
        ("count", "32.0", 32),
        ("flag", "true", True),
        ("flag", "TRUE", True),
        ("flag", "'False'", False),
        ("scale", "1e-4", 0.0001),
        ("scale", "'1e-4'", 0.0001),
        ("scale", "5", 5.0),
        ("label", "some words", "some words"),
        ("label", "'5'", "5"),
        ("path", "data/a.xml", Path("data/a.xml")),
        ("limit", "null", None),
        ("limit", "4", 4),
        ("numbers", "[1, 2.5, 1e-1]", (1.0, 2.5, 0.1)),
        ("numbers", "[]", ()),
        ("triple", "[1, 2, 3]", (1.0, 2.0, 3.0)),
        ("names", "[a, b]", ("a", "b")),
        ("weights", "[1, 2]", (1.0, 2.0)),
        ("weights", "null", None),
        ("inner", "{rate: 2, name: green}", Inner(rate=2.0, name="green")),
        ("extra", "{a: 1}", {"a": 1}),
        ("parts", "[{rate: 2, name: green}, {rate: '1e-1'}]", (Inner(rate=2.0, name="green"), Inner(rate=0.1))),
        ("parts", "[]", ()),
    ],
)
def test_values_are_converted_to_their_type(tmp_path: Path, key: str, text: str, value: Any) -> None:
    count = "" if key == "count" else "count: 1\n"
    built = getattr(build(Outer, read(tmp_path, f"{count}{key}: {text}\n")), key)
    assert built == value
    assert type(built) is type(value)
    if isinstance(value, tuple):
        assert [type(item) for item in built] == [type(item) for item in value]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flag: maybe", "'flag' must be true or false, not 'maybe'"),
        ("flag: yes", "'flag' must be true or false, not 'yes'"),
        ("flag: 1", "'flag' must be true or false, not 1"),
        ("flag: 0.0", "'flag' must be true or false, not 0.0"),
        ("flag:", "'flag' must be true or false, not null"),
        ("scale: fast", "'scale' must be a number, not 'fast'"),
        ("scale: .nan", "'scale' must be a number, not '.nan'"),
        ("scale: .inf", "'scale' must be a number, not '.inf'"),
        ("scale: 'nan'", "'scale' must be a number, not 'nan'"),
        ("scale: 1e999", "'scale' must be a number, not inf"),
        ("scale: true", "'scale' must be a number, not true"),
        ("scale: [1]", "'scale' must be a number, not [1]"),
        (f"scale: 1{'0' * 400}", "'scale' must be a number, not 1000"),
        ("count: 1.5", "'count' must be a whole number, not 1.5"),
        ("count: true", "'count' must be a whole number, not true"),
        ("count: ten", "'count' must be a whole number, not 'ten'"),
        ("count: 0x10", "'count' must be a whole number, not '0x10'"),
        ("count: 1__0", "'count' must be a whole number, not '1__0'"),
        ("count: 'inf'", "'count' must be a whole number, not 'inf'"),
        ("count:", "'count' must be a whole number, not null"),
        ("limit: none", "'limit' must be a whole number or null, not 'none'"),
        ("label: 5", "'label' must be text, not 5"),
        ("label: ''", "'label' must be text, not ''"),
        ("path: 5", "'path' must be a path, not 5"),
        ("path: ' '", "'path' must be a path, not ' '"),
        ("numbers: 5", "'numbers' must be a list of numbers, not 5"),
        ("numbers: [1, x, 3]", "'numbers[1]' must be a number, not 'x'"),
        ("weights: [1, x]", "'weights[1]' must be a number, not 'x'"),
        ("weights: 3", "'weights' must be a list of numbers or null, not 3"),
        ("triple: [1, 2]", "'triple' must be a list of 3 numbers, not [1, 2]"),
        ("names: left", "'names' must be a list of texts, not 'left'"),
        ("names: [a, 1]", "'names[1]' must be text, not 1"),
        ("inner: 3", "'inner' must be a mapping with the keys rate, name, not 3"),
        ("inner: {rate: x}", "'inner.rate' must be a number, not 'x'"),
        ("inner: {rate: 1, name: gren}", "'inner.name' must be one of red, green, not 'gren'; the nearest is 'green'"),
        ("inner: {rate: 1, name: true}", "'inner.name' must be one of red, green, not true; the nearest is 'red'"),
        ("inner: {rate: 1, nam: red}", "unknown key 'inner.nam'; the nearest valid key is 'inner.name'"),
        ("inner: {}", "required key 'inner.rate' (a number) is missing"),
        ("inner: {rate: -1}", "'inner.rate' must be greater than 0, not -1"),
        ("extra: [1]", "'extra' must be a mapping, not [1]"),
        ("parts: 3", "'parts' must be a list of mappings with the keys rate, name, not 3"),
        ("parts: {rate: 1}", "'parts' must be a list of mappings with the keys rate, name, not {'rate': 1}"),
        ("parts: null", "'parts' must be a list of mappings with the keys rate, name, not null"),
        ("parts: [{rate: 1}, 5]", "'parts[1]' must be a mapping with the keys rate, name, not 5"),
        ("parts: [{rate: x}]", "'parts[0].rate' must be a number, not 'x'"),
        (
            "parts: [{rate: 1}, {rate: 1, nam: red}]",
            "unknown key 'parts[1].nam'; the nearest valid key is 'parts[1].name'",
        ),
        (
            "parts: [{rate: 1, name: gren}]",
            "'parts[0].name' must be one of red, green, not 'gren'; the nearest is 'green'",
        ),
        ("parts: [{name: red}]", "required key 'parts[0].rate' (a number) is missing"),
        ("parts: [{rate: 1}, {rate: -1}]", "'parts[1].rate' must be greater than 0, not -1"),
        ("cuont: 5", "unknown key 'cuont'; the nearest valid key is 'count'"),
        ("zzz: 5", "unknown key 'zzz'; the nearest valid key is '"),
        ("limit: 0", "'limit' must be other than 0, not 0"),
        ("label: odd", "an odd label"),
        (f"label: [{'long, ' * 40}]", "..."),
    ],
)
def test_a_bad_value_is_named_with_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    count = "" if text.startswith("count") else "count: 1"
    document = read(tmp_path, f"# first line\n{count}\n{text}\n")
    with pytest.raises(InputError) as caught:
        build(Outer, document)
    line = "" if message == "an odd label" else ":3"
    assert str(caught.value).startswith(f"{(tmp_path / 'case.yaml').as_posix()}{line}: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_item_of_a_long_list_is_named_with_its_own_line(tmp_path: Path) -> None:
    document = read(tmp_path, "count: 1\nnumbers: [\n  1,\n  2,\n  three,\n]\n")
    with pytest.raises(InputError, match=r"case\.yaml:5: 'numbers\[2\]' must be a number, not 'three'"):
        build(Outer, document)


def test_a_missing_key_names_the_file_and_the_type(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        build(Outer, read(tmp_path, "flag: true\n"))
    expected = f"{(tmp_path / 'case.yaml').as_posix()}: required key 'count' (a whole number) is missing"
    assert str(caught.value) == expected


def test_a_misspelt_required_key_is_reported_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        build(Outer, read(tmp_path, "coun: 1\n"))
    assert str(caught.value) == (
        f"{(tmp_path / 'case.yaml').as_posix()}:1: unknown key 'coun'; the nearest valid key is 'count'"
    )


def test_all_problems_are_reported_at_once_in_the_files_order(tmp_path: Path) -> None:
    document = read(tmp_path, "flag: maybe\nscael: 2\ninner:\n  rate: x\n  nama: red\nnumbers: [a, b]\n")
    with pytest.raises(InputError) as caught:
        build(Outer, document)
    name = (tmp_path / "case.yaml").as_posix()
    assert str(caught.value).splitlines() == [
        "6 problems:",
        f"  {name}:1: 'flag' must be true or false, not 'maybe'",
        f"  {name}:2: unknown key 'scael'; the nearest valid key is 'scale'",
        f"  {name}:4: 'inner.rate' must be a number, not 'x'",
        f"  {name}:5: unknown key 'inner.nama'; the nearest valid key is 'inner.name'",
        f"  {name}:6: 'numbers[0]' must be a number, not 'a'",
        f"  {name}: required key 'count' (a whole number) is missing",
    ]


def test_all_problems_of_a_lists_items_are_reported_each_with_its_line(tmp_path: Path) -> None:
    text = "parts:\n  - rate: -1\n  - name: gren\n    rtae: 2\n  - rate: 1\n  - {}\n  - 7\ncount: none\n"
    with pytest.raises(InputError) as caught:
        build(Outer, read(tmp_path, text))
    name = (tmp_path / "case.yaml").as_posix()
    assert str(caught.value).splitlines() == [
        "6 problems:",
        f"  {name}:2: 'parts[0].rate' must be greater than 0, not -1",
        f"  {name}:3: 'parts[1].name' must be one of red, green, not 'gren'; the nearest is 'green'",
        f"  {name}:4: unknown key 'parts[1].rtae'; the nearest valid key is 'parts[1].rate'",
        f"  {name}:6: required key 'parts[3].rate' (a number) is missing",
        f"  {name}:7: 'parts[4]' must be a mapping with the keys rate, name, not 7",
        f"  {name}:8: 'count' must be a whole number, not 'none'",
    ]


def test_a_list_may_be_required_and_be_ruled_over_as_a_whole(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Pile:
        parts: tuple[Inner, ...]

        def __post_init__(self) -> None:
            require(("parts", len(self.parts) < 2, "one part at most"))

    name = (tmp_path / "case.yaml").as_posix()
    with pytest.raises(InputError) as missing:
        build(Pile, read(tmp_path, "{}\n"))
    assert str(missing.value) == (
        f"{name}: required key 'parts' (a list of mappings with the keys rate, name) is missing"
    )
    with pytest.raises(InputError) as broken:
        build(Pile, read(tmp_path, "parts:\n  - rate: 1\n  - rate: 2\n"))
    assert str(broken.value) == f"{name}:1: 'parts' must be one part at most, not [{{'rate': 1}}, {{'rate': 2}}]"


def test_every_broken_range_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        build(Outer, read(tmp_path, "count: 0\nlimit: 0\n"))
    assert "case.yaml:1: 'count' must be at least 1, not 0" in str(caught.value)
    assert "case.yaml:2: 'limit' must be other than 0, not 0" in str(caught.value)


def test_a_class_made_in_code_checks_its_ranges_too() -> None:
    with pytest.raises(BadValue, match="count must be at least 1"):
        Outer(count=0)


def test_a_default_out_of_range_is_named_as_such() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Pair:
        low: int
        high: int = 5

        def __post_init__(self) -> None:
            require(("high", self.high >= self.low, "at least low"))

    with pytest.raises(InputError, match="^here: 'high' must be at least low, not its default 5$"):
        build(Pair, Document(Source("here"), {"low": 6}))


def test_the_kind_chooses_the_class(tmp_path: Path) -> None:
    kinds: dict[str, type[Any]] = {"inner": Inner, "outer": Outer}

    @dataclass(frozen=True)
    class Named:
        kind: str
        size: int

    kinds["named"] = Named
    assert build_kind(kinds, "kind", read(tmp_path, "kind: named\nsize: 2\n")) == Named("named", 2)
    name = (tmp_path / "case.yaml").as_posix()
    with pytest.raises(InputError) as caught:
        build_kind(kinds, "kind", read(tmp_path, "size: 2\nkind: nammed\n"))
    assert str(caught.value) == (
        f"{name}:2: 'kind' must be one of inner, named, outer, not 'nammed'; the nearest is 'named'"
    )
    with pytest.raises(InputError) as caught:
        build_kind(kinds, "kind", read(tmp_path, "size: 2\nknid: named\n"))
    assert str(caught.value) == (
        f"{name}: required key 'kind' (one of inner, named, outer) is missing; "
        f"the nearest key there is 'knid' ({name}:2)"
    )
    with pytest.raises(InputError, match="2: 'kind' must be one of inner, named, outer, not null"):
        build_kind(kinds, "kind", read(tmp_path, "size: 2\nkind:\n"))


def test_each_field_has_a_source(tmp_path: Path) -> None:
    document = read(tmp_path, "count: 1\ninner:\n  rate: 2\nnumbers:\n  - 1\n")
    sources = field_sources(build(Outer, document), document)
    name = (tmp_path / "case.yaml").as_posix()
    given = {"count": Source(name, 1), "inner.rate": Source(name, 3), "numbers": Source(name, 4)}
    assert {key: source for key, source in sources.items() if source != DEFAULT} == given
    assert set(sources) == {
        "count", "flag", "scale", "label", "path", "limit", "numbers", "triple", "names", "weights", "extra",
        "inner.rate", "inner.name", "parts",
    }  # fmt: skip


def test_each_field_of_a_lists_items_has_a_source(tmp_path: Path) -> None:
    name = (tmp_path / "case.yaml").as_posix()

    def sources_of_parts(text: str) -> dict[str, Source]:
        document = read(tmp_path, text)
        found = field_sources(build(Outer, document), document)
        return {key: source for key, source in found.items() if key.startswith("parts")}

    assert sources_of_parts("count: 1\nparts:\n  - rate: 1\n    name: green\n  - rate: 2\n") == {
        "parts[0].rate": Source(name, 3),
        "parts[0].name": Source(name, 4),
        "parts[1].rate": Source(name, 5),
        "parts[1].name": DEFAULT,
    }
    assert sources_of_parts("count: 1\nparts: []\n") == {"parts": Source(name, 2)}
    assert sources_of_parts("count: 1\n") == {"parts": DEFAULT}
