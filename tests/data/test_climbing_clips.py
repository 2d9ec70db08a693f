"""Clips over boxes, held against the boxes by MuJoCo's collision code, and the boxes against the recording's."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mimickit.data.boxes import Box
from mimickit.data.characters import model_path
from mimickit.data.fetch.download import read_member
from mimickit.data.files import default_cache
from mimickit.data.motion import Landmarks, Motion
from mimickit.data.pipeline import Maker
from mimickit.data.readers import climbing
from mimickit.data.recipes import RECIPES
from mimickit.data.recipes.packages import HOLOSOMA_RETARGETING
from mimickit.data.recipes.recipe import Recipe, Recording
from mimickit.data.retarget import retarget_scale
from mimickit.data.steps import Placed, Retarget, Take

CLIPS = ("humanoid_vault", "g1_vault", "humanoid_climb")
RESTING = {  # a clip's feet, then its hands: bodies, and in how many frames at least they rest
    "humanoid_vault": {"left_foot": 150, "right_foot": 150, "left_hand": 150, "right_hand": 150},
    "g1_vault": {
        **{"left_ankle_roll_link": 150, "right_ankle_roll_link": 150},
        **{"left_wrist_yaw_link": 60, "right_wrist_yaw_link": 60},
    },
    "humanoid_climb": {"left_foot": 200, "right_foot": 200},
}
SLOW = 0.1  # m/s: what moves slower and is near a box rests on it
DEEPEST = 0.01  # metres


def read(recording: Recording) -> bytes:
    wheel = default_cache() / "wheels" / HOLOSOMA_RETARGETING.filename
    if not wheel.exists():
        pytest.skip(f"{wheel} was not downloaded")
    return read_member(wheel, recording.member)


@pytest.fixture(scope="module")
def clip(assets: Path) -> Callable[[str], Motion]:
    return functools.cache(lambda name: Maker(read, assets).clip(RECIPES[name]).motion)


class Scene:
    """A clip's character in MuJoCo's own kinematics, among the floor and the clip's props."""

    def __init__(self, recipe: Recipe, assets: Path) -> None:
        spec = mujoco.MjSpec.from_file(str(model_path(recipe.character, assets)))
        spec.worldbody.add_geom(name="prop_floor", type=mujoco.mjtGeom.mjGEOM_BOX, size=[50, 50, 1], pos=[0, 0, -1])
        for number, prop in enumerate(recipe.props):
            (geom,) = mujoco.MjSpec.from_file(str(assets / prop.file)).geoms
            spec.worldbody.add_geom(name=f"prop_{number}", type=geom.type, size=geom.size, pos=prop.pos)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        names = [self.model.geom(i).name for i in range(self.model.ngeom)]
        self.props = [i for i, name in enumerate(names) if name.startswith("prop_")]
        self.shapes = [i for i in range(self.model.ngeom) if i not in self.props and self.model.geom_contype[i]]

    def poses(self, motion: Motion) -> Iterator[None]:
        for frame in range(len(motion.times)):
            x, y, z, w = motion.root_rot[frame]
            self.data.qpos[:7] = (*motion.root_pos[frame], w, x, y, z)
            for body, track in motion.joints.items():
                first = self.model.jnt_qposadr[self.model.body(body).jntadr[0]]
                ball = track.ndim == 2
                angles = Rotation.from_quat(track[frame]).as_euler("XYZ") if ball else track[frame : frame + 1]
                self.data.qpos[first : first + len(angles)] = angles
            mujoco.mj_kinematics(self.model, self.data)
            yield

    def distances(self, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
        """Of each body to the nearest prop (N, B), negative inside, 1 m at most; and the bodies' places (N, B, 3)."""
        rows, places = [], []
        for _ in self.poses(motion):
            row = np.ones(self.model.nbody)
            for shape in self.shapes:
                near = min(mujoco.mj_geomDistance(self.model, self.data, p, shape, 1.0, None) for p in self.props)
                body = self.model.geom_bodyid[shape]
                row[body] = min(row[body], near)
            rows.append(row)
            places.append(self.data.xpos.copy())
        return np.array(rows), np.array(places)


@pytest.mark.parametrize("name", CLIPS)
def test_nothing_goes_through_a_box_and_what_rests_touches_it(name: str, clip, assets: Path) -> None:
    motion = clip(name)
    scene = Scene(RECIPES[name], assets)
    distances, places = scene.distances(motion)
    deepest = np.unravel_index(np.argmin(distances), distances.shape)
    where = f"{scene.model.body(deepest[1]).name} in frame {deepest[0]}"
    assert distances[deepest] > -DEEPEST, where
    for body, frames in RESTING[name].items():
        index = scene.model.body(body).id
        speed = np.linalg.norm(np.gradient(places[:, index], motion.times, axis=0), axis=1)
        rests = (speed < SLOW) & (distances[:, index] < 0.02)
        hovers = (speed < SLOW) & (distances[:, index] >= 0.02) & (distances[:, index] < 0.06)
        assert np.count_nonzero(rests) >= frames, body
        assert np.count_nonzero(hovers) < 0.1 * np.count_nonzero(rests), body


@pytest.mark.parametrize("name", CLIPS)
def test_no_joint_jumps(name: str, clip) -> None:
    motion = clip(name)
    for body, track in motion.joints.items():
        if track.ndim == 2:
            turns = (Rotation.from_quat(track[1:]) * Rotation.from_quat(track[:-1]).inv()).magnitude()
        else:
            turns = np.abs(np.diff(track))
        assert turns.max() < 0.4, f"{body} in frame {turns.argmax()}"  # 24 rad/s


@pytest.mark.parametrize("name", CLIPS)
def test_props_are_the_recorded_boxes_at_the_clip_s_scale(name: str, assets: Path) -> None:
    """Within 8 mm: one wall serves two recordings, whose scales differ by half a percent."""
    recipe = RECIPES[name]
    recording = recipe.origin()
    boxes_file = f"{recording.member.rpartition('/')[0]}/multi_boxes.obj"
    recorded = climbing.boxes(read(Recording(recording.package, boxes_file, "climbing", None)), boxes_file)
    step = next(step for step in recipe.steps if isinstance(step, Retarget))
    place = next(step for step in recipe.steps if isinstance(step, Placed))
    assert len(step.boxes) == len(recorded) == len(recipe.props)

    take = Take(climbing.convert(read(recording), recording.member), None, recording.member)
    for cut in recipe.steps[: recipe.steps.index(step)]:
        take = cut.apply(take, assets)
    assert isinstance(take.motion, Landmarks)
    scale = retarget_scale(take.motion, recipe.character, assets)
    turn = Rotation.from_euler("z", place.yaw)
    for prop in recipe.props:
        (geom,) = mujoco.MjSpec.from_file(str(assets / prop.file)).geoms
        places = [turn.apply(scale * np.array(box.center)) + [place.x, place.y, 0.0] for box in recorded]
        index = int(np.argmin([np.linalg.norm(spot - prop.pos) for spot in places]))
        np.testing.assert_allclose(prop.pos, places[index], atol=0.008)
        size = scale * np.array(recorded[index].size)
        quarter = round((recorded[index].yaw + place.yaw) / (np.pi / 2.0)) % 2
        np.testing.assert_allclose(2.0 * np.array(geom.size), size[[1, 0, 2]] if quarter else size, atol=0.008)
        assert any(same_box(given, recorded[index]) for given in step.boxes)


def same_box(given: Box, recorded: Box) -> bool:
    return (
        np.allclose(given.center, recorded.center, atol=2e-4)
        and np.allclose(given.size, recorded.size, atol=2e-4)
        and abs(given.yaw - recorded.yaw) < 2e-4
    )
