"""The test of joints: which one moves when, how far, and that nothing else does."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mujoco
import pytest
import torch

from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.envs import Share, build_env
from mimickit.envs.dof_test_env import DofTestEnv
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]
STEPS = 60  # control steps of a swing of 2 s


@pytest.fixture
def make_dof_test(engine_config: MujocoEngineConfig) -> Iterator[Callable[..., DofTestEnv]]:
    """The committed humanoid's DoF test; ``changes`` replace settings. Closed after the test."""
    made: list[DofTestEnv] = []

    def make(num_envs: int = 1, control_mode: str = "pos", **changes: Any) -> DofTestEnv:
        config = load_env(ROOT / "data" / "envs" / "dof_test_humanoid_env.yaml")
        config = dataclasses.replace(config, char_file=ROOT / config.char_file, **changes)
        engine = dataclasses.replace(engine_config, control_mode=control_mode)
        env = build_env(config, engine, Share(num_envs, torch.device("cpu"), 0))
        assert isinstance(env, DofTestEnv)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


@pytest.fixture(scope="module")
def ranges() -> list[tuple[float, float]]:
    """Limits of the humanoid's hinges in order, radians, as MuJoCo reads them."""
    model = mujoco.MjModel.from_xml_path(str(ROOT / "data" / "assets" / "humanoid" / "humanoid.xml"))
    return [(float(low), float(high)) for low, high in model.jnt_range[1:]]


def no_action(env: DofTestEnv) -> torch.Tensor:
    return torch.zeros(env.num_envs, env.action_size)


def test_a_joint_after_the_other_and_environments_one_apart(make_dof_test: Callable[..., DofTestEnv]) -> None:
    env = make_dof_test(num_envs=3)
    times = torch.tensor([0.0, 1.99, 2.0])
    assert env.driven_dof(times).tolist() == [0, 1, 3]
    assert env.driven_dof(torch.full((3,), 54.0)).tolist() == [27, 0, 1]  # 28 joints, then from the start


def test_the_target_is_a_sine_between_the_limits(
    make_dof_test: Callable[..., DofTestEnv], ranges: list[tuple[float, float]]
) -> None:
    env = make_dof_test(num_envs=28)
    for time, share in ((0.0, 0.5), (0.5, 1.0), (1.5, 0.0), (0.25, 0.5 + 0.5 * math.sqrt(0.5))):
        target = env.target(torch.full((28,), time))
        for dof, (low, high) in enumerate(ranges):
            assert target[dof, dof].item() == pytest.approx(low + share * (high - low), abs=1e-5)
        rest = target - torch.diag(torch.diagonal(target))
        assert rest.abs().max().item() == 0.0


def test_each_joint_reaches_both_ends_while_the_root_hangs_still(
    make_dof_test: Callable[..., DofTestEnv], ranges: list[tuple[float, float]]
) -> None:
    env = make_dof_test(num_envs=28)
    env.reset()
    seen = []
    for _ in range(STEPS):
        env.step(no_action(env))
        seen.append(torch.diagonal(env.engine.dof_pos).clone())
        assert env.engine.root_pos.sub(torch.tensor([0.0, 0.0, 1.2])).abs().max().item() < 1e-6
        assert (env.engine.root_rot - torch.tensor([0.0, 0.0, 0.0, 1.0])).abs().max().item() < 1e-6
        assert not env.done.any()
    lowest, highest = torch.stack(seen).min(dim=0).values, torch.stack(seen).max(dim=0).values
    slack = 0.12  # radians: gravity bends the drives
    for dof, (low, high) in enumerate(ranges):
        assert lowest[dof].item() == pytest.approx(low, abs=slack), env.char_model.dof_names[dof]
        assert highest[dof].item() == pytest.approx(high, abs=slack), env.char_model.dof_names[dof]


def test_what_the_policy_says_changes_nothing(make_dof_test: Callable[..., DofTestEnv]) -> None:
    env = make_dof_test()
    runs = []
    for action in (no_action(env), torch.ones(1, env.action_size)):
        env.reset()
        for _ in range(10):
            env.step(action)
        runs.append(env.engine.dof_pos.clone())
    assert torch.equal(*runs)


def test_the_error_is_of_the_driven_joint_alone(make_dof_test: Callable[..., DofTestEnv]) -> None:
    env = make_dof_test(num_envs=2)
    env.reset()
    target = env.target(env.time)
    env.step(no_action(env))
    total, count = env.diagnostic_totals()
    expected = sum(abs(float(env.engine.dof_pos[i, i] - target[i, i])) for i in range(2))
    assert (total.item(), count) == (pytest.approx(expected), 2)
    assert env.diagnostics == ("Dof_Target_Err",)


def test_arms_pass_through_the_body(make_dof_test: Callable[..., DofTestEnv]) -> None:
    env = make_dof_test()
    assert not env.engine.scene.self_collision
    assert env.engine.scene.fixed_root_pose == (0.0, 0.0, pytest.approx(1.2), 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("pose", [(0.1, 0.2, 1.0, *rest) for rest in ((), (0.0, 0.0, math.pi / 2), [0.0] * 30)])
def test_rotations_may_be_left_out_of_the_initial_pose(
    make_dof_test: Callable[..., DofTestEnv], pose: tuple[float, ...]
) -> None:
    if len(pose) == 33:
        with pytest.raises(InputError, match="init_pose has 33 numbers, but .* needs 34"):
            make_dof_test(init_pose=pose)
        return
    env = make_dof_test(init_pose=pose)
    env.reset()
    assert env.engine.root_pos[0].tolist() == pytest.approx([0.1, 0.2, 1.0])
    half = math.sqrt(0.5)
    assert env.engine.root_rot[0].tolist() == pytest.approx([0, 0, half, half] if len(pose) == 6 else [0, 0, 0, 1])
    assert env.init_pose.tolist() == pytest.approx([*pose, *[0.0] * (34 - len(pose))])


def test_drives_that_take_no_angles_are_refused(make_dof_test: Callable[..., DofTestEnv]) -> None:
    with pytest.raises(InputError, match="control_mode is 'torque', but the DoF test drives joints to angles"):
        make_dof_test(control_mode="torque")
