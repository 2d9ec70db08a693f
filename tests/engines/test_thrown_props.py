"""Free props that an environment puts somewhere and throws: the same promises on both engines."""

import math
from pathlib import Path

import mujoco
import pytest
import torch

from mimickit.anim.rotations import quat_conjugate, quat_mul
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.engines import Prop, Scene
from mimickit.engines.mujoco_engine import build_mujoco_model
from mimickit.engines.props import PropState

DATA = Path(__file__).parents[2] / "data/assets"
BALL, BOX = DATA / "objects/ball.xml", DATA / "objects/vault_box.xml"
NUM_ENVS, FIRST, FIXED, SECOND = 3, 0, 1, 2
# A fixed prop between the free ones: the free ones' coordinates are not simply those of the props in a row.
HALF = math.sqrt(0.5)
PROPS = (
    Prop("first", BALL, (5.0, 0.0, 0.1), fixed=False),
    Prop("box", BOX, (0.0, 6.0, 0.3), (0.0, 0.0, HALF, HALF)),
    Prop("second", BALL, (7.0, 1.0, 0.1), (HALF, 0.0, 0.0, HALF), fixed=False),
)
CHARACTER = (
    *("root_pos", "root_rot", "root_vel", "root_ang_vel", "dof_pos", "dof_vel"),
    *("body_pos", "body_rot", "ground_force"),
)
MASS = 0.4
# One control step is 8 physics steps of 1/240 s: 9.81 * 8 / 240, and 9.81 / 240^2 * (1 + 2 + ... + 8).
SPEED_GAINED, HEIGHT_LOST = 0.327, 0.00613125


@pytest.fixture(scope="module", params=["mujoco", "newton"])
def engine(request, make_engine):
    return make_engine(request.param, NUM_ENVS, props=PROPS)


@pytest.fixture
def start(engine, put, random_state, humanoid):
    """Every environment in the same state: standing upright at a height, 3 m unless told, props at their places."""

    def reset(height=3.0):
        state = random_state(NUM_ENVS, humanoid.num_dofs, seed=0)
        for tensor in state.tensors():
            tensor.zero_()
        state.root_pos[:, 2], state.root_rot[:, 3] = height, 1.0
        put(engine, state)

    return reset


def nowhere():
    """What ``place_props`` takes when nothing is placed; the values are ones that must not be taken over."""
    shape = (NUM_ENVS, len(PROPS))
    rot = torch.tensor([0.0, 0.0, 1.0, 0.0]).repeat(*shape, 1)
    return torch.zeros(shape, dtype=torch.bool), torch.full((*shape, 3), 9.0), rot, torch.full((*shape, 3), 9.0)


def throw(engine, env, prop, pos, vel, rot=(0.0, 0.0, 0.0, 1.0)):
    """Place one prop of one environment."""
    mask, *values = nowhere()
    mask[env, prop] = True
    for tensor, value in zip(values, (pos, rot, vel), strict=True):
        tensor[env, prop] = torch.tensor(value)
    engine.place_props(mask, *values)


def step(engine, count=1):
    for _ in range(count):
        engine.step(torch.zeros(NUM_ENVS, engine.dof_pos.shape[1]))


def momentum(engine, env):
    """Linear momentum of the character, kg m/s, by MuJoCo's own sum over its bodies."""
    model = engine.model if hasattr(engine, "model") else engine.mj_model
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = engine._qpos[env].numpy(), engine._qvel[env].numpy()
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    return torch.tensor(model.body_subtreemass[1] * data.subtree_linvel[1])


def unexplained(engine, env, prop, before):
    """What gravity alone does not explain in the change of a prop's velocity over one control step."""
    change = engine.prop_vel[env, prop] - before
    return change + torch.tensor([0.0, 0.0, SPEED_GAINED])


def test_props_start_at_their_poses_at_rest(engine, start):
    start()

    for i, prop in enumerate(PROPS):
        torch.testing.assert_close(engine.prop_pos[:, i], torch.tensor(prop.pos).expand(NUM_ENVS, 3), atol=1e-6, rtol=0)
        torch.testing.assert_close(engine.prop_rot[:, i], torch.tensor(prop.rot).expand(NUM_ENVS, 4), atol=1e-6, rtol=0)
    assert not engine.prop_vel.any()


