"""What the recorder draws, writes, and refuses."""

import json
from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from mimickit.errors import InputError, RenderError
from mimickit.render import PropSpec, Recorder, SceneSpec
from mimickit.render.recorder import FrameEvidence, judge
from mimickit.render.video import Thumbnails

SIZE = {"width": 160, "height": 120}
pytestmark = pytest.mark.usefixtures("opengl")


def test_a_moving_character_is_recorded(scene: SceneSpec, pose_at, tmp_path: Path) -> None:
    shown = replace(scene, show_reference=True)
    with Recorder(shown, fps=25, **SIZE) as recorder:
        frames = [recorder.draw(*pose_at(i / 25), *pose_at(i / 25, (2, 0, 0))) for i in range(13)]
        evidence = recorder.save(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["contact_sheet.png", "frames.json", "video.mp4"]

    decoded = imageio.imread(folder / "video.mp4", plugin="FFMPEG")
    assert decoded.shape == (13, 120, 160, 3)
    assert np.abs(decoded.astype(float) - np.array(frames)).mean() < 6.0  # lossy, but the same pictures in order
    reader = imageio_ffmpeg.read_frames(str(folder / "video.mp4"))
    about = next(reader)
    reader.close()
    assert about["codec"] == "h264"
    assert about["pix_fmt"].startswith("yuv420p")
    assert about["fps"] == 25

    numbers = json.loads((folder / "frames.json").read_text(encoding="utf-8"))
    assert numbers == vars(evidence)
    assert (numbers["frames"], numbers["fps"], numbers["width"], numbers["height"]) == (13, 25, 160, 120)
    assert len(numbers["variance"]) == 13
    assert len(numbers["difference"]) == 12
    assert numbers["coverage_frames"] == [0, 10]
    assert all(0.005 < value < 0.3 for value in numbers["coverage"])
    by_hand = [np.abs(a.astype(float) - b.astype(float)).mean() for a, b in zip(frames[1:], frames, strict=False)]
    np.testing.assert_allclose(numbers["difference"], by_hand, atol=1e-3)
    places = [pose_at(i / 25)[0] for i in range(13)]
    steps = [np.abs(now - before).max() for now, before in zip(places[1:], places, strict=False)]
    np.testing.assert_allclose(numbers["moved"], steps, atol=1e-5)

    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 320
        assert sheet.height > 3 * 240


def test_a_body_is_drawn_where_a_pinhole_camera_sees_it(scene: SceneSpec, pose_at) -> None:
    with Recorder(scene, **SIZE) as recorder:
        places, turns = pose_at(0.0)
        stage = recorder._stage
        recorder.draw(places, turns)
        stage.viewer.renderer.draw_shadows = False
        before = stage.render().astype(int)
        moved = places.copy()
        moved[1] = (0.6, -0.1, 1.3)  # the head flies off
        stage.pose(moved, turns)
        after = stage.render().astype(int)
        camera = stage.viewer.camera
        eye, fov = np.array(camera.pos), camera.fov
    target = places[0]  # the camera looks at the trunk
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    ray = moved[1] - eye
    focal = 60 / np.tan(np.radians(fov) / 2)  # half the height in pixels
    u = 80 + focal * (ray @ right) / (ray @ forward)
    v = 60 - focal * (ray @ up) / (ray @ forward)
    changed = np.argwhere(np.abs(after - before).max(axis=2) > 25)
    gone_u = 80 + focal * ((places[1] - eye) @ right) / ((places[1] - eye) @ forward)
    gone_v = 60 - focal * ((places[1] - eye) @ up) / ((places[1] - eye) @ forward)
    to_new = np.hypot(changed[:, 1] - u, changed[:, 0] - v)
    to_old = np.hypot(changed[:, 1] - gone_u, changed[:, 0] - gone_v)
    radius = 0.12 * focal / (ray @ forward)
    assert np.minimum(to_new, to_old).max() < 1.4 * radius + 2  # nothing but the head changed
    near = changed[to_new < to_old]
    np.testing.assert_allclose(near.mean(axis=0), (v, u), atol=1.5)
    assert len(near) == pytest.approx(np.pi * radius**2, rel=0.2)


def test_order_of_bodies_is_by_name(scene: SceneSpec, pose_at) -> None:
    places, turns = pose_at(0.4)
    order = [2, 0, 3, 1]
    shuffled = replace(scene, body_names=tuple(scene.body_names[i] for i in order))
    with Recorder(scene, **SIZE) as recorder:
        straight = recorder.draw(places, turns)
    with Recorder(shuffled, **SIZE) as recorder:
        assert np.array_equal(recorder.draw(places[order], turns[order]), straight)
        assert not np.array_equal(recorder.draw(places, turns), straight)


def test_rotation_alone_changes_the_picture_and_going_back_restores_it(scene: SceneSpec, pose_at) -> None:
    places, turns = pose_at(0.0)
    turned = turns.copy()
    turned[2] = (Rotation.from_euler("x", 60, degrees=True) * Rotation.from_quat(turns[2])).as_quat()
    with Recorder(scene, **SIZE) as recorder:
        first = recorder.draw(places, turns)
        assert not np.array_equal(recorder.draw(places, turned), first)
        assert np.array_equal(recorder.draw(places, turns), first)


def test_tensors_and_lists_are_taken_too(scene: SceneSpec, pose_at) -> None:
    torch = pytest.importorskip("torch")
    places, turns = pose_at(0.2)
    with Recorder(scene, **SIZE) as recorder:
        first = recorder.draw(places, turns)
        assert np.array_equal(recorder.draw(torch.tensor(places), torch.tensor(turns)), first)
        assert np.array_equal(recorder.draw(places.tolist(), turns.tolist()), first)


def test_the_camera_follows(scene: SceneSpec, pose_at, tmp_path: Path) -> None:
    with Recorder(scene, **SIZE) as recorder:
        for i in range(31):
            recorder.draw(*pose_at(0.3 * i))  # 9 m, at 9 m/s
        evidence = recorder.save(tmp_path)
    assert min(evidence.coverage) > 0.5 * max(evidence.coverage)


def test_the_still_camera_stays_and_the_tracking_one_does_not(scene: SceneSpec, pose_at) -> None:
    eyes = {}
    for mode in ("still", "track"):
        with Recorder(replace(scene, camera_mode=mode), **SIZE) as recorder:
            ways = []
            for i in range(10):
                recorder.draw(*pose_at(0.1 * i))
                ways.append(np.array(recorder._stage.viewer.camera.pos))
            eyes[mode] = np.linalg.norm(ways[-1] - ways[0])
    assert eyes["still"] == 0.0
    assert 0.6 < eyes["track"] < 0.9  # the root went 0.9 m, and the camera lags a little


def test_frozen_character_is_refused_but_files_are_left_to_look_at(scene: SceneSpec, pose_at, tmp_path: Path) -> None:
    with Recorder(scene, **SIZE) as recorder:
        for _ in range(5):
            recorder.draw(*pose_at(0.1))
        with pytest.raises(RenderError, match="Nothing moves in the 5 frames"):
            recorder.save(tmp_path)
    assert (tmp_path / "contact_sheet.png").is_file()


def test_character_out_of_view_is_refused(scene: SceneSpec, pose_at, tmp_path: Path) -> None:
    with Recorder(scene, **SIZE) as recorder:
        for i in range(5):
            recorder.draw(*pose_at(0.1 * i, (0, 0, -4)))  # under the ground
        with pytest.raises(RenderError, match="not in view in 1 of 1 measured frames"):
            recorder.save(tmp_path)
    assert recorder._evidence.coverage == [0.0]


def test_blank_frames_are_refused(scene: SceneSpec, pose_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recorder(scene, **SIZE) as recorder:
        recorder.draw(*pose_at(0.0))
        real = recorder._stage.render
        blank = [np.full((120, 160, 3), level, dtype=np.uint8) for level in (40, 50)]
        monkeypatch.setattr(recorder._stage, "render", lambda: blank.pop())
        recorder.draw(*pose_at(0.1))
        recorder.draw(*pose_at(0.2))
        monkeypatch.setattr(recorder._stage, "render", real)
        recorder.draw(*pose_at(0.3))
        with pytest.raises(RenderError, match="2 of 4 frames are blank .first: 1."):
            recorder.save(tmp_path)


def test_a_stale_picture_is_refused_at_once(scene: SceneSpec, pose_at, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recorder(scene, **SIZE) as recorder:
        old = recorder.draw(*pose_at(0.0))
        monkeypatch.setattr(recorder._stage, "render", lambda: old)
        with pytest.raises(RenderError, match="although a body moved 0.5"):
            recorder.draw(*pose_at(0.5))


def test_malformed_poses_are_refused(scene: SceneSpec, pose_at) -> None:
    places, turns = pose_at(0.0)
    with Recorder(scene, **SIZE) as recorder:
        with pytest.raises(RenderError, match=r"Expected 4 body poses.*got \(3, 3\)"):
            recorder.draw(places[:3], turns)
        with pytest.raises(RenderError, match="not finite"):
            recorder.draw(np.where(places == places[1], np.nan, places), turns)
        with pytest.raises(RenderError, match="no unit quaternion"):
            recorder.draw(places, 2 * turns)
    with (
        Recorder(replace(scene, show_reference=True), **SIZE) as recorder,
        pytest.raises(RenderError, match="no reference pose was given"),
    ):
        recorder.draw(places, turns)


def test_nothing_drawn_and_drawing_after_saving(scene: SceneSpec, pose_at, tmp_path: Path) -> None:
    with Recorder(scene, **SIZE) as recorder:
        with pytest.raises(RenderError, match="Nothing was drawn"):
            recorder.save(tmp_path)
        with pytest.raises(RenderError, match="make another Recorder"):
            recorder.draw(*pose_at(0.0))
    assert list(tmp_path.iterdir()) == []


def test_props_are_drawn_and_can_move(scene: SceneSpec, pose_at, tmp_path: Path) -> None:
    box = tmp_path / "box.xml"
    box.write_text(
        '<mujoco><worldbody><body name="box"><freejoint/><geom type="box" size="0.2 0.2 0.2"/></body></worldbody>'
        "</mujoco>",
        encoding="utf-8",
    )
    pose = pose_at(0.0)
    with Recorder(scene, **SIZE) as recorder:
        without = recorder.draw(*pose)
    with Recorder(replace(scene, props=(PropSpec(box, (0.5, -0.3, 0.2)),)), **SIZE) as recorder:
        placed = recorder.draw(*pose)
        moved = recorder.draw(*pose, prop_pos=np.array([[0.5, 0.3, 0.2]]), prop_rot=np.array([[0, 0, 0, 1.0]]))
        back = recorder.draw(*pose, prop_pos=np.array([[0.5, -0.3, 0.2]]), prop_rot=np.array([[0, 0, 0, 1.0]]))
    assert 100 < (placed != without).any(axis=2).sum() < 3000
    assert not np.array_equal(moved, placed)
    assert np.array_equal(back, placed)


def test_bad_scenes_and_sizes(scene: SceneSpec) -> None:
    with pytest.raises(ValueError, match="camera_mode must be one of track, still"):
        replace(scene, camera_mode="orbit")
    with pytest.raises(ValueError, match="twice"):
        replace(scene, body_names=("head", "head"))
    with pytest.raises(ValueError, match="even"):
        Recorder(scene, width=161, height=120)
    with pytest.raises(InputError, match="did you mean 'head'"):
        Recorder(replace(scene, body_names=("trunk", "heads", "left_arm", "legs")), **SIZE)


def test_props_may_hide_the_character_half_of_the_time(tmp_path: Path) -> None:
    evidence = FrameEvidence(31, 30, 160, 120, [100.0] * 31, [0.05, 0.0, 0.0, 0.05], [0, 10, 20, 30], [1.0] * 30)
    judge(evidence, travel=1.0, has_props=True, where=tmp_path)
    with pytest.raises(RenderError, match="2 of 4 measured frames .first: 10."):
        judge(evidence, travel=1.0, has_props=False, where=tmp_path)
    evidence.coverage[3] = 0.0
    with pytest.raises(RenderError, match="3 of 4"):
        judge(evidence, travel=1.0, has_props=True, where=tmp_path)


def test_thumbnails_stay_few_and_even() -> None:
    thumbnails = Thumbnails(wanted=12, width=16)
    frame = np.zeros((8, 16, 3), dtype=np.uint8)
    for index in range(1000):
        thumbnails.add(index, frame)
    indices = [index for index, _ in thumbnails.chosen()]
    assert len(indices) == 12
    assert indices[0] == 0
    assert indices[-1] >= 980
    assert np.diff(indices).min() > 70
    assert np.diff(indices).max() < 110
