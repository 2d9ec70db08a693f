"""Windows of motion against vectors put together by hand, with scipy's rotations."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.anim import load_character
from mimickit.anim.char_model import Kinematics
from mimickit.anim.clip import Clip, LoopMode
from mimickit.anim.motion_library import MotionLibrary
from mimickit.envs.motion_windows import ClipWindows, FrameLayout, extended, observe_windows, pack_frame

STEPS, JOINTS, BODIES, DOFS = 3, 2, 2, 6
LAYOUT = FrameLayout(JOINTS, BODIES, DOFS)
STEP_DT = 1.0 / 30.0
ROOT = Path(__file__).parents[2]
UPRIGHT = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def tan_norm(rotation: Rotation) -> np.ndarray:
    """(..., 6): the turned x axis, then the turned z axis."""
    return np.concatenate([rotation.apply([1, 0, 0]), rotation.apply([0, 0, 1])], axis=-1)


class Chain:
    """A root with an arm of two spherical joints at three times; the world turned by ``yaw`` and moved by ``shift``.

    Links are 0.5 m along the parent's x axis, then 0.25 m along the first link's y axis.
    """

    def __init__(self, yaw: float = 0.0, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)):
        random = np.random.default_rng(3)
        turn = Rotation.from_euler("z", yaw)
        self.root_pos = turn.apply(random.normal(size=(STEPS, 3)) + [0, 0, 2]) + shift
        self.root_rot = [turn * Rotation.from_rotvec(vector) for vector in random.normal(size=(STEPS, 3))]
        self.root_vel = turn.apply(random.normal(size=(STEPS, 3)))
        self.root_ang_vel = turn.apply(random.normal(size=(STEPS, 3)))
        self.joint_rot = [Rotation.from_rotvec(vectors) for vectors in random.normal(size=(STEPS, JOINTS, 3))]
        self.dof_vel = random.normal(size=(STEPS, DOFS))
        self.body_pos = np.array([self._arm(step) for step in range(STEPS)])

    def _arm(self, step: int) -> list[np.ndarray]:
        elbow = self.root_pos[step] + self.root_rot[step].apply([0.5, 0, 0])
        return [elbow, elbow + (self.root_rot[step] * self.joint_rot[step][0]).apply([0, 0.25, 0])]

    def packed(self, layout: FrameLayout = LAYOUT) -> torch.Tensor:
        """(1, STEPS, packed_size)"""
        states = (
            self.root_pos,
            [rotation.as_quat() for rotation in self.root_rot],
            self.root_vel,
            self.root_ang_vel,
            [rotation.as_quat() for rotation in self.joint_rot],
            self.dof_vel,
            self.body_pos,
        )
        return pack_frame(layout, *(torch.tensor(np.array(state)) for state in states)).unsqueeze(0)

    def observe(self, tracked: bool, height: bool, layout: FrameLayout = LAYOUT) -> np.ndarray:
        return observe_windows(self.packed(layout), layout, tracked, height)[0].numpy()


@pytest.mark.parametrize("height", [True, False])
@pytest.mark.parametrize("tracked", [True, False])
def test_every_part_of_every_frame(tracked: bool, height: bool) -> None:
    chain = Chain()
    x, y, _ = chain.root_rot[-1].apply([1, 0, 0])
    frame = Rotation.identity() if tracked else Rotation.from_euler("z", -math.atan2(y, x))
    origin = np.zeros(3) if tracked else chain.root_pos[-1] * [1, 1, 0 if height else 1]
    expected = []
    for step in range(STEPS):  # oldest first
        root_pos, root_rot = chain.root_pos[step], chain.root_rot[step]
        expected += [
            frame.apply(root_pos - origin),
            tan_norm(frame * root_rot),
            tan_norm(chain.joint_rot[step]).ravel(),
            (frame * root_rot).apply([0.5, 0, 0]),
            (frame * root_rot).apply(np.array([0.5, 0, 0]) + chain.joint_rot[step][0].apply([0, 0.25, 0])),
            frame.apply(chain.root_vel[step]),
            frame.apply(chain.root_ang_vel[step]),
            chain.dof_vel[step],
        ]
    actual = chain.observe(tracked, height)
    start = 0
    for part, values in enumerate(expected):
        np.testing.assert_allclose(actual[start : start + len(values)], values, atol=1e-9, err_msg=f"part {part}")
        start += len(values)
    assert start == len(actual) == STEPS * LAYOUT.obs_size == STEPS * (3 + 6 + 12 + 6 + 3 + 3 + 6)


def test_known_numbers_stay_where_they_are_put() -> None:
    """Two frames of a character that has just turned a quarter to the left at (1, 2), having come 1 m from behind."""
    half = math.sqrt(0.5)
    states = (
        [[1.0, 1.0, 0.8], [1.0, 2.0, 0.9]],
        [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, half, half]],
        [[0.0, 3.0, 0.0], [0.0, 5.0, 0.0]],  # along the new heading
        [[0.0, 0.0, 4.0], [6.0, 0.0, 0.0]],
        [[[0.0, 0.0, 0.0, 1.0]]] * 2,
        [[7.0], [8.0]],
        [[[0.0, 1.0, 0.8]], [[1.0, 2.0, 2.0]]],  # 1 m to its left, then above
    )
    layout = FrameLayout(1, 1, 1)
    packed = pack_frame(layout, *(torch.tensor(state, dtype=torch.float64) for state in states)).unsqueeze(0)
    local = observe_windows(packed, layout, False, True)[0]
    oldest = [-1, 0, 0.8, 0, -1, 0, 0, 0, 1, *UPRIGHT, 0, 1, 0, 3, 0, 0, 0, 0, 4, 7]
    newest = [0, 0, 0.9, *UPRIGHT, *UPRIGHT, 0, 0, 1.1, 5, 0, 0, 0, -6, 0, 8]
    np.testing.assert_allclose(local, [*oldest, *newest], atol=1e-12)
    world = observe_windows(packed, layout, True, False)[0]
    oldest = [1, 1, 0.8, *UPRIGHT, *UPRIGHT, -1, 0, 0, 0, 3, 0, 0, 0, 4, 7]
    newest = [1, 2, 0.9, 0, 1, 0, 0, 0, 1, *UPRIGHT, 0, 0, 1.1, 0, 5, 0, 6, 0, 0, 8]
    np.testing.assert_allclose(world, [*oldest, *newest], atol=1e-12)


MOVED = ({"yaw": 0.7}, {"yaw": -2.5}, {"shift": (4.0, -3.0, 0.0)}, {"yaw": 3.0, "shift": (-9.0, 2.0, 0.0)})


@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("height", [True, False])
def test_a_window_of_an_untracked_root_knows_neither_place_nor_heading(moved: dict, height: bool) -> None:
    np.testing.assert_allclose(Chain(**moved).observe(False, height), Chain().observe(False, height), atol=1e-9)


@pytest.mark.parametrize("moved", MOVED)
def test_a_window_of_a_tracked_root_knows_both(moved: dict) -> None:
    assert np.abs(Chain(**moved).observe(True, True) - Chain().observe(True, True)).max() > 0.3


@pytest.mark.parametrize(("tracked", "height", "seen"), [(False, True, 1), (False, False, 0), (True, False, 1)])
def test_the_height_is_kept_when_it_is_asked_for(tracked: bool, height: bool, seen: int) -> None:
    change = Chain(shift=(0.0, 0.0, 0.4)).observe(tracked, height) - Chain().observe(tracked, height)
    expected = np.zeros((STEPS, LAYOUT.obs_size))
    expected[:, 2] = 0.4 * seen
    np.testing.assert_allclose(change, expected.ravel(), atol=1e-9)


def test_sizes_and_a_frame_without_dof_velocities() -> None:
    model = load_character(ROOT / "data" / "assets" / "humanoid" / "humanoid.xml")
    assert FrameLayout.of(model, 5, True).obs_size == 142  # 3 + 6 + 14 * 6 + 5 * 3 + 6 + 28
    assert FrameLayout.of(model, 5, False).obs_size == 114
    assert FrameLayout.of(model, 15, True).obs_size == 172
    without = dataclasses.replace(LAYOUT, num_dofs=0)
    complete = Chain().observe(False, True).reshape(STEPS, -1)
    np.testing.assert_array_equal(Chain().observe(False, True, without), complete[:, :-DOFS].ravel())


@pytest.mark.parametrize("tracked", [True, False])
def test_rows_do_not_mix(tracked: bool) -> None:
    chains = [Chain(), Chain(yaw=0.9, shift=(3.0, 0.0, 0.0)), Chain(yaw=2.0, shift=(0.0, 0.0, 0.5))]
    together = observe_windows(torch.cat([chain.packed() for chain in chains]), LAYOUT, tracked, True)
    for row, chain in zip(together, chains, strict=True):
        np.testing.assert_allclose(row, chain.observe(tracked, True), atol=1e-12)


def test_a_window_one_step_on() -> None:
    windows = torch.arange(12.0).reshape(2, 3, 2)
    kept = windows.clone()
    later = extended(windows, torch.tensor([[-1.0, -2.0], [-3.0, -4.0]]))
    assert later.tolist() == [[[2, 3], [4, 5], [-1, -2]], [[8, 9], [10, 11], [-3, -4]]]
    assert torch.equal(windows, kept)


class Humanoid:
    """Windows of ``steps`` frames out of clips of the committed humanoid, with its head and left hand."""

    def __init__(self, clips: list[Clip], weights: tuple[float, ...] = (1.0,), steps: int = 4):
        model = load_character(ROOT / "data" / "assets" / "humanoid" / "humanoid.xml")
        kinematics = Kinematics(model)
        bodies = torch.tensor([model.body_index("head"), model.body_index("left_hand")])
        self.layout = FrameLayout.of(model, 2, True)
        library = MotionLibrary(clips, list(weights), kinematics, "cpu")
        self.windows = ClipWindows(library, kinematics, self.layout, bodies, steps, STEP_DT)

    def at(self, *times: float, clip: int = 0) -> torch.Tensor:
        return self.windows.at(torch.full((len(times),), clip), torch.tensor(times))

    def draw(self, count: int, seed: int) -> torch.Tensor:
        return self.windows.draw(count, torch.Generator().manual_seed(seed))


def walk(loop_mode: LoopMode, y: float = 0.0, num_frames: int = 61) -> Clip:
    """At 60 Hz, straight along x at 1 m/s, speeding up in y from 0 and turning at 0.5 rad/s; the neck nods."""
    times = np.arange(num_frames) / 60.0
    frames = np.zeros((num_frames, 34))
    frames[:, 0] = times
    frames[:, 1] = y + times**2
    frames[:, 2] = 0.9
    frames[:, 5] = 0.5 * times
    frames[:, 10] = 0.4 * times  # about y
    return Clip("walk", loop_mode, 60.0, frames)


MIDDLE = 24.5 / 60  # between two frames, where no rounding can choose the other velocity
X, Y, SIZE = 0, 1, 3 + 4 + 6 * 14 + 3 * 2 + 3 + 3 + 28


def test_frames_of_a_clip_are_one_control_step_apart_and_oldest_first() -> None:
    packed = Humanoid([walk(LoopMode.CLAMP)]).at(MIDDLE)[0]
    assert packed.shape == (4, SIZE)
    for row, steps_ago in zip(packed.double().numpy(), (3, 2, 1, 0), strict=True):
        time = MIDDLE - steps_ago / 30
        np.testing.assert_allclose(row[X], time, atol=1e-6)
        np.testing.assert_allclose(row[3:7], Rotation.from_euler("z", 0.5 * time).as_quat(), atol=1e-6)
        # 0.5 / 60 s before and after are the neighbouring frames; the velocity is the difference of the two.
        np.testing.assert_allclose(row[-34:-28], [1.0, 2.0 * time, 0, 0, 0, 0.5], atol=1e-4)
        np.testing.assert_allclose(row[-28:], 0.4 * (np.arange(28) == 4), atol=1e-4)
        np.testing.assert_allclose(row[7 + 6 : 7 + 12], tan_norm(Rotation.from_euler("y", 0.4 * time)), atol=1e-6)
        np.testing.assert_allclose(row[91:94], [0, 0, 0.236151 + 0.223894], atol=1e-5)  # the neck turns above it


def test_before_a_clip_that_does_not_wrap_its_first_frame_repeats() -> None:
    packed = Humanoid([walk(LoopMode.CLAMP)]).at(0.0, 1.5 / 30)
    first = torch.tensor([[0.0, 0.0, 0.9]])
    torch.testing.assert_close(packed[0, :, :3], first.expand(4, 3))
    assert torch.equal(packed[0], packed[0, -1:].expand(4, -1))  # its velocities too
    torch.testing.assert_close(packed[1, :, X], torch.tensor([0.0, 0.0, 0.5 / 30, 1.5 / 30]))


def test_before_a_clip_that_wraps_it_has_already_gone_round() -> None:
    humanoid = Humanoid([walk(LoopMode.WRAP)])
    start, later = humanoid.at(0.5 / 60, 1.0 + 0.5 / 60)
    times = torch.arange(-3, 1) / 30 + 0.5 / 60
    torch.testing.assert_close(start[:, X], times, atol=1e-6, rtol=0)
    torch.testing.assert_close(start[:3, Y], (times[:3] + 1.0) ** 2 - 1.0, atol=1e-4, rtol=0)  # 1 m of travel back
    seen = observe_windows(torch.stack((start, later)), humanoid.layout, False, True)
    torch.testing.assert_close(seen[0], seen[1], atol=1e-4, rtol=0)


def test_drawn_windows_are_the_clip_s_and_end_anywhere_in_it() -> None:
    humanoid = Humanoid([walk(LoopMode.CLAMP)])
    packed = humanoid.draw(400, seed=1)
    ends = packed[:, -1, X]  # 1 m/s
    expected = humanoid.at(*ends.tolist())
    torch.testing.assert_close(packed[..., :-34], expected[..., :-34], atol=1e-5, rtol=0)
    torch.testing.assert_close(packed, expected, atol=4e-2, rtol=0)  # rounding may pick the next frame's velocity
    counts, _ = np.histogram(ends, bins=4, range=(0.0, 1.0))
    assert counts.sum() == 400
    assert np.abs(counts - 100).max() < 4 * math.sqrt(400 * 0.25 * 0.75)  # four standard deviations


def test_drawn_windows_come_from_clips_by_weight() -> None:
    clips = [walk(LoopMode.WRAP, y=10.0 * i, num_frames=31) for i in range(3)]
    packed = Humanoid(clips, (3.0, 0.0, 1.0)).draw(400, seed=2)
    from_clip = ((packed[:, -1, Y] + 5.0) / 10.0).long()
    counts = torch.bincount(from_clip, minlength=3).tolist()
    assert counts[1] == 0
    assert abs(counts[0] - 300) < 4 * math.sqrt(400 * 0.75 * 0.25)


def test_the_generator_decides() -> None:
    humanoid = Humanoid([walk(LoopMode.WRAP), walk(LoopMode.WRAP, 3.0)], (1.0, 1.0))
    first, again, other = (humanoid.draw(8, seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.isclose(first[:, -1, :2], other[:, -1, :2]).all(dim=-1).any()
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(humanoid.windows.draw(8, generator), first)
    assert not torch.equal(humanoid.windows.draw(8, generator), first)


@pytest.mark.parametrize("loop_mode", [LoopMode.WRAP, LoopMode.CLAMP])
def test_a_humanoid_s_whole_window(
    make_style_env: Callable[..., object], by_hand: Callable[..., object], loop_mode: LoopMode
) -> None:
    """Every number of windows of a clip in which everything moves; the first two begin before the clip does."""
    env = make_style_env("amp", num_envs=5, loop_mode=loop_mode)
    truth = by_hand(env)
    times = (2.5 / 60, 10.5 / 60, 24.5 / 60, 40.5 / 60, 58.5 / 60)
    packed = env.clip_windows.at(env.motion_ids, torch.tensor(times))
    for tracked in (True, False):
        seen = observe_windows(packed, env.layout, tracked, True)
        for row, end in enumerate(times):
            states = [truth.of_clip(row, end - step / 30) for step in range(9, -1, -1)]
            expected = truth.window(states, tracked, env.config.key_bodies)
            np.testing.assert_allclose(seen[row], expected, atol=1e-4, err_msg=f"{end} {tracked}")
