"""The list of broken methods in ``tests/README.md`` names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_every_test_that_the_list_names_exists() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", (TESTS / "README.md").read_text()))
    source = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_[a-z0-9_]+)\(", source, flags=re.MULTILINE))
    assert len(named) > 30
    assert not named - defined
