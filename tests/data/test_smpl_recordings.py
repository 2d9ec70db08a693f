"""SMPL poses: the converted motion against SMPL's own kinematics, y up, done with scipy."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mimickit.data.character import Character, body_poses, check_joints, load_character, lowest_points
from mimickit.data.fetch.download import read_member
from mimickit.data.files import default_cache
from mimickit.data.motion import checked_motion
from mimickit.data.readers import g1_arrays, smpl_arrays
from mimickit.data.recipes.packages import HOLOSOMA, HOLOSOMA_RETARGETING, Package
from mimickit.errors import InputError

COUNT = 6
TIMES = np.arange(COUNT) / 30.0
# SMPL's joints in its order: the body of the character, and the index of the parent
SMPL_TREE = (
    *(("Pelvis", -1), ("L_Hip", 0), ("R_Hip", 0), ("Torso", 0), ("L_Knee", 1), ("R_Knee", 2), ("Spine", 3)),
    *(("L_Ankle", 4), ("R_Ankle", 5), ("Chest", 6), ("L_Toe", 7), ("R_Toe", 8), ("Neck", 9), ("L_Thorax", 9)),
    *(("R_Thorax", 9), ("Head", 12), ("L_Shoulder", 13), ("R_Shoulder", 14), ("L_Elbow", 16), ("R_Elbow", 17)),
    *(("L_Wrist", 18), ("R_Wrist", 19), ("L_Hand", 20), ("R_Hand", 21)),
)
# columns of the saved tensor's joints: depth first, fingers after the wrists
TENSOR_INDEX = {
    **{
        name: i for i, name in enumerate(("L_Hip", "L_Knee", "L_Ankle", "L_Toe", "R_Hip", "R_Knee", "R_Ankle", "R_Toe"))
    },
    **{name: 8 + i for i, name in enumerate(("Torso", "Spine", "Chest", "Neck", "Head"))},
    **{name: 13 + i for i, name in enumerate(("L_Thorax", "L_Shoulder", "L_Elbow", "L_Wrist"))},
    **{name: 32 + i for i, name in enumerate(("R_Thorax", "R_Shoulder", "R_Elbow", "R_Wrist"))},
}
BOX = "holosoma_retargeting/demo_data/OMOMO_new/{}.pt"
G1_BOX = "holosoma/data/motions/g1_29dof/whole_body_tracking/sub3_largebox_003_mj.npz"


@pytest.fixture(scope="module")
def smpl(assets: Path) -> Character:
    return load_character(assets / "smpl" / "smpl.xml")


def smpl_positions(smpl: Character, pelvis_pos: np.ndarray, poses: np.ndarray) -> dict[str, np.ndarray]:
    """Joint positions (N, 3) by body, z up, from poses (N, 24, 3): SMPL's rest frame has x left, y up, z forward."""
    offsets = {body.name: body.pos[[1, 2, 0]] for body in smpl.bodies}
    positions, rotations = [], []
    for index, (name, parent) in enumerate(SMPL_TREE):
        turn = Rotation.from_rotvec(poses[:, index])
        positions.append(pelvis_pos if parent < 0 else positions[parent] + rotations[parent].apply(offsets[name]))
        rotations.append(turn if parent < 0 else rotations[parent] * turn)
    return {name: position for (name, _), position in zip(SMPL_TREE, positions, strict=True)}


@pytest.fixture
def poses() -> np.ndarray:
    """Made-up poses (6, 24, 3) of a body that stands upright in a world with z up, and walks along y."""
    random = np.random.default_rng(5)
    poses = random.normal(scale=0.4, size=(COUNT, len(SMPL_TREE), 3))
    stands = Rotation.from_euler("x", np.pi / 2)  # y up to z up
    poses[:, 0] = (Rotation.from_rotvec(0.2 * poses[:, 0]) * stands).as_rotvec()
    return poses


@pytest.fixture
def pelvis_pos() -> np.ndarray:
    return np.random.default_rng(6).normal(size=(COUNT, 3))


