"""What both engines promise, checked on each of them against mechanics and MuJoCo's own numbers."""

import math
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from mimickit.anim import load_character
from mimickit.anim.char_model import Kinematics
from mimickit.anim.rotations import quat_conjugate, quat_mul, quat_to_exp_map
from mimickit.config.engine_config import ENGINE_CONFIGS, IsaacLabEngineConfig, NewtonEngineConfig
from mimickit.engines import Prop, Scene, build_engine
from mimickit.errors import CapacityError, DivergenceError, InputError

GRAVITY = 9.81
HUMANOID = Path(__file__).parents[2] / "data/assets/humanoid/humanoid.xml"
CPU = torch.device("cpu")
both_engines = pytest.mark.parametrize("name", ["mujoco", "newton"])


@both_engines
def test_reset_state_is_read_back(name, make_engine, humanoid, put, random_state):
    engine = make_engine(name, 4)
    state = random_state(4, humanoid.num_dofs, seed=1)

    put(engine, state)

    torch.testing.assert_close(engine.root_pos, state.root_pos, atol=1e-6, rtol=0)
    torch.testing.assert_close(engine.root_rot, state.root_rot, atol=1e-6, rtol=0)
    torch.testing.assert_close(engine.root_vel, state.root_vel, atol=1e-5, rtol=0)
    torch.testing.assert_close(engine.root_ang_vel, state.root_ang_vel, atol=1e-5, rtol=0)
    torch.testing.assert_close(engine.dof_pos, state.dof_pos, atol=1e-6, rtol=0)
    torch.testing.assert_close(engine.dof_vel, state.dof_vel, atol=1e-6, rtol=0)
    kinematics = Kinematics(humanoid)
    body_pos, _ = kinematics.forward(state.root_pos, state.root_rot, kinematics.dof_to_rot(state.dof_pos))
    torch.testing.assert_close(engine.body_pos, body_pos, atol=1e-5, rtol=0)
    assert float(engine.ground_force.abs().max()) == 0.0


@both_engines
def test_reset_touches_only_the_masked_environments(name, make_engine, humanoid, put, random_state):
    engine = make_engine(name, 3)
    put(engine, random_state(3, humanoid.num_dofs, seed=1))
    before = engine.body_pos.clone()

    engine.reset(torch.tensor([False, True, False]), *random_state(3, humanoid.num_dofs, seed=2).tensors())

    assert torch.equal(engine.body_pos[[0, 2]], before[[0, 2]])
    assert not torch.allclose(engine.body_pos[1], before[1])


@both_engines
def test_velocities_are_rates_of_positions(name, make_engine, humanoid, put, random_state):
    """With a physics step of 1/9600 s the motion over one step is the velocity, for the root's origin and every DoF."""
    engine = make_engine(name, 4, control_freq=9600, sim_freq=9600)
    put(engine, random_state(4, humanoid.num_dofs, seed=4, height=1.5))
    kinematics = Kinematics(humanoid)
    before = engine.root_pos.clone(), engine.root_rot.clone(), kinematics.dof_to_rot(engine.dof_pos)

    engine.step(engine.dof_pos.clone())

    dt = engine.sim_dt
    torch.testing.assert_close((engine.root_pos - before[0]) / dt, engine.root_vel, atol=2e-2, rtol=0)
    turned = quat_to_exp_map(quat_mul(engine.root_rot, quat_conjugate(before[1]))) / dt
    torch.testing.assert_close(turned, engine.root_ang_vel, atol=5e-2, rtol=0)
    dof_rate = kinematics.dof_velocity(before[2], kinematics.dof_to_rot(engine.dof_pos), dt)
    torch.testing.assert_close(dof_rate, engine.dof_vel, atol=5e-2, rtol=0)


@both_engines
def test_a_standing_character_presses_down_with_its_weight(name, make_engine, humanoid, put, random_state):
    engine = make_engine(name, 1)
    still = random_state(1, humanoid.num_dofs, seed=0)
    for tensor in still.tensors():
        tensor.zero_()
    still.root_pos[:, 2], still.root_rot[:, 3] = 0.882, 1.0
    put(engine, still)

    vertical = []
    for _ in range(30):
        engine.step(torch.zeros(1, humanoid.num_dofs))
        vertical.append(engine.ground_force[0, :, 2].clone())

    weight = sum(engine.body_masses) * GRAVITY
    pressing = torch.stack(vertical[10:]).mean(dim=0)
    assert float(pressing.sum()) == pytest.approx(weight, rel=0.03)
    feet = {humanoid.body_index("right_foot"), humanoid.body_index("left_foot")}
    assert {i for i, force in enumerate(pressing.tolist()) if force > 1.0} == feet


