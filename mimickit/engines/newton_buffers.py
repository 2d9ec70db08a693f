"""How much room MuJoCo Warp is given: contacts for all worlds together, constraint rows for each."""

import math

import mujoco

from mimickit.engines.engine import Scene

# Most contact points that one geometry of a kind makes with a plane.
_PLANE_CONTACTS = {
    int(mujoco.mjtGeom.mjGEOM_SPHERE): 1,
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): 2,
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): 1,
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): 4,
    int(mujoco.mjtGeom.mjGEOM_BOX): 4,
    int(mujoco.mjtGeom.mjGEOM_MESH): 4,
}
# Rows of constraints are kept for each world. Of all points in which a character could touch the ground, this part at
# once: a body lies on one side of it. tests/engines/test_newton_buffers.py throws every character about and counts.
_TOUCHING_PART = 0.5
_OTHER_CONTACTS = 16  # self-collisions and fixed props; no character had more than 12 of the first
_FREE_PROP_CONTACTS = 4  # for each free prop; in a heap of balls one had up to 5, but all of them 2 on average
# Pairs of geometries that are near each other, of which a few touch, are kept for all worlds together: on average so
# many for each geometry of a character (under a half was seen), but at least the next number; that again for each fixed
# prop, and some for a few worlds alone.
_NEAR_PAIRS_OF_GEOMETRY = 1.5
_NEAR_PAIRS = 32
_NEAR_PAIRS_OF_FEW = 256


def buffer_sizes(model: mujoco.MjModel, scene: Scene, num_envs: int) -> tuple[int, int]:
    """Contacts, which are pairs near each other first, and constraint rows that a scene is expected to need in a world:
    the first on average over worlds, the second at most.

    More than that is a CapacityError; ``docs/performance.md`` has what characters were seen to need.
    """
    colliding = [
        geom
        for geom in range(model.ngeom)
        if model.geom_bodyid[geom] != 0 and (model.geom_contype[geom] or model.geom_conaffinity[geom])
    ]
    ground_contacts = sum(_PLANE_CONTACTS.get(int(model.geom_type[geom]), 4) for geom in colliding)
    num_free = len(scene.free_props)
    touching = math.ceil(_TOUCHING_PART * ground_contacts) + _OTHER_CONTACTS + _FREE_PROP_CONTACTS * num_free
    # A pyramid of dimension 3 has 4 edges.
    rows = 4 * touching + int(model.jnt_limited.sum()) + int((model.dof_frictionloss > 0).sum())
    num_fixed = len(scene.props) - num_free
    near_character = max(_NEAR_PAIRS, math.ceil(_NEAR_PAIRS_OF_GEOMETRY * len(colliding)))
    near = near_character * (1 + num_fixed) + _FREE_PROP_CONTACTS * num_free
    return near + math.ceil(_NEAR_PAIRS_OF_FEW / num_envs), rows
