"""Converted recordings against forward kinematics of the skeletons they were recorded on, done with scipy.

The sources' skeletons are written down here a second time, in the sources' own frames, so that a wrong axis, sign or
order in a converter moves a body.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.data.character import Character, load_character, to_frames
from mimickit.data.fetch.download import read_member
from mimickit.data.files import default_cache
from mimickit.data.motion import Motion, checked_motion
from mimickit.data.pipeline import Maker
from mimickit.data.readers import humanoid3d, isaaclab
from mimickit.data.recipes import RECIPES
from mimickit.data.recipes.packages import ISAACLAB, PYBULLET
from mimickit.errors import InputError

Positions = Callable[[np.ndarray], np.ndarray]

# y up, x forward, z right; the pybullet skeleton is drawn at four times its size
# body: parent, offset, first column of its wxyz quaternion, or the column of an angle about z, or None when fixed
HUMANOID3D_SKELETON = {
    "torso": ("pelvis", (0, 0.944604, 0), 8),
    "head": ("torso", (0, 0.895576, 0), 12),
    "right_upper_arm": ("torso", (-0.0962, 0.974, 0.73244), 25),
    "right_lower_arm": ("right_upper_arm", (0, -1.099152, 0), (29,)),
    "right_hand": ("right_lower_arm", (0, -1.035788, 0), None),
    "left_upper_arm": ("torso", (-0.0962, 0.974, -0.73244), 39),
    "left_lower_arm": ("left_upper_arm", (0, -1.099152, 0), (43,)),
    "left_hand": ("left_lower_arm", (0, -1.035788, 0), None),
    "right_thigh": ("pelvis", (0, 0, 0.339548), 16),
    "right_shin": ("right_thigh", (0, -1.686184, 0), (20,)),
    "right_foot": ("right_shin", (0, -1.63948, 0), 21),
    "left_thigh": ("pelvis", (0, 0, -0.339548), 30),
    "left_shin": ("left_thigh", (0, -1.686184, 0), (34,)),
    "left_foot": ("left_shin", (0, -1.63948, 0), 35),
}
# z up; arms hang, elbows bend about y as the knees do
ISAACLAB_SKELETON = {
    "torso": ("pelvis", (0, 0, 0.236151), "abdomen"),
    "head": ("torso", (0, 0, 0.223894), "neck"),
    "right_upper_arm": ("torso", (-0.02405, -0.18311, 0.2435), "right_shoulder"),
    "right_lower_arm": ("right_upper_arm", (0, 0, -0.274788), "right_elbow"),
    "right_hand": ("right_lower_arm", (0, 0, -0.258947), None),
    "left_upper_arm": ("torso", (-0.02405, 0.18311, 0.2435), "left_shoulder"),
    "left_lower_arm": ("left_upper_arm", (0, 0, -0.274788), "left_elbow"),
    "left_hand": ("left_lower_arm", (0, 0, -0.258947), None),
    "right_thigh": ("pelvis", (0, -0.084887, 0), "right_hip"),
    "right_shin": ("right_thigh", (0, 0, -0.421546), "right_knee"),
    "right_foot": ("right_shin", (0, 0, -0.40987), "right_ankle"),
    "left_thigh": ("pelvis", (0, 0.084887, 0), "left_hip"),
    "left_shin": ("left_thigh", (0, 0, -0.421546), "left_knee"),
    "left_foot": ("left_shin", (0, 0, -0.40987), "left_ankle"),
}


@pytest.fixture(scope="module")
def character(assets: Path) -> Character:
    return load_character(assets / "humanoid" / "humanoid.xml")


def _frames(character: Character, motion: Motion) -> np.ndarray:
    return to_frames(character, checked_motion(motion, "test"))


def _humanoid3d_positions(frames: np.ndarray) -> np.ndarray:
    def turn(column: int | tuple[int] | None) -> Rotation:
        if column is None:
            return Rotation.identity(len(frames))
        if isinstance(column, tuple):
            return Rotation.from_euler("z", frames[:, column])
        return Rotation.from_quat(frames[:, [column + 1, column + 2, column + 3, column]])

    positions, rotations = {"pelvis": frames[:, 1:4]}, {"pelvis": turn(4)}
    for body, (parent, offset, column) in HUMANOID3D_SKELETON.items():
        positions[body] = positions[parent] + rotations[parent].apply(np.array(offset) / 4)
        rotations[body] = rotations[parent] * turn(column)
    up_is_y = np.stack(list(positions.values()), axis=1)
    return np.stack([up_is_y[..., 0], -up_is_y[..., 2], up_is_y[..., 1]], axis=-1)


def test_humanoid3d_bodies_stay_where_they_were(
    character: Character, mujoco_positions: Positions, humanoid3d_frames: np.ndarray, humanoid3d_file: bytes
) -> None:
    ours = mujoco_positions(_frames(character, humanoid3d.convert(humanoid3d_file, "hop")))
    np.testing.assert_allclose(ours, _humanoid3d_positions(humanoid3d_frames), atol=1e-9)


def test_humanoid3d_times_and_loop_flag(humanoid3d_frames: np.ndarray) -> None:
    frames = humanoid3d_frames[:4].copy()
    frames[:, 0] = [0.25, 0.5, 0.125, 9.0]  # what follows the last frame is no part of the motion
    for flag, wrap in (("wrap", True), ("none", False)):
        motion = humanoid3d.convert(json.dumps({"Loop": flag, "Frames": frames.tolist()}).encode(), "hop")
        np.testing.assert_allclose(motion.times, [0.0, 0.25, 0.75, 0.875])
        assert motion.wrap is wrap


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG", "not a JSON file"),
        (b"[1, 2]", 'expected an object with "Loop"'),
        (b'{"Loop": "sometimes", "Frames": []}', 'expected an object with "Loop"'),
        (b'{"Loop": "wrap", "Frames": [[1, 2], [3]]}', "not a table of numbers"),
        (b'{"Loop": "wrap", "Frames": [[1, 2], [3, 4]]}', r"shape \(2, 2\), expected rows of 44"),
    ],
)
def test_humanoid3d_of_another_layout_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"hop.txt: .*{message}"):
        humanoid3d.convert(content, "hop.txt")


def _isaaclab_archive(**changes: np.ndarray) -> bytes:
    random = np.random.default_rng(21)
    groups = dict.fromkeys(joint for _, _, joint in ISAACLAB_SKELETON.values() if joint)
    names = [g if g.endswith(("knee", "elbow")) else f"{g}_{axis}" for g in groups for axis in "xyz"]
    names = list(dict.fromkeys(names))
    count = 7
    dofs = random.normal(scale=0.4, size=(count, len(names)))
    arrays = {
        "fps": np.int64(60),
        "dof_names": np.array(names),
        "dof_positions": dofs,
        "body_names": np.array(["torso", "pelvis"]),  # the root need not come first
        "body_positions": random.normal(size=(count, 2, 3)),
        "body_rotations": Rotation.random(2 * count, random_state=3).as_quat().reshape(count, 2, 4),
    } | changes
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _isaaclab_positions(archive: bytes) -> np.ndarray:
    data = np.load(io.BytesIO(archive))
    columns = {name: data["dof_positions"][:, i] for i, name in enumerate(data["dof_names"])}

    def turn(joint: str | None) -> Rotation:
        if joint is None:
            return Rotation.identity(len(data["dof_positions"]))
        if joint in columns:
            return Rotation.from_euler("y", columns[joint][:, None])
        return Rotation.from_rotvec(np.stack([columns[f"{joint}_{axis}"] for axis in "xyz"], axis=-1))

    root = list(data["body_names"]).index("pelvis")
    wxyz = data["body_rotations"][:, root]
    positions = {"pelvis": data["body_positions"][:, root]}
    rotations = {"pelvis": Rotation.from_quat(wxyz[:, [1, 2, 3, 0]])}
    for body, (parent, offset, joint) in ISAACLAB_SKELETON.items():
        positions[body] = positions[parent] + rotations[parent].apply(offset)
        rotations[body] = rotations[parent] * turn(joint)
    return np.stack(list(positions.values()), axis=1)


def test_isaaclab_bodies_stay_where_they_were(character: Character, mujoco_positions: Positions) -> None:
    archive = _isaaclab_archive()
    motion = isaaclab.convert(archive, "stroll")
    np.testing.assert_allclose(motion.times, np.arange(7) / 60)
    assert motion.wrap is False
    ours = mujoco_positions(_frames(character, motion))
    np.testing.assert_allclose(ours, _isaaclab_positions(archive), atol=1e-9)


def test_isaaclab_of_another_layout_is_refused() -> None:
    with pytest.raises(InputError, match="stroll.npz: expected a numpy archive with fps"):
        isaaclab.convert(b"no archive", "stroll.npz")
    names = np.array(["spine"] + [f"dof_{i}" for i in range(27)])
    with pytest.raises(InputError, match="stroll.npz: the recording has no abdomen_x"):
        isaaclab.convert(_isaaclab_archive(dof_names=names), "stroll.npz")


def test_an_archive_is_never_unpickled() -> None:
    trap = np.array([{"any": "object"}], dtype=object)
    with pytest.raises(InputError, match="allow_pickle"):
        isaaclab.convert(_isaaclab_archive(body_names=trap), "stroll.npz")


ISAACLAB_RECIPES = [RECIPES[f"humanoid_isaaclab_{name}"] for name in ("dance", "run", "walk")]


@pytest.mark.parametrize("recipe", ISAACLAB_RECIPES, ids=lambda r: r.name)
def test_real_isaaclab_recordings_keep_their_recorded_body_positions(
    recipe, character: Character, mujoco_positions: Positions
) -> None:
    wheel = default_cache() / "wheels" / ISAACLAB.filename
    if not wheel.exists():
        pytest.skip(f"{wheel} was not downloaded")
    recording = read_member(wheel, recipe.origin().member)
    ours = mujoco_positions(_frames(character, isaaclab.convert(recording, recipe.origin().member)))
    recorded = np.load(io.BytesIO(recording))["body_positions"]
    assert np.linalg.norm(ours - recorded, axis=-1).max() < 3e-4


# same takes as in the published archive; its walk and crawl are others
SAME_TAKES = ["dance_a", "getup_facedown", "getup_faceup", "jump", "kick", "punch", "run", "spin", "spinkick"]


@pytest.mark.parametrize("take", SAME_TAKES)
def test_real_clips_are_those_of_the_published_archive(
    take: str, assets: Path, mujoco_positions: Positions, official_data: Path
) -> None:
    wheel = default_cache() / "wheels" / PYBULLET.filename
    if not wheel.exists():
        pytest.skip(f"{wheel} was not downloaded")
    recipe = RECIPES[f"humanoid_{take}"]
    clip = Maker(lambda origin: read_member(wheel, origin.member), assets).clip(recipe)
    published = np.load(official_data / "motions" / recipe.clip, allow_pickle=True)
    frames = to_frames(clip.character, clip.motion)
    assert clip.motion.wrap == published["loop_mode"]
    seconds = (len(published["frames"]) - 1) / published["fps"]
    assert clip.motion.duration == pytest.approx(seconds, abs=1 / 60)
    # compare at the frames of theirs that fall on one of ours
    theirs, ours = [], []
    for index, frame in enumerate(published["frames"]):
        position = index / published["fps"] * 60
        if abs(position - round(position)) < 1e-6 and round(position) < len(frames):
            theirs.append(frame)
            ours.append(frames[round(position)])
    assert len(ours) > 20
    differences = np.linalg.norm(
        _seen_from_root(mujoco_positions, ours) - _seen_from_root(mujoco_positions, theirs), axis=-1
    )
    assert differences.mean() < 0.005


def _seen_from_root(positions: Positions, frames: list) -> np.ndarray:
    """Body positions relative to the root's position and heading."""
    frames = np.array(frames)
    forward = Rotation.from_rotvec(frames[:, 3:6]).apply([1.0, 0.0, 0.0])
    heading = Rotation.from_euler("z", np.arctan2(forward[:, 1:2], forward[:, 0:1]))
    relative = positions(frames) - frames[:, None, :3]
    return np.stack([heading.inv().apply(relative[:, body]) for body in range(relative.shape[1])], axis=1)
