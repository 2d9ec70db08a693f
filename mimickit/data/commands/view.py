"""``python -m mimickit.data view``: look at a clip, in a window or as a film."""

import argparse
import math
from pathlib import Path

from rich.console import Console

from mimickit.data.commands.arguments import add_assets, add_guessed_character
from mimickit.errors import InputError
from mimickit.files import check_output_folder

DESCRIPTION = """\
Play a clip: in a window, or with --video into a folder as video.mp4 and contact_sheet.png.

examples:
  python -m mimickit.data view data/motions/humanoid/humanoid_spinkick.pkl
  python -m mimickit.data view data/motions/g1/g1_walk.pkl --video output/g1_walk

In the window: Enter pauses, Space steps once, Alt and drag moves the camera, the wheel zooms; close it to end.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a .pkl clip")
    add_guessed_character(parser)
    parser.add_argument("--video", type=Path, metavar="DIR", help="write a film to this folder instead of a window")
    parser.add_argument(
        "--prop",
        action="append",
        nargs=4,
        default=[],
        metavar=("FILE", "X", "Y", "Z"),
        help="an object beside the character: its MJCF below --assets, and where it stands (m); may be repeated. "
        "Objects that belong to a clip built here are shown without being named",
    )
    add_assets(parser)


def _prop(file: str, *place: str) -> tuple[str, tuple[float, float, float]]:
    """An object's file and where it stands, from the words of ``--prop``."""
    try:
        x, y, z = (float(word) for word in place)
    except ValueError:
        x = y = z = math.nan
    if not all(map(math.isfinite, (x, y, z))):
        raise InputError(f"--prop {file} {' '.join(place)}: expected a file and three numbers, metres")
    return file, (x, y, z)


def run(options: argparse.Namespace, console: Console) -> None:
    """Play it. Raises `InputError` for a clip or an object that cannot be read, `RenderError` without a display."""
    from mimickit.data.clip_file import read_clip  # needs torch, which other commands do without
    from mimickit.data.play import play

    props = [_prop(*words) for words in options.prop]
    if options.video:
        check_output_folder(options.video, f"--video {options.video}")
    clip = read_clip(options.clip, options.character, options.assets)
    for note in clip.notes:
        console.print(f"note: {note}")
    play(clip, props, options.assets, options.video)
    if options.video:
        console.print(f"written to {options.video}: video.mp4, contact_sheet.png")
