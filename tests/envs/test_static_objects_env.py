"""Objects beside a DeepMimic character on MuJoCo: where they stand, what touching them means, how they are drawn."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mimickit.anim import load_character
from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.config.env_config import DeepMimicEnvConfig, ObjectConfig, StaticObjectsEnvConfig
from mimickit.envs import Share, build_env
from mimickit.envs.static_objects_env import StaticObjectsEnv
from mimickit.envs.terminations import Done
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]
TOP = 0.6  # m, of the box
# Free to move in its own file; an object of the environment is not.
BOX = """<mujoco><worldbody><body name="box">
  <freejoint/><geom type="box" size="1.5 1.5 0.3"/>
</body></worldbody></mujoco>"""

MakeEnv = Callable[..., StaticObjectsEnv]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A box of 3 m by 3 m, 0.6 m tall, around its origin."""
    path = tmp_path / "box.xml"
    path.write_text(BOX)
    return path


@pytest.fixture
def open_env(engine_config: MujocoEngineConfig) -> Iterator[MakeEnv]:
    """The environment of a config; closed after the test."""
    opened: list[StaticObjectsEnv] = []

    def open_(config: StaticObjectsEnvConfig, num_envs: int) -> StaticObjectsEnv:
        env = build_env(config, engine_config, Share(num_envs, torch.device("cpu"), 0))
        assert isinstance(env, StaticObjectsEnv)
        opened.append(env)
        return env

    yield open_
    for env in opened:
        env.close()


@pytest.fixture
def make_env(make_clip: Callable[..., Path], open_env: MakeEnv) -> MakeEnv:
    """The committed humanoid among ``objects``, on a clip made for the test; ``changes`` replace settings."""

    def make(*objects: tuple[Path, tuple[float, float, float]], num_envs: int = 1, **changes: Any) -> StaticObjectsEnv:
        config = load_env(ROOT / "data" / "envs" / "deepmimic_humanoid_env.yaml")
        assert isinstance(config, DeepMimicEnvConfig)
        values = {
            **vars(config),
            "env_name": "static_objects",
            "char_file": ROOT / config.char_file,
            "motion_file": make_clip(config.init_pose),
            "objects": tuple(ObjectConfig(pos=pos, file=file) for file, pos in objects),
        }
        return open_env(StaticObjectsEnvConfig(**{**values, **changes}), num_envs)

    return make


def still(env: StaticObjectsEnv) -> torch.Tensor:
    """The default pose as an action."""
    return env.init_pose[6:].expand(env.num_envs, -1)


def lay_down(env: StaticObjectsEnv, root_pos: list[list[float]]) -> None:
    """Put the characters at rest on their backs, in the default pose."""
    back = torch.tensor([0.0, -math.sqrt(0.5), 0.0, math.sqrt(0.5)]).expand(env.num_envs, 4)
    zero, dof_pos = torch.zeros(env.num_envs, 3), still(env)
    everyone = torch.ones(env.num_envs, dtype=torch.bool)
    env.engine.reset(everyone, torch.tensor(root_pos), back, zero, zero, dof_pos, torch.zeros_like(dof_pos))