def test_ground_force_is_what_mujoco_sums_up(make_engine, humanoid, put, random_state):
    """One physics step repeated with MuJoCo's own API, contact by contact."""
    engine = make_engine("mujoco", 1, control_freq=240, sim_freq=240)
    put(engine, random_state(1, humanoid.num_dofs, seed=6, height=0.83))
    model = engine.model
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = engine._qpos[0].numpy(), engine._qvel[0].numpy()
    target = torch.zeros(1, humanoid.num_dofs)
    data.ctrl[:] = 0.0
    mujoco.mj_forward(model, data)
    expected = np.zeros((humanoid.num_bodies, 3))
    ground = model.geom("ground").id
    for i, contact in enumerate(data.contact):
        if ground in contact.geom:
            force = np.zeros(6)
            mujoco.mj_contactForce(model, data, i, force)
            other = contact.geom[1] if contact.geom[0] == ground else contact.geom[0]
            sign = 1.0 if contact.geom[0] == ground else -1.0
            world = contact.frame.reshape(3, 3).T @ force[:3]
            expected[model.geom_bodyid[other] - 1] += sign * world

    engine.step(target)

    assert np.abs(expected).max() > 10.0
    np.testing.assert_allclose(engine.ground_force[0].numpy(), expected, atol=0.5, rtol=1e-3)


@both_engines
def test_self_collision_is_not_ground_contact(name, make_engine, humanoid, put, random_state):
    """Arms driven into the torso in the air: bodies meet, the ground touches nothing."""
    engine = make_engine(name, 1)
    state = random_state(1, humanoid.num_dofs, seed=0, height=3.0)
    put(engine, state)
    target = torch.zeros(1, humanoid.num_dofs)
    target[0, humanoid.dof_names.index("right_shoulder_x")] = 1.5
    target[0, humanoid.dof_names.index("left_shoulder_x")] = -1.5

    for _ in range(10):
        engine.step(target)
        assert float(engine.ground_force.abs().max()) == 0.0


@both_engines
def test_self_collision_can_be_turned_off(name, make_engine, humanoid, put, random_state):
    """Thighs pushed into each other end up in different places with and without contact between them."""
    poses = []
    for self_collision in (True, False):
        engine = make_engine(name, 1, self_collision=self_collision)
        state = random_state(1, humanoid.num_dofs, seed=0, height=3.0)
        put(engine, state)
        target = torch.zeros(1, humanoid.num_dofs)
        target[0, humanoid.dof_names.index("right_hip_x")] = 1.5
        target[0, humanoid.dof_names.index("left_hip_x")] = -1.5
        for _ in range(10):
            engine.step(target)
        poses.append(engine.dof_pos.clone())

    assert float((poses[0] - poses[1]).abs().max()) > 0.05


@both_engines
def test_torque_limits_bind(name, make_engine, humanoid, put, random_state):
    """In free fall from rest, the knee's first acceleration follows the limit of 150 N m, not the PD's 1500."""
    accelerations = []
    for angle in (0.31, 3.0):  # 500 N m/rad: just beyond the limit, and ten times it
        engine = make_engine(name, 1, control_freq=9600, sim_freq=9600)
        state = random_state(1, humanoid.num_dofs, seed=0, height=3.0)
        for tensor in state.tensors():
            tensor.zero_()
        state.root_pos[:, 2], state.root_rot[:, 3] = 3.0, 1.0
        put(engine, state)
        target = torch.zeros(1, humanoid.num_dofs)
        knee = humanoid.dof_names.index("right_knee")
        target[0, knee] = angle
        engine.step(target)
        accelerations.append(float(engine.dof_vel[0, knee]) / engine.sim_dt)

    assert accelerations[0] > 100.0
    assert accelerations[1] == pytest.approx(accelerations[0], rel=0.02)


@both_engines
def test_a_held_root_stays(name, make_engine, humanoid, put, random_state):
    half = math.sqrt(0.5)
    engine = make_engine(name, 2, fixed_root_pose=(0.5, -0.25, 1.2, 0.0, 0.0, half, half), self_collision=False)
    put(engine, random_state(2, humanoid.num_dofs, seed=0))

    for _ in range(5):
        engine.step(torch.zeros(2, humanoid.num_dofs))

    torch.testing.assert_close(engine.root_pos, torch.tensor([[0.5, -0.25, 1.2]]).expand(2, 3), atol=1e-5, rtol=0)
    expected = torch.tensor([[0.0, 0.0, half, half]]).expand(2, 4)
    torch.testing.assert_close(engine.root_rot, expected, atol=1e-5, rtol=0)
    assert float(engine.dof_vel.abs().max()) < 20.0


