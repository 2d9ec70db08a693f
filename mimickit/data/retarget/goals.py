"""Where a character's hips, feet and hands should be for it to move like the track of another."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mimickit.data.boxes import Box
from mimickit.data.measure import runs
from mimickit.data.quaternions import rotate
from mimickit.data.retarget.contacts import (
    FOOT,
    HAND,
    between_runs,
    find_contacts,
    frames_apart,
    nearest_support,
    rolled_path,
    smoothed,
    upper_envelope,
)
from mimickit.data.retarget.rig import Rig
from mimickit.data.retarget.rotations import level
from mimickit.data.retarget.skeletons import REST_DIRECTIONS, SIDES
from mimickit.data.retarget.track import BodyTrack

_EASE = 0.05  # seconds: how quickly soles are levelled and hands reach for what they rest on
_HANGING = 0.06  # of a leg: a foot whose other end is so far below an edge does not rest on it
_CLEAR, _RISE = 0.025, 0.01  # metres that a swinging foot is kept above the ground, and per frame until it is there
_CAUGHT = 0.12  # of a leg: a foot that is deeper below the top of a box is beside it
_BESIDE = 0.02  # metres from a box within which a foot passes over it
_RISING = 3  # frames over which it rises
_SETTLE = 0.12  # seconds over which the hips follow the feet down to the ground


@dataclasses.dataclass(frozen=True)
class Goals:
    """Goals over N frames, in the world of the target character."""

    hips: np.ndarray  # (N, 3)
    rotations: Mapping[str, np.ndarray]  # per segment (N, 4)
    soles: Mapping[str, np.ndarray]  # left_heel, left_toe, right_heel, right_toe: (N, 3)
    hands: Mapping[str, np.ndarray]  # left_hand, right_hand: (N, 3)
    hand_weights: Mapping[str, np.ndarray]  # (N,) from 0, free, to 1, resting on something
    stances: Mapping[str, np.ndarray]  # per heel, toe and hand (N,): whether it rests


def _legs(rig: Rig, hips: np.ndarray, rotations: Mapping[str, np.ndarray], side: str) -> np.ndarray:
    """Ankle (N, 3) of a leg of ``rig``'s proportions whose segments have these directions."""
    middle = 0.5 * (rig.rest_points["left_hip"] + rig.rest_points["right_hip"])
    place = hips + rotate(rotations["pelvis"], rig.rest_points[f"{side}_hip"] - middle)
    for segment, start, end in ((f"{side}_thigh", "hip", "knee"), (f"{side}_shin", "knee", "ankle")):
        length = np.linalg.norm(rig.rest_offset(f"{side}_{start}", f"{side}_{end}"))
        place = place + rotate(rotations[segment], length * np.array(REST_DIRECTIONS[segment]))
    return place


def goals_for(rig: Rig, track: BodyTrack, boxes: Sequence[Box]) -> Goals:
    """Goals for ``rig`` to follow ``track``, on the ground and on ``boxes`` of the track's world."""
    scale = rig.leg_length / track.leg_length
    supports = np.array([0.0, *(box.top for box in boxes)])
    step = float(np.median(np.diff(track.times)))
    hips = scale * track.hips
    rotations = dict(track.rotations)
    resting = {name: _resting(track, name, supports) for name in track.points}
    paths, arms, reach = {}, {}, {}
    drop, weight = np.zeros(len(hips)), np.zeros(len(hips))
    for side in SIDES:
        foot, heel, toe = f"{side}_foot", f"{side}_heel", f"{side}_toe"
        stance = np.stack([resting[heel], resting[toe]], axis=1)
        rotations[foot] = level(rotations[foot], smoothed(stance.all(axis=1).astype(float), _EASE / step))
        offsets = np.stack([rig.rest_offset(f"{side}_ankle", heel), rig.rest_offset(f"{side}_ankle", toe)])
        arms[side] = np.stack([rotate(rotations[foot], offset) for offset in offsets], axis=1)
        edge = np.abs(rotate(rotations[foot], np.array([0.0, rig.skeleton.sole_width, 0.0]))[:, 2])
        reach[side] = edge - arms[side][:, :, 2].min(axis=1)
        wanted = _legs(rig, hips, rotations, side)
        ground = scale * _ground_below(track, (heel, toe), stance, supports)
        paths[side] = rolled_path(wanted, arms[side], reach[side], stance, ground)
        stands = stance.any(axis=1)
        drop += np.where(stands, paths[side][:, 2] - wanted[:, 2], 0.0)
        weight += stands
    # hips follow the feet to the ground, so that knees keep their bend
    settle = between_runs(weight > 0, (drop / np.maximum(weight, 1.0))[:, None])
    hips = hips + np.pad(smoothed(settle, _SETTLE / step), ((0, 0), (2, 0)))
    soles = {}
    for side in SIDES:
        stands = resting[f"{side}_heel"] | resting[f"{side}_toe"]
        clear = np.minimum(_CLEAR, _RISE * frames_apart(stands))
        paths[side][:, 2] = np.maximum(paths[side][:, 2], reach[side] + clear)
        for box in boxes:
            sole = paths[side] + _sole_points(rig, arms[side], rotations[foot])
            paths[side][:, 2] += upper_envelope(_rise_over(box.scaled(scale), sole, rig.leg_length), _RISING)
        for i, point in enumerate(("heel", "toe")):
            soles[f"{side}_{point}"] = paths[side] + arms[side][:, i]
    hands, hand_weights = _hands(rig, track, scale, resting, supports, step)
    return Goals(hips, rotations, soles, hands, hand_weights, resting)


