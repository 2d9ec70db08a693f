"""An interactive window on a running simulation."""

import time
from typing import Any

from mimickit.render.display import open_viewer
from mimickit.render.scene import SceneSpec
from mimickit.render.stage import Stage

TITLE = "MimicKit - Enter: pause, Space: step, Alt + drag: orbit, wheel: zoom, Esc: close"
ORBIT_SPEED = 0.3  # degrees per pixel
ZOOM_SPEED = 0.15  # share of the distance per wheel notch
IDLE = 1.0 / 60.0  # seconds between redraws while paused


class Window:
    """Shows poses as they come, in real time, and lets the user pause, step and look around.

    Enter pauses and resumes, Space goes one frame on while paused, dragging with Alt and the left button orbits the
    camera, the wheel zooms, Esc closes. The camera keeps following the character from wherever the user puts it.
    """

    def __init__(self, scene: SceneSpec, width: int = 1280, height: int = 720, fps: float = 30.0) -> None:
        """Opens the window.

        Args:
            scene: what to draw.
            width: pixels.
            height: pixels.
            fps: frames per second that ``draw`` does not exceed.

        Raises:
            InputError: the character or a prop cannot be drawn, or body names do not match the file.
            RenderError: there is no display or no OpenGL.
        """
        self._viewer = open_viewer(width, height, on_screen=True)
        try:
            self._viewer.gui = None  # Newton's own keys (Space, WASD) and mouse look would clash with ours
            self._viewer.renderer.set_title(TITLE)
            self._stage = Stage(self._viewer, scene, frame_time=1.0 / fps)
        except BaseException:
            self._viewer.close()
            raise
        self._viewer.renderer.window.push_handlers(
            on_key_press=self._on_key_press,
            on_mouse_drag=self._on_mouse_drag,
            on_mouse_scroll=self._on_mouse_scroll,
        )
        self._frame_time = 1.0 / fps
        self._next = 0.0
        self._paused = False
        self._step = False

    def is_open(self) -> bool:
        """False once the user has closed the window."""
        return self._viewer.is_running()

    def draw(
        self,
        body_pos: Any,
        body_rot: Any,
        ref_body_pos: Any = None,
        ref_body_rot: Any = None,
        prop_pos: Any = None,
        prop_rot: Any = None,
    ) -> None:
        """Shows one frame, and returns when the next is due: after the frame's time, or when the user resumes or steps.

        Arguments as in :meth:`mimickit.render.recorder.Recorder.draw`. Does nothing once the window is closed.

        Raises:
            RenderError: a pose is malformed or not finite.
        """
        if not self.is_open():
            return
        self._stage.pose(body_pos, body_rot, ref_body_pos, ref_body_rot, prop_pos, prop_rot)
        self._show()
        while self._paused and not self._step and self.is_open():
            time.sleep(IDLE)
            self._show()
        self._step = False
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self._frame_time

    def close(self) -> None:
        """Closes the window; safe to call twice."""
        if self.is_open():
            self._viewer.close()

    def _show(self) -> None:
        self._viewer.begin_frame(0.0)
        self._viewer.end_frame()  # handles the window's events, then draws

    # Handlers return True, which keeps Newton's own from running.

    def _on_key_press(self, symbol: int, modifiers: int) -> bool:
        from pyglet.window import key

        if symbol in (key.ENTER, key.NUM_ENTER):
            self._paused = not self._paused
        elif symbol == key.SPACE:
            self._step = self._paused
        elif symbol == key.ESCAPE:
            self._viewer.close()
        return True

    def _on_mouse_drag(self, x: int, y: int, dx: int, dy: int, buttons: int, modifiers: int) -> bool:
        from pyglet.window import key, mouse

        if buttons & mouse.LEFT and modifiers & key.MOD_ALT:
            camera = self._viewer.camera
            camera.orbit(delta_yaw=-dx * ORBIT_SPEED, delta_pitch=dy * ORBIT_SPEED)
        return True

    def _on_mouse_scroll(self, x: int, y: int, scroll_x: float, scroll_y: float) -> bool:
        self._viewer.camera.dolly(scroll_y * ZOOM_SPEED)
        return True
