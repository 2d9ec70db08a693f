"""Landmarks of a recorded body as a track: directions between points become rotations of segments."""

import numpy as np

from mimickit.data.motion import Landmarks
from mimickit.data.quaternions import inverse, multiply, rotate
from mimickit.data.retarget.rotations import from_axes, shortest_arc, unit
from mimickit.data.retarget.skeletons import SIDES
from mimickit.data.retarget.track import BodyTrack
from mimickit.errors import InputError

_NEEDED = tuple(
    f"{side}_{name}" for side in SIDES for name in ("hip", "knee", "ankle", "toe", "shoulder", "elbow", "wrist")
)
_UP = np.array([0.0, 0.0, 1.0])
_FORWARD = np.array([1.0, 0.0, 0.0])
_HAND_RADIUS = 0.03
_HEEL_BEHIND_ANKLE = 0.25  # of the way from ankle to toe, seen from above
_SOLE_BELOW_TOE = 0.045  # of the length of thigh and shin: toes are recorded above the sole
_SLOW = 0.3  # m/s: feet slower than this stand


def _lengths(landmarks: Landmarks, start: str, end: str) -> np.ndarray:
    return np.linalg.norm(landmarks.positions[end] - landmarks.positions[start], axis=1)


def _check(landmarks: Landmarks) -> None:
    missing = [name for name in _NEEDED if name not in landmarks.positions]
    if missing:
        raise InputError(f"these landmarks are needed to move a character, and missing: {', '.join(missing)}")


def _bones(landmarks: Landmarks, side: str) -> float:
    thigh = _lengths(landmarks, f"{side}_hip", f"{side}_knee")
    return float(np.median(thigh + _lengths(landmarks, f"{side}_knee", f"{side}_ankle")))


def _standing_foot(landmarks: Landmarks, side: str) -> tuple[float, float]:
    """From ankle to toe of a foot that stands: forward, and down (metres)."""
    ankle, toe = landmarks.positions[f"{side}_ankle"], landmarks.positions[f"{side}_toe"]
    speed = np.linalg.norm(np.gradient(toe, landmarks.times, axis=0), axis=1)
    speed += np.linalg.norm(np.gradient(ankle, landmarks.times, axis=0), axis=1)
    stands = speed <= max(_SLOW, float(np.percentile(speed, 10)))
    across = np.linalg.norm((toe - ankle)[stands, :2], axis=1)
    return float(np.median(across)), float(np.median((ankle - toe)[stands, 2]))


def _ankle_height(landmarks: Landmarks, side: str) -> float:
    return _standing_foot(landmarks, side)[1] + _SOLE_BELOW_TOE * _bones(landmarks, side)


def leg_length_of_landmarks(landmarks: Landmarks) -> float:
    """Height of the hips above the soles if the recorded body stood straight, in metres."""
    _check(landmarks)
    return float(np.mean([_bones(landmarks, side) + _ankle_height(landmarks, side) for side in SIDES]))


def track_of_landmarks(landmarks: Landmarks) -> BodyTrack:
    """The track of a recorded body. Raises `InputError` naming landmarks that are missing."""
    _check(landmarks)
    p = landmarks.positions
    hips = 0.5 * (p["left_hip"] + p["right_hip"])
    shoulders = 0.5 * (p["left_shoulder"] + p["right_shoulder"])
    waist = p.get("chest", shoulders)
    rotations = {
        "pelvis": from_axes(1, p["left_hip"] - p["right_hip"], 2, waist - hips),
        "chest": from_axes(1, p["left_shoulder"] - p["right_shoulder"], 2, shoulders - hips),
    }
    rotations["head"] = _head(landmarks, shoulders, rotations["chest"])
    points = {}
    for side in SIDES:
        rotations |= _leg(landmarks, side, rotations["pelvis"]) | _arm(landmarks, side, rotations["chest"])
        length, down = _standing_foot(landmarks, side)[0], -_ankle_height(landmarks, side)
        foot, ankle = rotations[f"{side}_foot"], p[f"{side}_ankle"]
        points[f"{side}_heel"] = ankle + rotate(foot, np.array([-_HEEL_BEHIND_ANKLE * length, 0.0, down]))
        points[f"{side}_toe"] = ankle + rotate(foot, np.array([length, 0.0, down]))
        points[f"{side}_hand"] = p[f"{side}_hand"] if f"{side}_hand" in p else p[f"{side}_wrist"]
    leg = leg_length_of_landmarks(landmarks)
    return BodyTrack(landmarks.times, landmarks.wrap, leg, _HAND_RADIUS, hips, rotations, None, points)


def _head(landmarks: Landmarks, shoulders: np.ndarray, chest: np.ndarray) -> np.ndarray:
    """The head turns against the chest as the line from neck to head does, from where that line mostly is."""
    if "head" not in landmarks.positions:
        return chest
    neck = landmarks.positions.get("neck", shoulders)
    line = rotate(inverse(chest), unit(landmarks.positions["head"] - neck))
    usual = unit(np.median(line, axis=0))
    return multiply(chest, shortest_arc(usual, line))


def _leg(landmarks: Landmarks, side: str, pelvis: np.ndarray) -> dict[str, np.ndarray]:
    hip, knee, ankle, toe = (landmarks.positions[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "toe"))
    thigh, shin, foot = unit(knee - hip), unit(ankle - knee), unit(toe - ankle)
    # a bent knee shows where its axis is; a straight one turns with the pelvis and the foot
    sideways = rotate(pelvis, np.array([0.0, 1.0, 0.0]))
    axis = unit(np.cross(thigh, shin) + 0.15 * sideways + 0.3 * np.cross(foot, shin))
    length, rise = _standing_foot(landmarks, side)
    shin_turn = from_axes(2, -shin, 1, axis)
    level = unit(np.array([length, 0.0, -rise]))
    foot_turn = from_axes(0, foot, 1, rotate(shin_turn, np.array([0.0, 1.0, 0.0])))
    return {
        f"{side}_thigh": from_axes(2, -thigh, 1, axis),
        f"{side}_shin": shin_turn,
        f"{side}_foot": multiply(foot_turn, shortest_arc(level, _FORWARD)),
    }


def _arm(landmarks: Landmarks, side: str, chest: np.ndarray) -> dict[str, np.ndarray]:
    shoulder, elbow, wrist = (landmarks.positions[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    upper, lower = unit(elbow - shoulder), unit(wrist - elbow)
    sign = 1.0 if side == "left" else -1.0
    outward = np.array([0.0, sign, 0.0])
    # a bent elbow shows where its axis is; a straight one is turned as if the arm had swung there the shortest way
    swing = shortest_arc(np.broadcast_to(outward, upper.shape), rotate(inverse(chest), upper))
    usual = rotate(multiply(chest, swing), _UP)
    axis = unit(sign * np.cross(lower, upper) + 0.3 * usual)
    forearm = from_axes(1, sign * lower, 2, axis)
    return {
        f"{side}_upper_arm": from_axes(1, sign * upper, 2, axis),
        f"{side}_forearm": forearm,
        f"{side}_hand": forearm,
    }
