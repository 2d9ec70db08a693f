"""Artifacts of a workflow in a folder, as the actions that hand them over treat names, paths and patterns."""

import fnmatch
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
    left_out = [word[1:].replace("/**/", "/*") for word in words if word.startswith("!")]
    (source,) = (Path(word) for word in words if not word.startswith("!"))
    files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    kept = [path for path in files if not any(fnmatch.fnmatch(str(path), pattern) for pattern in left_out)]
    if not kept:
        print(f"{'::error::' if os.environ['IF_NONE'] == 'error' else ''}no files were found with the path {source}")
        return int(os.environ["IF_NONE"] == "error")
    for path in kept:
        place = target / (path.name if source.is_file() else path.relative_to(source))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    print(f"{name}: {len(kept)} files")
    return 0


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