def test_poses_move_the_character_as_they_move_smpl(poses: np.ndarray, pelvis_pos: np.ndarray, smpl: Character) -> None:
    motion = smpl_arrays.smpl_motion(TIMES, pelvis_pos, poses.reshape(COUNT, -1), "walk.npz")
    check_joints(smpl, motion, "walk.npz")
    expected = smpl_positions(smpl, pelvis_pos, poses)
    positions, _ = body_poses(smpl, motion)
    for index, body in enumerate(smpl.bodies):
        np.testing.assert_allclose(positions[:, index], expected[body.name], atol=1e-9, err_msg=body.name)
    np.testing.assert_array_equal(motion.times, TIMES)


@pytest.mark.parametrize("joints", [22, 52, 55])
def test_fingers_do_not_turn_the_hands(joints: int, poses: np.ndarray, pelvis_pos: np.ndarray) -> None:
    more = np.random.default_rng(7).normal(size=(COUNT, joints, 3))
    more[:, :22] = poses[:, :22]
    motion = smpl_arrays.smpl_motion(TIMES, pelvis_pos, more.reshape(COUNT, -1), "walk.npz")
    whole = smpl_arrays.smpl_motion(TIMES, pelvis_pos, poses.reshape(COUNT, -1), "walk.npz")
    for name, track in motion.joints.items():
        expected = np.tile([0, 0, 0, 1], (COUNT, 1)) if name.endswith("Hand") else whole.joints[name]
        np.testing.assert_allclose(track, expected, atol=1e-12, err_msg=name)


def test_poses_of_another_shape_are_refused(poses: np.ndarray, pelvis_pos: np.ndarray) -> None:
    table = poses.reshape(COUNT, -1)
    for wrong in (table[:, :63], table[:, :67], table[1:], poses):
        with pytest.raises(InputError, match=r"walk.npz: poses have shape .* expected \(6, 3 K\)"):
            smpl_arrays.smpl_motion(TIMES, pelvis_pos, wrong, "walk.npz")
    with pytest.raises(InputError, match=r"walk.npz: pelvis positions have shape \(6, 2\)"):
        smpl_arrays.smpl_motion(TIMES, pelvis_pos[:, :2], table, "walk.npz")


@pytest.fixture
def table(poses: np.ndarray, pelvis_pos: np.ndarray) -> np.ndarray:
    """A tensor (6, 591) of a person whose legs are 1.2 m long."""
    random = np.random.default_rng(9)
    table = random.normal(size=(COUNT, 591))
    table[:, :3] = pelvis_pos
    table[:, 3:7] = Rotation.from_rotvec(poses[:, 0]).as_quat()
    for index, (name, _) in enumerate(SMPL_TREE):
        if name in TENSOR_INDEX:
            table[:, 9 + 3 * TENSOR_INDEX[name] :][:, :3] = poses[:, index]
            table[:, 165 + 3 * TENSOR_INDEX[name] :][:, :3] = 0.0
    for side in "LR":
        table[:, 165 + 3 * TENSOR_INDEX[f"{side}_Knee"]] = 0.5
        table[:, 165 + 3 * TENSOR_INDEX[f"{side}_Ankle"]] = 1.2
    return table.astype(np.float32)


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_saved_tensor_poses_the_character(table: np.ndarray, poses: np.ndarray, smpl: Character) -> None:
    motion = smpl_arrays.convert(saved(torch.from_numpy(table)), "box.pt")
    check_joints(smpl, motion, "box.pt")
    np.testing.assert_allclose(motion.times, TIMES)
    np.testing.assert_allclose(motion.root_rot, table[:, 3:7], atol=1e-6)
    for index, (name, _) in enumerate(SMPL_TREE):
        if name in TENSOR_INDEX:
            turn = Rotation.from_quat(motion.joints[name])
            np.testing.assert_allclose(turn.as_matrix(), Rotation.from_rotvec(poses[:, index]).as_matrix(), atol=1e-6)
    ankles = {body.name: np.linalg.norm(body.pos) for body in smpl.bodies}
    legs = [ankles[f"{side}_{part}"] for side in "LR" for part in ("Knee", "Ankle")]
    np.testing.assert_allclose(motion.root_pos, table[:, :3] * sum(legs) / 2 / 1.2, rtol=1e-3)


