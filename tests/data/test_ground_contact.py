"""Where a clip touches the ground, against MuJoCo's collision code and a hand-worked pose."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mimickit.data.character import body_poses, check_joints, load_character, lowest_points, to_frames
from mimickit.data.motion import Motion, checked_motion
from mimickit.data.pipeline import Maker
from mimickit.data.readers import humanoid3d
from mimickit.data.recipes.packages import PYBULLET
from mimickit.data.recipes.recipe import Recipe, Recording
from mimickit.errors import InputError

RECIPE = Recipe("humanoid_hop", "humanoid", Recording(PYBULLET, "hop.txt", "humanoid3d", "humanoid"))


def _standing(assets: Path, **changes: np.ndarray) -> tuple:
    character = load_character(assets / "humanoid" / "humanoid.xml")
    identity = np.array([[0.0, 0.0, 0.0, 1.0]])
    joints = {b.name: identity if b.joint.dofs == 3 else np.zeros(1) for b in character.bodies if b.joint} | changes
    return character, Motion(np.zeros(1), np.array([[0.3, -0.2, 1.0]]), identity, joints, wrap=False)


def test_standing_upright_the_soles_are_lowest(assets: Path) -> None:
    character, motion = _standing(assets)
    assert lowest_points(character, motion) == pytest.approx([1.0 - 0.881416], abs=1e-9)


def test_a_turned_foot_reaches_down_by_its_corner(assets: Path) -> None:
    half = np.radians(40.0) / 2
    turned = np.array([[0.0, np.sin(half), 0.0, np.cos(half)]])  # toes down, by 40 degrees
    character, motion = _standing(assets, left_foot=turned)
    # the toe's lower edge, 0.045 + 0.0885 ahead of the ankle and 0.0225 + 0.0275 below it
    toe = -0.1335 * np.sin(2 * half) - 0.05 * np.cos(2 * half)
    assert lowest_points(character, motion) == pytest.approx([1.0 - 0.831416 + toe], abs=1e-9)


def test_a_built_clip_stands_on_the_ground_most_of_the_time(
    assets: Path, humanoid3d_file: bytes, ground_distance: Callable[[np.ndarray], np.ndarray]
) -> None:
    clip = Maker(lambda _: humanoid3d_file, assets).clip(RECIPE)
    assert abs(clip.lift) > 0.01  # as recorded it does not touch
    distances = ground_distance(to_frames(clip.character, clip.motion))
    bands = [distances[(distances >= low) & (distances <= low + 0.02)] for low in np.sort(distances)]
    assert max(bands, key=len).mean() == pytest.approx(0.0, abs=1e-5)
    assert distances.min() < -0.001  # the lowest frame alone does not settle it


def test_body_poses_agree_with_mujoco(
    assets: Path, humanoid3d_file: bytes, mujoco_positions: Callable[[np.ndarray], np.ndarray]
) -> None:
    character = load_character(assets / "humanoid" / "humanoid.xml")
    motion = checked_motion(humanoid3d.convert(humanoid3d_file, "hop"), "hop")
    positions, _ = body_poses(character, motion)
    np.testing.assert_allclose(positions, mujoco_positions(to_frames(character, motion)), atol=1e-9)


def test_joints_that_do_not_fit_are_named(assets: Path) -> None:
    character, motion = _standing(assets, left_hand=np.zeros(1), left_shin=np.array([[0.0, 0.0, 0.0, 1.0]]))
    with pytest.raises(InputError, match=r"hop: .*humanoid.xml disagree about the joints left_hand, left_shin"):
        check_joints(character, motion, "hop")


def test_characters_that_a_clip_cannot_drive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no character file .*ghost.xml"):
        load_character(tmp_path / "ghost.xml")
    bodies = {
        "no free joint": ("<body><geom size='1'/></body>", "needs a free joint"),
        "two hinges": (
            "<body><freejoint/><geom size='1'/><body name='arm'><joint axis='1 0 0'/><joint axis='0 1 0'/>"
            "<geom size='1'/></body></body>",
            "body 'arm': expected one hinge, or three",
        ),
        "slide": (
            "<body><freejoint/><geom size='1'/><body name='rail'><joint type='slide'/><geom size='1'/></body></body>",
            "body 'rail': only hinges",
        ),
        "no XML": ("<body>", "MuJoCo cannot read this file"),
    }
    for name, (text, message) in bodies.items():
        path = tmp_path / f"{name}.xml"
        path.write_text(f"<mujoco><worldbody>{text}</worldbody></mujoco>")
        with pytest.raises(InputError, match=message):
            load_character(path)
