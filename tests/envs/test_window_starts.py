"""States decoded from windows of motion: round trips with clips' windows, and scipy's rotations."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.anim import load_character
from mimickit.anim.char_model import CharModel, Joint, JointKind, Kinematics
from mimickit.anim.clip import LoopMode, load_clip
from mimickit.anim.motion_library import MotionLibrary
from mimickit.anim.rotations import heading_angle
from mimickit.config.case import load_env
from mimickit.envs.motion_windows import ClipWindows, FrameLayout, observe_windows, pack_frame
from mimickit.envs.window_starts import MAX_SPEED, MAX_SPIN, WindowStarts, quat_from_tan_norm

ROOT = Path(__file__).parents[2]
STEPS, STEP_DT = 5, 1.0 / 30.0
IDENTITY = (0.0, 0.0, 0.0, 1.0)
KEYS = ("head", "right_hand", "left_hand", "right_foot", "left_foot")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tan_norm(rotation: Rotation) -> torch.Tensor:
    axes = np.concatenate([rotation.apply([1, 0, 0]), rotation.apply([0, 0, 1])], axis=-1)
    return torch.tensor(axes, dtype=torch.float32)


def angles(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Between rotations ``(..., 4)``, radians; exact near 0, unlike a cosine."""
    first, second = (Rotation.from_quat(q.reshape(-1, 4).double().numpy()) for q in (a, b))
    return (first.inv() * second).magnitude()


def test_rotations_come_back_from_their_axes() -> None:
    rotations = Rotation.concatenate(
        [
            Rotation.random(200, random_state=1),
            Rotation.identity(),
            # Half turns: each has no real part, and two of them no part along two axes.
            Rotation.from_rotvec(np.pi * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0, 0.8], [0, -0.6, 0.8]])),
            Rotation.from_rotvec([[1e-4, 0, 0], [0, np.pi - 1e-4, 0]]),
        ]
    )
    decoded = quat_from_tan_norm(tan_norm(rotations))
    np.testing.assert_allclose(decoded.norm(dim=-1), 1.0, atol=1e-6)
    assert angles(decoded, torch.tensor(rotations.as_quat())).max() < 1e-6


def test_axes_are_made_orthonormal_and_x_keeps_its_direction() -> None:
    # z is given as (4, 5, -3) + 2 x, of which (4, 5, -3) is at right angles to x.
    x, z = np.array([3.0, 0.0, 4.0]), np.array([4.0, 5.0, -3.0])
    decoded = quat_from_tan_norm(torch.tensor(np.concatenate([x, z + 2.0 * x]), dtype=torch.float32))
    rotation = Rotation.from_quat(decoded.numpy())
    np.testing.assert_allclose(rotation.apply([1, 0, 0]), x / 5.0, atol=1e-6)
    np.testing.assert_allclose(rotation.apply([0, 0, 1]), z / np.sqrt(50.0), atol=1e-6)


def test_any_numbers_decode_to_something_finite() -> None:
    zeros, parallel = torch.zeros(6), torch.tensor([1.0, 2.0, 3.0, 2.0, 4.0, 6.0])
    assert torch.isfinite(quat_from_tan_norm(torch.stack((zeros, parallel)))).all()


@pytest.fixture(scope="module")
def humanoid() -> CharModel:
    return load_character(ROOT / "data" / "assets" / "humanoid" / "humanoid.xml")


class Clips:
    """A clip's windows, as they are packed and as they are seen."""

    def __init__(self, model: CharModel, path: Path, dof_vel: bool = False):
        self.kinematics = Kinematics(model)
        self.layout = FrameLayout.of(model, len(KEYS), dof_vel)
        self.body_ids = torch.tensor([model.body_index(name) for name in KEYS])
        self.motions = MotionLibrary([load_clip(path)], [1.0], self.kinematics, "cpu")
        self._windows = ClipWindows(self.motions, self.kinematics, self.layout, self.body_ids, STEPS, STEP_DT)

    def at(self, times: torch.Tensor) -> torch.Tensor:
        return self._windows.at(torch.zeros(len(times), dtype=torch.long), times)

    def seen(self, frames: torch.Tensor) -> torch.Tensor:
        return observe_windows(frames, self.layout, False, True)

    def starts(self, windows: torch.Tensor) -> WindowStarts:
        return WindowStarts(windows, self.layout, self.kinematics, self.body_ids, STEP_DT)