class _Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


def _with_pickle(data: bytes, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith("data.pkl") else old.read(name))
    return buffer.getvalue()


def test_nothing_in_a_saved_tensor_is_executed(table: np.ndarray, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    data = _with_pickle(saved(torch.from_numpy(table)), pickle.dumps(_Command()))
    with pytest.raises(InputError, match=r"box.pt: not a saved tensor .*names posix.mkdir, which is not run"):
        smpl_arrays.convert(data, "box.pt")
    assert not (tmp_path / "pwned").exists()


def test_other_files_are_refused(table: np.ndarray) -> None:
    tensor = torch.from_numpy(table)
    broken = tensor.clone()
    broken[2, 40] = torch.nan
    for data, message in (
        (b"", "not a saved tensor"),
        (saved(tensor)[:2000], "not a saved tensor"),
        (saved(tensor.double()), "not a saved tensor .*DoubleStorage"),
        (saved(tensor.T), "not a saved tensor .*row by row"),
        (saved({"poses": tensor}), "expected a table of 591 columns, found a dict"),
        (saved(tensor[:, :100].clone()), r"expected a table of 591 columns, found shape \(6, 100\)"),
        (saved(broken), "frame 2 holds a number that is not finite"),
        (saved(torch.zeros_like(tensor)), "the legs are 0.000 m long"),
    ):
        with pytest.raises(InputError, match=rf"box.pt: .*{message}|box.pt: {message}"):
            smpl_arrays.convert(data, "box.pt")


def recording(package: Package, member: str) -> bytes:
    wheel = default_cache() / "wheels" / package.filename
    if not wheel.exists():
        pytest.skip(f"{wheel} was not downloaded")
    return read_member(wheel, member)


@pytest.mark.parametrize("name", ["sub3_largebox_003", "sub10_largebox_049"])
def test_recorded_positions_are_those_of_a_rigid_body_in_the_converted_pose(name: str, smpl: Character) -> None:
    """Turned back by the converted rotations, every recorded bone is the same vector in all frames."""
    data = recording(HOLOSOMA_RETARGETING, BOX.format(name))
    motion = checked_motion(smpl_arrays.convert(data, name), name)
    check_joints(smpl, motion, name)
    recorded = (
        torch.load(io.BytesIO(data), weights_only=True).detach().numpy()[:, 162:318].reshape(len(motion.times), 52, 3)
    )
    places = {"Pelvis": recorded[:, 0]} | {body: recorded[:, 1 + i] for body, i in TENSOR_INDEX.items()}
    _, rotations = body_poses(smpl, motion)
    for body in smpl.bodies[1:]:
        if body.name in places:
            parent = smpl.bodies[body.parent].name
            bones = Rotation.from_quat(rotations[:, body.parent]).inv().apply(places[body.name] - places[parent])
            assert bones.std(axis=0).max() < 1e-5, body.name
            # the character's own bone, but for the person's size
            cosine = bones.mean(axis=0) @ body.pos / np.linalg.norm(bones.mean(axis=0)) / np.linalg.norm(body.pos)
            assert cosine > 0.8, body.name
    low = lowest_points(smpl, motion)
    assert np.ptp(low) < 0.06  # someone always stands on the ground


def test_recorded_box_carry_walks_the_way_of_the_robots(smpl: Character) -> None:
    """A G1's clip of the same recording takes the same way at its own size: same heading, within 4 cm."""
    person = smpl_arrays.convert(recording(HOLOSOMA_RETARGETING, BOX.format("sub3_largebox_003")), "box.pt")
    robot = g1_arrays.convert(recording(HOLOSOMA, G1_BOX), G1_BOX)
    assert abs(person.times[-1] - robot.times[-1]) < 0.05
    way = np.stack([np.interp(robot.times, person.times, person.root_pos[:, i]) for i in range(2)], axis=-1)
    way, other = way - way.mean(axis=0), robot.root_pos[:, :2] - robot.root_pos[:, :2].mean(axis=0)
    size = np.sum(way * other) / np.sum(way**2)
    assert 0.6 < size < 0.9
    assert np.linalg.norm(other - size * way, axis=-1).max() < 0.04