BOX = """<mujoco><worldbody><body name="box">
  <freejoint/><geom type="box" size="1 1 0.5" density="100"/>
</body></worldbody></mujoco>"""


@both_engines
def test_a_fixed_prop_carries_and_is_not_ground(name, make_engine, humanoid, put, random_state, tmp_path):
    (tmp_path / "box.xml").write_text(BOX)
    engine = make_engine(name, 1, props=(Prop("box", tmp_path / "box.xml", (0.0, 0.0, 0.5)),))
    still = random_state(1, humanoid.num_dofs, seed=0)
    for tensor in still.tensors():
        tensor.zero_()
    still.root_pos[:, 2], still.root_rot[:, 3] = 1.9, 1.0
    put(engine, still)

    for _ in range(10):
        engine.step(torch.zeros(1, humanoid.num_dofs))

    assert float(engine.root_pos[0, 2]) > 1.75
    assert float(engine.ground_force.abs().max()) == 0.0
    torch.testing.assert_close(engine.prop_pos[0, 0], torch.tensor([0.0, 0.0, 0.5]), atol=1e-5, rtol=0)


@both_engines
def test_a_free_prop_falls_and_returns_at_reset(name, make_engine, humanoid, put, random_state, tmp_path):
    (tmp_path / "box.xml").write_text(BOX)
    engine = make_engine(name, 1, props=(Prop("box", tmp_path / "box.xml", (5.0, 0.0, 3.0), fixed=False),))
    state = random_state(1, humanoid.num_dofs, seed=0)
    put(engine, state)

    for _ in range(6):
        engine.step(torch.zeros(1, humanoid.num_dofs))
    fallen = float(engine.prop_pos[0, 0, 2])
    put(engine, state)

    assert fallen == pytest.approx(3.0 - 0.5 * GRAVITY * 0.2**2, abs=0.05)
    assert float(engine.prop_pos[0, 0, 2]) == pytest.approx(3.0, abs=1e-5)


def test_a_full_constraint_buffer_is_reported(make_engine, humanoid, put, random_state):
    engine = make_engine("newton", 2, constraints_per_env=8)
    put(engine, random_state(2, humanoid.num_dofs, seed=0, height=0.7))
    engine.step(torch.zeros(2, humanoid.num_dofs))

    with pytest.raises(CapacityError, match=r"constraints_per_env \(now 8\)"):
        engine.check_capacity()


def test_a_full_contact_buffer_is_reported(make_engine, humanoid, put, random_state):
    engine = make_engine("newton", 2, contacts_per_env=1)
    put(engine, random_state(2, humanoid.num_dofs, seed=0, height=0.2))
    engine.step(torch.zeros(2, humanoid.num_dofs))

    with pytest.raises(CapacityError, match="contacts_per_env"):
        engine.check_capacity()


def test_worlds_do_not_depend_on_each_other(make_engine, humanoid, put, random_state):
    """World 3 of 4 goes the way it goes alone, to the last bit, whatever thread it ran on."""
    together, alone = make_engine("mujoco", 4), make_engine("mujoco", 1)
    state = random_state(4, humanoid.num_dofs, seed=9)
    put(together, state)
    alone.reset(torch.ones(1, dtype=torch.bool), *(tensor[3:4] for tensor in state.tensors()))

    for _ in range(10):
        together.step(torch.zeros(4, humanoid.num_dofs))
        alone.step(torch.zeros(1, humanoid.num_dofs))

    assert torch.equal(together.body_pos[3], alone.body_pos[0])


def test_the_mujoco_engine_refuses_a_gpu(humanoid):
    from mimickit.config.engine_config import MujocoEngineConfig

    config = MujocoEngineConfig(engine_name="mujoco", control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5)
    with pytest.raises(InputError, match="runs on the CPU, not on cuda:0"):
        build_engine(config, Scene(HUMANOID, humanoid), 1, torch.device("cuda:0"))


def test_a_backend_that_is_not_there_is_named(humanoid):
    config = IsaacLabEngineConfig(
        engine_name="isaac_lab", control_mode="pos", control_freq=30, sim_freq=120, env_spacing=5
    )
    with pytest.raises(InputError, match="isaac_lab.*mujoco, newton"):
        build_engine(config, Scene(HUMANOID, humanoid), 1, CPU)