@pytest.fixture
def clips(humanoid: CharModel, lively_clip: Callable[..., Path]) -> Clips:
    pose = load_env(ROOT / "data" / "envs" / "smp_humanoid_env.yaml").init_pose
    return Clips(humanoid, lively_clip(pose, 2.0, LoopMode.CLAMP))


def test_a_clip_s_window_decodes_to_the_clip_s_pose(clips: Clips) -> None:
    for time in (0.2, 0.73, 1.5):  # one window each, so that what is drawn is known
        times = torch.tensor([time])
        starts = clips.starts(clips.seen(clips.at(times)))
        frame = clips.motions.sample(torch.zeros(1, dtype=torch.long), times)
        state, frames = starts.draw(4, generator())
        assert frames.shape == (4, STEPS, clips.layout.packed_size)
        np.testing.assert_allclose(state.root_pos[:, :2], 0.0, atol=1e-6)
        np.testing.assert_allclose(state.root_pos[:, 2], frame.root_pos[0, 2].expand(4), atol=1e-5)
        for row in range(4):
            assert angles(state.joint_rot[row], frame.joint_rot[0]).max() < 1e-5
            turn = Rotation.from_quat(state.root_rot[row]) * Rotation.from_quat(frame.root_rot[0]).inv()
            np.testing.assert_allclose(turn.as_rotvec()[:2], 0.0, atol=1e-5)  # headings differ, nothing else


def test_the_frames_that_led_there_look_like_the_clip_s(clips: Clips) -> None:
    """Seen as windows again, positions and rotations of all frames are those that were decoded."""
    times = torch.tensor([0.2, 0.5, 0.9, 1.3])
    windows = clips.seen(clips.at(times))
    state, frames = clips.starts(windows).draw(200, generator(1))
    again, given = clips.seen(frames).view(200, STEPS, -1), windows.view(4, STEPS, -1)
    which = torch.cdist(again.flatten(1), given.flatten(1)).argmin(dim=1)
    assert which.unique().tolist() == [0, 1, 2, 3]
    differences = (again - given[which]).abs()
    assert differences[..., :-6].max() < 1e-5
    # Velocities of clips are of 60 frames a second, these of 30: about the same.
    assert differences[..., -6:].mean() < 0.1
    # The newest frame is the state that the episode starts in.
    body_pos, _ = clips.kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
    newest = pack_frame(clips.layout, **vars(state), body_pos=body_pos[:, clips.body_ids])
    np.testing.assert_allclose(frames[:, -1], newest, atol=1e-5)


def test_headings_are_drawn_all_round(clips: Clips) -> None:
    starts = clips.starts(clips.seen(clips.at(torch.tensor([0.5, 1.0]))))
    state, _ = starts.draw(4000, generator(2))
    share = torch.histc(heading_angle(state.root_rot), 8, -torch.pi, torch.pi) / 4000
    np.testing.assert_allclose(share, 0.125, atol=0.02)
    # Velocities turn with the root: seen from it they are two only, one of each window.
    heading = Rotation.from_rotvec(heading_angle(state.root_rot).numpy()[:, None] * [0, 0, 1])
    local = np.concatenate([heading.inv().apply(state.root_vel), heading.inv().apply(state.root_ang_vel)], axis=1)
    assert len(np.unique(local.round(3), axis=0)) == 2
    assert len(np.unique(state.root_vel.numpy().round(3), axis=0)) > 1000


@pytest.fixture
def arm() -> Kinematics:
    """Root, a spherical shoulder, an elbow hinge about y and a fixed hand."""
    joints = (
        Joint("root", JointKind.ROOT),
        Joint("shoulder", JointKind.SPHERICAL, dof_names=("sx", "sy", "sz")),
        Joint("elbow", JointKind.HINGE, axis=(0.0, 1.0, 0.0), dof_names=("elbow",)),
        Joint("hand", JointKind.FIXED),
    )
    offsets = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.3), (0.2, 0.0, 0.0), (0.1, 0.0, 0.0))
    return Kinematics(CharModel("arm.xml", ("root", "a", "b", "c"), (-1, 0, 1, 2), offsets, (IDENTITY,) * 4, joints))


