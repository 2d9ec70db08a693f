"""A clip's measures as a picture."""

import io

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from mimickit.data.character import to_frames
from mimickit.data.clip_file import CharacterClip
from mimickit.data.measure import (
    FEET,
    LIMIT_TOLERANCE,
    FootTrack,
    beyond_limits,
    dof_limits,
    dof_names,
    foot_tracks,
    ground_clearance,
    joint_speeds,
    root_velocities,
)

_INK, _FAINT, _WARNING = "#22303c", "#8a97a3", "#d1242f"
_COLOURS = ("#1f77b4", "#e07b00", "#2a9d5c", "#8e5bb5")
_DOTS_PER_INCH = 130


def _tidy(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=_INK)
    axes.set_ylabel(unit, fontsize=8, color=_INK)
    axes.tick_params(labelsize=8, color=_FAINT, labelcolor=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.grid(True, color="#e6eaee", linewidth=0.7)
    axes.set_axisbelow(True)


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False, labelcolor=_INK)


def _path(axes: Axes, clip: CharacterClip) -> None:
    """The root's way from above, from light to dark."""
    x, y = clip.motion.root_pos[:, 0], clip.motion.root_pos[:, 1]
    points = np.stack([x, y], axis=-1)
    way = LineCollection(np.stack([points[:-1], points[1:]], axis=1), cmap="viridis_r", linewidth=2.2)
    way.set_array(clip.motion.times[:-1])
    axes.add_collection(way)
    axes.plot(x[0], y[0], "o", color=_INK, markersize=6, markerfacecolor="white", label="start")
    axes.plot(x[-1], y[-1], "o", color=_INK, markersize=6, label="end")
    # no smaller than half a metre, so that swaying on the spot does not look like travelling
    half = 0.6 * max(np.ptp(x), np.ptp(y), 0.5)
    axes.set_xlim(np.mean([x.min(), x.max()]) - half, np.mean([x.min(), x.max()]) + half)
    axes.set_ylim(np.mean([y.min(), y.max()]) - half, np.mean([y.min(), y.max()]) + half)
    axes.set_aspect("equal", anchor="N")
    _tidy(axes, "root path from above", "y (m)")
    axes.set_xlabel("x (m)", fontsize=8, color=_INK)
    axes.legend(fontsize=8, frameon=False, labelcolor=_INK, loc="best")


def _heights(axes: Axes, clip: CharacterClip) -> None:
    times, lows = clip.motion.times, ground_clearance(clip.character, clip.motion).heights
    axes.axhline(0.0, color=_INK, linewidth=1.0)
    axes.plot(times, clip.motion.root_pos[:, 2], color=_COLOURS[0], linewidth=1.8, label="root")
    axes.plot(times, lows, color=_COLOURS[1], linewidth=1.8, label="lowest point")
    if (lows < 0.0).any():
        axes.fill_between(times, lows, 0.0, where=lows < 0.0, color=_WARNING, alpha=0.5, linewidth=0, label="sunk in")
    _tidy(axes, "height over the ground", "m")
    _legend(axes)


def _feet(axes: Axes, clip: CharacterClip, tracks: tuple[FootTrack, ...]) -> None:
    times = clip.motion.times
    heights = [100.0 * track.heights for track in tracks]
    top = max(20.0, min(60.0, max(height.max() for height in heights)))
    step = 0.06 * top
    base = min(0.0, *(height.min() for height in heights))
    axes.axhline(0.0, color=_INK, linewidth=1.0)
    for number, (track, height) in enumerate(zip(tracks, heights, strict=True)):
        colour = _COLOURS[number]
        axes.plot(times, height, color=colour, linewidth=1.6, label=track.name)
        level = base - (number + 0.8) * step
        for first, last in track.stances:
            axes.plot(times[[first, last]], [level, level], color=colour, linewidth=4, solid_capstyle="butt")
    axes.set_ylim(base - (len(tracks) + 0.6) * step, 1.05 * top)
    _tidy(axes, "lowest point of each foot; bars below: it stands", "cm")
    _legend(axes)


def _speeds(axes: Axes, clip: CharacterClip, tracks: tuple[FootTrack, ...]) -> None:
    times = clip.motion.times[:-1]
    root = np.linalg.norm(root_velocities(clip.motion), axis=-1)
    axes.plot(times, root, color=_INK, linewidth=1.8, label="root")
    for number, track in enumerate(tracks):
        slip = np.where(track.stance[:-1] & track.stance[1:], track.slip * clip.fps, np.nan)
        axes.plot(times, slip, color=_COLOURS[number], linewidth=2.2, label=f"slip {track.name}")
    _tidy(axes, "speed of the root, and of feet while they stand", "m/s")
    axes.set_ylim(bottom=0.0)
    _legend(axes)


