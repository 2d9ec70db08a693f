"""Contexts: each case in a process of its own, because pyglet chooses its platform once per process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RECORD = """
import sys
from pathlib import Path
import numpy as np
from mimickit.render import Recorder, SceneSpec
names = ("trunk", "head", "left_arm", "legs")
places = np.array([[0, 0, 0.9], [0, 0, 1.35], [0, 0.25, 1.1], [0, 0, 0.55]])
turns = np.tile([0.0, 0, 0, 1], (4, 1))
with Recorder(SceneSpec(Path(sys.argv[1]), names, False), width=160, height=120) as recorder:
    for i in range(4):
        recorder.draw(places + [0.1 * i, 0, 0], turns)
    evidence = recorder.save(Path(sys.argv[2]))
import pyglet
print("headless", pyglet.options["headless"], "coverage", evidence.coverage[0])
"""

NO_EGL = "import sys\nsys.modules['pyglet.libs.egl'] = None\n"

WINDOW = """
import sys, time
from pathlib import Path
import numpy as np
import pyglet
from mimickit.render import SceneSpec, Window
names = ("trunk", "head", "left_arm", "legs")
places = np.array([[0, 0, 0.9], [0, 0, 1.35], [0, 0.25, 1.1], [0, 0, 0.55]])
pose = places, np.tile([0.0, 0, 0, 1], (4, 1))
window = Window(SceneSpec(Path(sys.argv[1]), names, False), width=320, height=240, fps=20)
from pyglet.window import key, mouse
glass = window._viewer.renderer.window
camera = window._viewer.camera
press = lambda symbol: glass.dispatch_event("on_key_press", symbol, 0)
later = lambda seconds, do: pyglet.clock.schedule_once(lambda _: do(), seconds)

def timed():
    start = time.monotonic()
    window.draw(*pose)
    return time.monotonic() - start

timed()
assert timed() < 0.5  # running: returns when the frame's time is over
start = time.monotonic()
for _ in range(10): window.draw(*pose)
assert time.monotonic() - start > 10 / 20 * 0.9  # no faster than fps

press(key.SPACE)  # nothing to step while running
press(key.ENTER)
later(0.6, lambda: press(key.SPACE))
assert timed() > 0.55  # paused until the step
later(0.6, lambda: press(key.ENTER))
assert timed() > 0.55  # paused again until resumed
assert timed() < 0.5

yaw, pitch, distance = camera.yaw, camera.pitch, camera.pivot_distance
glass.dispatch_event("on_mouse_drag", 50, 50, 20, 10, mouse.LEFT, key.MOD_ALT)
assert (round(camera.yaw - yaw, 3), round(camera.pitch - pitch, 3)) == (-6.0, 3.0), (camera.yaw, yaw)
assert abs(camera.pivot_distance - distance) < 1e-6
turned = camera.yaw, camera.pitch
glass.dispatch_event("on_mouse_drag", 50, 50, 20, 10, mouse.LEFT, 0)
assert (camera.yaw, camera.pitch) == turned  # without Alt: nothing
glass.dispatch_event("on_mouse_scroll", 50, 50, 0, 2)
assert camera.pivot_distance < 0.8 * distance
near = camera.pivot_distance
before = np.array(camera.pos)
for _ in range(30): window.draw(places + [0.5, 0, 0], pose[1])
assert np.allclose(np.array(camera.pos) - before, [0.5, 0, 0], atol=0.01)  # follows, from where the user put it
assert abs(camera.pivot_distance - near) < 1e-4
frame = window._viewer.get_frame().numpy()
assert frame.var() > 50
assert window.is_open()
press(key.ESCAPE)
assert not window.is_open()
window.draw(*pose)  # nothing to draw on, no error
window.close()
print("window ok")
"""


def run(
    code: str, *arguments: object, prefix: tuple[str, ...] = (), **changes: str | None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, value in {"DISPLAY": None, **changes}.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize("changes", [{}, {"MESA_GL_VERSION_OVERRIDE": "3.3", "MESA_GLSL_VERSION_OVERRIDE": "330"}])
def test_records_without_a_display(figure_file: Path, tmp_path: Path, changes: dict[str, str]) -> None:
    done = run(RECORD, figure_file, tmp_path, **changes)
    assert done.returncode == 0, done.stderr
    assert "headless True coverage 0.0" in done.stdout
    assert (tmp_path / "video.mp4").stat().st_size > 1000


def test_records_on_an_x_display_when_there_is_no_egl(figure_file: Path, tmp_path: Path, xvfb: tuple[str, ...]) -> None:
    done = run(NO_EGL + RECORD, figure_file, tmp_path, prefix=xvfb)
    assert done.returncode == 0, done.stderr
    assert "headless False coverage 0.0" in done.stdout


def test_egl_is_preferred_on_an_x_display(
    figure_file: Path, tmp_path: Path, opengl: None, xvfb: tuple[str, ...]
) -> None:
    done = run(RECORD, figure_file, tmp_path, prefix=xvfb)
    assert done.returncode == 0, done.stderr
    assert "headless True coverage 0.0" in done.stdout


def test_neither_egl_nor_display_names_packages_and_variables(figure_file: Path, tmp_path: Path) -> None:
    done = run(NO_EGL + RECORD, figure_file, tmp_path)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("mimickit.errors.DisplayError: No OpenGL")
    for remedy in ("libegl1", "libgl1-mesa-dri", "DISPLAY", "MESA_GL_VERSION_OVERRIDE=3.3"):
        assert remedy in error
    assert list(tmp_path.iterdir()) == []


def test_a_window_without_a_display_points_to_video(figure_file: Path) -> None:
    done = run(WINDOW, figure_file)
    assert done.returncode == 1
    assert "DisplayError: There is no display" in done.stderr
    assert "--video true" in done.stderr


def test_window_keys_and_mouse(figure_file: Path, xvfb: tuple[str, ...]) -> None:
    done = run(WINDOW, figure_file, prefix=xvfb)
    assert done.returncode == 0, done.stderr
    assert "window ok" in done.stdout


def test_importing_makes_no_context() -> None:
    code = "import sys, mimickit.render\nassert not {'pyglet', 'newton', 'warp', 'torch'} & set(sys.modules)"
    done = run(code)
    assert done.returncode == 0, done.stderr
