"""Motions moved between characters."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mimickit.data.boxes import Box
from mimickit.data.character import check_joints, lowest_points
from mimickit.data.motion import Landmarks, Motion
from mimickit.data.retarget.contacts import smoothed, upper_envelope
from mimickit.data.retarget.goals import Goals, goals_for
from mimickit.data.retarget.landmarks import leg_length_of_landmarks, track_of_landmarks
from mimickit.data.retarget.rig import Rig, load_rig
from mimickit.data.retarget.rotations import IDENTITY
from mimickit.data.retarget.solver import PoseSolver
from mimickit.data.retarget.track import BodyTrack, extended, track_of_motion

_LEAD = 30  # frames of its neighbouring cycles that a repeating motion is solved with
_UP = np.array([0.0, 0.0, 1.0])
_SINK = 0.003  # metres that a shape may end up below the ground
_LIFT_FRAMES = 3  # how gradually hips rise for what would be below the ground
_LYING = 0.03  # of a leg's length: a body whose lowest shape is lower touches the ground


def retarget_motion(
    motion: Motion,
    source_name: str,
    target_name: str,
    assets: Path,
    *,
    boxes: Sequence[Box] = (),
) -> Motion:
    """A motion of the character ``source_name``, done by the character ``target_name``.

    Both are names of `mimickit.data.characters` that are built like a human; their MJCF files are below ``assets``.
    Times stay; lengths are multiplied by `retarget_scale`: the hips' path, and where feet and hands rest. Limbs keep
    their directions. Feet and hands that rest on the ground, or on one of the ``boxes`` of the source's world, rest on
    it in the target too, whose shapes stay out of the scaled boxes. Frames should be evenly spaced, 60 a second or so:
    each is solved for from the one before.

    Raises `InputError` for other characters, or for a motion whose joints are not those of the source.
    """
    source, target = load_rig(source_name, assets), load_rig(target_name, assets)
    check_joints(source.character, motion, f"motion of {source_name}")
    if source.skeleton == target.skeleton:
        return _same_skeleton(motion, target)
    return _follow(track_of_motion(source, motion), target, boxes)


def retarget_landmarks(
    landmarks: Landmarks,
    target_name: str,
    assets: Path,
    *,
    boxes: Sequence[Box] = (),
) -> Motion:
    """A recording of a body's landmarks, done by the character ``target_name``; else as `retarget_motion`.

    Hips, knees, ankles, toes, shoulders, elbows and wrists of both sides are needed; neck, head, chest and hands help.
    Raises `InputError` naming those that are missing.
    """
    target = load_rig(target_name, assets)
    return _follow(track_of_landmarks(landmarks), target, boxes)


def retarget_scale(source: str | Landmarks, target_name: str, assets: Path) -> float:
    """What lengths of the source's world are multiplied by in the target's: the ratio of their legs' lengths.

    ``source`` is the name of a character or a recording of landmarks. Props scaled by this stay where hands and feet
    meet them.
    """
    length = leg_length_of_landmarks(source) if isinstance(source, Landmarks) else load_rig(source, assets).leg_length
    return load_rig(target_name, assets).leg_length / length


def _same_skeleton(motion: Motion, target: Rig) -> Motion:
    """Rotations copied: the characters differ only by joints that the other lacks, which stay at zero."""
    still = np.tile(IDENTITY, (len(motion.times), 1))
    names = [body.name for body in target.character.bodies if body.joint is not None]
    return dataclasses.replace(motion, joints={name: motion.joints.get(name, still) for name in names})


def _follow(track: BodyTrack, target: Rig, boxes: Sequence[Box]) -> Motion:
    count = len(track.times)
    lead = min(_LEAD, count - 1) if track.wrap else 0
    longer = extended(track, lead) if track.wrap else track
    scale = target.leg_length / track.leg_length
    goals = goals_for(target, longer, boxes)
    solver = PoseSolver(target, [box.scaled(scale) for box in boxes])
    poses = solver.followed(goals)
    lift = _lift(target, solver.motion(poses, longer.times, track.wrap), longer, goals)
    goals = dataclasses.replace(goals, hips=goals.hips + lift[:, None] * _UP)
    poses = solver.refined(poses, goals)
    motion = solver.motion(poses[lead : lead + count], track.times, track.wrap)
    sunk = upper_envelope(np.maximum(0.0, -lowest_points(target.character, motion) - _SINK), _LIFT_FRAMES)
    return dataclasses.replace(motion, root_pos=motion.root_pos + sunk[:, None] * _UP)


def _lift(target: Rig, motion: Motion, track: BodyTrack, goals: Goals) -> np.ndarray:
    """How far (N,) the hips must rise to bring all shapes above the ground, or sink for a lying body to lie on it."""
    lowest = lowest_points(target.character, motion)
    lift = upper_envelope(np.maximum(0.0, -lowest), _LIFT_FRAMES)
    if track.clearance is not None:
        lies = (track.clearance < _LYING * track.leg_length) & ~np.any(list(goals.stances.values()), axis=0)
        floats = np.where(lies, np.maximum(0.0, lowest), 0.0)
        lift = lift - smoothed(floats, _LIFT_FRAMES)
    return lift
