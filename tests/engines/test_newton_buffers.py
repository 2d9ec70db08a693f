"""How many contacts and constraint rows characters need, next to the room they are given.

Each is dropped in random poses and thrown about by random targets, which is wilder than any clip.
``pytest -s tests/engines/test_newton_buffers.py`` prints the numbers of docs/performance.md.
"""

import mujoco
import numpy as np
import torch

from mimickit.anim import load_character
from mimickit.config.engine_config import NewtonEngineConfig
from mimickit.engines import Prop, Scene
from mimickit.engines.newton_buffers import buffer_sizes
from mimickit.engines.newton_engine import build_newton_model

CONFIG = NewtonEngineConfig(engine_name="newton", control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5.0)
EPISODES, TARGETS, STEPS_PER_TARGET = 16, 40, 16
NUM_ENVS, CONTROL_STEPS = 16, 12
MARGIN = 1.5  # room over the most rows that were needed, and over the mean of pairs


def thrown_about(model, lower, upper, seed):
    """``(K, 3)``: contacts, those with the ground, and constraint rows after every physics step, by MuJoCo's count."""
    random = np.random.default_rng(seed)
    data = mujoco.MjData(model)
    ground = int((model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE).argmax())
    counts = []
    for _ in range(EPISODES):
        mujoco.mj_resetData(model, data)
        data.qpos[2] = random.uniform(0.3, 1.1)
        rot = random.normal(size=4)
        data.qpos[3:7] = rot / np.linalg.norm(rot)
        for _ in range(TARGETS):
            data.ctrl[:] = random.uniform(lower, upper)
            for _ in range(STEPS_PER_TARGET):
                mujoco.mj_step(model, data)
                counts.append((data.ncon, (data.contact.geom == ground).any(axis=1).sum(), data.nefc))
    return np.array(counts)


def test_rows_for_the_wildest_motion(character):
    file, _ = character
    model_of_joints = load_character(file)
    scene = Scene(file, model_of_joints)
    model = build_newton_model(CONFIG, scene)
    lower, upper = (np.array(model_of_joints.per_dof(name)) for name in ("lower", "upper"))

    counts = thrown_about(model, lower, upper, seed=1)
    _, rows = buffer_sizes(model, scene, num_envs=4096)

    assert np.isfinite(counts).all()
    contacts_seen, ground_seen, rows_seen = counts.max(axis=0)
    own = (counts[:, 0] - counts[:, 1]).max()
    print(
        f"\n{file.stem}: contacts at most {contacts_seen} ({ground_seen} with the ground, {own} with itself), "
        f"{counts[:, 0].mean():.1f} on average; rows at most {rows_seen}, room for {rows}"
    )
    assert rows_seen * MARGIN <= rows


def test_pairs_near_each_other_in_the_wildest_motion(character, make_engine, random_state, put):
    """MuJoCo Warp keeps pairs of which only bounding spheres touch where it keeps contacts."""
    file, height = character
    engine = make_engine("newton", NUM_ENVS, char_file=file)
    scene = engine.scene
    lower, upper = (torch.tensor(scene.char_model.per_dof(name)) for name in ("lower", "upper"))
    generator = torch.Generator().manual_seed(2)
    state = random_state(NUM_ENVS, len(lower), seed=2, height=height)
    put(engine, state)
    pairs = []
    for _ in range(CONTROL_STEPS):
        engine.step(lower + (upper - lower) * torch.rand(NUM_ENVS, len(lower), generator=generator))
        pairs.append(int(engine._data.ncollision.numpy()[0]) / NUM_ENVS)
    room, _ = buffer_sizes(engine.mj_model, scene, num_envs=4096)
    print(f"\n{file.stem}: {max(pairs):.1f} pairs in a world at most, on average over worlds; room for {room}")

    engine.check_capacity()
    assert min(pairs) > 0
    assert max(pairs) * MARGIN <= room


def test_props_and_few_worlds_have_room_of_their_own(make_engine, humanoid):
    scene = make_engine("newton", 1).scene
    model = build_newton_model(CONFIG, scene)
    contacts, rows = buffer_sizes(model, scene, num_envs=4096)
    assets = scene.char_file.parents[1] / "objects"
    ball = Prop("ball", assets / "ball.xml", (2.0, 0.0, 1.0), fixed=False)
    wall = Prop("wall", assets / "humanoid_wall.xml", (2.0, 0.0, 1.0), fixed=True)

    with_ball = buffer_sizes(model, Scene(scene.char_file, humanoid, props=(ball,)), num_envs=4096)
    with_wall = buffer_sizes(model, Scene(scene.char_file, humanoid, props=(wall,)), num_envs=4096)

    assert with_ball == (contacts + 4, rows + 16)
    assert with_wall == (contacts + 32, rows)
    # In a few worlds all may fall at once: there is room for every pair of 19 geometries and the ground.
    assert buffer_sizes(model, scene, num_envs=1)[0] >= 20 * 19 / 2