def window_of(
    root_pos: np.ndarray, root_rot: Rotation, joint_rot: list[Rotation], dof_vel: bool = False
) -> torch.Tensor:
    """A window as drawn by a prior, ``(1, S * obs_size)``: what is not read, bodies and velocities, is nonsense."""
    steps = len(root_pos)
    nonsense = torch.full((steps, 3 + 6 + 4 * dof_vel), 1e3)
    joints = [tan_norm(rotation).expand(steps, 6) for rotation in joint_rot]
    parts = (torch.tensor(root_pos, dtype=torch.float32), tan_norm(root_rot), *joints, nonsense)
    return torch.cat(parts, dim=-1).flatten().unsqueeze(0)


def arm_starts(arm: Kinematics, window: torch.Tensor, dof_vel: bool = False) -> WindowStarts:
    return WindowStarts(window, FrameLayout.of(arm.model, 1, dof_vel), arm, torch.tensor([3]), 0.1)


def upright(steps: int) -> Rotation:
    return Rotation.from_rotvec(np.zeros((steps, 3)))


def test_joints_keep_what_they_can_do(arm: Kinematics) -> None:
    shoulder = Rotation.from_rotvec([[0.3, -1.0, 2.0]])
    tilted_hinge = Rotation.from_rotvec([[0.2, 0.7, -0.1]])  # 0.7 of it about the elbow's axis
    window = window_of(np.zeros((2, 3)), upright(2), [shoulder, tilted_hinge, Rotation.from_rotvec([[0.0, 0.0, 0.4]])])
    state, _ = arm_starts(arm, window).draw(1, generator())
    expected = Rotation.concatenate([shoulder, Rotation.from_rotvec([0.0, 0.7, 0.0]), Rotation.identity()])
    assert angles(state.joint_rot[0], torch.tensor(expected.as_quat())).max() < 1e-5
    np.testing.assert_allclose(state.dof_vel, 0.0, atol=1e-5)


def turned(start: WindowStarts) -> tuple[Rotation, dict[str, np.ndarray], np.ndarray]:
    """A drawn state's heading, the state, and its frames."""
    state, frames = start.draw(1, generator(3))
    heading = Rotation.from_euler("z", heading_angle(state.root_rot).item())
    return heading, {name: value[0].double().numpy() for name, value in vars(state).items()}, frames[0].double().numpy()


def test_velocities_are_differences_of_the_newest_frames(arm: Kinematics) -> None:
    # In 0.1 s: 0.05 m forward and 0.02 up, half as much in the step before; 0.1 rad about z; elbow 0.2 rad; shoulder
    # 0.3 rad about its own x axis.
    places = np.array([[-0.075, 0.0, 0.95], [-0.05, 0.0, 0.98], [0.0, 0.0, 1.0]])
    root = Rotation.from_rotvec([[0, 0, -0.15], [0, 0, -0.1], [0, 0, 0]])
    window = window_of(places, root, [Rotation.identity()] * 3, True).view(3, -1)
    base = Rotation.from_rotvec([0.5, -0.2, 0.1])
    window[:, 9:15] = tan_norm(base * Rotation.from_rotvec([[0.0, 0, 0], [0.1, 0, 0], [0.4, 0, 0]]))
    window[:, 15:21] = tan_norm(Rotation.from_rotvec([[0, 0.3, 0], [0, 0.4, 0], [0, 0.6, 0]]))
    heading, state, frames = turned(arm_starts(arm, window.view(1, -1), True))
    np.testing.assert_allclose(heading.inv().apply(state["root_vel"]), [0.5, 0.0, 0.2], atol=1e-5)
    np.testing.assert_allclose(state["root_ang_vel"], [0.0, 0.0, 1.0], atol=1e-5)
    np.testing.assert_allclose(state["dof_vel"], [3.0, 0.0, 0.0, 2.0], atol=1e-4)
    # The frames before have the differences to the next one.
    np.testing.assert_allclose(frames[:, -4:], [[1, 0, 0, 1], [3, 0, 0, 2], [3, 0, 0, 2]], atol=1e-4)
    np.testing.assert_allclose(frames[:, -5], [0.5, 1.0, 1.0], atol=1e-5)  # about z
    np.testing.assert_allclose(frames[:, -8], [0.3, 0.2, 0.2], atol=1e-5)  # upwards
    np.testing.assert_allclose(heading.inv().apply(frames[:, :3]), places, atol=1e-6)