def test_a_missing_package_is_named_with_what_to_install(humanoid, monkeypatch):
    import importlib

    def missing(module):
        raise ModuleNotFoundError("No module named 'newton'", name="newton")

    monkeypatch.setattr(importlib, "import_module", missing)
    config = NewtonEngineConfig(engine_name="newton", control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5)
    with pytest.raises(InputError, match="needs the package 'newton': pip install newton"):
        build_engine(config, Scene(HUMANOID, humanoid), 1, CPU)


def test_a_state_that_is_not_finite_names_its_environment(make_engine, humanoid, put, random_state):
    engine = make_engine("mujoco", 4)
    state = random_state(4, humanoid.num_dofs, seed=0)
    state.dof_vel[2, 5] = float("nan")
    put(engine, state)

    with pytest.raises(DivergenceError, match="1 of 4 environments .* environment 2"):
        engine.step(torch.zeros(4, humanoid.num_dofs))


def write_variant(tmp_path, old, new):
    """The humanoid's file with one text replaced, and its kinematic tree."""
    text = HUMANOID.read_text()
    assert old in text
    path = tmp_path / "variant.xml"
    path.write_text(text.replace(old, new, 1))
    return path, load_character(path)


def build(name, path, character, num_envs=1, **values):
    common = {"engine_name": name, "control_mode": "pos", "control_freq": 30, "sim_freq": 240, "env_spacing": 5.0}
    return build_engine(ENGINE_CONFIGS[name](**common, **values), Scene(path, character), num_envs, CPU)


def test_full_memory_of_any_world_is_reported(tmp_path, random_state):
    """MuJoCo clears a world's warning when the next one starts: the overflowing world is not the last."""
    path, character = write_variant(tmp_path, "<worldbody>", '<size memory="40K"/>\n<worldbody>')
    engine = build("mujoco", path, character, num_envs=4, num_threads=1)
    state = random_state(4, character.num_dofs, seed=0, height=5.0)
    state.root_pos[1, 2] = 0.0  # one world lies in the ground, the others fly
    engine.reset(torch.ones(4, dtype=torch.bool), *state.tensors())
    engine.step(torch.zeros(4, character.num_dofs))

    with pytest.raises(CapacityError, match="in environment 1"):
        engine.check_capacity()
    engine.check_capacity()  # reported once


@both_engines
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</worldbody>", '<body name="ball"><freejoint/><geom size="0.1"/></body>\n</worldbody>', "bodies"),
    ],
)
def test_a_file_with_more_than_a_character_is_refused(name, old, new, words, tmp_path):
    path, character = write_variant(tmp_path, old, new)

    with pytest.raises(InputError, match=words):
        build(name, path, character)


@both_engines
def test_a_missing_mesh_is_named(name, tmp_path):
    asset, geom = '<asset><mesh name="gone" file="gone.obj"/></asset>', '<geom type="mesh" mesh="gone"/>'
    path, character = write_variant(tmp_path, "<worldbody>", f"{asset}\n<worldbody>")
    path.write_text(path.read_text().replace('<freejoint name="root"/>', f'<freejoint name="root"/>{geom}', 1))
    assert geom in path.read_text()

    with pytest.raises(InputError, match=r"gone\.obj"):
        build(name, path, character)


@both_engines
def test_a_urdf_is_not_simulated(name, humanoid):
    with pytest.raises(InputError, match="simulate MJCF"):
        build(name, Path("robot.urdf"), humanoid)


@both_engines
def test_a_floor_in_the_file_gives_way_to_the_engine_s_ground(name, tmp_path, put, random_state):
    """The published pi_plus model brings one; it lies 10 cm up here, and the character falls through to the ground."""
    path, character = write_variant(
        tmp_path, "<worldbody>", '<worldbody>\n<geom type="plane" size="0 0 1" pos="0 0 0.1"/>'
    )
    engine = build(name, path, character)
    still = random_state(1, character.num_dofs, seed=0)
    for tensor in still.tensors():
        tensor.zero_()
    still.root_pos[:, 2], still.root_rot[:, 3] = 0.882, 1.0
    put(engine, still)
    for _ in range(5):
        engine.step(torch.zeros(1, character.num_dofs))

    assert float(engine.root_pos[0, 2]) == pytest.approx(0.88, abs=0.02)
    assert float(engine.ground_force[0, :, 2].sum()) == pytest.approx(sum(engine.body_masses) * GRAVITY, rel=0.3)
