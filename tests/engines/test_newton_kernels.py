"""The Newton backend's kernels on a handful of contacts worked out by hand."""

import numpy as np
import warp as wp

from mimickit.engines.newton_kernels import ground_force_kernel, vec5

GROUND, FIRST_BODY, NUM_BODIES = 0, 1, 2
UP = ((0, 0, 1), (1, 0, 0), (0, 1, 0))  # rows: normal, two tangents
DOWN = ((0, 0, -1), (1, 0, 0), (0, -1, 0))
GEOM_BODY = (0, 1, 2, 3)  # the ground, two bodies of the character, a prop


def ground_force(contacts, rows, count=None):
    """Sum of ``(geoms, world, dim, frame, first row)`` contacts under constraint forces ``rows (worlds, R)``."""
    geoms, worlds, dims, frames, addresses = zip(*contacts, strict=True)
    out = wp.zeros((len(rows), NUM_BODIES), dtype=wp.vec3, device="cpu")
    wp.launch(
        ground_force_kernel,
        dim=len(contacts),
        inputs=[
            wp.array([len(contacts) if count is None else count], dtype=int, device="cpu"),
            wp.array(geoms, dtype=wp.vec2i, device="cpu"),
            wp.array(worlds, dtype=int, device="cpu"),
            wp.array(dims, dtype=int, device="cpu"),
            wp.array(np.array(frames, dtype=np.float32), dtype=wp.mat33, device="cpu"),
            wp.array([[0.5, 0.25, 0, 0, 0]] * len(contacts), dtype=vec5, device="cpu"),
            wp.array([[address] for address in addresses], dtype=int, device="cpu"),
            wp.array(np.array(rows, dtype=np.float32), dtype=float, device="cpu"),
            wp.array(GEOM_BODY, dtype=int, device="cpu"),
            GROUND,
            FIRST_BODY,
            NUM_BODIES,
        ],
        outputs=[out],
        device="cpu",
    )
    return out.numpy()


def test_pyramid_edges_add_up_to_a_force_on_the_body():
    """Edges 4, 2 and 3, 1: normal 10, tangents 0.5 (4 - 2) and 0.25 (3 - 1)."""
    force = ground_force([((GROUND, 1), 0, 3, UP, 0)], [[4, 2, 3, 1]])

    np.testing.assert_allclose(force, [[[1.0, 0.5, 10.0], [0.0, 0.0, 0.0]]])


def test_the_ground_may_be_either_geometry_of_a_pair():
    """The normal points from the first to the second; the ground pushes up all the same."""
    force = ground_force([((2, GROUND), 0, 3, DOWN, 0)], [[4, 2, 3, 1]])

    np.testing.assert_allclose(force, [[[0.0, 0.0, 0.0], [-1.0, 0.5, 10.0]]])


def test_a_frictionless_contact_has_one_row_and_each_world_its_own():
    contacts = [((GROUND, 1), 1, 1, UP, 2), ((GROUND, 1), 1, 1, UP, 3)]

    force = ground_force(contacts, [[9, 9, 9, 9], [9, 9, 5, 6]])

    np.testing.assert_allclose(force, [np.zeros((2, 3)), [[0.0, 0.0, 11.0], [0.0, 0.0, 0.0]]])


def test_what_is_not_the_ground_on_the_character_is_left_out():
    contacts = [
        ((1, 2), 0, 1, UP, 0),  # two bodies of the character
        ((GROUND, 3), 0, 1, UP, 0),  # a prop on the ground
        ((GROUND, 1), 0, 1, UP, -1),  # near, but without a constraint
        ((GROUND, 1), 0, 1, UP, 0),  # beyond the number of contacts
    ]

    assert not ground_force(contacts, [[7.0]], count=3).any()
