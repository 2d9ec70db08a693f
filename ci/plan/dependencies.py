"""What a case reads: its configurations, what they name, and the modules that its processes import.

The walk follows the real files. Where it cannot tell what is used, it takes more rather than less: a case too many
costs minutes, a case too few lets a fault through.
"""

import ast
import importlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ci.cases import Case
from ci.ladder import agents
from mimickit.config.agent_config import PolicyFreeConfig
from mimickit.config.arguments import read_arg_file
from mimickit.errors import InputError

# What a case's processes start; the last one only where the agent names a motion prior.
STARTED = ("mimickit.run", "mimickit.data.__main__", "mimickit.learning.checkpoint")
STARTED_FOR_PRIOR = "mimickit.learning.smp_prior.__main__"
PRIOR_KEY = "smp_prior_model"

NAME_KEYS = ("env_name", "agent_name", "engine_name")
ENGINES = "data/engines"
MOTIONS = "data/motions"
ASSETS = "data/assets"
YAML_SUFFIXES = (".yaml", ".yml")
XML_SUFFIXES = (".xml", ".urdf")

_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there


@dataclass(frozen=True)
class _Module:
    """What one module names, as paths of modules; ``tables`` are its dicts that name modules, by key."""

    modules: frozenset[str]
    tables: tuple[Mapping[str, frozenset[str]], ...]
    files: frozenset[str]


@dataclass(frozen=True)
class _Data:
    """What the configurations of a case come to."""

    files: frozenset[str]
    names: frozenset[str]  # env_name, agent_name, engine_name
    has_prior: bool


