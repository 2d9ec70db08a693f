"""Mirrored clips: forward kinematics against reflected positions."""

import argparse
import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.spatial.transform import Rotation

from mimickit.data.character import Character, body_poses, load_character
from mimickit.data.characters import CHARACTERS, model_path
from mimickit.data.commands import mirror as mirror_command
from mimickit.data.mirror import mirrored, partners
from mimickit.data.motion import Motion
from mimickit.errors import InputError

# how far a body may end up from its partner's reflection, metres: what the skeletons' own asymmetry comes to
ASYMMETRY = {"humanoid": 1e-9, "sword_shield": 1e-9, "smpl": 0.04, "g1": 2e-5, "go2": 1e-9, "pi_plus": 1e-9}
HELD = ("sword", "shield")  # in one hand, so without a counterpart


def _random_motion(character: Character, frames: int = 6) -> Motion:
    random = np.random.default_rng(5)

    def turns() -> np.ndarray:
        return Rotation.random(frames, random_state=random).as_quat()

    joints = {
        body.name: turns() if body.joint.axis is None else random.normal(size=frames)
        for body in character.bodies
        if body.joint
    }
    return Motion(np.arange(frames) / 60, random.normal(size=(frames, 3)), turns(), joints, wrap=True)


def _distances(character: Character, motion: Motion, image: Motion) -> dict[str, float]:
    """Furthest distance of each body of ``image`` from the reflection of its partner in ``motion``, metres."""
    before, _ = body_poses(character, motion)
    after, _ = body_poses(character, image)
    names = [body.name for body in character.bodies]
    pairs = partners(character)
    order = [names.index(pairs[name]) for name in names]
    reflected = before[:, order] * [1.0, -1.0, 1.0]
    return dict(zip(names, np.linalg.norm(after - reflected, axis=-1).max(axis=0), strict=True))


@pytest.mark.parametrize("name", CHARACTERS)
def test_bodies_lie_where_their_partners_are_reflected(published: Path, name: str) -> None:
    character = load_character(model_path(name, published / "assets"))
    motion = _random_motion(character)
    distances = _distances(character, motion, mirrored(motion, character))
    assert max(value for body, value in distances.items() if body not in HELD) < ASYMMETRY[name]


@pytest.mark.parametrize("name", CHARACTERS)
def test_mirroring_twice_gives_the_motion_back(published: Path, name: str) -> None:
    character = load_character(model_path(name, published / "assets"))
    motion = _random_motion(character)
    twice = mirrored(mirrored(motion, character), character)
    np.testing.assert_allclose(twice.root_pos, motion.root_pos, atol=1e-12)
    np.testing.assert_allclose(twice.root_rot, motion.root_rot, atol=1e-12)
    assert list(twice.joints) == list(motion.joints)
    for body, track in motion.joints.items():
        np.testing.assert_allclose(twice.joints[body], track, atol=1e-12)


def test_our_humanoid_mirrors_exactly(assets: Path) -> None:
    character = load_character(model_path("humanoid", assets))
    motion = _random_motion(character)
    assert max(_distances(character, motion, mirrored(motion, character)).values()) < 1e-9
    assert mirrored(motion, character).wrap


def test_signs_worked_out_by_hand(assets: Path) -> None:
    character = load_character(model_path("humanoid", assets))
    motion = _random_motion(character, 1)
    image = mirrored(motion, character)
    # knees bend about y, which lies across the mirror: same sign. Elbows bend about z: opposite sign
    assert image.joints["left_shin"] == pytest.approx(motion.joints["right_shin"])
    assert image.joints["left_lower_arm"] == pytest.approx(-motion.joints["right_lower_arm"])
    assert image.joints["torso"][0] == pytest.approx(motion.joints["torso"][0] * [-1, 1, -1, 1])
    assert image.root_pos[0] == pytest.approx(motion.root_pos[0] * [1, -1, 1])


