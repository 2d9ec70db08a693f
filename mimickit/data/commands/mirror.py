"""``python -m mimickit.data mirror``: exchange left and right of a clip."""

import argparse
from pathlib import Path

from rich.console import Console

from mimickit.data.commands.arguments import add_assets, add_guessed_character

DESCRIPTION = """\
Write the mirror image of a clip: what the left side did, the right side does, and the path runs the other way round.

examples:
  python -m mimickit.data mirror data/motions/humanoid/humanoid_kick.pkl data/motions/humanoid/humanoid_kick_left.pkl
  python -m mimickit.data mirror walk.pkl walk_mirrored.pkl --character g1

The sword and shield stay in their hands; the arms exchange their motion.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("clip", type=Path, metavar="CLIP", help="the clip to mirror")
    parser.add_argument("output", type=Path, metavar="OUT", help="where to write; an existing file is replaced")
    add_guessed_character(parser)
    add_assets(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Mirror one clip. Raises `InputError` for a clip that cannot be read; then nothing is written."""
    from mimickit.data.clip_file import read_clip  # needs torch, which other commands do without
    from mimickit.data.encoding import clip_bytes
    from mimickit.data.mirror import mirrored
    from mimickit.files import check_output_file, write_atomically

    check_output_file(options.output)
    clip = read_clip(options.clip, options.character, options.assets)
    for note in clip.notes:
        console.print(f"note: {note}")
    motion = mirrored(clip.motion, clip.character)
    write_atomically(options.output, clip_bytes(clip.character, motion, clip.fps))
    console.print(f"wrote {options.output}: {clip.path} mirrored, {len(motion.times)} frames of {clip.name}")
