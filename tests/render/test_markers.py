"""Signs that are drawn beside the character and that physics does not know."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mimickit.envs.char_env import CharEnv, Marker
from mimickit.envs.task_markers import FACING_COLOUR, TARGET_COLOUR, arrow, pole
from mimickit.errors import RenderError
from mimickit.render import PropSpec, Recorder, SceneSpec
from mimickit.render.session import View, open_view

ROOT = Path(__file__).parents[2]
SIZE = {"width": 160, "height": 120}
UPRIGHT = np.array([[0.0, 0.0, 0.0, 1.0]])


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    path = tmp_path / "sign.xml"
    path.write_text(
        '<mujoco><worldbody><body name="sign"><freejoint/><geom type="sphere" size="0.15" rgba="1 0 1 1"/></body>'
        "</worldbody></mujoco>",
        encoding="utf-8",
    )
    return path


def coloured(frame: np.ndarray, channel: int) -> np.ndarray:
    """Which pixels have clearly more of one channel than of the others, (height, width) bool."""
    others = np.delete(frame, channel, axis=2).max(axis=2)
    return frame[..., channel] > others.astype(int) + 40


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize(("colour", "channel"), [((0.9, 0.1, 0.1), 0), ((0.1, 0.9, 0.1), 1)])
def test_a_marker_is_drawn_where_it_is_put_in_its_own_colour(
    scene: SceneSpec, pose_at, sign: Path, colour: tuple[float, float, float], channel: int
) -> None:
    trunk = pose_at(0.0)[0][0]
    with Recorder(replace(scene, markers=(PropSpec(sign, colour=colour),)), **SIZE) as recorder:
        for place in ([0.7, 0.6, 0.5], [-0.7, -0.6, 0.9]):
            frame = recorder.draw(*pose_at(0.0), prop_pos=np.array([place]), prop_rot=UPRIGHT)
            camera = recorder._stage.viewer.camera
            eye, fov = np.array(camera.pos), camera.fov
            forward = (trunk - eye) / np.linalg.norm(trunk - eye)  # a pinhole camera that looks at the trunk
            right = np.cross(forward, (0, 0, 1)) / np.linalg.norm(np.cross(forward, (0, 0, 1)))
            ray = place - eye
            scale = 60 / np.tan(np.radians(fov) / 2) / (ray @ forward)
            expected = (60 - scale * (ray @ np.cross(right, forward)), 80 + scale * (ray @ right))
            found = np.argwhere(coloured(frame, channel))
            assert len(found) > 100
            np.testing.assert_allclose(found.mean(axis=0), expected, atol=3.0)
    with Recorder(scene, **SIZE) as recorder:
        assert not coloured(recorder.draw(*pose_at(0.0)), channel).any()


@pytest.mark.usefixtures("opengl")
def test_a_prop_without_a_colour_stays_grey_beside_markers(scene: SceneSpec, pose_at, sign: Path) -> None:
    both = replace(scene, props=(PropSpec(sign, (0.5, -0.4, 0.2)),), markers=(PropSpec(sign, colour=TARGET_COLOUR),))
    places = np.array([[0.5, -0.4, 0.2], [0.0, 0.0, -9.0]])  # the marker is under the ground
    with Recorder(both, **SIZE) as recorder:
        frame = recorder.draw(*pose_at(0.0), prop_pos=places, prop_rot=np.repeat(UPRIGHT, 2, axis=0))
        with pytest.raises(RenderError, match="Expected 2 prop poses"):
            recorder.draw(*pose_at(0.0), prop_pos=places[:1], prop_rot=UPRIGHT)
    with Recorder(replace(scene, props=both.props), **SIZE) as recorder:
        assert np.array_equal(recorder.draw(*pose_at(0.0)), frame)


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize("kind", ["props", "markers"])
def test_markers_do_not_excuse_a_character_out_of_view(
    scene: SceneSpec, pose_at, sign: Path, tmp_path: Path, kind: str
) -> None:
    """In view in frame 0, under the ground in frame 10: half of the measured frames."""
    shown = replace(scene, **{kind: (PropSpec(sign, (0.5, -0.4, 0.2)),)})
    with Recorder(shown, **SIZE) as recorder:
        for i in range(11):
            recorder.draw(*pose_at(0.05 * i, (0, 0, -0.4 * i)))
        if kind == "props":
            assert recorder.save(tmp_path).coverage[1] == 0.0
        else:
            with pytest.raises(RenderError, match="not in view in 1 of 2 measured frames"):
                recorder.save(tmp_path)


class Canvas:
    """Keeps what it is told to draw."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def draw(self, *poses: Any) -> None:
        self.calls.append(poses)

    def close(self) -> None: ...


