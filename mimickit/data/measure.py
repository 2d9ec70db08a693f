"""Numbers that tell whether a clip is good: heights, slipping feet, limits, speeds, the seam of a loop.

Everything here is a pure function of a character and a motion; the ground is the plane z = 0.
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence

import numpy as np

from mimickit.data.character import Character, body_poses, joints_of_dofs, num_dofs, shape_lows, to_frames
from mimickit.data.motion import Motion
from mimickit.data.quaternions import inverse, multiply, rotate

STANCE_HEIGHT = 0.02
"""Metres: a foot stands only while its lowest point is no higher."""
SWING_SPEED = 0.5
"""Metres per second: a low foot that slips faster swings, unless it is the one that carries the body."""
LANDING_SPEED = 0.2
"""Metres per second: a foot that rises or falls faster lands or leaves, and carries nothing yet."""
STANCE_SECONDS = 0.1
"""A shorter touch is no stance."""
LIMIT_TOLERANCE = np.radians(0.1)
"""Radians by which a joint may pass its limit unnoticed: clips are rounded."""

_ALIKE = 1.25  # feet whose speeds differ by no more than this factor do the same

FEET: Mapping[str, Mapping[str, tuple[str, ...]]] = types.MappingProxyType(
    {
        "humanoid": {"left": ("left_foot",), "right": ("right_foot",)},
        "sword_shield": {"left": ("left_foot",), "right": ("right_foot",)},
        "smpl": {"left": ("L_Ankle", "L_Toe"), "right": ("R_Ankle", "R_Toe")},
        "g1": {"left": ("left_ankle_roll_link",), "right": ("right_ankle_roll_link",)},
        "go2": {leg: (f"{leg}_foot", f"{leg}_calf") for leg in ("FL", "FR", "RL", "RR")},
        "pi_plus": {"left": ("l_ankle_roll_link",), "right": ("r_ankle_roll_link",)},
    }
)
"""By character, the bodies whose shapes make up each foot."""


def frame_rate(motion: Motion) -> float:
    """Frames per second of a motion with evenly spaced frames."""
    return (len(motion.times) - 1) / motion.duration


# ---------------------------------------------------------------------------------------------------- the ground


@dataclasses.dataclass(frozen=True)
class GroundClearance:
    """Height of the lowest point of the character over the ground, metres; negative when it has sunk in."""

    heights: np.ndarray  # (N,)

    @property
    def mean_float(self) -> float:
        """Mean height over all frames, those below the ground counted as 0."""
        return float(np.maximum(self.heights, 0.0).mean())

    @property
    def mean_sink(self) -> float:
        """Mean depth below the ground over all frames, those above it counted as 0."""
        return float(np.maximum(-self.heights, 0.0).mean())

    @property
    def worst_sink(self) -> float:
        """Greatest depth below the ground; 0 when it never sinks in."""
        return float(max(0.0, -self.heights.min()))


def ground_clearance(character: Character, motion: Motion) -> GroundClearance:
    """How far the character floats over or sinks into the ground."""
    heights, _ = shape_lows(character, body_poses(character, motion))
    return GroundClearance(heights.min(axis=1))


def ground_level(heights: np.ndarray, window: float = STANCE_HEIGHT) -> float:
    """Where the ground is, judging by the heights (N,) of a character's lowest point: where it stays most of the time.

    That is the mean over the ``window`` metres that hold the most frames: a flight above or a single frame that sinks
    in does not shift it.
    """
    ordered = np.sort(heights)
    counts = np.searchsorted(ordered, ordered + window, side="right") - np.arange(len(ordered))
    first = int(np.argmax(counts))
    return float(ordered[first : first + counts[first]].mean())


@dataclasses.dataclass(frozen=True)
class FootTrack:
    """One foot over time. A stance is a stretch of frames in which it stands."""

    name: str
    heights: np.ndarray  # (N,) metres, of its lowest point
    stance: np.ndarray  # (N,) bool
    slip: np.ndarray  # (N - 1,) metres that the touching point moves sideways up to the next frame; 0 out of stance
    stances: tuple[tuple[int, int], ...]  # first and last frame of each

    @property
    def total_slip(self) -> float:
        """Metres slipped in all stances together."""
        return float(self.slip.sum())

    @property
    def worst_stance_slip(self) -> float:
        """Metres slipped in the worst stance; 0 for a foot that never stands."""
        return max((float(self.slip[first:last].sum()) for first, last in self.stances), default=0.0)

    def mean_slip_speed(self, fps: float) -> float:
        """Metres per second, over the steps within stances; 0 for a foot that never stands."""
        steps = sum(last - first for first, last in self.stances)
        return self.total_slip * fps / steps if steps else 0.0


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First frame and frame after the last of every run of true values in (N,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _touching_points(
    character: Character, motion: Motion, feet: Mapping[str, Sequence[str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each foot's lowest point: its height (N, F), and how far it moves sideways up to the next frame (N - 1, F)."""
    poses = body_poses(character, motion)
    positions, rotations = poses
    heights, points = shape_lows(character, poses)
    names = [body.name for body in character.bodies]
    body_of_shape = np.array([shape.body for shape in character.shapes])
    frames = np.arange(len(heights))
    foot_heights, ways = [], []
    for bodies in feet.values():
        shapes = np.flatnonzero(np.isin(body_of_shape, [names.index(body) for body in bodies]))
        lowest = shapes[np.argmin(heights[:, shapes], axis=1)]
        body, point = body_of_shape[lowest], points[frames, lowest]

        def place(at: np.ndarray, body: np.ndarray = body[:-1], point: np.ndarray = point[:-1]) -> np.ndarray:
            return positions[at, body] + rotate(rotations[at, body], point)

        foot_heights.append(heights[frames, lowest])
        ways.append(np.linalg.norm((place(frames[1:]) - place(frames[:-1]))[:, :2], axis=-1))
    return np.stack(foot_heights, axis=1), np.stack(ways, axis=1)


