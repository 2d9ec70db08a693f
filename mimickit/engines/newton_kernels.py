"""Warp kernels of the Newton backend."""

import warp as wp

vec5 = wp.types.vector(length=5, dtype=wp.float32)


@wp.kernel
def ground_force_kernel(
    num_contacts: wp.array(dtype=int),
    contact_geom: wp.array(dtype=wp.vec2i),
    contact_world: wp.array(dtype=int),
    contact_dim: wp.array(dtype=int),
    contact_frame: wp.array(dtype=wp.mat33),
    contact_friction: wp.array(dtype=vec5),
    contact_row: wp.array2d(dtype=int),
    constraint_force: wp.array2d(dtype=float),
    geom_body: wp.array(dtype=int),
    ground_geom: int,
    first_body: int,
    num_bodies: int,
    ground_force: wp.array2d(dtype=wp.vec3),
):
    """Add each ground contact's force to its body.

    A pyramidal cone's constraint rows are the magnitudes along its edges ``normal +- friction * tangent``
    (https://mujoco.readthedocs.io/en/stable/computation/index.html, "Friction cones"), so the normal force is their
    sum and each tangential one is friction times the difference of a pair.
    """
    i = wp.tid()
    if i >= num_contacts[0]:
        return
    geoms = contact_geom[i]
    if geoms[0] != ground_geom and geoms[1] != ground_geom:
        return
    row = contact_row[i, 0]
    if row < 0:
        return
    sign = 1.0  # the frame's normal points from the first geometry to the second
    other = geoms[1]
    if geoms[1] == ground_geom:
        sign = -1.0
        other = geoms[0]
    body = geom_body[other] - first_body
    if body < 0 or body >= num_bodies:
        return
    world = contact_world[i]
    frame = contact_frame[i]
    normal = wp.vec3(frame[0, 0], frame[0, 1], frame[0, 2])
    force = wp.vec3(0.0, 0.0, 0.0)
    dim = contact_dim[i]
    if dim == 1:
        force = constraint_force[world, row] * normal
    else:
        friction = contact_friction[i]
        for axis in range(dim - 1):
            positive = constraint_force[world, row + 2 * axis]
            negative = constraint_force[world, row + 2 * axis + 1]
            force += (positive + negative) * normal
            if axis < 2:
                tangent = wp.vec3(frame[axis + 1, 0], frame[axis + 1, 1], frame[axis + 1, 2])
                force += friction[axis] * (positive - negative) * tangent
    wp.atomic_add(ground_force, world, body, sign * force)


@wp.kernel
def pd_torque_kernel(
    qpos: wp.array2d(dtype=float),
    qvel: wp.array2d(dtype=float),
    target: wp.array2d(dtype=float),
    coord_address: wp.array(dtype=int),
    ball_component: wp.array(dtype=int),
    velocity_start: int,
    stiffness: wp.array(dtype=float),
    damping: wp.array(dtype=float),
    torque_limit: wp.array(dtype=float),
    torque: wp.array2d(dtype=float),
):
    """PD torque of every DoF, clamped; a ball's position is the exponential map of its quaternion (wxyz)."""
    world, dof = wp.tid()
    address = coord_address[dof]
    component = ball_component[dof]
    position = qpos[world, address]
    if component >= 0:
        w = qpos[world, address]
        v = wp.vec3(qpos[world, address + 1], qpos[world, address + 2], qpos[world, address + 3])
        if w < 0.0:
            w = -w
            v = -v
        sine = wp.length(v)
        scale = 2.0
        if sine > 1.0e-6:
            scale = 2.0 * wp.atan2(sine, w) / sine
        position = v[component] * scale
    value = stiffness[dof] * (target[world, dof] - position) - damping[dof] * qvel[world, velocity_start + dof]
    torque[world, dof] = wp.clamp(value, -torque_limit[dof], torque_limit[dof])