def test_objects_of_one_file_stand_where_they_are_told_and_stay(make_env: MakeEnv, box: Path) -> None:
    places = [(4.0, 0.5, 0.3), (0.0, -4.0, 0.2), (4.0, 0.0, 2.0)]  # stands, sinks into the ground, hovers
    env = make_env(*((box, place) for place in places), num_envs=2)
    expected = torch.tensor(places).expand(2, 3, 3)
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(2, 3, 4)
    for _ in range(2):
        env.reset()
        for _ in range(3):
            env.step(still(env))
        torch.testing.assert_close(env.engine.prop_pos, expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(env.engine.prop_rot, upright, atol=1e-6, rtol=0)
    names = [prop.name for prop in env.engine.scene.props]
    assert len(set(names)) == 3
    assert all(prop.fixed for prop in env.engine.scene.props)


def test_the_policy_sees_what_it_sees_without_objects(make_env: MakeEnv, box: Path) -> None:
    among, alone = make_env((box, (4.0, 0.0, 0.3)), num_envs=2), make_env(num_envs=2)
    assert among.obs_size == 464
    assert torch.equal(among.reset(), alone.reset())


def test_lying_on_an_object_is_no_fall(make_env: MakeEnv, box: Path) -> None:
    """Every body, hands and feet too, counts as fallen when it touches the ground; one character is on the box."""
    env = make_env((box, (0.0, 0.0, TOP / 2)), num_envs=2, contact_bodies=(), pose_termination=False)
    env.reset()
    lay_down(env, [[0.0, 0.0, TOP + 0.25], [8.0, 0.0, 0.25]])
    done = []
    for _ in range(20):
        env.step(still(env))
        done.append(env.done.tolist())
    assert done[-1] == [Done.NULL, Done.FAIL]
    assert {on_box for on_box, _ in done} == {Done.NULL}
    # The box carries its character as the ground does the other.
    height = env.engine.body_pos[:, :, 2]
    torch.testing.assert_close(height[0] - TOP, height[1], atol=0.01, rtol=0)
    assert not env.engine.ground_force[0].any()
    weight = 9.81 * sum(env.engine.body_masses)
    assert env.engine.ground_force[1, :, 2].sum().item() == pytest.approx(weight, rel=0.3)


@pytest.mark.parametrize(("watched", "done"), [("right_lower_arm", Done.NULL), ("pelvis", Done.FAIL)])
def test_an_arm_may_press_on_an_object_while_the_hips_may_not_touch_the_ground(
    make_env: MakeEnv, box: Path, watched: str, done: Done
) -> None:
    """Two characters on their backs, the right forearm raised; that of the first comes down on the edge of a box."""
    model = load_character(ROOT / "data" / "assets" / "humanoid" / "humanoid.xml")
    allowed = tuple(name for name in model.body_names if name != watched)
    place = (1.48, -1.665, 0.14 - TOP / 2)  # 0.14 m above the ground, on the right of the hips
    env = make_env((box, place), num_envs=2, contact_bodies=allowed, pose_termination=False)
    elbow, hand = model.dof_names.index("right_elbow"), model.body_names.index("right_hand")
    env.reset()
    env.init_pose[6 + elbow] = 0.75
    lay_down(env, [[0.0, 0.0, 0.13], [8.0, 0.0, 0.13]])
    action = still(env).clone()
    action[:, elbow] = 0.6
    for _ in range(30):
        env.step(action)
    pressing, free = env.engine.body_pos[:, hand, 2].tolist()
    assert pressing > free + 0.01
    assert env.done[0].item() == done


def test_the_drawn_reference_has_copies_of_the_objects_at_its_side(make_env: MakeEnv, box: Path) -> None:
    places = [(4.0, 0.5, 0.3), (0.0, -4.0, 0.2)]
    env = make_env(*((box, place) for place in places), num_envs=2, ref_char_offset=(0.5, 2.0, 0.0))
    env.reset()
    assert [marker.file for marker in env.markers] == [box, box]
    poses, reference = env.marker_poses(), env.reference_bodies()
    assert poses is not None
    assert reference is not None
    expected = torch.tensor([(4.5, 2.5, 0.3), (0.5, -2.0, 0.2)]).expand(2, 2, 3)
    torch.testing.assert_close(poses[0], expected)
    assert torch.equal(poses[1], env.engine.prop_rot)
    # The reference stands to its copies as the character, which starts on it, stands to the objects.
    between = [
        bodies[:, :1] - objects
        for bodies, objects in ((reference[0], poses[0]), (env.engine.body_pos, env.engine.prop_pos))
    ]
    torch.testing.assert_close(between[0], between[1], atol=1e-5, rtol=0)


def test_a_reference_drawn_over_the_character_needs_no_copies(make_env: MakeEnv, box: Path) -> None:
    env = make_env((box, (4.0, 0.0, 0.3)), ref_char_offset=(0.0, 0.0, 0.0))
    assert env.markers == ()
    assert env.marker_poses() is None
    bare = make_env()
    assert bare.markers == ()
    assert bare.marker_poses() is None


def test_an_object_that_is_no_model_is_named(make_env: MakeEnv, tmp_path: Path) -> None:
    (tmp_path / "wrong.xml").write_text("a box")
    with pytest.raises(InputError, match=r"wrong\.xml: MuJoCo cannot read it"):
        make_env((tmp_path / "wrong.xml", (0.0, 0.0, 0.0)))


@pytest.mark.parametrize(("file", "obs_size"), [("vault_humanoid_env.yaml", 464), ("vault_g1_env.yaml", 849)])
def test_a_vault_can_begin_anywhere_in_its_clip(
    open_env: MakeEnv, monkeypatch: pytest.MonkeyPatch, file: str, obs_size: int
) -> None:
    """Nobody starts inside a box, which would throw them out, or with a body on the ground that must not be there."""
    monkeypatch.chdir(ROOT)  # to which the paths in the file are relative
    config = load_env(Path("data") / "envs" / file)
    assert isinstance(config, StaticObjectsEnvConfig)
    if not config.motion_file.exists():
        pytest.skip(f"{config.motion_file} is not built; python -m mimickit.data build")
    num_envs, num_steps = 64, 6
    env = open_env(config, num_envs)
    assert env.obs_size == obs_size
    env.reset()
    env.motion_start = torch.linspace(0.0, env.motions.lengths.item() - (num_steps + 1) * env.control_dt, num_envs)
    env.take_pose(torch.ones(num_envs, dtype=torch.bool), env.motion_start)
    fastest = torch.zeros(num_envs)
    for _ in range(num_steps):
        ahead = env.motions.sample(env.motion_ids, env.motion_time + env.control_dt)
        before = env.engine.body_pos.clone()
        env.step(env.kinematics.rot_to_dof(ahead.joint_rot))
        speed = (env.engine.body_pos - before).norm(dim=-1).amax(dim=-1) / env.control_dt
        fastest = torch.maximum(fastest, speed)
        assert env.done.tolist() == [Done.NULL] * num_envs
    assert fastest.max() < 5.0  # m/s; the clips themselves reach more than 3
