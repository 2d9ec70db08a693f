"""Getting an OpenGL context: EGL without a display, an X display otherwise, and what to do when there is neither."""

import ctypes
import logging
import os
import sys
from typing import TYPE_CHECKING

from mimickit.errors import DisplayError

if TYPE_CHECKING:
    from newton.viewer import ViewerGL

REMEDY = (
    "Drawing without a display needs EGL; on Debian: apt-get install -y --no-install-recommends libegl1 libgl1 "
    "libgl1-mesa-dri libx11-6. With an X server (a desktop, or xvfb-run from the packages xvfb, xauth and "
    "libglx-mesa0) DISPLAY must be set. An old or odd driver may need MESA_GL_VERSION_OVERRIDE=3.3 "
    "MESA_GLSL_VERSION_OVERRIDE=330, or LIBGL_ALWAYS_SOFTWARE=1."
)


def has_display() -> bool:
    """True when a window can be put on a screen (on Linux: DISPLAY is set)."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY"))


def open_viewer(width: int, height: int, on_screen: bool) -> "ViewerGL":
    """Makes Newton's OpenGL viewer, always on the CPU device, which needs no link between CUDA and OpenGL.

    Off screen, EGL is preferred; without EGL an invisible window on the X display serves. pyglet fixes this choice for
    the whole process when its window module is first imported, so a later viewer follows the first one.

    Raises:
        DisplayError: no OpenGL 3.3 context can be had; the message names packages and environment variables.
    """
    import pyglet

    if on_screen and not has_display():
        raise DisplayError("There is no display to open a window on (DISPLAY is not set). Use --video true instead.")
    if "pyglet.window" not in sys.modules:
        device = None if on_screen else egl_device()
        if device is None and not has_display():
            raise DisplayError(f"No OpenGL: EGL does not work here and there is no display. {REMEDY}")
        pyglet.options["headless"] = device is not None
        pyglet.options["headless_device"] = device or 0
    elif on_screen and pyglet.options["headless"]:
        raise DisplayError("This process already draws off screen, so it cannot open a window. Use another process.")

    try:
        import warp as wp

        from mimickit.warp_settings import apply_warp_settings

        apply_warp_settings()
        from newton.viewer import ViewerGL

        logging.getLogger("newton._src.viewer.gl.gui").setLevel(logging.ERROR)  # its panels are not used
        with wp.ScopedDevice("cpu"):
            return ViewerGL(width=width, height=height, headless=not on_screen)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # failures share no base class, and pyglet's ShaderException is no Exception
        raise DisplayError(f"No OpenGL 3.3 context ({type(error).__name__}: {error}). {REMEDY}") from error


def egl_device() -> int | None:
    """Index of the first EGL device that offers desktop OpenGL off screen, or None."""
    try:
        from pyglet.libs.egl import egl, eglext
    except ImportError:
        return None
    count = egl.EGLint()
    eglext.eglQueryDevicesEXT(0, None, ctypes.byref(count))
    if count.value == 0:
        return 0 if _offers_opengl(egl, egl.eglGetDisplay(egl.EGLNativeDisplayType())) else None
    devices = (eglext.EGLDeviceEXT * count.value)()
    eglext.eglQueryDevicesEXT(count.value, devices, ctypes.byref(count))
    for index in range(count.value):
        platform = eglext.EGL_PLATFORM_DEVICE_EXT
        if _offers_opengl(egl, eglext.eglGetPlatformDisplayEXT(platform, devices[index], None)):
            return index
    return None


def _offers_opengl(egl, connection) -> bool:
    # The connection stays open: it is one per device and process, so ending it would end a viewer that uses it.
    if not egl.eglInitialize(connection, None, None):
        return False
    wanted = (egl.EGL_SURFACE_TYPE, egl.EGL_PBUFFER_BIT, egl.EGL_RENDERABLE_TYPE, egl.EGL_OPENGL_BIT, egl.EGL_NONE)
    found = egl.EGLint()
    egl.eglChooseConfig(connection, (egl.EGLint * len(wanted))(*wanted), None, 0, ctypes.byref(found))
    return found.value > 0
