"""Playing a clip in a window or into a film; no physics."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mimickit.data.character import body_poses
from mimickit.data.characters import model_path
from mimickit.data.clip_file import CharacterClip
from mimickit.data.motion import resampled
from mimickit.data.recipes import RECIPES
from mimickit.errors import MissingDataError
from mimickit.render.recorder import Recorder
from mimickit.render.scene import PropSpec, SceneSpec
from mimickit.render.window import Window

FILM_FPS = 30
WINDOW_FPS = 60

PropPlace = tuple[str, tuple[float, float, float]]
"""An object's MJCF below the assets folder, and its position."""


def props_of(clip: CharacterClip) -> list[PropPlace]:
    """The objects that belong to a clip of this name among the recipes."""
    recipe = RECIPES.get(clip.path.stem)
    return [(prop.file, prop.pos) for prop in recipe.props] if recipe else []


def play(clip: CharacterClip, props: Sequence[PropPlace], assets: Path, video: Path | None) -> None:
    """Show the clip until the window is closed, or write it to the folder ``video`` once.

    A clip of one built here comes with its objects; ``props`` are further ones. Raises `MissingDataError` for the
    file of an object that is not there, `RenderError` when nothing can be drawn.
    """
    placed = [*props_of(clip), *props]
    for file, _ in placed:
        if not (assets / file).is_file():
            raise MissingDataError(f"there is no object {assets / file}")
    scene = SceneSpec(
        char_file=model_path(clip.name, assets),
        body_names=tuple(body.name for body in clip.character.bodies),
        show_reference=False,
        props=tuple(PropSpec(assets / file, pos) for file, pos in placed),
        character_label="clip",
    )
    fps = FILM_FPS if video else WINDOW_FPS
    positions, rotations = body_poses(clip.character, resampled(clip.motion, fps))
    if video:
        with Recorder(scene, fps=fps) as recorder:
            for frame in zip(positions, rotations, strict=True):
                recorder.draw(*frame)
            recorder.save(video)
        return
    window = Window(scene, fps=fps)
    travel = positions[-1, 0] - positions[0, 0] if clip.motion.wrap else np.zeros(3)
    travel = travel * [1.0, 1.0, 0.0]
    try:
        for turn in itertools.count():
            for places, turns in zip(positions, rotations, strict=True):
                if not window.is_open():
                    return
                window.draw(places + turn * travel, turns)
    finally:
        window.close()
