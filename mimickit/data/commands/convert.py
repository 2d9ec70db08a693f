"""``python -m mimickit.data convert``: make a clip from a file of yours."""

import argparse
import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from rich.console import Console

from mimickit.data.character import load_character
from mimickit.data.characters import CHARACTERS, model_path
from mimickit.data.commands.arguments import add_assets
from mimickit.data.conversion import UserRecording, converted
from mimickit.data.measure import limit_violations, loop_seam, uprightness
from mimickit.data.readers import amass, bvh, gmr, joint_table
from mimickit.data.recipes.recipe import CLIP_FPS
from mimickit.errors import InputError
from mimickit.files import check_output_file, write_atomically

DESCRIPTION = """\
Make a clip for a character from a recording: 60 frames per second, on the ground.

formats (--from):
  bvh    skeletons of CMU, LAFAN1, Mixamo and Xsens, by the names of their joints; retargeted to the character.
         The unit is told from the length of the legs, and said aloud; --scale sets it.
  amass  .npz with poses, trans and mocap_framerate: SMPL, SMPL-H or SMPL-X. The smpl character takes it as it is,
         another one by retargeting.
  gmr    pickles of General Motion Retargeting: fps, root_pos, root_rot (xyzw), dof_pos, for --source-character.
  csv    joint tables of --source-character. With a header, in any order: root_x root_y root_z, root_qx root_qy root_qz
         root_qw, the joints as the MJCF file names them, and time instead of --fps. Without: position, quaternion
         (--quat-order), joints in the MJCF file's order; G1 clips retargeted from LAFAN1 look so, at 30 fps.
         Metres, radians, z up; a ball joint's three columns are its exponential map.

examples:
  python -m mimickit.data convert walk1_subject1.bvh --from bvh --character humanoid --output walk.pkl
  python -m mimickit.data convert 01_01_poses.npz --from amass --character smpl --output smpl_01.pkl --loop wrap
  python -m mimickit.data convert dance1_subject2.csv --from csv --fps 30 --character g1 --output g1_dance.pkl

The retargeter knows the humanlike characters. Then look: python -m mimickit.data info CLIP, view CLIP.
The recording's licence stays in force: AMASS and LAFAN1, for instance, allow no commercial use. SOURCES.md lists only
the clips that `build` makes.
"""
_LOOPS = {"clamp": False, "wrap": True}
_WORTH_TELLING = 0.0005  # metres
_UPRIGHT = 0.3  # see `uprightness`; a cartwheel comes to a little more


def _read_bvh(options: argparse.Namespace, data: bytes) -> UserRecording:
    read = bvh.convert(data, str(options.file), options.scale, options.up or bvh.UP_AXES[0])
    note = f"skeleton of {read.skeleton}; lengths in {read.unit}: legs of {read.leg_length:.2f} m from hip to ankle"
    return UserRecording(read.landmarks, None, str(options.file), (note,))


def _read_amass(options: argparse.Namespace, data: bytes) -> UserRecording:
    return UserRecording(amass.convert(data, str(options.file)), "smpl", str(options.file))


def _read_gmr(options: argparse.Namespace, data: bytes) -> UserRecording:
    name = options.source_character or options.character
    character = load_character(model_path(name, options.assets))
    return UserRecording(gmr.convert(data, str(options.file), character), name, str(options.file))


def _read_csv(options: argparse.Namespace, data: bytes) -> UserRecording:
    name = options.source_character or options.character
    character = load_character(model_path(name, options.assets))
    motion = joint_table.convert(data, str(options.file), character, options.fps, options.quat_order)
    return UserRecording(motion, name, str(options.file))


