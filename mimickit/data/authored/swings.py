"""The authored clips: a fencer with the shield forward, the sword hand back, the opponent ahead along x."""

import types
from collections.abc import Mapping
from dataclasses import replace

from mimickit.data.authored import poses
from mimickit.data.authored.keys import Key, Placement, Pose, Shield, Step, Swing, Sword

_LEFT, _RIGHT = poses.LEFT_FOOT, poses.RIGHT_FOOT
_ADVANCED = replace(_LEFT, x=0.41)
_LUNGED = replace(_LEFT, x=0.45)


def _keys(*timed: tuple[float, Pose]) -> tuple[Key, ...]:
    return tuple(Key(time, pose) for time, pose in timed)


def _planted(*timed: tuple[float, Pose]) -> Swing:
    """Both feet stay where they are."""
    return Swing(_keys(*timed), _LEFT, _RIGHT)


def _lunge(lift: float, land: float, to: Placement, back: float, home: float, *timed: tuple[float, Pose]) -> Swing:
    """The front foot steps to ``to`` and back again, each from the first to the second of two times."""
    return Swing(_keys(*timed), _LEFT, _RIGHT, (Step("left", lift, land, to), Step("left", back, home, _LEFT)))


def _turn(heading: float) -> Swing:
    """Turn on the spot in four steps, half of the way with each pair; the foot on the inside goes first."""
    places = (poses.feet_at(0.0, 0.0, part * heading) for part in (0.0, 0.5, 1.0))
    ways = [{"left": left, "right": right} for left, right in places]
    first, second = ("left", "right") if heading > 0.0 else ("right", "left")
    order = ((first, 1), (second, 1), (first, 2), (second, 2))
    stands = dict(ways[0])
    keys, steps = [(0.15, poses.GUARD)], []
    for i, (foot, way) in enumerate(order, start=1):
        lift, land = 0.36 * i - 0.18, 0.36 * i + 0.13
        stands[foot] = ways[way][foot]
        steps.append(Step(foot, lift, land, stands[foot]))
        x, y = (0.5 * (getattr(stands["left"], axis) + getattr(stands["right"], axis)) for axis in "xy")
        pose = poses.moved(poses.GUARD, x, y, heading * i / 4)
        ahead = 0.2 * heading * (4 - i) / 3  # eyes and chest are on the way to where the opponent is now
        look = (pose.look[0] + ahead, *pose.look[1:])
        chest = (pose.chest[0] + 0.4 * ahead, *pose.chest[1:])
        arrives = land if i < len(order) else land + 0.15
        keys.append((arrives, replace(pose, look=look, chest=chest)))
    return Swing(_keys(*keys), _LEFT, _RIGHT, tuple(steps))


def _walk(distance: float) -> Swing:
    """One step of each foot, the one on that side first; the guard stays."""
    left, right = poses.feet_at(distance, 0.0, 0.0)
    steps = [("left", left), ("right", right)] if distance > 0.0 else [("right", right), ("left", left)]
    (first, first_place), (second, second_place) = steps
    middle = replace(poses.moved(poses.GUARD, 0.5 * distance, 0.0), chest=(-26.0, 18.0, 0.0))
    return Swing(
        _keys((0.2, poses.GUARD), (0.65, middle), (1.1, poses.moved(poses.GUARD, distance, 0.0))),
        _LEFT,
        _RIGHT,
        (Step(first, 0.2, 0.56, first_place), Step(second, 0.71, 1.07, second_place)),
    )


def _spin() -> Swing:
    """Once around to the left while going forward; the sword trails at arm's length and comes down on the opponent."""
    trail = replace(
        poses.GUARD,
        pelvis=(0.0, 0.0, 0.80),
        hips=(-10.0, 6.0, 0.0),
        chest=(-25.0, 10.0, 0.0),
        look=(20.0, 4.0, 0.0),
        sword=Sword(hand=(0.02, -0.46, -0.02), blade=(-0.1, -0.9, 0.3), edge=(1.0, -0.1, 0.0)),
        shield=Shield(hand=(0.24, -0.1, -0.15), facing=(0.6, 0.8, 0.1)),
    )
    end_left, end_right = poses.feet_at(0.53, -0.01, 360.0)
    return Swing(
        _keys(
            (0.0, poses.GUARD),
            (0.30, replace(trail, pelvis=(-0.02, -0.03, 0.77), hips=(-35.0, 6.0, 0.0), chest=(-52.0, 10.0, 0.0))),
            (0.58, poses.moved(trail, 0.35, 0.04, 68.0)),
            (0.90, poses.moved(trail, 0.50, -0.11, 165.0)),
            (1.24, poses.moved(trail, 0.42, -0.20, 282.0)),
            (1.46, poses.moved(trail, 0.45, -0.06, 340.0)),
            (1.72, poses.moved(poses.LEFTWARD_HIT, 0.46, -0.02, 360.0)),
            (1.88, poses.moved(poses.LEFTWARD_THROUGH, 0.48, -0.01, 360.0)),
            (2.17, poses.moved(poses.RETURN, 0.53, -0.01, 360.0)),
            (2.42, poses.moved(poses.GUARD, 0.53, -0.01, 360.0)),
        ),
        _LEFT,
        _RIGHT,
        (
            Step("right", 0.28, 0.58, Placement(0.50, 0.0, 88.0), bow=-0.15),
            Step("left", 0.58, 0.90, Placement(0.56, -0.30, 227.0), bow=-0.10),
            Step("right", 0.90, 1.24, end_right, bow=-0.14),
            Step("left", 1.24, 1.50, end_left, bow=-0.04),
        ),
    )


