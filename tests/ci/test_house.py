"""Which room of ci/ may know of which: dependence runs one way, and nothing heavy is imported."""

import ast
import subprocess
import sys
from pathlib import Path

CI = Path(__file__).resolve().parents[2] / "ci"
# From the ground up; a room may import from those on lines above its own, and from itself.
FLOORS = (
    {"errors", "files", "durations", "values", "environment", "stage_kinds", "github"},
    {"host", "cases"},
    {"failures"},
    {"profiles"},
    {"ladder", "options"},
    {"records"},
    {"evidence", "plan"},
    {"gate"},
    {"report"},
    {"run", "merge", "doctor", "trend"},
    {"cluster"},
    {"__main__"},
)
HELP = """
import sys
from ci.__main__ import main
try:
    main(["e2e", "--help"])
except SystemExit:
    print(*{name.split(".")[0] for name in sys.modules})
"""
HEAVY = {"torch", "newton", "warp", "mujoco", "scipy", "matplotlib"}


def room_of(module: str) -> str:
    """'plan' of 'ci.plan.shards', 'cases' of 'ci.cases'."""
    return module.split(".")[1]


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports(path: Path) -> set[str]:
    """The modules of ci that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if module_exists(name)} or {str(node.module)}
    return {name for name in found if name.startswith("ci.")}


def module_exists(name: str) -> bool:
    path = CI.parent / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_rooms_import_from_the_floors_below_them():
    wrong = []
    for path in CI.rglob("*.py"):
        module = ".".join(path.relative_to(CI.parent).with_suffix("").parts).removesuffix(".__init__")
        if module == "ci":
            continue
        own = room_of(module)
        for imported in imports(path):
            other = room_of(imported)
            if other != own and floor_of(other) >= floor_of(own):
                wrong.append(f"{module} imports {imported}")
    assert not wrong


def test_the_command_imports_nothing_heavy():
    answer = subprocess.run([sys.executable, "-c", HELP], cwd=CI.parent, capture_output=True, text=True, check=True)
    assert not HEAVY & set(answer.stdout.splitlines()[-1].split())