def foot_tracks(
    character: Character, motion: Motion, feet: Mapping[str, Sequence[str]], stance_height: float = STANCE_HEIGHT
) -> tuple[FootTrack, ...]:
    """How each foot stands and slips; ``feet`` names the bodies of each, as `FEET` does.

    A foot stands while its lowest point is at most ``stance_height`` over the ground and slower than `SWING_SPEED`.
    The slowest of the low feet (and any like it) stands however fast it is, unless it lands or leaves, so that no
    skating hides. The slip is the horizontal way of the material point that is lowest, from a frame to the next: a
    foot that rolls from heel to toe touches with ever other points, which do not move, and does not slip.
    """
    fps = frame_rate(motion)
    heights, ways = _touching_points(character, motion, feet)
    low = np.maximum(heights[:-1], heights[1:]) <= stance_height
    slowest = ways <= _ALIKE * np.where(low, ways, np.inf).min(axis=1, keepdims=True)
    level = np.abs(np.diff(heights, axis=0)) * fps <= LANDING_SPEED
    standing = low & ((ways * fps <= SWING_SPEED) | (slowest & level))
    tracks = []
    for foot, name in enumerate(feet):
        shortest = max(1, round(STANCE_SECONDS * fps))
        stances = tuple((first, end) for first, end in runs(standing[:, foot]) if end - first >= shortest)
        stance, slip = np.zeros(len(heights), dtype=bool), np.zeros(len(ways))
        for first, last in stances:
            stance[first : last + 1] = True
            slip[first:last] = ways[first:last, foot]
        tracks.append(FootTrack(name, heights[:, foot], stance, slip, stances))
    return tuple(tracks)


# ---------------------------------------------------------------------------------------------------- the joints


@dataclasses.dataclass(frozen=True)
class LimitViolation:
    """A coordinate that passes its limit."""

    name: str  # the hinge's, as the character's file calls it
    frames: int  # in how many frames
    worst: float  # radians beyond the limit
    worst_frame: int
    value: float  # radians, in that frame
    limit: float  # radians


def dof_names(character: Character) -> list[str]:
    """Names of the joints' coordinates, in a clip's order."""
    return [name for body in character.bodies if body.joint for name in body.joint.names]


def dof_limits(character: Character) -> np.ndarray:
    """Lowest and highest value (D, 2) of the joints' coordinates, in a clip's order."""
    return np.concatenate([body.joint.limits for body in character.bodies if body.joint])


