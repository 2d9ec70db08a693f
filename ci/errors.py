"""What the person who started the matrix got wrong, as opposed to what a case got wrong."""

import difflib
from collections.abc import Iterable

EXIT_USAGE = 2


class UsageError(Exception):
    """The command cannot run as asked; nothing was started. The exit code is 2."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """'; did you mean a, b?' for the known names closest to ``name``, or '' when none is close."""
    close = difflib.get_close_matches(name, list(known), n=count, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else ""
