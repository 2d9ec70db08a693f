"""Copies of configuration files with a line changed, in the folder of what was measured with them."""

import json
import re
from pathlib import Path

from mimickit.errors import InputError


def with_value(source: Path, key: str, value: object, target: Path) -> Path:
    """Write ``target``: ``source`` with ``key: value`` in place of its one line of that key at the margin.

    Raises InputError when the file has no such line.
    """
    line = re.compile(rf"^{re.escape(key)}:.*$", re.MULTILINE)
    text, found = line.subn(f"{key}: {value}", source.read_text(encoding="utf-8"))
    if found != 1:
        raise InputError(f"{source}: {found} lines '{key}: ...', expected one")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def with_data(source: Path, archive: Path, target: Path) -> Path:
    """Write ``target``: the environment file ``source`` with the character and the clip of ``archive``.

    Raises InputError when the archive does not have them.
    """
    text = source.read_text(encoding="utf-8")
    for key in ("char_file", "motion_file"):
        named = re.search(rf"^{key}: data/(\S+)$", text, re.MULTILINE)
        if named is None:
            raise InputError(f"{source}: no line '{key}: data/...', so an archive cannot take its place")
        path = archive / named[1]
        if not path.is_file():
            raise InputError(f"--data {archive}: has no {named[1]}; name the folder with assets/ and motions/ in it")
        text = text.replace(named[0], f"{key}: {json.dumps(str(path))}")  # YAML, whatever is in the path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target