def beyond_limits(character: Character, motion: Motion) -> np.ndarray:
    """How far (N, D) each coordinate is beyond its limits, radians: 0 within.

    The coordinates of a ball joint are its exponential map, whose components are held against the ranges of the three
    hinges that spell it, as the framework's action bounds do.
    """
    dofs = to_frames(character, motion)[:, 6:]
    lower, upper = dof_limits(character).T
    return np.maximum(0.0, np.maximum(lower - dofs, dofs - upper))


def limit_violations(
    character: Character, motion: Motion, tolerance: float = LIMIT_TOLERANCE
) -> tuple[LimitViolation, ...]:
    """Coordinates that pass their limits by more than ``tolerance`` radians, the worst first."""
    dofs = to_frames(character, motion)[:, 6:]
    excess = beyond_limits(character, motion)
    limits = dof_limits(character)
    found = []
    for column, name in enumerate(dof_names(character)):
        frame = int(np.argmax(excess[:, column]))
        worst = float(excess[frame, column])
        if worst > tolerance:
            value = float(dofs[frame, column])
            limit = limits[column, 0] if value < limits[column, 0] else limits[column, 1]
            count = int((excess[:, column] > tolerance).sum())
            found.append(LimitViolation(name, count, worst, frame, value, float(limit)))
    return tuple(sorted(found, key=lambda violation: -violation.worst))


def _turn_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles (N,) in radians between rotations a and b (N, 4)."""
    difference = multiply(inverse(a), b)
    return 2.0 * np.arctan2(np.linalg.norm(difference[:, :3], axis=-1), np.abs(difference[:, 3]))


def joint_speeds(motion: Motion) -> dict[str, np.ndarray]:
    """Angular speed (N - 1,) in rad/s of each joint from a frame to the next, by the name of the body it moves."""
    steps = np.diff(motion.times)
    return {
        name: (_turn_angles(track[:-1], track[1:]) if track.ndim == 2 else np.abs(np.diff(track))) / steps
        for name, track in motion.joints.items()
    }


# ------------------------------------------------------------------------------------------------ the root, the loop


def uprightness(character: Character, motion: Motion) -> float:
    """How the character is held on average: 1 as it stands with all joints at zero, 0 lying, -1 on its head.

    That is how high the bodies are over the root, as a share of how high they are in that pose.
    """
    still = joints_of_dofs(character, np.zeros((1, num_dofs(character))))
    standing = Motion(np.zeros(1), np.zeros((1, 3)), np.array([[0.0, 0.0, 0.0, 1.0]]), still, wrap=False)
    positions, _ = body_poses(character, motion)
    rest, _ = body_poses(character, standing)
    heights, rest_heights = positions[..., 2] - positions[:, :1, 2], rest[..., 2] - rest[:, :1, 2]
    return float((heights * rest_heights).sum(axis=1).mean() / (rest_heights**2).sum())


def root_velocities(motion: Motion) -> np.ndarray:
    """Velocity (N - 1, 3) of the root from a frame to the next, m/s."""
    return np.diff(motion.root_pos, axis=0) / np.diff(motion.times)[:, None]


@dataclasses.dataclass(frozen=True)
class LoopSeam:
    """What jumps where a repeating clip goes from its last frame to its first."""

    joint: str  # the joint that jumps most
    joint_jump: float  # radians
    root_turn: float  # radians between the root's last and first rotation
    root_rise: float  # metres of height between them
    velocity_jump: float  # m/s between the root's velocities before and after the seam


def loop_seam(motion: Motion) -> LoopSeam:
    """How well the last frame continues as the first; the way travelled over the clip is no jump."""
    jumps = {
        name: float(_turn_angles(track[-1:], track[:1])[0] if track.ndim == 2 else abs(track[-1] - track[0]))
        for name, track in motion.joints.items()
    }
    joint = max(jumps, key=lambda name: jumps[name])
    velocities = root_velocities(motion)
    return LoopSeam(
        joint=joint,
        joint_jump=jumps[joint],
        root_turn=float(_turn_angles(motion.root_rot[-1:], motion.root_rot[:1])[0]),
        root_rise=float(abs(motion.root_pos[-1, 2] - motion.root_pos[0, 2])),
        velocity_jump=float(np.linalg.norm(velocities[-1] - velocities[0])),
    )
