"""The key poses that the clips share: the guard, and the wind-up, blow and follow-through of each attack."""

import math
from dataclasses import replace

from mimickit.data.authored.keys import Placement, Pose, Shield, Sword

LEFT_FOOT = Placement(0.25, 0.125, 8.0)
RIGHT_FOOT = Placement(-0.25, -0.125, -45.0)

_SHIELD_GUARD = Shield(hand=(0.24, -0.22, -0.12), facing=(0.85, 0.5, 0.1))
_SHIELD_OPEN = Shield(hand=(0.26, 0.12, -0.26), facing=(0.1, 1.0, 0.1))  # out of the sword's way, to the left

GUARD = Pose(
    pelvis=(0.0, 0.0, 0.76),
    heading=0.0,
    hips=(-20.0, 6.0, 0.0),
    chest=(-28.0, 16.0, 0.0),
    look=(0.0, 4.0, 0.0),
    sword=Sword(hand=(0.18, -0.14, -0.24), blade=(0.55, -0.05, 0.8), edge=(0.8, 0.0, -0.6)),
    shield=_SHIELD_GUARD,
)
RETURN = replace(  # on the way back to the guard, with the sword to the right of the shield
    GUARD,
    pelvis=(0.05, 0.0, 0.75),
    hips=(-10.0, 8.0, 0.0),
    chest=(-10.0, 20.0, 0.0),
    sword=Sword(hand=(0.20, -0.20, -0.30), blade=(0.8, -0.35, 0.1), edge=(0.2, 0.0, -0.9)),
    shield=Shield(hand=(0.26, -0.08, -0.18), facing=(0.6, 0.8, 0.1)),
)

DOWN_WINDUP = replace(
    GUARD,
    pelvis=(-0.06, -0.01, 0.78),
    hips=(-35.0, 2.0, 0.0),
    chest=(-55.0, -4.0, 3.0),
    sword=Sword(hand=(0.0, 0.0, 0.33), blade=(-0.6, 0.2, 0.75), edge=(0.3, 0.0, 0.9)),
    shield=Shield(hand=(0.26, -0.22, -0.05), facing=(0.85, 0.5, 0.1)),
)
DOWN_HIT = replace(
    GUARD,
    pelvis=(0.14, 0.01, 0.71),
    hips=(10.0, 10.0, 0.0),
    chest=(20.0, 24.0, 0.0),
    sword=Sword(hand=(0.44, 0.06, -0.08), blade=(0.75, 0.1, 0.65), edge=(0.7, 0.0, -0.7)),
    shield=_SHIELD_OPEN,
)
DOWN_THROUGH = replace(
    DOWN_HIT,
    pelvis=(0.16, 0.01, 0.69),
    hips=(15.0, 12.0, 0.0),
    chest=(28.0, 32.0, 0.0),
    sword=Sword(hand=(0.34, 0.06, -0.34), blade=(0.9, 0.1, -0.2), edge=(-0.2, 0.0, -1.0)),
)

LEFTWARD_WINDUP = replace(
    GUARD,
    pelvis=(-0.07, -0.02, 0.74),
    hips=(-38.0, 4.0, 0.0),
    chest=(-62.0, 8.0, 2.0),
    sword=Sword(hand=(-0.18, -0.36, 0.06), blade=(-0.45, -0.55, 0.6), edge=(0.8, -0.3, 0.0)),
)
LEFTWARD_HIT = replace(
    GUARD,
    pelvis=(0.08, 0.02, 0.72),
    hips=(12.0, 8.0, 0.0),
    chest=(20.0, 16.0, 0.0),
    sword=Sword(hand=(0.46, 0.02, -0.08), blade=(0.75, -0.6, 0.25), edge=(0.6, 0.8, 0.0)),
    shield=_SHIELD_OPEN,
)
LEFTWARD_THROUGH = replace(
    LEFTWARD_HIT,
    pelvis=(0.09, 0.03, 0.72),
    hips=(25.0, 8.0, 0.0),
    chest=(52.0, 16.0, 0.0),
    sword=Sword(hand=(0.30, 0.30, -0.08), blade=(0.45, 0.8, 0.25), edge=(-0.8, 0.5, 0.0)),
    shield=Shield(hand=(0.05, 0.25, -0.28), facing=(-0.4, 0.9, 0.1)),
)

RIGHTWARD_WINDUP = replace(
    GUARD,
    pelvis=(-0.05, -0.04, 0.74),
    hips=(18.0, 6.0, 0.0),
    chest=(45.0, 12.0, 0.0),
    sword=Sword(hand=(0.22, 0.28, 0.02), blade=(-0.1, 0.75, 0.65), edge=(0.9, -0.1, -0.2)),
    shield=Shield(hand=(0.05, 0.25, -0.28), facing=(-0.4, 0.9, 0.1)),
)
RIGHTWARD_HIT = replace(
    GUARD,
    pelvis=(0.08, 0.0, 0.72),
    hips=(-8.0, 8.0, 0.0),
    chest=(0.0, 16.0, 0.0),
    sword=Sword(hand=(0.46, -0.08, -0.04), blade=(0.75, 0.6, 0.2), edge=(0.6, -0.8, 0.0)),
    shield=_SHIELD_OPEN,
)
RIGHTWARD_THROUGH = replace(
    RIGHTWARD_HIT,
    pelvis=(0.04, 0.02, 0.73),
    hips=(-30.0, 6.0, 0.0),
    chest=(-45.0, 12.0, 0.0),
    sword=Sword(hand=(0.16, -0.42, -0.06), blade=(0.65, -0.7, 0.2), edge=(-0.7, -0.7, 0.0)),
    shield=_SHIELD_GUARD,
)

