"""OpenGL drivers of different makers on one machine: which file makes EGL take which."""

import ctypes
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# https://github.com/NVIDIA/libglvnd/blob/master/src/EGL/icd_enumeration.md
EGL_VARIABLE = "__EGL_VENDOR_LIBRARY_FILENAMES"
FOLDERS = (Path("/etc/glvnd/egl_vendor.d"), Path("/usr/share/glvnd/egl_vendor.d"))


@dataclass(frozen=True)
class Vendor:
    """A maker's EGL, and the word by which what it draws with is known."""

    name: str
    soname: str
    word: str

    def drew(self, context: Mapping[str, str]) -> bool:
        """Whether a context with this renderer, vendor and version is this maker's."""
        return any(self.word in context[key] for key in ("renderer", "vendor", "version"))


VENDORS = (Vendor("NVIDIA", "libEGL_nvidia.so.0", "NVIDIA"), Vendor("Mesa", "libEGL_mesa.so.0", "Mesa"))


def vendor_file(vendor: Vendor, folder: Path, folders: Sequence[Path] = FOLDERS) -> Path | None:
    """The JSON file that names this maker's library; made in ``folder`` where only the library is installed.

    None when there is no such library.
    """
    for path in sorted(path for each in folders for path in each.glob("*.json")):
        if vendor.soname in path.read_text(encoding="utf-8"):
            return path
    try:
        ctypes.CDLL(vendor.soname)
    except OSError:
        return None
    path = folder / f"{vendor.name.lower()}_egl.json"
    content = {"file_format_version": "1.0.0", "ICD": {"library_path": vendor.soname}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return path
