"""pip's own settings for where packages come from, so that a download obeys what the user set up for pip.

pip names its configuration files (`pip config debug`); they are read here in pip's order, each beating those before it:
global, user, site, ``$PIP_CONFIG_FILE``, then the variables ``PIP_*``. Inside the files ``[download]`` beats
``[install]``, which beats ``[global]``: so a setting made for installing holds for a download too.
"""

import configparser
import dataclasses
import locale
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pypi_simple import PYPI_SIMPLE_ENDPOINT
from rich.console import Console

from mimickit.errors import InputError

_KINDS = ("global", "user", "site", "env")  # of configuration files; a later one wins
_SECTIONS = ("global", "install", "download")  # of one file; a later one wins
_OTHER_NAMES = {"default-timeout": "timeout", "pypi-url": "index-url"}
_SWITCH = {"1": True, "true": True, "t": True, "yes": True, "y": True, "on": True}
_SWITCH |= {"0": False, "false": False, "f": False, "no": False, "n": False, "off": False}


@dataclasses.dataclass(frozen=True)
class PipSettings:
    """Where packages are looked for, and how the connection is made. Addresses may hold a user and a password."""

    indexes: tuple[str, ...]  # in the order they are asked; empty with no-index
    find_links: tuple[str, ...]  # folders, files and pages, asked before the indexes
    cert: Path | None  # certificate authorities, a file or folder; None: those of the system and of requests
    client_cert: Path | None
    proxy: str | None  # None: what HTTPS_PROXY and its kin say
    trusted_hosts: tuple[str, ...]  # host or host:port whose certificate is not checked
    timeout: float  # seconds without an answer
    retries: int  # connections that are tried again before giving up


def read_pip_settings(console: Console) -> PipSettings:
    """The settings in force. Raises `InputError` for one that cannot be used, or when pip cannot read its own files.

    Without pip in this interpreter the variables ``PIP_*`` and the default index apply, and ``console`` is told.
    """
    files = _configuration_files()
    if files is None:
        console.print(f"{sys.executable} has no pip: of pip's settings only the variables PIP_* are used")
    values: dict[str, str] = {}
    for path in files or ():
        values |= _read_file(path)
    return _parse(values | _from_environment(os.environ))


def _configuration_files() -> list[Path] | None:
    """pip's existing configuration files, the strongest last; None without pip."""
    if os.environ.get("PIP_CONFIG_FILE") == os.devnull:  # pip's way to say: none at all
        return []
    command = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "config", "debug"]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if "No module named pip" in result.stderr:
        return None
    kinds = dict(_files_by_kind(result.stdout))
    if result.returncode != 0 or not kinds:
        said = " ".join((result.stderr.strip() or result.stdout.strip())[-500:].split())
        raise InputError(f"pip cannot read its configuration (python -m pip config debug): {said}")
    return [path for kind in _KINDS for path in kinds.get(kind, [])]


def _files_by_kind(text: str) -> Iterator[tuple[str, list[Path]]]:
    """What `pip config debug` prints: unindented kinds, each followed by files and whether they exist."""
    for block in re.split(r"^(?=\S+:$)", text, flags=re.MULTILINE):
        heading = re.match(r"(\S+):\n", block)
        if heading:
            names = re.findall(r"^  (\S.*), exists: True$", block, flags=re.MULTILINE)
            yield heading[1], [Path(name) for name in names]


def _read_file(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding=locale.getpreferredencoding(False)), source=str(path))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise InputError(f"pip's configuration file {path} cannot be read: {' '.join(str(error).split())}") from error
    merged: dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            merged |= _named({key: str(value) for key, value in parser.items(section)})
    return merged


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return _named({key[4:]: value for key, value in environment.items() if key.startswith("PIP_")})


def _named(values: Mapping[str, str]) -> dict[str, str]:
    """Under pip's option names. Like pip, an empty value counts as none."""
    plain = {key.lower().replace("_", "-").removeprefix("--"): value for key, value in values.items() if value.strip()}
    return {_OTHER_NAMES.get(key, key): value for key, value in plain.items()}


def _parse(values: Mapping[str, str]) -> PipSettings:
    indexes = (values.get("index-url", PYPI_SIMPLE_ENDPOINT).strip(), *values.get("extra-index-url", "").split())
    return PipSettings(
        indexes=() if _switch(values, "no-index") else indexes,
        find_links=tuple(values.get("find-links", "").split()),
        cert=_existing(values, "cert"),
        client_cert=_existing(values, "client-cert"),
        proxy=values.get("proxy"),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        timeout=_number(values, "timeout", 15.0),  # pip's own defaults
        retries=int(_number(values, "retries", 5)),
    )


def _switch(values: Mapping[str, str], name: str) -> bool:
    text = values.get(name, "0").strip().lower()
    if text not in _SWITCH:
        raise InputError(f"pip's setting {name} is {text!r}; it must be true or false")
    return _SWITCH[text]


def _number(values: Mapping[str, str], name: str, usual: float) -> float:
    text = values.get(name, str(usual))
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e6:
        raise InputError(f"pip's setting {name} is {text!r}; it must be a number, 0 or more")
    return number


def _existing(values: Mapping[str, str], name: str) -> Path | None:
    if name not in values:
        return None
    path = Path(values[name].strip()).expanduser()
    if not path.exists():
        raise InputError(f"pip's setting {name} names {path}, which does not exist")
    return path
