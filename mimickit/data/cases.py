"""Which clips a case needs: its arg file names an environment, the environment names a clip or a dataset of clips."""

from pathlib import Path
from typing import Any

import yaml

from mimickit.config.arguments import read_arg_file
from mimickit.errors import InputError


def clips_of_case(arg_file: Path) -> list[Path]:
    """Clip files of a case, as its files spell them; none for an environment without ``motion_file``.

    Raises `InputError` naming the file that is missing or says something else than it should.
    """
    named = read_arg_file(arg_file).values.get("env_config")
    if not named:
        raise InputError(f"{arg_file}: no line says --env_config FILE, which would tell what clips the case needs")
    env_config = Path(named[0])
    motion_file = _mapping(env_config, f"named by {arg_file}").get("motion_file")
    if motion_file is None:
        return []
    if not isinstance(motion_file, str):
        raise InputError(f"{env_config}: motion_file must be a path, not {motion_file!r}")
    path = Path(motion_file)
    if path.suffix not in (".yaml", ".yml"):
        return [path]
    entries = _mapping(path, f"named by {env_config}").get("motions")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: expected a list under motions, with a file and a weight each")
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
            raise InputError(f"{path}: entry {number} of motions has no file")
    return [Path(entry["file"]) for entry in entries]


def _text(path: Path, why: str = "") -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}" + (f", {why}" if why else "")) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: {error}") from error


def _mapping(path: Path, why: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(_text(path, why))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected `key: value` lines")
    return content