def test_a_prop_goes_where_it_is_told_and_nothing_else_moves(engine, start):
    start(height=0.86)
    step(engine, 2)
    before = {name: getattr(engine, name).clone() for name in CHARACTER}
    props = engine.prop_pos.clone(), engine.prop_rot.clone(), engine.prop_vel.clone()

    throw(engine, 1, SECOND, (2.0, -3.0, 4.0), (1.0, 2.0, -3.0), rot=(0.0, 0.6, 0.0, 0.8))

    assert float(before["ground_force"].abs().max()) > 10.0
    for name, value in before.items():
        assert torch.equal(getattr(engine, name), value), name
    moved = torch.zeros(NUM_ENVS, len(PROPS), dtype=torch.bool)
    moved[1, SECOND] = True
    for now, then in zip((engine.prop_pos, engine.prop_rot, engine.prop_vel), props, strict=True):
        assert torch.equal(now[~moved], then[~moved])
    torch.testing.assert_close(engine.prop_pos[1, SECOND], torch.tensor([2.0, -3.0, 4.0]))
    torch.testing.assert_close(engine.prop_rot[1, SECOND], torch.tensor([0.0, 0.6, 0.0, 0.8]))
    torch.testing.assert_close(engine.prop_vel[1, SECOND], torch.tensor([1.0, 2.0, -3.0]))