class Sources:
    """A repository's files, each read and parsed once, and the names that its cases use.

    Everything raises ValueError for a file that cannot be read or parsed.
    """

    def __init__(self, repository: Path, cases: Sequence[Case]) -> None:
        self.repository = repository
        self._cases = cases
        self._is_file: dict[str, bool] = {}
        self._module: dict[str, _Module] = {}
        self._yaml: dict[str, Any] = {}
        self._mentions: dict[str, frozenset[str]] = {}
        self._data: dict[str, _Data] = {}
        self._walked: dict[tuple[tuple[str, ...], frozenset[str]], frozenset[str]] = {}

    def is_file(self, path: str) -> bool:
        """Whether the relative path is a file of the repository."""
        if path not in self._is_file:
            self._is_file[path] = (self.repository / path).is_file()
        return self._is_file[path]

    @cached_property
    def ci_files(self) -> frozenset[str]:
        """Everything in ``ci/``."""
        found = (path for path in (self.repository / "ci").rglob("*") if path.is_file())
        return frozenset(self._relative(path) for path in found if "__pycache__" not in path.parts)

    @cached_property
    def engine_files(self) -> frozenset[str]:
        """Every engine file: which one a run takes is decided where it runs."""
        found = (self.repository / ENGINES).glob("*")
        return frozenset(self._relative(path) for path in found if path.suffix in YAML_SUFFIXES)

    @cached_property
    def all_names(self) -> frozenset[str]:
        """The env_name, agent_name and engine_name of all cases."""
        return frozenset().union(*(self.data(case).names for case in self._cases))

    @cached_property
    def characters_of_clip(self) -> Mapping[str, frozenset[str]]:
        """For every clip that a recipe builds, the characters' files that take part."""
        recipes = importlib.import_module("mimickit.data.recipes").RECIPES
        characters = importlib.import_module("mimickit.data.characters").CHARACTERS
        return {
            f"{MOTIONS}/{recipe.clip}": frozenset(f"{ASSETS}/{characters[name].model}" for name in recipe.characters())
            for recipe in recipes.values()
        }

    def data(self, case: Case) -> _Data:
        """The case's configurations, and every file that they name, and that those name."""
        if case.name not in self._data:
            self._data[case.name] = self._read_data(case)
        return self._data[case.name]

    def modules(self, starts: Iterable[str], names: frozenset[str]) -> frozenset[str]:
        """The paths of all modules that ``starts`` import, and of the files that they name.

        Of a dict that has the ``names`` of cases as keys, only the entries of these ``names`` count.
        """
        asked = (tuple(starts), names)
        if asked not in self._walked:
            self._walked[asked] = self._walk(*asked)
        return self._walked[asked]

    def _walk(self, starts: tuple[str, ...], names: frozenset[str]) -> frozenset[str]:
        waiting = [path for start in starts for path in self._module_paths(start)]
        reached: set[str] = set()
        files: set[str] = set()
        while waiting:
            path = waiting.pop()
            if path in reached:
                continue
            reached.add(path)
            module = self._parsed(path)
            files |= module.files
            waiting += module.modules
            for table in module.tables:
                chosen = table.keys() & names if table.keys() & self.all_names else table.keys()
                for key in chosen:
                    waiting += table[key]
        return frozenset(reached | files)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.repository).as_posix()

    # Configurations.

    def _read_data(self, case: Case) -> _Data:
        tried = [path for _, path in agents(case, self.repository)] if case.agent_config else []
        waiting = [case.arg_file, *self.engine_files, *filter(self.is_file, tried)]
        files: set[str] = set()
        while waiting:
            path = waiting.pop()
            if path not in files:
                files.add(path)
                waiting += self._named_in(path)
        documents = [self._yaml[path] for path in files if isinstance(self._yaml.get(path), dict)]
        named = [document.get(key) for document in documents for key in NAME_KEYS]
        names = {name for name in named if isinstance(name, str)}
        if not case.agent_config:
            names.add(PolicyFreeConfig().agent_name)
        return _Data(frozenset(files), frozenset(names), any(PRIOR_KEY in document for document in documents))

    def _named_in(self, path: str) -> frozenset[str]:
        """The files that a configuration or a model names; none for any other kind of file."""
        if path not in self._mentions:
            self._mentions[path] = self._read_mentions(path)
        return self._mentions[path]

    def _read_mentions(self, path: str) -> frozenset[str]:
        suffix = PurePosixPath(path).suffix
        if suffix in XML_SUFFIXES:
            return frozenset(self._named_in_xml(path))
        words: Iterable[str] = ()
        if suffix in YAML_SUFFIXES:
            self._yaml[path] = content = self._load_yaml(path)
            words = _texts(content)
        elif suffix == ".txt":
            words = self._arg_words(path)
        named: set[str] = set()
        for word in words:
            place = PurePosixPath(word).as_posix()
            if place in self.characters_of_clip:  # built where it is missing, so that it need not be there now
                named |= {place, *filter(self.is_file, self.characters_of_clip[place])}
            elif self._is_inside(word) and self.is_file(place):
                named.add(place)
        return frozenset(named)

    def _arg_words(self, path: str) -> list[str]:
        try:
            values = read_arg_file(self.repository / path).values
        except InputError as error:
            raise ValueError(str(error)) from error
        return [word for words in values.values() for word in words]

    def _load_yaml(self, path: str) -> Any:
        try:
            return yaml.load(self._text(path), Loader=_YAML_LOADER)
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error

    def _named_in_xml(self, path: str) -> Iterator[str]:
        """Meshes, textures, height fields and included files, below the model's folder or its compiler's ones."""
        try:
            root = ElementTree.fromstring(self._text(path).encode())
        except ElementTree.ParseError as error:
            raise ValueError(f"{path} is not XML: {error}") from error
        settings = [compiler.attrib for compiler in root.iter("compiler")]
        folders = {"", *(value for found in settings for key, value in found.items() if key.endswith("dir"))}
        own = PurePosixPath(path).parent
        for element in root.iter():
            for name in (value for key, value in element.attrib.items() if key.startswith("file")):
                places = {_joined(own, folder, name) for folder in folders}
                yield from (place for place in places if self._is_inside(place) and self.is_file(place))

    def _is_inside(self, path: str) -> bool:
        return bool(path) and len(path) < 256 and not path.startswith("/") and ".." not in PurePosixPath(path).parts

    def _text(self, path: str) -> str:
        try:
            return (self.repository / path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error

    # Modules.

    def _module_paths(self, name: str) -> list[str]:
        """The files that importing the module ``name`` runs: its own and its packages'; [] when it is not ours."""
        parts = name.split(".")
        found = []
        for count in range(1, len(parts) + 1):
            stem = "/".join(parts[:count])
            found += [path for path in (f"{stem}/__init__.py", f"{stem}.py") if self.is_file(path)][:1]
        return found

    def _parsed(self, path: str) -> _Module:
        if path not in self._module:
            try:
                tree = ast.parse(self._text(path))
            except (SyntaxError, RecursionError) as error:
                raise ValueError(f"{path} is not Python: {error}") from error
            reader = _ModuleReader(path)
            reader.visit(tree)
            folders = [folder for folder in reader.paths if (self.repository / folder).is_dir()]
            named = {*reader.paths, *reader.operands, *(_joined(f, word) for f in folders for word in reader.operands)}
            self._module[path] = _Module(
                modules=self._resolved(reader.found),
                tables=tuple({key: self._resolved(value) for key, value in table.items()} for table in reader.tables),
                files=frozenset(place for place in named if self._is_inside(place) and self.is_file(place)),
            )
        return self._module[path]

    def _resolved(self, names: Iterable[str]) -> frozenset[str]:
        """The paths of modules; 'package.*' stands for every module of a package."""
        found: set[str] = set()
        for name in names:
            if name.endswith(".*"):
                folder = name.removesuffix(".*").replace(".", "/")
                if self.is_file(f"{folder}/__init__.py"):
                    found |= {self._relative(path) for path in (self.repository / folder).glob("*.py")}
            else:
                found.update(self._module_paths(name))
        return frozenset(found)


class _ModuleReader(ast.NodeVisitor):
    """Collects what a module names: imports at any depth, and constants that are names of modules or paths."""

    def __init__(self, path: str) -> None:
        self._package = PurePosixPath(path).parent.parts
        self.found: set[str] = set()
        self.tables: list[dict[str, set[str]]] = []
        self.paths: set[str] = set()  # the argument of a Path(...)
        self.operands: set[str] = set()  # what is joined to a path with '/'

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):  # never imported when it runs
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        above = self._package[: len(self._package) - node.level + 1] if node.level else ()
        base = ".".join([*above, *([node.module] if node.module else [])])
        self.found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and _MODULE_NAME.fullmatch(node.value):
            self.found.add(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """An f-string that begins with 'package.' may name any module of that package."""
        first = _text_of(node.values[0]) if node.values else ""
        if first.endswith(".") and _MODULE_NAME.fullmatch(first.removesuffix(".")):
            self.found.add(f"{first}*")
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        keys = [_text_of(key) for key in node.keys]
        if not all(keys):
            self.generic_visit(node)
            return
        outside = self.found
        table: dict[str, set[str]] = {}
        for key, value in zip(keys, node.values, strict=True):
            self.found = table.setdefault(key, set())
            self.visit(value)
        self.found = outside
        if any(table.values()):
            self.tables.append(table)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "Path":
            self.paths |= {_text_of(argument) for argument in node.args} - {""}
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Div):
            self.operands |= {_text_of(node.left), _text_of(node.right)} - {""}
        self.generic_visit(node)


