"""Pictures of a character: an off-screen recorder and an interactive window.

Both draw body poses that they are given, so they work with every physics engine. Importing this package opens no
display and makes no OpenGL context; :class:`Recorder` and :class:`Window` do.
"""

from mimickit.render.recorder import FrameEvidence, Recorder
from mimickit.render.scene import PropSpec, SceneSpec
from mimickit.render.window import Window

__all__ = ["FrameEvidence", "PropSpec", "Recorder", "SceneSpec", "Window"]
