"""Drawing a running test: the first environment's character, frame by frame, into a video or a window."""

from pathlib import Path
from typing import Protocol

import torch

from mimickit.config.case import Case
from mimickit.envs import CharEnv
from mimickit.render.recorder import Recorder
from mimickit.render.scene import PropSpec, SceneSpec
from mimickit.render.window import Window


class _Canvas(Protocol):
    def draw(self, body_pos, body_rot, ref_body_pos=None, ref_body_rot=None, prop_pos=None, prop_rot=None): ...  # noqa: ANN001, ANN201

    def close(self) -> None: ...


class View:
    """Draws environment 0 of ``env`` on every call of ``draw``."""

    def __init__(self, env: CharEnv, canvas: _Canvas):
        self._env = env
        self._canvas = canvas

    def draw(self) -> None:
        """One frame of the current state."""
        env, engine = self._env, self._env.engine
        reference = env.reference_bodies() if env.has_reference else None
        markers = env.marker_poses()
        objects = [(engine.prop_pos, engine.prop_rot), *([markers] if markers else [])]
        places, turns = (torch.cat(tensors, dim=1) for tensors in zip(*objects, strict=True))
        tensors = [engine.body_pos, engine.body_rot, *(reference or (None, None)), places, turns]
        poses = [tensor[0].cpu() if tensor is not None and tensor.shape[1] else None for tensor in tensors]
        self._canvas.draw(*poses)

    def finish(self, out_dir: Path) -> None:
        """Write the recording; a window has nothing to write."""
        if isinstance(self._canvas, Recorder):
            self._canvas.save(out_dir)

    def close(self) -> None:
        """Release the drawing context."""
        self._canvas.close()


def open_view(case: Case, env: CharEnv) -> View:
    """A recorder for ``--video true``, else a window."""
    scene = SceneSpec(
        char_file=case.env.char_file,
        body_names=env.char_model.body_names,
        show_reference=env.has_reference,
        props=tuple(
            PropSpec(asset_file=prop.file, position=prop.pos, rotation=prop.rot) for prop in env.engine.scene.props
        ),
        markers=tuple(PropSpec(asset_file=marker.file, colour=marker.colour) for marker in env.markers),
        camera_mode=case.env.camera_mode,
        character_label=env.character_label,
    )
    fps = float(case.engine.control_freq)
    return View(env, Recorder(scene, fps=fps) if case.run.video else Window(scene, fps=fps))