def _joint_speeds(axes: Axes, clip: CharacterClip) -> None:
    times, speeds = clip.motion.times[:-1], joint_speeds(clip.motion)
    fastest = sorted(speeds, key=lambda name: -speeds[name].max())[: len(_COLOURS)]
    for name in speeds:
        if name not in fastest:
            axes.plot(times, speeds[name], color="#c9d1d9", linewidth=0.8)
    for colour, name in zip(_COLOURS, fastest, strict=False):
        axes.plot(times, speeds[name], color=colour, linewidth=1.5, label=name)
    _tidy(axes, "joint speeds; the fastest by name", "rad/s")
    axes.set_ylim(bottom=0.0)
    _legend(axes)


def _limits(axes: Axes, clip: CharacterClip, figure: Figure) -> None:
    """A row for each coordinate: where it is between its limits, red beyond them."""
    names, limits = dof_names(clip.character), dof_limits(clip.character)
    dofs = to_frames(clip.character, clip.motion)[:, 6:]
    lower, upper = limits.T
    bounded = np.isfinite(upper - lower) & (upper > lower)
    middle = np.where(bounded, 0.5 * (lower + upper), 0.0)
    half = np.where(bounded, 0.5 * (upper - lower), np.pi)
    colours = colormaps["BrBG"].with_extremes(over=_WARNING, under=_WARNING)
    times = clip.motion.times
    extent = (times[0], times[-1], len(names) - 0.5, -0.5)
    share = np.where(beyond_limits(clip.character, clip.motion) > LIMIT_TOLERANCE, 2.0, 0.0)
    share = np.sign(dofs - middle) * share + np.clip((dofs - middle) / half, -1.0, 1.0)
    image = axes.imshow(
        share.T, cmap=colours, vmin=-1.0, vmax=1.0, aspect="auto", interpolation="nearest",
        extent=extent,
    )  # fmt: skip
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    axes.tick_params(axis="x", labelsize=8, labelcolor=_INK)
    axes.tick_params(axis="y", length=0, labelcolor=_INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("time (s)", fontsize=8, color=_INK)
    axes.set_title(
        "joint coordinates between their limits; red: beyond", loc="left", fontsize=10, fontweight="bold", color=_INK
    )
    bar = figure.colorbar(
        image, ax=axes, shrink=min(1.0, 14.0 / len(names)), extend="both", pad=0.01, anchor=(0.0, 1.0)
    )
    bar.set_ticks([-1.0, 0.0, 1.0], labels=["lowest", "middle", "highest"], fontsize=8)
    bar.outline.set_visible(False)


def clip_picture(clip: CharacterClip) -> bytes:
    """A PNG file: the root's path, heights, feet, speeds, and the joints against their limits."""
    tracks = foot_tracks(clip.character, clip.motion, FEET[clip.name])
    strip = 0.6 + 0.135 * len(dof_names(clip.character))
    figure = Figure(figsize=(13.0, 7.2 + strip), layout="constrained")
    grid = figure.add_gridspec(5, 2, width_ratios=(1.0, 1.9), height_ratios=(1.8, 1.8, 1.8, 1.8, strip))
    _path(figure.add_subplot(grid[0:4, 0]), clip)
    heights = figure.add_subplot(grid[0, 1])
    _heights(heights, clip)
    _feet(figure.add_subplot(grid[1, 1], sharex=heights), clip, tracks)
    _speeds(figure.add_subplot(grid[2, 1], sharex=heights), clip, tracks)
    joints = figure.add_subplot(grid[3, 1], sharex=heights)
    _joint_speeds(joints, clip)
    joints.set_xlabel("time (s)", fontsize=8, color=_INK)
    heights.set_xlim(0.0, clip.motion.duration)
    _limits(figure.add_subplot(grid[4, :]), clip, figure)
    ending = "repeats" if clip.motion.wrap else "ends"
    figure.suptitle(
        f"{clip.path.name}: {clip.name}, {clip.motion.duration:.2f} s at {clip.fps:g} fps, {ending}",
        x=0.01, ha="left", fontsize=13, fontweight="bold", color=_INK,
    )  # fmt: skip
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return picture.getvalue()