_FORMATS: Mapping[str, Callable[[argparse.Namespace, bytes], UserRecording]] = {
    "bvh": _read_bvh,
    "amass": _read_amass,
    "gmr": _read_gmr,
    "csv": _read_csv,
}
_WRONG_AXES: Mapping[str, str] = {  # what to try when a recording comes out lying or upside down
    "bvh": "another axis of the file points up: try --up",
    "amass": "the file's z axis does not point up, as AMASS's does",
    "gmr": "its quaternions are not xyzw, or its z axis does not point up",
    "csv": "its quaternions are in another order (without a header: try --quat-order), or its z axis does not point up",
}
_ONLY_FOR = {  # options that another format would silently leave aside
    "source_character": ("gmr", "csv"),
    "quat_order": ("csv",),
    "scale": ("bvh",),
    "up": ("bvh",),
}


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0.0):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    names = ", ".join(CHARACTERS)
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording")
    parser.add_argument("--from", dest="format", required=True, choices=list(_FORMATS), help="what kind of file it is")
    parser.add_argument("--character", required=True, choices=list(CHARACTERS), metavar="NAME", help=f"one of {names}")
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="CLIP",
        help="the clip to write, .pkl; an existing one is replaced",
    )
    parser.add_argument(
        "--fps",
        type=_positive,
        metavar="N",
        help="frames per second of the recording, whatever the file says of it; csv without a column time needs it",
    )
    parser.add_argument("--loop", choices=list(_LOOPS), default="clamp", help="whether the clip repeats (%(default)s)")
    parser.add_argument(
        "--source-character",
        choices=list(CHARACTERS),
        metavar="NAME",
        help="gmr, csv: whose joints the file holds (default: --character)",
    )
    parser.add_argument(
        "--quat-order", choices=joint_table.QUATERNION_ORDERS, help="csv without a header (default: xyzw)"
    )
    parser.add_argument("--scale", type=_positive, metavar="METRES", help="bvh: metres of the file's unit")
    parser.add_argument("--up", choices=bvh.UP_AXES, help="bvh: the axis that points up (default: y)")
    parser.add_argument("--keep-height", action="store_true", help="leave the height as it was recorded")
    add_assets(parser)


def _check_options(options: argparse.Namespace) -> None:
    for name, formats in _ONLY_FOR.items():
        if getattr(options, name) is not None and options.format not in formats:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} means nothing for --from {options.format}, only for {' and '.join(formats)}")


def _at_rate(recording: UserRecording, fps: float) -> UserRecording:
    """The recording at ``fps``, with a note if its file says otherwise."""
    times = np.arange(len(recording.motion.times)) / fps
    if np.allclose(times, recording.motion.times, rtol=1e-6, atol=0.0):
        return recording
    note = f"--fps {fps:g}: the frames last {times[-1]:.3g} s, not {recording.motion.duration:.3g} s as the file says"
    motion = dataclasses.replace(recording.motion, times=times)
    return dataclasses.replace(recording, motion=motion, notes=(*recording.notes, note))


def run(options: argparse.Namespace, console: Console) -> None:
    """Convert one file. Raises `InputError` for one that cannot be read; then nothing is written."""
    _check_options(options)
    check_output_file(options.output)
    from mimickit.data.encoding import clip_bytes

    try:
        data = options.file.read_bytes()
    except OSError as error:
        raise InputError(f"{options.file} cannot be read: {error.strerror}") from error
    character = load_character(model_path(options.character, options.assets))
    recording = _FORMATS[options.format](options, data)
    if options.fps is not None:
        recording = _at_rate(recording, options.fps)
    console.print(f"read {options.file}: {len(recording.motion.times)} frames")
    for note in recording.notes:
        console.print(f"  {note}")
    wrap = _LOOPS[options.loop]
    motion, lift = converted(recording, options.character, CLIP_FPS, wrap, options.keep_height, options.assets)
    if recording.character != options.character:
        console.print(f"  retargeted from {recording.character or 'landmarks'} to {options.character}")
    if abs(lift) >= _WORTH_TELLING:
        console.print(f"  {'raised' if lift > 0 else 'lowered'} by {100 * abs(lift):.1f} cm onto the ground")
    if uprightness(character, motion) < _UPRIGHT:
        console.print(
            "  warning: the character mostly lies, crawls or stands on its head. If the recorded one does not, "
            f"{_WRONG_AXES[options.format]}"
        )
    for violation in limit_violations(character, motion)[:3]:
        console.print(f"  beyond its limit: {violation.name}, by {np.degrees(violation.worst):.1f} deg")
    if wrap:
        seam = loop_seam(motion)
        console.print(f"  where it repeats, {seam.joint} jumps {np.degrees(seam.joint_jump):.1f} deg")
    replaced = " (in place of the file that was there)" if options.output.exists() else ""
    write_atomically(options.output, clip_bytes(character, motion, CLIP_FPS))
    console.print(
        f"wrote {options.output}{replaced}: {options.character}, {motion.duration:.2f} s, "
        f"{len(motion.times)} frames at {CLIP_FPS} fps"
    )
