"""What is kept of a motion between characters: turns of segments, and where hips, feet and hands are."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mimickit.data.character import body_poses, lowest_points
from mimickit.data.motion import Motion
from mimickit.data.quaternions import multiply
from mimickit.data.retarget.rig import Rig
from mimickit.data.retarget.skeletons import SEGMENTS, SIDES

CONTACT_POINTS = tuple(f"{side}_{point}" for side in SIDES for point in ("heel", "toe", "hand"))


@dataclasses.dataclass(frozen=True)
class BodyTrack:
    """A human-like motion over N frames that belongs to no character. World frame, z up, metres, ``xyzw``."""

    times: np.ndarray  # (N,) seconds
    wrap: bool
    leg_length: float  # hips above soles when standing
    hand_radius: float  # from the point ``hand`` to the skin
    hips: np.ndarray  # (N, 3) midway between the hip joints
    rotations: Mapping[str, np.ndarray]  # per segment: (N, 4), the identity in the common rest pose
    clearance: np.ndarray | None  # (N,) height of the body's lowest point, where it is known
    points: Mapping[str, np.ndarray]  # each of CONTACT_POINTS: (N, 3); heel and toe are on the sole's underside


def track_of_motion(rig: Rig, motion: Motion) -> BodyTrack:
    """The track of a character's motion, by forward kinematics."""
    positions, rotations = body_poses(rig.character, motion)
    hips = [rig.point_track(f"{side}_hip", positions, rotations) for side in SIDES]
    segments = {
        segment: multiply(rotations[:, rig.body_index(rig.skeleton.segments[segment])], rig.frames[segment])
        for segment in SEGMENTS
    }
    return BodyTrack(
        times=motion.times,
        wrap=motion.wrap,
        leg_length=rig.leg_length,
        hand_radius=rig.skeleton.hand_radius,
        hips=0.5 * (hips[0] + hips[1]),
        rotations=segments,
        clearance=lowest_points(rig.character, motion),
        points={point: rig.point_track(point, positions, rotations) for point in CONTACT_POINTS},
    )


def extended(track: BodyTrack, lead: int) -> BodyTrack:
    """A track that repeats, continued by ``lead`` frames on either side (fewer than the frames it has)."""
    count = len(track.times)
    travel = (track.hips[-1] - track.hips[0]) * np.array([1.0, 1.0, 0.0])

    def places(track_of_point: np.ndarray) -> np.ndarray:
        before = track_of_point[count - 1 - lead : count - 1] - travel
        return np.concatenate([before, track_of_point, track_of_point[1 : lead + 1] + travel])

    def turns(track_of_segment: np.ndarray) -> np.ndarray:
        # q and -q are one rotation; slerp and the solver take either
        return np.concatenate(
            [track_of_segment[count - 1 - lead : count - 1], track_of_segment, track_of_segment[1 : lead + 1]]
        )

    before = track.times[count - 1 - lead : count - 1] - track.times[-1]
    after = track.times[1 : lead + 1] + track.times[-1]
    return dataclasses.replace(
        track,
        times=np.concatenate([before, track.times, after]),
        hips=places(track.hips),
        clearance=None if track.clearance is None else turns(track.clearance),
        rotations={name: turns(q) for name, q in track.rotations.items()},
        points={name: places(p) for name, p in track.points.items()},
    )