_BREATH_IN = replace(
    poses.GUARD,
    pelvis=(0.012, 0.01, 0.752),
    chest=(-26.0, 13.0, 0.0),
    sword=Sword(hand=(0.17, -0.14, -0.22), blade=(0.5, 0.0, 0.85), edge=(0.8, 0.0, -0.6)),
)
_BREATH_OUT = replace(
    poses.GUARD,
    pelvis=(-0.015, -0.008, 0.765),
    chest=(-31.0, 18.0, 0.0),
    sword=Sword(hand=(0.18, -0.16, -0.25), blade=(0.62, -0.08, 0.75), edge=(0.8, 0.0, -0.6)),
)

SWINGS: Mapping[str, Swing] = types.MappingProxyType(
    {
        "guard": Swing(
            _keys((0.0, poses.GUARD), (0.8, _BREATH_IN), (1.7, _BREATH_OUT), (2.4, poses.GUARD)),
            _LEFT,
            _RIGHT,
            wrap=True,
        ),
        "slash_down": _lunge(
            *(0.45, 0.78, _ADVANCED, 1.15, 1.5),
            (0.0, poses.GUARD),
            (0.45, poses.DOWN_WINDUP),
            (0.83, poses.DOWN_HIT),
            (0.98, poses.DOWN_THROUGH),
            (1.35, poses.RETURN),
            (1.7, poses.GUARD),
        ),
        "slash_left": _planted(
            (0.0, poses.GUARD),
            (0.4, poses.LEFTWARD_WINDUP),
            (0.74, poses.LEFTWARD_HIT),
            (0.92, poses.LEFTWARD_THROUGH),
            (1.3, poses.RETURN),
            (1.65, poses.GUARD),
        ),
        "slash_right": _planted(
            (0.0, poses.GUARD),
            (0.45, poses.RIGHTWARD_WINDUP),
            (0.77, poses.RIGHTWARD_HIT),
            (0.95, poses.RIGHTWARD_THROUGH),
            (1.55, poses.GUARD),
        ),
        "thrust": _lunge(
            *(0.42, 0.72, replace(_LEFT, x=0.37), 1.05, 1.4),
            (0.0, poses.GUARD),
            (0.4, poses.THRUST_WINDUP),
            (0.78, poses.THRUST_HIT),
            (0.9, poses.THRUST_HIT),
            (1.27, poses.RETURN),
            (1.6, poses.GUARD),
        ),
        "shield_bash": _lunge(
            *(0.35, 0.65, _LUNGED, 1.05, 1.38),
            (0.0, poses.GUARD),
            (0.35, poses.BASH_WINDUP),
            (0.68, poses.BASH_HIT),
            (0.92, poses.BASH_HIT),
            (1.5, poses.GUARD),
        ),
        "shield_block": _planted(
            (0.0, poses.GUARD),
            (0.3, poses.BLOCK),
            (0.6, poses.BLOCK),
            (0.72, poses.BLOCK_STRUCK),
            (0.95, poses.BLOCK),
            (1.2, poses.BLOCK),
            (1.7, poses.GUARD),
        ),
        "combo_down_thrust": _lunge(
            *(0.45, 0.78, _ADVANCED, 1.85, 2.15),
            (0.0, poses.GUARD),
            (0.45, poses.DOWN_WINDUP),
            (0.83, poses.DOWN_HIT),
            (0.98, poses.DOWN_THROUGH),
            (1.32, poses.moved(poses.THRUST_WINDUP, 0.12, 0.0)),
            (1.62, poses.THRUST_HIT),
            (1.74, poses.THRUST_HIT),
            (2.1, poses.RETURN),
            (2.4, poses.GUARD),
        ),
        "combo_left_right": _planted(
            (0.0, poses.GUARD),
            (0.4, poses.LEFTWARD_WINDUP),
            (0.74, poses.LEFTWARD_HIT),
            (0.92, poses.LEFTWARD_THROUGH),
            (1.12, poses.RIGHTWARD_WINDUP),
            (1.40, poses.RIGHTWARD_HIT),
            (1.56, poses.RIGHTWARD_THROUGH),
            (2.1, poses.GUARD),
        ),
        "spin_slash": _spin(),
        "taunt": _planted(
            (0.0, poses.GUARD),
            (0.5, poses.RAISED),
            (0.75, poses.RAISED_LESS),
            (1.0, poses.RAISED),
            (1.25, poses.RAISED_LESS),
            (1.5, poses.RAISED),
            (2.1, poses.GUARD),
        ),
        "turn_left_90": _turn(90.0),
        "turn_right_90": _turn(-90.0),
        "step_forward": _walk(0.22),
        "step_back": _walk(-0.22),
    }
)
