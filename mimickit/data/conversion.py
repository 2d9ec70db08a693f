"""From a user's recording to a clip: to the character, to its frame rate, onto the ground."""

import dataclasses
from pathlib import Path

import numpy as np

from mimickit.data.character import check_joints, load_character, lowest_points
from mimickit.data.characters import model_path
from mimickit.data.measure import ground_level
from mimickit.data.motion import Landmarks, Motion, checked_motion, lifted, resampled
from mimickit.errors import InputError

_TOE_HEIGHT = 0.03  # metres from the sole to a recorded toe joint


@dataclasses.dataclass(frozen=True)
class UserRecording:
    """What a file holds: a motion of the character called ``character``, or landmarks of a person (None)."""

    motion: Motion | Landmarks
    character: str | None
    source: str  # the file, for errors
    notes: tuple[str, ...] = ()  # what was found out on the way


def checked_landmarks(landmarks: Landmarks, source: str) -> Landmarks:
    """``landmarks`` as they are. Raises `InputError` naming ``source`` for too few frames, or bad numbers."""
    if len(landmarks.times) < 2:
        raise InputError(f"{source}: a motion needs at least 2 frames, this one has {len(landmarks.times)}")
    for name, track in landmarks.positions.items():
        bad = np.flatnonzero(~np.isfinite(track).all(axis=1))
        if bad.size:
            raise InputError(f"{source}: {name} is not at a finite place in frame {bad[0]}")
    return landmarks


def grounded_landmarks(landmarks: Landmarks) -> tuple[Landmarks, float]:
    """``landmarks`` moved up or down until the lower toe mostly is where a standing toe is; and how far, metres."""
    toes = [landmarks.positions[f"{side}_toe"][:, 2] for side in ("left", "right")]
    lift = _TOE_HEIGHT - ground_level(np.minimum(*toes))
    positions = {name: track + np.array([0.0, 0.0, lift]) for name, track in landmarks.positions.items()}
    return dataclasses.replace(landmarks, positions=positions), lift


def _of_character(recording: UserRecording, character: str, fps: int, keep_height: bool, assets: Path) -> Motion:
    """The recording at ``fps``, moved to ``character`` if it is of somebody else."""
    if isinstance(recording.motion, Landmarks):
        from mimickit.data.retarget import retarget_landmarks  # mink takes a second to import

        landmarks = resampled(checked_landmarks(recording.motion, recording.source), fps)
        return retarget_landmarks(landmarks if keep_height else grounded_landmarks(landmarks)[0], character, assets)
    motion = checked_motion(recording.motion, recording.source)
    source = load_character(model_path(recording.character, assets))
    check_joints(source, motion, recording.source)
    motion = resampled(motion, fps)
    if recording.character == character:
        return motion
    from mimickit.data.retarget import retarget_motion

    if not keep_height:  # feet are recognised as resting when they are on the ground
        motion = lifted(motion, -ground_level(lowest_points(source, motion)))
    return retarget_motion(motion, recording.character, character, assets)


def converted(
    recording: UserRecording, character: str, fps: int, wrap: bool, keep_height: bool, assets: Path
) -> tuple[Motion, float]:
    """The recording as a motion of ``character`` at ``fps``, and how far it was raised at last, metres.

    It is raised or lowered as a whole so that the character stands on the ground where it is most of the time, unless
    ``keep_height``. Raises `InputError` for numbers that make no motion, and for characters that are not alike.
    """
    recorded = dataclasses.replace(recording.motion, wrap=wrap)
    motion = _of_character(dataclasses.replace(recording, motion=recorded), character, fps, keep_height, assets)
    if keep_height:
        return motion, 0.0
    lift = -ground_level(lowest_points(load_character(model_path(character, assets)), motion))
    return lifted(motion, lift), lift