def case_dependencies(repository: Path, case: Case, sources: Sources | None = None) -> frozenset[str]:
    """Every file of the repository that the case's processes can read, relative, with forward slashes.

    Its arg file; every engine file; its environment, agent and prior; whatever file these name, and those in turn;
    clips, built or not, with the characters they are made from; the modules that its processes import; all of ``ci/``.
    ``sources`` shares the reading between cases, and says what the other cases are called. Raises ValueError for a file
    that cannot be read or parsed: then nobody knows what the case depends on.
    """
    sources = sources or Sources(repository, [case])
    data = sources.data(case)
    starts = (*STARTED, STARTED_FOR_PRIOR) if data.has_prior else STARTED
    return data.files | sources.modules(starts, data.names) | sources.ci_files


def all_dependencies(repository: Path, cases: Sequence[Case]) -> dict[str, frozenset[str]]:
    """``case_dependencies`` by name, with every file read once."""
    sources = Sources(repository, cases)
    return {case.name: case_dependencies(repository, case, sources) for case in cases}


def _texts(content: Any) -> Iterator[str]:
    """Every text among the values of a YAML document."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list)) and id(value) not in seen:  # an alias may lead back to where it stands
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value


def _text_of(node: ast.AST | None) -> str:
    """The text of a constant; '' for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _joined(*parts: str | PurePosixPath) -> str:
    """Parts of a path in one, with '..' taken back where that is possible."""
    joined: list[str] = []
    for part in PurePosixPath(*parts).parts:
        if part == ".." and joined and joined[-1] != "..":
            joined.pop()
        else:
            joined.append(part)
    return "/".join(joined)