def test_the_newest_root_stands_in_the_origin_whatever_the_window_says(arm: Kinematics) -> None:
    places = np.array([[0.9, 0.4, 1.0], [1.0, 0.5, 1.2]])
    heading, state, frames = turned(arm_starts(arm, window_of(places, upright(2), [Rotation.identity()] * 3)))
    np.testing.assert_allclose(state["root_pos"], [0.0, 0.0, 1.2], atol=1e-6)
    np.testing.assert_allclose(heading.inv().apply(frames[0, :3]), [-0.1, -0.1, 1.0], atol=1e-6)
    # The hand is 0.3 above the root and 0.3 in front of it, not where the window says.
    hand = frames[:, -9:-6]
    np.testing.assert_allclose(heading.inv().apply(hand), [[0.3, 0.0, 0.3]] * 2, atol=1e-6)


def test_no_start_is_faster_than_a_simulation_survives(arm: Kinematics) -> None:
    places = np.array([[0.0, 0.0, 1.0], [3.0, 4.0, 1.0]])  # 50 m/s
    window = window_of(places, Rotation.from_rotvec([[0, 0, 0], [3.1, 0, 0]]), [Rotation.identity()] * 3).view(2, -1)
    slow = arm_starts(arm, window.view(1, -1)).draw(1, generator())[0]
    assert slow.root_vel.norm().item() == pytest.approx(MAX_SPEED, rel=1e-5)
    window[:, 15:21] = tan_norm(Rotation.from_rotvec([[0, 1.5, 0], [0, -1.5, 0]]))
    # 3 rad in 0.01 s.
    starts = WindowStarts(window.view(1, -1), FrameLayout.of(arm.model, 1, False), arm, torch.tensor([3]), 0.01)
    state, _ = starts.draw(1, generator())
    assert state.root_ang_vel.norm().item() == pytest.approx(MAX_SPIN, rel=1e-5)
    assert state.dof_vel[0, 3].item() == pytest.approx(-MAX_SPIN)
    assert state.root_vel.norm().item() == pytest.approx(MAX_SPEED, rel=1e-5)


def heights(starts: WindowStarts) -> list[int]:
    """What is in the buffer, told by the roots' heights."""
    state, _ = starts.draw(400, generator(4))
    return sorted({round(height) for height in state.root_pos[:, 2].tolist()})


def test_the_oldest_windows_are_renewed_first(arm: Kinematics) -> None:
    def standing(*tall: int) -> torch.Tensor:
        rests = [Rotation.identity()] * 3
        return torch.cat([window_of(np.tile([0.0, 0.0, height], (2, 1)), upright(2), rests) for height in tall])

    starts = arm_starts(arm, standing(1, 2, 3, 4))
    assert (len(starts), heights(starts)) == (4, [1, 2, 3, 4])
    starts.renew(standing(5))
    assert heights(starts) == [2, 3, 4, 5]
    starts.renew(standing(6, 7))
    assert heights(starts) == [4, 5, 6, 7]
    starts.renew(standing(8, 9))  # 4 is the last in the buffer, 5 the first
    assert (len(starts), heights(starts)) == (4, [6, 7, 8, 9])


def test_the_same_generator_draws_the_same_starts(clips: Clips) -> None:
    starts = clips.starts(clips.seen(clips.at(torch.tensor([0.5, 1.0, 1.5]))))
    first, again, other = (starts.draw(6, generator(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(value, vars(again[0])[name]) for name, value in vars(first[0]).items())
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    # Drawing leaves the buffer as it was.
    before = dataclasses.replace(starts.draw(6, generator(5))[0])
    assert torch.equal(before.root_rot, first[0].root_rot)
