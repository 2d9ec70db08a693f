"""A motion seen in a mirror: what the left side did, the right side does.

The mirror is the world's x-z plane: y becomes -y. A position (x, y, z) becomes (x, -y, z). A rotation's axis is a
pseudo-vector, so the quaternion (x, y, z, w) becomes (-x, y, -z, w).
"""

import numpy as np

from mimickit.data.character import Body, Character, check_joints
from mimickit.data.motion import Motion
from mimickit.data.quaternions import inverse, multiply
from mimickit.errors import InputError

_SIDES = (("left_", "right_"), ("L_", "R_"), ("l_", "r_"), ("FL_", "FR_"), ("RL_", "RR_"))
_REFLECTED_ROTATION = np.array([-1.0, 1.0, -1.0, 1.0])
_REFLECTED_POSITION = np.array([1.0, -1.0, 1.0])
_SAME = 1e-3  # radians, or parts of a unit axis: characters' files round their numbers


def partners(character: Character) -> dict[str, str]:
    """The body on the other side, by body name; a body in the middle is its own partner.

    Sides are told by how names begin: ``left_``/``right_``, ``L_``/``R_``, ``l_``/``r_``, and FL, FR, RL and RR for
    four legs. Raises `InputError` for a body of one side that has no partner.
    """
    names = {body.name for body in character.bodies}
    pairs = {}
    for name in names:
        swapped = [
            other + name.removeprefix(side)
            for pair in _SIDES
            for side, other in (pair, pair[::-1])
            if name.startswith(side)
        ]
        if swapped and swapped[0] not in names:
            raise InputError(f"{character.source}: body {name!r} has no body {swapped[0]!r} on the other side")
        pairs[name] = swapped[0] if swapped else name
    return pairs


def _reflected_hinge(track: np.ndarray, body: Body, source: Body, where: str) -> np.ndarray:
    """Angles of ``body``'s hinge that mirror the angles ``track`` (N,) of ``source``'s hinge."""
    mirrored_axis = -_REFLECTED_POSITION * source.joint.axis
    sign = float(np.sign(mirrored_axis @ body.joint.axis))
    if np.abs(sign * body.joint.axis - mirrored_axis).max() > _SAME:
        raise InputError(f"{where}: the hinge axes of {source.name!r} and {body.name!r} are no mirror images")
    turn = multiply(inverse(body.rot), source.rot * _REFLECTED_ROTATION)
    if 2.0 * np.linalg.norm(turn[:3]) > _SAME:
        raise InputError(f"{where}: {source.name!r} and {body.name!r} do not rest in mirrored rotations")
    return sign * track


def _reflected_ball(track: np.ndarray, body: Body, source: Body) -> np.ndarray:
    """Rotations (N, 4) of ``body``'s ball joint that mirror the rotations ``track`` of ``source``'s ball joint."""
    rest = multiply(inverse(body.rot), source.rot * _REFLECTED_ROTATION)
    return multiply(rest, track * _REFLECTED_ROTATION)


def mirrored(motion: Motion, character: Character) -> Motion:
    """``motion`` with left and right exchanged, and the path reflected: y becomes -y. Mirroring twice gives it back.

    The bodies then are where the reflections of their partners were, as far as the skeleton is symmetric. A joint
    whose partner has none of the same kind is mirrored in place: the sword and shield character has a ball joint in
    the right hand only, so the arms exchange their motion, while the sword stays in the right hand and turns in its
    grip as it would in the mirror.

    Raises `InputError` for a motion of another character, or one whose left and right joints are no mirror images.
    """
    check_joints(character, motion, "the motion")
    bodies = {body.name: body for body in character.bodies}
    pairs = partners(character)
    joints = {}
    for body in character.bodies:
        if body.joint is None:
            continue
        partner = bodies[pairs[body.name]]
        source = partner if partner.joint and partner.joint.dofs == body.joint.dofs else body
        track = motion.joints[source.name]
        if body.joint.axis is None:
            joints[body.name] = _reflected_ball(track, body, source)
        else:
            joints[body.name] = _reflected_hinge(track, body, source, character.source)
    return Motion(
        times=motion.times,
        root_pos=motion.root_pos * _REFLECTED_POSITION,
        root_rot=motion.root_rot * _REFLECTED_ROTATION,
        joints=joints,
        wrap=motion.wrap,
    )