def _resting(track: BodyTrack, name: str, supports: np.ndarray) -> np.ndarray:
    """Frames (N,) in which the heel, toe or hand called ``name`` rests on something."""
    if name.endswith("hand"):
        skin = track.points[name] - np.array([0.0, 0.0, track.hand_radius])
        return find_contacts(track.times, skin, supports, HAND, track.leg_length)
    point = track.points[name]
    resting = find_contacts(track.times, point, supports, FOOT, track.leg_length)
    side = name.split("_")[0]
    lower = np.minimum(track.points[f"{side}_heel"][:, 2], track.points[f"{side}_toe"][:, 2])
    hangs = lower < nearest_support(point[:, 2], supports) - _HANGING * track.leg_length
    return resting & ~hangs


def _sole_points(rig: Rig, arms: np.ndarray, foot: np.ndarray) -> np.ndarray:
    """Points (P, N, 3) along both edges of a sole, from its ankle; ``arms`` (N, 2, 3) lead there to heel and toe."""
    edge = rotate(foot, np.array([0.0, rig.skeleton.sole_width, 0.0]))
    heel, toe = arms[:, 0], arms[:, 1]
    shares = np.linspace(0.0, 1.0, 5)
    return np.array([heel + share * (toe - heel) + sign * edge for sign in (-1.0, 1.0) for share in shares])


def _rise_over(box: Box, sole: np.ndarray, leg_length: float) -> np.ndarray:
    """How much (N,) a foot must rise so that the upper edge of a box it passes over does not catch its sole (P, N, 3).

    A foot far below the top is on its way down beside the box, and is left to the solver.
    """
    over = np.array([box.covers(point, _BESIDE) for point in sole])
    depth = np.where(over, box.top - sole[..., 2], 0.0).max(axis=0)
    return np.where(depth < _CAUGHT * leg_length, np.maximum(depth, 0.0), 0.0)


def _ground_below(track: BodyTrack, points: tuple[str, ...], stance: np.ndarray, supports: np.ndarray) -> np.ndarray:
    """Height (N,) of what a foot or hand rests on, one for each rest; zero elsewhere."""
    ground = np.zeros(len(track.times))
    lowest = np.min([track.points[point][:, 2] for point in points], axis=0)
    for first, last in runs(stance.any(axis=1)):
        ground[first:last] = nearest_support(np.array([np.median(lowest[first:last])]), supports)
    return ground


def _hands(
    rig: Rig, track: BodyTrack, scale: float, resting: Mapping[str, np.ndarray], supports: np.ndarray, step: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    hands, weights = {}, {}
    count = len(track.times)
    for side in SIDES:
        name = f"{side}_hand"
        stance = resting[name][:, None]
        ground = scale * _ground_below(track, (name,), stance, supports)
        reach = np.full(count, rig.skeleton.hand_radius)
        hands[name] = rolled_path(scale * track.points[name], np.zeros((count, 1, 3)), reach, stance, ground)
        weights[name] = smoothed(resting[name].astype(float), _EASE / step)
    return hands, weights
