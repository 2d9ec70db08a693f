"""Artifacts of a workflow in a folder, as the actions that hand them over treat names, paths and patterns."""

import fnmatch
import glob
import os
import shutil
import sys
from pathlib import Path

STORE = Path(os.environ["STORE"]) / "artifacts"


def upload() -> int:
    name, words = os.environ["NAME"], os.environ["PATHS"].split()
    target = STORE / name
    if target.exists():
        if os.environ["OVERWRITE"] != "true":
            print(f"::error::an artifact with the name {name} already exists")
            return 1
        shutil.rmtree(target)
    wanted = [word for word in words if not word.startswith("!")]
    left_out = [word[1:] for word in words if word.startswith("!")]
    files = {file for word in wanted for file in _files(word) if not any(_matches(file, other) for other in left_out)}
    if not files:
        print(f"{'::error::' if os.environ['IF_NONE'] == 'error' else ''}no files were found with the path {wanted}")
        return int(os.environ["IF_NONE"] == "error")
    # Names begin below what all that was searched has in common.
    searched = {Path(word.partition("*")[0]) for word in wanted}
    below = Path(os.path.commonpath([path.parent if path.is_file() else path for path in searched]))
    for file in files:
        place = target / file.relative_to(below)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    print(f"{name}: {len(files)} files")
    return 0


def _files(word: str) -> list[Path]:
    """What a path or a pattern stands for; files whose names begin with a dot are never among it."""
    found = [Path(path) for path in glob.glob(word, recursive=True)]
    below = [path for folder in found if folder.is_dir() for path in folder.rglob("*")]
    hidden = [path for path in below if any(part.startswith(".") for part in path.parts)]
    return [path for path in [*found, *below] if path.is_file() and path not in hidden]


def _matches(file: Path, pattern: str) -> bool:
    return fnmatch.fnmatch(str(file), pattern.replace("/**/", "/*"))


def download() -> int:
    target = Path(os.environ["PATHS"])
    if os.environ["NAME"]:
        if not (STORE / os.environ["NAME"]).is_dir():
            print(f"::error::artifact not found for name: {os.environ['NAME']}")
            return 1
        shutil.copytree(STORE / os.environ["NAME"], target, dirs_exist_ok=True)
        return 0
    found = sorted(path for path in STORE.glob("*") if fnmatch.fnmatch(path.name, os.environ["PATTERN"]))
    flat = len(found) == 1 or os.environ["MERGE"] == "true"  # as since version 5 of the action
    for path in found:
        shutil.copytree(path, target if flat else target / path.name, dirs_exist_ok=True)
    print(f"{len(found)} artifact(s) downloaded: {' '.join(path.name for path in found)}")
    return 0


if __name__ == "__main__":
    sys.exit({"upload": upload, "download": download}[sys.argv[1]]())
