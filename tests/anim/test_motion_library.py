"""The motion library against frames written by hand and interpolation by scipy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from mimickit.anim.char_model import CharModel, Joint, JointKind, Kinematics
from mimickit.anim.clip import Clip, LoopMode, save_clip
from mimickit.anim.motion_library import MotionLibrary, read_motion_list, share_of_process
from mimickit.errors import InputError

FPS = 10.0
COUNT = 5  # frames, so a clip lasts 0.4 s
LENGTH = (COUNT - 1) / FPS
IDENTITY = (0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def arm() -> CharModel:
    """Root, a spherical shoulder, an elbow hinge about y and a fixed hand: 4 DoFs."""
    joints = (
        Joint("root", JointKind.ROOT),
        Joint("shoulder", JointKind.SPHERICAL, dof_names=("sx", "sy", "sz")),
        Joint("elbow", JointKind.HINGE, axis=(0.0, 1.0, 0.0), dof_names=("elbow",)),
        Joint("hand", JointKind.FIXED),
    )
    return CharModel(
        source="arm.xml",
        body_names=("root", "shoulder", "elbow", "hand"),
        parents=(-1, 0, 1, 2),
        local_translation=((0.0, 0.0, 0.0),) * 4,
        local_rotation=(IDENTITY,) * 4,
        joints=joints,
    )


@pytest.fixture(scope="module")
def kinematics(arm: CharModel) -> Kinematics:
    return Kinematics(arm)


def make_clip(loop_mode: LoopMode, seed: int = 0, fps: float = FPS, count: int = COUNT) -> Clip:
    return Clip(f"clip {seed}", loop_mode, fps, np.random.default_rng(seed).uniform(-1.0, 1.0, size=(count, 10)))


def sample(library: MotionLibrary, times: list[float], clip: int = 0) -> dict[str, np.ndarray]:
    frame = library.sample(torch.full((len(times),), clip), torch.tensor(times))
    return {name: value.double().numpy() for name, value in vars(frame).items()}


@pytest.fixture
def library(kinematics: Kinematics) -> Callable[..., MotionLibrary]:
    def build(*clips: Clip, weights: list[float] | None = None) -> MotionLibrary:
        return MotionLibrary(list(clips), weights or [1.0] * len(clips), kinematics, "cpu")

    return build


def assert_rotations(actual: np.ndarray, expected: Rotation) -> None:
    assert (Rotation.from_quat(actual) * expected.inv()).magnitude().max() < 2e-6


def joint_columns(frames: np.ndarray) -> dict[int, np.ndarray]:
    """Per joint after the root its exponential map (N, 3)."""
    zero = np.zeros(len(frames))
    return {0: frames[:, 6:9], 1: np.stack([zero, frames[:, 9], zero], axis=1), 2: np.zeros((len(frames), 3))}


def test_at_the_time_of_a_frame_it_is_the_frame(library: Callable[..., MotionLibrary]) -> None:
    clip = make_clip(LoopMode.CLAMP)
    state = sample(library(clip), [i / FPS for i in range(COUNT)])
    np.testing.assert_allclose(state["root_pos"], clip.frames[:, :3], atol=1e-6)
    assert_rotations(state["root_rot"], Rotation.from_rotvec(clip.frames[:, 3:6]))
    for joint, exp_map in joint_columns(clip.frames).items():
        assert_rotations(state["joint_rot"][:, joint], Rotation.from_rotvec(exp_map))


@pytest.mark.parametrize("blend", [0.25, 0.5, 0.9])
def test_between_frames_positions_blend_and_rotations_slerp(
    library: Callable[..., MotionLibrary], blend: float
) -> None:
    clip = make_clip(LoopMode.CLAMP)
    state = sample(library(clip), [(i + blend) / FPS for i in range(COUNT - 1)])
    before, after = clip.frames[:-1], clip.frames[1:]
    np.testing.assert_allclose(state["root_pos"], (1 - blend) * before[:, :3] + blend * after[:, :3], atol=1e-6)
    times = np.arange(COUNT, dtype=float)
    root = Slerp(times, Rotation.from_rotvec(clip.frames[:, 3:6]))(times[:-1] + blend)
    assert_rotations(state["root_rot"], root)
    for joint, exp_map in joint_columns(clip.frames).items():
        expected = Slerp(times, Rotation.from_rotvec(exp_map))(times[:-1] + blend)
        assert_rotations(state["joint_rot"][:, joint], expected)


@pytest.mark.parametrize("blend", [0.05, 0.5, 0.95])
def test_velocities_are_forward_differences_of_the_lower_frame(
    library: Callable[..., MotionLibrary], blend: float
) -> None:
    clip = make_clip(LoopMode.CLAMP)
    state = sample(library(clip), [(i + blend) / FPS for i in range(COUNT - 1)])
    before, after = clip.frames[:-1], clip.frames[1:]
    np.testing.assert_allclose(state["root_vel"], (after - before)[:, :3] * FPS, atol=1e-5)
    # The root's in the world frame, so the difference stands on the left; a joint's in the child's, on the right.
    first, second = Rotation.from_rotvec(before[:, 3:6]), Rotation.from_rotvec(after[:, 3:6])
    np.testing.assert_allclose(state["root_ang_vel"], (second * first.inv()).as_rotvec() * FPS, atol=1e-5)
    first, second = Rotation.from_rotvec(before[:, 6:9]), Rotation.from_rotvec(after[:, 6:9])
    np.testing.assert_allclose(state["dof_vel"][:, :3], (first.inv() * second).as_rotvec() * FPS, atol=1e-5)
    np.testing.assert_allclose(state["dof_vel"][:, 3], (after - before)[:, 9] * FPS, atol=1e-5)


def test_a_steadily_turning_root_has_its_rate_as_velocity(library: Callable[..., MotionLibrary]) -> None:
    """2 rad/s about z at 10 frames per second, through half a turn, where exponential maps jump."""
    clip = make_clip(LoopMode.CLAMP, count=40)
    clip.frames[:] = 0.0
    clip.frames[:, 3:6] = Rotation.from_euler("z", np.arange(40)[:, None] * 2.0 / FPS).as_rotvec()
    state = sample(library(clip), [0.1 * i + 0.05 for i in range(38)])
    np.testing.assert_allclose(state["root_ang_vel"], np.tile([0.0, 0.0, 2.0], (38, 1)), atol=1e-5)


def test_a_clamped_clip_stays_at_its_ends(library: Callable[..., MotionLibrary]) -> None:
    clip = make_clip(LoopMode.CLAMP)
    built = library(clip)
    state = sample(built, [-1.0, -1e-3, LENGTH, LENGTH + 1e-3, 3.6 * LENGTH])
    np.testing.assert_allclose(state["root_pos"], clip.frames[[0, 0, -1, -1, -1], :3], atol=1e-6)
    assert_rotations(state["root_rot"], Rotation.from_rotvec(clip.frames[[0, 0, -1, -1, -1], 3:6]))
    steps = (clip.frames[1:, :3] - clip.frames[:-1, :3]) * FPS
    np.testing.assert_allclose(state["root_vel"], steps[[0, 0, -1, -1, -1]], atol=1e-5)
    phase = built.phase(torch.zeros(3, dtype=torch.long), torch.tensor([-1.0, 0.25 * LENGTH, 9.0]))
    np.testing.assert_allclose(phase, [0.0, 0.25, 1.0], atol=1e-6)


@pytest.mark.parametrize(("turns", "fraction"), [(0, 0.3), (1, 0.0), (1, 0.3), (7, 0.85), (-1, 0.3), (-3, 0.6)])
def test_a_wrapping_clip_moves_on_by_its_horizontal_travel(
    library: Callable[..., MotionLibrary], turns: int, fraction: float
) -> None:
    clip = make_clip(LoopMode.WRAP)
    built = library(clip)
    once, later = sample(built, [(fraction + 1e-5) * LENGTH]), sample(built, [(turns + fraction + 1e-5) * LENGTH])
    travel = clip.frames[-1, :3] - clip.frames[0, :3]
    expected = once["root_pos"] + turns * travel * [1.0, 1.0, 0.0]
    np.testing.assert_allclose(later["root_pos"], expected, atol=3e-5)
    for name in ("root_rot", "root_vel", "root_ang_vel", "joint_rot", "dof_vel"):
        np.testing.assert_allclose(later[name], once[name], atol=3e-5)
    phase = built.phase(torch.zeros(1, dtype=torch.long), torch.tensor([(turns + fraction + 1e-5) * LENGTH]))
    assert phase.item() == pytest.approx(fraction, abs=3e-5)


def test_each_clip_keeps_its_own_frames_rate_and_end(library: Callable[..., MotionLibrary]) -> None:
    clips = [make_clip(LoopMode.WRAP, 1), make_clip(LoopMode.CLAMP, 2, fps=25.0, count=3), make_clip(LoopMode.WRAP, 3)]
    built = library(*clips)
    assert (built.num_motions, built.names) == (3, ("clip 1", "clip 2", "clip 3"))
    np.testing.assert_allclose(built.lengths, [0.4, 0.08, 0.4], atol=1e-7)
    assert built.wraps.tolist() == [True, False, True]
    for index, clip in enumerate(clips):
        alone = library(clip)
        for time in (0.0, 0.03, 0.31, 1.03):
            for name, value in sample(built, [time], index).items():
                np.testing.assert_allclose(value, sample(alone, [time])[name], atol=1e-6, err_msg=name)
    ids = torch.tensor([[0, 1], [2, 1], [1, 0]])
    state = built.sample(ids, torch.full((3, 2), 0.05))
    assert state.joint_rot.shape == (3, 2, 3, 4)
    single = built.sample(torch.tensor([2]), torch.tensor([0.05]))
    torch.testing.assert_close(state.root_pos[1, 0], single.root_pos[0])


def test_clips_are_drawn_by_weight_and_times_uniformly(library: Callable[..., MotionLibrary]) -> None:
    clips = [make_clip(LoopMode.WRAP, seed, count=seed + 3) for seed in range(4)]
    built = library(*clips, weights=[1.0, 0.0, 3.0, 4.0])
    generator = torch.Generator().manual_seed(5)
    count = 20_000
    ids = built.sample_ids(count, generator)
    share = torch.bincount(ids, minlength=4) / count
    # Five standard deviations of a share of at most 1/2 are 5 sqrt(1/4 / 20000) = 0.018.
    np.testing.assert_allclose(share, [0.125, 0.0, 0.375, 0.5], atol=0.018)
    assert share[1] == 0
    phase = built.sample_times(ids, generator) / built.lengths[ids]
    assert phase.min() >= 0.0
    assert phase.max() <= 1.0
    for clip in (0, 2, 3):
        quarters = torch.histc(phase[ids == clip], bins=4, min=0.0, max=1.0) / (ids == clip).sum()
        np.testing.assert_allclose(quarters, 0.25, atol=0.045)  # five standard deviations with 2,500 draws
    again = torch.Generator().manual_seed(5)
    assert torch.equal(built.sample_ids(count, again), ids)
    assert not torch.equal(built.sample_ids(count, again), ids)


def test_every_clip_goes_to_exactly_one_process() -> None:
    for count in range(1, 41):
        for size in range(1, 13):
            shares = [list(share_of_process(count, rank, size)) for rank in range(size)]
            if count >= size:
                assert [clip for share in shares for clip in share] == list(range(count))
                assert all(shares)
                assert max(map(len, shares)) - min(map(len, shares)) <= 2
            else:
                assert shares == [list(range(count))] * size


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(10, 4, [(0, 2), (2, 5), (5, 8), (8, 10)]), (7, 2, [(0, 4), (4, 7)]), (3, 3, [(0, 1), (1, 2), (2, 3)])],
)
def test_shares_by_hand(count: int, size: int, expected: list[tuple[int, int]]) -> None:
    """round(r n / W), halves to even: 10 clips on 4 processes split at 2.5, 5 and 7.5, so at 2, 5 and 8."""
    shares = [share_of_process(count, rank, size) for rank in range(size)]
    assert [(share.start, share.stop) for share in shares] == expected


def write_dataset(folder: Path, weights: list[float]) -> Path:
    entries = []
    for i, weight in enumerate(weights):
        path = folder / f"{i}.pkl"
        save_clip(path, make_clip(LoopMode.WRAP, i))
        entries.append(f"  - {{file: {path}, weight: {weight}}}")
    dataset = folder / "dataset.yaml"
    dataset.write_text("\n".join(["motions:", *entries]))
    return dataset


def test_a_dataset_is_shared_between_processes(tmp_path: Path, kinematics: Kinematics) -> None:
    dataset = write_dataset(tmp_path, [1, 2.5, 3, 1, 0])
    names = [Path(name).stem for name in MotionLibrary.load(dataset, kinematics, "cpu").names]
    assert names == ["0", "1", "2", "3", "4"]
    for rank, expected in enumerate((["0", "1"], ["2", "3", "4"])):
        library = MotionLibrary.load(dataset, kinematics, "cpu", rank=rank, num_processes=2)
        assert [Path(name).stem for name in library.names] == expected
    with pytest.raises(InputError, match="all clips of process 4 have weight 0; reorder the dataset"):
        MotionLibrary.load(dataset, kinematics, "cpu", rank=4, num_processes=5)


def test_a_single_clip_is_a_dataset_of_one(tmp_path: Path, kinematics: Kinematics) -> None:
    path = tmp_path / "lone.pkl"
    save_clip(path, make_clip(LoopMode.CLAMP))
    assert read_motion_list(path) == [(path, 1.0)]
    library = MotionLibrary.load(path, kinematics, "cpu", rank=2, num_processes=4)
    assert library.names == (str(path),)
    assert library.sample_ids(3, torch.Generator()).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("motions: [{file: a.pkl, weight: 1}", "not readable as YAML"),
        ("- a.pkl", "expected 'motions:' with a list of {file, weight}"),
        ("", "expected 'motions:' with a list of {file, weight}"),
        ("motions: []", "expected 'motions:' with a list of {file, weight}"),
        ("motions: {file: a.pkl, weight: 1}", "expected 'motions:' with a list of {file, weight}"),
        ("motions: [a.pkl]", "motion 1 is 'a.pkl', expected the keys file and weight"),
        ("motions: [{file: a.pkl}]", "motion 1 is .*expected the keys file and weight"),
        ("motions: [{file: a.pkl, weight: 1, fps: 3}]", "motion 1 is .*expected the keys file and weight"),
        ("motions: [{file: 3, weight: 1}]", "motion 1 has the file 3, expected the path of a clip"),
        (
            "motions: [{file: a.pkl, weight: 1}, {file: b.pkl, weight: -1}]",
            "motion 2 has the weight -1, expected a number of 0 or more",
        ),
        ("motions: [{file: a.pkl, weight: .nan}]", "motion 1 has the weight nan, expected"),
        ("motions: [{file: a.pkl, weight: heavy}]", "motion 1 has the weight 'heavy', expected"),
        ("motions: [{file: a.pkl, weight: true}]", "motion 1 has the weight True, expected"),
        ("motions: [{file: a.pkl, weight: 0}, {file: b.pkl, weight: 0.0}]", "all weights are zero, so no motion"),
    ],
)
def test_what_is_wrong_with_a_dataset_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_motion_list(path)
    assert str(path) in str(caught.value)


def test_unreadable_datasets_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    cases = {
        binary: "not readable as YAML",
        folder: "cannot be read: Is a directory",
        tmp_path / "absent.yaml": "no such motion dataset",
        tmp_path / "clip.bvh": "a motion file is a .pkl clip or a .yaml dataset, not '.bvh'",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=message):
            read_motion_list(path)


def test_a_clip_for_another_character_is_refused(library: Callable[..., MotionLibrary]) -> None:
    with pytest.raises(InputError, match=r"frames have 34 numbers \(28 DoFs\), but arm.xml needs 10"):
        library(Clip("humanoid.pkl", LoopMode.WRAP, 30.0, np.zeros((2, 34))))
