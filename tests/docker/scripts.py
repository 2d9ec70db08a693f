"""Scripts of the runner as a test runs them: copies whose constants point elsewhere."""

from collections.abc import Mapping
from pathlib import Path


def changed(source: Path, target: Path, constants: Mapping[str, object]) -> Path:
    """A copy of a script with other values of its constants, each of which it must have."""
    lines = source.read_text().splitlines(keepends=True)
    for name, value in constants.items():
        (number,) = (n for n, line in enumerate(lines) if line.startswith(f"readonly {name}="))
        lines[number] = f"readonly {name}={value}\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(lines))
    target.chmod(0o755)
    return target