def test_flight_is_a_sum_of_semi_implicit_euler_steps(engine, start):
    """After 24 steps of 1/240 s: 9.81 * 0.1 m/s, and 9.81 / 240^2 * (1 + 2 + ... + 24) m below the straight line."""
    start()
    throw(engine, 2, FIRST, (3.0, 0.0, 2.0), (-1.0, 0.5, 4.0))

    step(engine)
    after_one = engine.prop_pos[2, FIRST].clone(), engine.prop_vel[2, FIRST].clone()
    step(engine, 2)

    expected = torch.tensor([3.0 - 1.0 / 30, 0.5 / 30, 2.0 + 4.0 / 30 - HEIGHT_LOST])
    torch.testing.assert_close(after_one[0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(after_one[1], torch.tensor([-1.0, 0.5, 4.0 - SPEED_GAINED]), atol=1e-5, rtol=0)
    expected = torch.tensor([2.9, 0.05, 2.4 - 0.05109375])
    torch.testing.assert_close(engine.prop_pos[2, FIRST], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(engine.prop_vel[2, FIRST], torch.tensor([-1.0, 0.5, 4.0 - 0.981]), atol=1e-5, rtol=0)


def test_a_ball_lies_on_the_ground_and_rolls_and_a_throw_takes_its_spin_away(engine, start):
    start(height=0.882)
    throw(engine, 0, FIRST, (3.0, 0.0, 0.1), (2.0, 0.0, 0.0))
    step(engine, 6)
    rolling = engine.prop_rot[0, FIRST].clone()
    step(engine)

    turn = quat_mul(engine.prop_rot[0, FIRST], quat_conjugate(rolling))
    assert float(turn[1]) > 0.05  # about y, rolling along x
    assert float(engine.prop_pos[0, FIRST, 2]) == pytest.approx(0.1, abs=2e-3)
    assert float(engine.prop_pos[1, FIRST, 2]) == pytest.approx(0.1, abs=2e-3)  # the one that lies still
    assert float(engine.prop_vel[1, FIRST].norm()) < 0.05

    throw(engine, 0, FIRST, (3.0, 0.0, 2.0), (0.0, 1.0, 0.0), rot=(0.0, 0.6, 0.0, 0.8))
    step(engine)

    torch.testing.assert_close(engine.prop_rot[0, FIRST], torch.tensor([0.0, 0.6, 0.0, 0.8]), atol=1e-5, rtol=0)
    expected = torch.tensor([3.0, 1.0 / 30, 2.0 - HEIGHT_LOST])
    torch.testing.assert_close(engine.prop_pos[0, FIRST], expected, atol=1e-5, rtol=0)


def test_reset_brings_props_back_to_rest_in_its_environments_alone(engine, start, random_state, humanoid):
    start()
    for env in (0, 1):
        throw(engine, env, SECOND, (3.0, 0.0, 5.0), (1.0, 2.0, 3.0))
    step(engine)
    flying = engine.prop_pos[0, SECOND].clone(), engine.prop_vel[0, SECOND].clone()

    state = random_state(NUM_ENVS, humanoid.num_dofs, seed=0, height=3.0)
    engine.reset(torch.tensor([False, True, False]), *state.tensors())

    assert torch.equal(engine.prop_pos[0, SECOND], flying[0])
    assert torch.equal(engine.prop_vel[0, SECOND], flying[1])
    torch.testing.assert_close(engine.prop_pos[1, SECOND], torch.tensor([7.0, 1.0, 0.1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(engine.prop_rot[1, SECOND], torch.tensor([HALF, 0.0, 0.0, HALF]), atol=1e-6, rtol=0)
    assert not engine.prop_vel[1].any()


def test_a_hit_gives_the_character_the_ball_s_momentum_in_its_world_alone(engine, start, humanoid):
    """In the air: what gravity does not explain in the ball's momentum, the character gained."""
    start()
    before_the_chest = engine.body_pos[0, humanoid.body_index("torso")] + torch.tensor([0.4, 0.0, 0.1])
    throw(engine, 0, FIRST, before_the_chest.tolist(), (-10.0, 0.0, 0.0))
    masses, weight = sum(engine.body_masses), torch.tensor([0.0, 0.0, -SPEED_GAINED])
    at_start, ball_at_start = momentum(engine, 0), engine.prop_vel[0, FIRST].clone()

    step(engine, 3)

    given = -MASS * (engine.prop_vel[0, FIRST] - ball_at_start - 3 * weight)
    gained = momentum(engine, 0) - at_start - 3 * masses * weight
    assert float(given[0]) < -0.9 * MASS * 10.0  # all of it, and more if it bounces
    torch.testing.assert_close(gained.float(), given, atol=0.01, rtol=0)
    assert float(engine.root_vel[0, 0]) < -0.02
    torch.testing.assert_close(momentum(engine, 1), at_start + 3 * masses * weight.double(), atol=0.01, rtol=0)
    assert torch.equal(engine.body_pos[1], engine.body_pos[2])
    assert float((engine.body_pos[0] - engine.body_pos[1]).abs().max()) > 1e-3
    torch.testing.assert_close(engine.prop_pos[:, FIXED], torch.tensor(PROPS[FIXED].pos).expand(NUM_ENVS, 3))
    assert not engine.prop_vel[:, FIXED].any()


def test_a_graze_changes_a_ball_s_velocity_and_a_near_miss_does_not(engine, start, humanoid):
    """What an environment tells a touch by. The head is a sphere of 0.095 m, 0.175 m above its body's origin: a ball
    passes over it with 1 cm of overlap in environment 0, and of air in environment 1."""
    start()
    head = engine.body_pos[0, humanoid.body_index("head")] + torch.tensor([0.0, 0.0, 0.175])
    changes = torch.zeros(2)
    for env, gap in enumerate((-0.01, 0.01)):
        above = head + torch.tensor([0.4, 0.0, 0.195 + gap])
        throw(engine, env, FIRST, above.tolist(), (-12.0, 0.0, 0.0))
    for _ in range(3):
        before = engine.prop_vel[:, FIRST].clone()
        step(engine)
        now = torch.stack([unexplained(engine, env, FIRST, before[env]).norm() for env in range(2)])
        changes = torch.maximum(changes, now)

    assert float(changes[0]) > 0.5
    assert float(changes[1]) < 1e-4


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (torch.zeros(NUM_ENVS, dtype=torch.bool), r"bool \(3, 3\)"),
        (torch.zeros(NUM_ENVS, len(PROPS)), "torch.float32"),
        (torch.tensor([[False, False, False], [False, True, False], [False, False, False]]), "fixed prop"),
    ],
)
def test_a_mask_that_cannot_be_meant_is_refused(engine, mask, words):
    _, *values = nowhere()

    with pytest.raises(ValueError, match=words):
        engine.place_props(mask, *values)


def test_placing_props_reads_nothing_back_from_the_device(humanoid):
    """On the meta device there is nothing to read: whatever would wait for a GPU fails there."""
    scene = Scene(DATA / "humanoid/humanoid.xml", humanoid, props=PROPS)
    config = MujocoEngineConfig(engine_name="mujoco", control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5)
    model = build_mujoco_model(config, scene)
    qpos, qvel = (torch.zeros(NUM_ENVS, size, device="meta") for size in (model.nq, model.nv))
    state = PropState(model, scene, qpos, qvel)

    state.place(*(tensor.to("meta") for tensor in nowhere()))
    state.restore(torch.zeros(NUM_ENVS, dtype=torch.bool, device="meta"))
    state.read()

    assert state.vel.shape == (NUM_ENVS, len(PROPS), 3)


@pytest.mark.parametrize("engine", ["newton"], indirect=True)
def test_every_ball_brings_room_for_its_contacts(engine, make_engine):
    """A ball between bodies has some five contacts of four rows at once."""
    without = make_engine("newton", NUM_ENVS)

    assert engine.contacts_per_env >= without.contacts_per_env + 2 * 5
    assert engine.constraints_per_env >= without.constraints_per_env + 2 * 5 * 4
    engine.check_capacity()
