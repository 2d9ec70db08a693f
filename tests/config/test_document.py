"""YAML files: values, lines, and the errors of files that cannot be read."""

from pathlib import Path
from typing import Any

import pytest

from mimickit.config.document import Document, Source, missing_file, nearest, read_yaml
from mimickit.errors import InputError


def write(folder: Path, text: str, name: str = "case.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 0.0001),
        ("2.5E+3", 2500.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("+3", 3),
        ("010", 10),
        ("'1e-4'", "1e-4"),
        ("true", True),
        ("False", False),
        ("tRUE", True),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2020-01-02", "2020-01-02"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        (".nan", ".nan"),
        ("", None),
        ("null", None),
        ("~", None),
        ("[1, a, [2.0]]", [1, "a", [2.0]]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("cuda:0", "cuda:0"),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(tmp_path: Path, text: str, value: Any) -> None:
    read = read_yaml(write(tmp_path, f"key: {text}\n")).values["key"]
    assert read == value
    assert type(read) is type(value)


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    text = "# comment\na: 1\n\nmodel:\n  net: x\n  list: [1,\n    2,\n    {deep: 3}]\n"
    document = read_yaml(write(tmp_path, text))
    name = (tmp_path / "case.yaml").as_posix()
    assert document.values == {"a": 1, "model": {"net": "x", "list": [1, 2, {"deep": 3}]}}
    lines = {path: source.line for path, source in document.sources.items()}
    assert lines == {
        ("a",): 2,
        ("model",): 4,
        ("model", "net"): 5,
        ("model", "list"): 6,
        ("model", "list", 0): 6,
        ("model", "list", 1): 7,
        ("model", "list", 2): 8,
        ("model", "list", 2, "deep"): 8,
    }
    assert str(document.source(("a",))) == f"{name}:2"
    assert document.source(("model", "absent")) == Source(name, 4)
    assert document.source(("absent",)) == Source(name)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, ["key 'a' is given twice", "line 1 already"]),
        ("m:\n  x: 1\n  y: 2\n  x: 1\n", 4, ["key 'x' is given twice", "line 2 already"]),
        ("a: 1\nb: [1, 2\nc: 3\n", 3, ["not valid YAML"]),
        ("a: 1\n\tb: 2\n", 2, ["not valid YAML", "'\\t'"]),
        ("a: 1\n--- \nb: 2\n", 2, ["not valid YAML"]),
        ("- 1\n- 2\n", 1, ["must hold a mapping"]),
        ("just words\n", 1, ["must hold a mapping"]),
        ("a: 1\n3: x\n", 2, ["a key must be text, not '3'"]),
        ("a: 1\n? [1, 2]\n: x\n", 2, ["a key must be text"]),
        ("a: 1\nb: !!python/object/apply:os.getcwd []\n", 2, ["tag", "os.getcwd", "is not allowed"]),
        ("a: 1\nb: !mine x\n", 2, ["tag !mine is not allowed"]),
        ("a: &x [1, *x]\n", 1, ["alias", "contains it"]),
        ("a: !!int many\n", 1, ["'many' is not a valid int"]),
        ("a: *nowhere\n", 1, ["not valid YAML", "undefined alias"]),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    message = str(caught.value)
    assert message.startswith(f"{path.as_posix()}:{line}: ")
    for word in words:
        assert word in message


def test_all_repeated_keys_are_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 1\na: 2\nb: 1\nb: 2\n")
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).splitlines() == [
        "2 problems:",
        f"  {path.as_posix()}:2: key 'a' is given twice; it is on line 1 already",
        f"  {path.as_posix()}:4: key 'b' is given twice; it is on line 3 already",
    ]


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match="mapping of keys to values"):
        read_yaml(path)


@pytest.mark.parametrize(("data", "words"), [(b"a: \xff\n", "not UTF-8"), (b"a: \x00\n", "not valid YAML")])
def test_a_binary_file_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "case.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert path.as_posix() in str(caught.value)
    assert words in str(caught.value)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    document = read_yaml(path)
    assert document.values == {"a": 1, "b": "x"}
    assert document.sources[("b",)].line == 2


def test_a_missing_file_names_the_nearest_of_the_same_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/envs")
    folder.mkdir(parents=True)
    for name in ("walk_env.yaml", "run_env.yaml", "walk_enw.txt"):
        (folder / name).touch()
    assert missing_file(folder / "walk_env.yaml") is None
    reason = "data/envs/walk_enw.yaml does not exist; the nearest existing file is data/envs/walk_env.yaml"
    assert missing_file(folder / "walk_enw.yaml") == reason
    with pytest.raises(InputError) as caught:
        read_yaml(folder / "walk_enw.yaml")
    assert str(caught.value) == reason


def test_a_missing_folder_names_the_nearest_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/envs", "data/agents", "data/empty"):
        Path(name).mkdir(parents=True)
    reason = missing_file(Path("data/env/walk.yaml"))
    assert reason is not None
    assert "the folder data/env does not exist" in reason
    assert str(tmp_path) in reason
    assert reason.endswith("the nearest folder is data/envs")
    deep = missing_file(Path("nowhere/at/all.yaml"))
    assert deep is not None
    assert "the folder nowhere/at does not exist" in deep
    assert missing_file(Path("data/empty/a.yaml")) == (
        "data/empty/a.yaml does not exist; the folder data/empty holds no file"
    )
    assert missing_file(Path("data/envs")) == "data/envs is a folder, not a file"
    assert missing_file(Path("/dev/null")) == "/dev/null is not a regular file"
    long = missing_file(Path("data/envs") / ("x" * 300))
    assert long is not None
    assert "cannot be reached" in long


def test_overlaid_values_keep_their_own_sources() -> None:
    below = Document(Source("below"), {"a": {"x": 1}, "b": 2}, {("a",): Source("below", 1), ("b",): Source("below", 3)})
    below_inner = {**below.sources, ("a", "x"): Source("below", 2)}
    above_sources = {("a",): Source("above", 9), ("a", 0): Source("above", 10)}
    above = Document(Source("above"), {"a": [7]}, above_sources)
    result = Document(below.origin, below.values, below_inner).overlaid(above)
    assert result.values == {"a": [7], "b": 2}
    assert result.sources == {**above_sources, ("b",): Source("below", 3)}
    assert below.values == {"a": {"x": 1}, "b": 2}


def test_nearest_is_the_most_alike() -> None:
    assert nearest("num_env", ["mode", "num_envs", "env_config"]) == "num_envs"
    assert nearest("anything", []) is None