def fake_env(num_props: int, num_markers: int, has_reference: bool = False) -> Any:
    """Two environments of 3 bodies; every tensor is filled with a number of its own, and environment 1 with -1."""

    def filled(count: int, width: int, value: float) -> torch.Tensor:
        return torch.stack((torch.full((count, width), value), torch.full((count, width), -1.0)))

    engine = SimpleNamespace(
        body_pos=filled(3, 3, 1.0),
        body_rot=filled(3, 4, 2.0),
        prop_pos=filled(num_props, 3, 3.0),
        prop_rot=filled(num_props, 4, 4.0),
    )
    markers = (filled(num_markers, 3, 5.0), filled(num_markers, 4, 6.0)) if num_markers else None
    reference = (filled(3, 3, 7.0), filled(3, 4, 8.0))
    return SimpleNamespace(
        engine=engine,
        has_reference=has_reference,
        reference_bodies=lambda: reference,
        marker_poses=lambda: markers,
    )


@pytest.mark.parametrize(("props", "markers"), [(0, 0), (2, 0), (0, 1), (2, 3)])
def test_a_view_gives_the_markers_poses_after_the_props(props: int, markers: int) -> None:
    canvas = Canvas()
    View(fake_env(props, markers), canvas).draw()
    body_pos, body_rot, ref_pos, ref_rot, prop_pos, prop_rot = canvas.calls[0]
    assert torch.equal(body_pos, torch.full((3, 3), 1.0))
    assert torch.equal(body_rot, torch.full((3, 4), 2.0))
    assert ref_pos is ref_rot is None  # also where the environment could tell them
    if props + markers == 0:
        assert prop_pos is prop_rot is None
    else:
        assert prop_pos[:, 0].tolist() == [3.0] * props + [5.0] * markers
        assert prop_rot[:, 3].tolist() == [4.0] * props + [6.0] * markers


def test_a_view_gives_the_reference_where_one_is_shown() -> None:
    canvas = Canvas()
    View(fake_env(0, 1, has_reference=True), canvas).draw()
    assert canvas.calls[0][2][0, 0] == 7.0
    assert canvas.calls[0][3][0, 0] == 8.0


def test_the_scene_of_a_session_has_the_environments_markers(
    monkeypatch: pytest.MonkeyPatch, figure_file: Path
) -> None:
    scenes: list[SceneSpec] = []
    monkeypatch.setattr("mimickit.render.session.Recorder", lambda scene, fps: scenes.append(scene))
    case: Any = SimpleNamespace(
        env=SimpleNamespace(char_file=figure_file, camera_mode="track"),
        engine=SimpleNamespace(control_freq=30),
        run=SimpleNamespace(video=True),
    )
    env: Any = SimpleNamespace(
        char_model=SimpleNamespace(body_names=("trunk", "head")),
        has_reference=False,
        character_label="simulated",
        engine=SimpleNamespace(scene=SimpleNamespace(props=())),
        markers=(Marker(Path("sign.xml"), (0.1, 0.2, 0.3)),),
    )
    open_view(case, env)
    assert scenes[0].props == ()
    assert scenes[0].markers == (PropSpec(Path("sign.xml"), colour=(0.1, 0.2, 0.3)),)
    assert CharEnv.markers == ()


@pytest.mark.usefixtures("opengl")
def test_the_tasks_signs_can_be_drawn(scene: SceneSpec, pose_at) -> None:
    signs = (*pole(), *arrow(TARGET_COLOUR), *arrow(FACING_COLOUR))
    markers = tuple(PropSpec(ROOT / marker.file, colour=marker.colour) for marker in signs)
    with Recorder(replace(scene, markers=markers), **SIZE) as recorder:
        places = np.array([[-0.5, 0.5, 0.0]] + [[0.4, 0.0, 0.03]] * 3 + [[0.8, 0.0, 0.03]] * 3)
        frame = recorder.draw(*pose_at(0.0), prop_pos=places, prop_rot=np.repeat(UPRIGHT, 7, axis=0))
    assert coloured(frame, 0).sum() > 50
    assert coloured(frame, 1).sum() > 5