def test_the_sword_hand_is_mirrored_in_place(published: Path) -> None:
    character = load_character(model_path("sword_shield", published / "assets"))
    motion = _random_motion(character)
    image = mirrored(motion, character)
    np.testing.assert_allclose(image.joints["right_hand"], motion.joints["right_hand"] * [-1, 1, -1, 1])


def test_joints_of_different_kinds_are_mirrored_in_place(assets: Path) -> None:
    character = load_character(model_path("humanoid", assets))
    thigh = next(body for body in character.bodies if body.name == "left_thigh")
    bodies = tuple(
        dataclasses.replace(body, joint=thigh.joint) if body.name == "left_shin" else body for body in character.bodies
    )
    changed = dataclasses.replace(character, bodies=bodies)
    motion = _random_motion(changed)
    image = mirrored(motion, changed)
    np.testing.assert_allclose(image.joints["left_shin"], motion.joints["left_shin"] * [-1, 1, -1, 1])
    np.testing.assert_allclose(image.joints["right_shin"], motion.joints["right_shin"])


def test_a_body_without_a_partner_is_named(assets: Path) -> None:
    character = load_character(model_path("humanoid", assets))
    bodies = tuple(
        dataclasses.replace(body, name="left_wing") if body.name == "left_hand" else body for body in character.bodies
    )
    with pytest.raises(InputError, match="body '(left_wing|right_hand)' has no body '(right_wing|left_hand)'"):
        partners(dataclasses.replace(character, bodies=bodies))


def test_joints_that_are_no_mirror_images_are_named(assets: Path) -> None:
    character = load_character(model_path("humanoid", assets))
    motion = _random_motion(character)

    def changed(**change: np.ndarray) -> Character:
        bodies = []
        for body in character.bodies:
            if body.name == "left_shin":
                rot = change.get("rot", body.rot)
                joint = dataclasses.replace(body.joint, axis=change.get("axis", body.joint.axis))
                body = dataclasses.replace(body, rot=rot, joint=joint)
            bodies.append(body)
        return dataclasses.replace(character, bodies=tuple(bodies))

    with pytest.raises(InputError, match="hinge axes of 'left_shin' and 'right_shin'"):
        mirrored(motion, changed(axis=np.array([1.0, 0.0, 0.0])))
    tilted = Rotation.from_euler("x", 5, degrees=True).as_quat()
    with pytest.raises(InputError, match="do not rest in mirrored rotations"):
        mirrored(motion, changed(rot=tilted))


def _run(assets: Path, clip: Path, output: Path, console: Console) -> None:
    parser = argparse.ArgumentParser()
    mirror_command.add_arguments(parser)
    mirror_command.run(parser.parse_args([str(clip), str(output), "--assets", str(assets)]), console)


def test_the_command_writes_a_clip_with_the_same_rate(
    assets: Path, tmp_path: Path, console: Console, capsys: pytest.CaptureFixture
) -> None:
    clip, image, again = (tmp_path / f"humanoid_{name}.pkl" for name in ("a", "b", "c"))
    random = np.random.default_rng(2)
    frames = random.normal(scale=0.4, size=(5, 34))
    clip.write_bytes(pickle.dumps({"loop_mode": 1, "fps": 30, "frames": frames.tolist()}))
    _run(assets, clip, image, console)
    assert "5 frames of humanoid" in capsys.readouterr().out
    content = pickle.loads(image.read_bytes())
    assert (content["loop_mode"], content["fps"]) == (1, 30)
    mirrored_frames = np.array(content["frames"])
    # columns: root 0-5, torso 6-8, head 9-11, right upper arm 12-14, right elbow 15, left upper arm 16-18
    np.testing.assert_allclose(mirrored_frames[:, :6], frames[:, :6] * [1, -1, 1, -1, 1, -1], atol=1e-7)
    np.testing.assert_allclose(mirrored_frames[:, 12:15], frames[:, 16:19] * [-1, 1, -1], atol=1e-7)
    _run(assets, image, again, console)
    np.testing.assert_allclose(pickle.loads(again.read_bytes())["frames"], frames, atol=1e-7)
