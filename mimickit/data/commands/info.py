"""``python -m mimickit.data info``: what a clip is like, and what is wrong with it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from mimickit.data.commands.arguments import add_assets, add_guessed_character
from mimickit.files import check_output_file, write_atomically

if TYPE_CHECKING:
    from mimickit.data.clip_file import CharacterClip

DESCRIPTION = """\
Measure a clip: length, speeds, joints beyond their limits, sinking and floating, slipping feet, the seam of its loop.

examples:
  python -m mimickit.data info data/motions/humanoid/humanoid_walk.pkl
  python -m mimickit.data info walk.pkl --character g1 --plot walk.png

Only colliding shapes count. A foot stands while its lowest point is at most 2 cm above the ground and does not swing.
A ball joint's exponential map is held against the ranges of its three hinges.
"""
_SHOWN_VIOLATIONS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a .pkl clip")
    add_guessed_character(parser)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the same as a picture")
    add_assets(parser)


def _length(clip: "CharacterClip") -> list[str]:
    motion = clip.motion
    ending = "repeats" if motion.wrap else "ends"
    return [f"{motion.duration:.2f} s, {len(motion.times)} frames at {clip.fps:g} fps, {ending}"]


def _root(clip: "CharacterClip") -> list[str]:
    from mimickit.data.measure import root_velocities

    motion = clip.motion
    speeds = np.linalg.norm(root_velocities(motion), axis=-1)
    travel = motion.root_pos[-1] - motion.root_pos[0]
    low, high = motion.root_pos[:, 2].min(), motion.root_pos[:, 2].max()
    return [
        f"{speeds.mean():.2f} m/s on average, {speeds.max():.2f} at most",
        f"travels {np.hypot(*travel[:2]):.2f} m (x {travel[0]:+.2f}, y {travel[1]:+.2f}), "
        f"{low:.2f} to {high:.2f} m high",
    ]


def _joints(clip: "CharacterClip") -> list[str]:
    from mimickit.data.measure import joint_speeds

    speeds = joint_speeds(clip.motion)
    fastest = max(speeds, key=lambda name: speeds[name].max())
    frame = int(np.argmax(speeds[fastest]))
    return [f"fastest: {fastest}, {speeds[fastest][frame]:.1f} rad/s after frame {frame}"]


def _limits(clip: "CharacterClip") -> list[str]:
    from mimickit.data.measure import dof_names, limit_violations

    found = limit_violations(clip.character, clip.motion)
    count = len(dof_names(clip.character))
    if not found:
        return [f"all {count} joint coordinates stay within their limits"]
    lines = [f"{len(found)} of {count} joint coordinates pass their limits"]
    for violation in found[:_SHOWN_VIOLATIONS]:
        lines.append(
            f"  {violation.name} by {np.degrees(violation.worst):.1f} deg in frame {violation.worst_frame} "
            f"({np.degrees(violation.value):.1f}, limit {np.degrees(violation.limit):.1f}); "
            f"in {violation.frames} of {len(clip.motion.times)} frames"
        )
    if len(found) > _SHOWN_VIOLATIONS:
        lines.append(f"  and {len(found) - _SHOWN_VIOLATIONS} more, each by less")
    return lines


def _ground(clip: "CharacterClip") -> list[str]:
    from mimickit.data.measure import ground_clearance

    clearance = ground_clearance(clip.character, clip.motion)
    heights = 100.0 * clearance.heights
    return [
        f"sinks in {100 * clearance.mean_sink:.1f} cm on average, {100 * clearance.worst_sink:.1f} at worst "
        f"(frame {heights.argmin()})",
        f"floats {100 * clearance.mean_float:.1f} cm on average, {max(0.0, heights.max()):.1f} at most "
        f"(frame {heights.argmax()})",
    ]


def _feet(clip: "CharacterClip") -> list[str]:
    from mimickit.data.measure import FEET, foot_tracks

    lines = []
    for foot in foot_tracks(clip.character, clip.motion, FEET[clip.name]):
        times = "once" if len(foot.stances) == 1 else f"{len(foot.stances)} times"
        if not foot.stances:
            lines.append(f"{foot.name:6} never stands")
            continue
        lines.append(
            f"{foot.name:6} stands {times}, {100 * foot.stance.mean():.0f}% of the time; slips "
            f"{100 * foot.mean_slip_speed(clip.fps):.0f} cm/s, {100 * foot.total_slip:.1f} cm in all, "
            f"{100 * foot.worst_stance_slip:.1f} in the worst stance"
        )
    return lines


def _seam(clip: "CharacterClip") -> list[str]:
    from mimickit.data.measure import loop_seam

    if not clip.motion.wrap:
        return ["none: the clip ends"]
    seam = loop_seam(clip.motion)
    return [
        f"{seam.joint} jumps {np.degrees(seam.joint_jump):.1f} deg; "
        f"the root turns {np.degrees(seam.root_turn):.1f} deg, "
        f"rises {100 * seam.root_rise:.1f} cm and changes its velocity by {seam.velocity_jump:.2f} m/s"
    ]


_SECTIONS = {
    "length": _length,
    "root": _root,
    "joints": _joints,
    "limits": _limits,
    "ground": _ground,
    "feet": _feet,
    "seam": _seam,
}


def run(options: argparse.Namespace, console: Console) -> None:
    """Print the measures of one clip, and draw them if asked. Raises `InputError` for a clip that cannot be read."""
    from mimickit.data.clip_file import read_clip  # needs torch, which other commands do without

    if options.plot is not None:
        check_output_file(options.plot)
    clip = read_clip(options.clip, options.character, options.assets)
    console.print(f"{clip.path}, a clip of {clip.name}")
    for title, section in _SECTIONS.items():
        for number, line in enumerate(section(clip)):
            console.print(f"  {title if number == 0 else '':8}{line}")
    for note in clip.notes:
        console.print(f"  note    {note}")
    if options.plot is not None:
        from mimickit.data.plot import clip_picture  # imports matplotlib, which takes its time

        write_atomically(options.plot, clip_picture(clip))
        console.print(f"  plot    {options.plot}")
