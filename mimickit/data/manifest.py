"""What this command wrote into a motions folder, so that it knows its own clips from the user's."""

import dataclasses
import enum
import json
from pathlib import Path

from mimickit.data.files import sha256_of
from mimickit.data.recipes import Recipe
from mimickit.errors import InputError
from mimickit.files import write_atomically

MANIFEST_NAME = ".built.json"


class ClipState(enum.Enum):
    """What stands at a clip's place."""

    MISSING = "missing"
    CURRENT = "built"
    STALE = "out of date"
    USERS_OWN = "your own file"


@dataclasses.dataclass(frozen=True)
class Record:
    """What was written: the recipe's digest, and the SHA-256 of the file."""

    recipe: str
    content: str


def read_manifest(output: Path) -> dict[str, Record]:
    """Records by clip path. Raises `InputError` for a manifest that is not one."""
    path = output / MANIFEST_NAME
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text())
        return {clip: _record(clip, entry) for clip, entry in entries.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged ({error}). It tells built clips from your own: delete it and every clip in "
            f"{output} that you did not put there yourself (or the whole folder), then build again"
        ) from error


def _record(clip: str, entry: dict[str, str]) -> Record:
    record = Record(**entry)
    if not (isinstance(record.recipe, str) and isinstance(record.content, str)):
        raise TypeError(f"the entry of {clip} does not hold two texts")
    return record


def write_record(output: Path, clip: str, record: Record) -> None:
    """Add one clip's record to the manifest. The caller holds the folder's lock."""
    entries = {name: dataclasses.asdict(known) for name, known in read_manifest(output).items()}
    entries[clip] = dataclasses.asdict(record)
    write_atomically(output / MANIFEST_NAME, (json.dumps(entries, indent=1, sort_keys=True) + "\n").encode())


def clip_state(recipe: Recipe, output: Path, assets: Path, manifest: dict[str, Record]) -> ClipState:
    """Whether the clip must be built, for the characters in ``assets``.

    A file that is not byte for byte what was recorded is the user's.
    """
    path = output / recipe.clip
    if not path.exists():
        return ClipState.MISSING
    record = manifest.get(recipe.clip)
    if record is None or record.content != sha256_of(path):
        return ClipState.USERS_OWN
    return ClipState.CURRENT if record.recipe == recipe.digest(assets) else ClipState.STALE