THRUST_WINDUP = replace(
    GUARD,
    pelvis=(-0.05, -0.02, 0.70),
    hips=(-38.0, 4.0, 0.0),
    chest=(-58.0, 8.0, 0.0),
    sword=Sword(hand=(-0.20, -0.14, -0.26), blade=(1.0, 0.0, 0.15), edge=(0.1, 0.0, -1.0)),
)
THRUST_HIT = replace(
    GUARD,
    pelvis=(0.13, 0.01, 0.68),
    hips=(8.0, 10.0, 0.0),
    chest=(30.0, 18.0, 0.0),
    sword=Sword(hand=(0.47, 0.06, -0.12), blade=(1.0, 0.1, 0.15), edge=(0.1, 0.0, -1.0)),
    shield=Shield(hand=(0.05, 0.22, -0.32), facing=(-0.3, 0.9, 0.1)),
)

BASH_WINDUP = replace(
    GUARD,
    pelvis=(-0.09, 0.0, 0.74),
    hips=(-8.0, 10.0, 0.0),
    chest=(4.0, 16.0, 0.0),
    sword=Sword(hand=(0.08, -0.22, -0.30), blade=(0.6, -0.4, 0.6), edge=(0.8, 0.0, -0.6)),
    shield=Shield(hand=(0.28, -0.16, -0.10), facing=(0.75, 0.6, 0.0)),
)
BASH_HIT = replace(
    GUARD,
    pelvis=(0.19, 0.02, 0.70),
    hips=(-36.0, 8.0, 0.0),
    chest=(-66.0, 12.0, 0.0),
    sword=Sword(hand=(-0.16, -0.22, -0.30), blade=(0.5, -0.6, 0.5), edge=(0.7, 0.0, -0.7)),
    shield=Shield(hand=(0.34, -0.20, 0.02), facing=(0.85, 0.5, 0.05)),
)

BLOCK = replace(
    GUARD,
    pelvis=(-0.05, 0.0, 0.68),
    hips=(-26.0, 6.0, 0.0),
    chest=(-36.0, 10.0, 0.0),
    look=(0.0, -4.0, 0.0),
    sword=Sword(hand=(-0.02, -0.20, -0.30), blade=(0.7, -0.3, 0.5), edge=(0.7, 0.0, -0.7)),
    shield=Shield(hand=(0.24, -0.24, 0.16), facing=(0.8, 0.35, 0.45)),
)
BLOCK_STRUCK = replace(
    BLOCK,
    pelvis=(-0.09, 0.0, 0.66),
    chest=(-34.0, 4.0, 0.0),
    shield=Shield(hand=(0.18, -0.22, 0.12), facing=(0.8, 0.35, 0.5)),
)

RAISED = replace(
    GUARD,
    pelvis=(-0.02, 0.0, 0.80),
    hips=(-12.0, 2.0, 0.0),
    chest=(-8.0, -8.0, 0.0),
    look=(0.0, -14.0, 0.0),
    sword=Sword(hand=(0.12, -0.16, 0.43), blade=(0.3, 0.3, 0.9), edge=(1.0, 0.0, 0.0)),
    shield=Shield(hand=(0.22, 0.2, -0.25), facing=(-0.1, 1.0, 0.1)),
)
RAISED_LESS = replace(
    RAISED,
    pelvis=(0.0, 0.0, 0.77),
    chest=(-14.0, -2.0, 0.0),
    sword=Sword(hand=(0.20, -0.20, 0.24), blade=(0.3, 0.2, 0.9), edge=(1.0, 0.0, 0.0)),
)


def feet_at(x: float, y: float, heading: float) -> tuple[Placement, Placement]:
    """The guard's left and right foot around (x, y), metres, for a heading in degrees."""
    cosine, sine = math.cos(math.radians(heading)), math.sin(math.radians(heading))
    left, right = (
        Placement(x + cosine * foot.x - sine * foot.y, y + sine * foot.x + cosine * foot.y, heading + foot.yaw)
        for foot in (LEFT_FOOT, RIGHT_FOOT)
    )
    return left, right


def moved(pose: Pose, x: float, y: float, heading: float = 0.0) -> Pose:
    """``pose`` carried to (x, y) and turned to ``heading``; its own shift of the pelvis turns with it."""
    cosine, sine = math.cos(math.radians(heading)), math.sin(math.radians(heading))
    forward, left, up = pose.pelvis
    pelvis = (x + cosine * forward - sine * left, y + sine * forward + cosine * left, up)
    return replace(pose, pelvis=pelvis, heading=heading)
