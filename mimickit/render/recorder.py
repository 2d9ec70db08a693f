"""Recording a character off screen: a video, a contact sheet, and numbers that prove the frames show something."""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mimickit.errors import RenderError
from mimickit.render.display import open_viewer
from mimickit.render.scene import SceneSpec
from mimickit.render.stage import CHARACTER_COLOURS, REFERENCE_COLOURS, Stage
from mimickit.render.video import Thumbnails, VideoWriter, write_contact_sheet

COVERAGE_EVERY = 10  # frames between measurements of the character's coverage, which need two more drawings
LEAST_VARIANCE = 4.0  # grey levels squared; an evenly coloured frame has 0
LEAST_COVERAGE = 0.002  # of the pixels; a whole character covers a few hundredths
LEAST_TRAVEL = 1e-3  # metres that some body must move over the recording
VISIBLE_MOVE = 0.05  # metres: a move this large that leaves the picture as it was means a stale pose
PIXEL_CHANGE = 12  # of 255, in any channel: what counts as covered


@dataclass
class FrameEvidence:
    """What was measured on the recorded frames; written to ``frames.json``.

    Attributes:
        frames: number of frames in the video.
        fps: frames per second.
        width: pixels.
        height: pixels.
        variance: of the grey level, one per frame.
        coverage: fraction of the pixels that change when the character is taken away, one per measured frame.
        coverage_frames: the indices of the measured frames.
        difference: mean absolute difference to the previous frame in grey levels, one per frame after the first.
        moved: the largest change of any coordinate of any of the character's bodies since the previous frame, metres,
            one per frame after the first; with it a film can be held against the motion that it shows.
    """

    frames: int = 0
    fps: float = 30.0
    width: int = 0
    height: int = 0
    variance: list[float] = field(default_factory=list)
    coverage: list[float] = field(default_factory=list)
    coverage_frames: list[int] = field(default_factory=list)
    difference: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)


class Recorder:
    """Draws poses off screen, frame after frame, then writes video, contact sheet and evidence."""

    def __init__(self, scene: SceneSpec, width: int = 576, height: int = 324, fps: float = 30.0) -> None:
        """Opens an OpenGL context and starts the encoder.

        Args:
            scene: what to draw.
            width: pixels, even.
            height: pixels, even.
            fps: frames per second of the video; one ``draw`` is one frame.

        Raises:
            InputError: the character or a prop cannot be drawn, or body names do not match the file.
            RenderError: there is no OpenGL or no video encoder; the message says what to install or set.
        """
        if width % 2 or height % 2 or min(width, height) < 64 or not fps > 0:
            raise ValueError(f"width and height must be even and at least 64, fps positive: {width} x {height}, {fps}")
        self._viewer = open_viewer(width, height, on_screen=False)
        self._folder = tempfile.TemporaryDirectory(prefix="mimickit_video_")
        try:
            self._stage = Stage(self._viewer, scene, frame_time=1.0 / fps)
            self._film = Path(self._folder.name) / "video.mp4"
            self._writer = VideoWriter(self._film, width, height, fps)
        except BaseException:
            self._viewer.close()
            self._folder.cleanup()
            raise
        self._thumbnails = Thumbnails()
        self._evidence = FrameEvidence(fps=fps, width=width, height=height)
        self._previous: tuple[np.ndarray, np.ndarray] | None = None
        self._first_places: np.ndarray | None = None
        self._travel = 0.0
        self._open = True

    def draw(
        self,
        body_pos: Any,
        body_rot: Any,
        ref_body_pos: Any = None,
        ref_body_rot: Any = None,
        prop_pos: Any = None,
        prop_rot: Any = None,
    ) -> np.ndarray:
        """Draws one frame and appends it to the video.

        Args:
            body_pos: world positions of the bodies in the scene's order, (B, 3), metres; an array or a CPU tensor.
            body_rot: their world rotations, quaternions xyzw, (B, 4).
            ref_body_pos: the same of the reference character, where it shall stand; needed if the scene shows it.
            ref_body_rot: likewise.
            prop_pos: positions of the props' first bodies, (P, 3); None leaves them where the scene puts them.
            prop_rot: their rotations, (P, 4).

        Returns:
            The frame, (height, width, 3) uint8.

        Raises:
            RenderError: a pose is malformed or not finite, or the picture did not follow the pose.
        """
        if not self._open:
            raise RenderError("This recording was saved or closed; make another Recorder")
        places = self._stage.pose(body_pos, body_rot, ref_body_pos, ref_body_rot, prop_pos, prop_rot)
        frame = self._stage.render()
        self._measure(frame, places)
        self._writer.add(frame)
        self._thumbnails.add(self._evidence.frames, frame)
        self._evidence.frames += 1
        return frame

    def save(self, out_dir: Path) -> FrameEvidence:
        """Writes ``video.mp4``, ``contact_sheet.png`` and ``frames.json`` and closes the recorder.

        The files are written before the frames are judged, so that a bad recording can be looked at.

        Raises:
            RenderError: no frames, a blank frame, a character out of view, or no motion.
        """
        if not self._open:
            raise RenderError("This recording was saved or closed; make another Recorder")
        if self._evidence.frames == 0:
            self.close()
            raise RenderError("Nothing was drawn, so there is no video to save")
        self._writer.close()
        out_dir.mkdir(parents=True, exist_ok=True)
        sheet = self._film.with_name("contact_sheet.png")
        legend = [(self._stage.scene.character_label, _rgb(CHARACTER_COLOURS[0]))]
        if self._stage.scene.show_reference:
            legend.append(("reference", _rgb(REFERENCE_COLOURS[0])))
        write_contact_sheet(sheet, self._thumbnails.chosen(), self._evidence.fps, legend)
        numbers = self._film.with_name("frames.json")
        numbers.write_text(json.dumps(vars(self._evidence)) + "\n", encoding="utf-8")
        for made in (self._film, sheet, numbers):
            partial = out_dir / f".{made.name}.partial"
            shutil.copyfile(made, partial)
            os.replace(partial, out_dir / made.name)
        self.close()
        judge(self._evidence, self._travel, has_props=bool(self._stage.scene.props), where=out_dir)
        return self._evidence

    def close(self) -> None:
        """Releases the OpenGL context, the encoder and the temporary files; safe to call twice."""
        if self._open:
            self._open = False
            self._writer.close()
            self._viewer.close()
            self._folder.cleanup()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _measure(self, frame: np.ndarray, places: np.ndarray) -> None:
        found = self._evidence
        found.variance.append(round(float(frame[::2, ::2].mean(axis=2).var()), 3))
        if self._first_places is None:
            self._first_places = places
        self._travel = max(self._travel, float(np.abs(places - self._first_places).max()))
        if self._previous is not None:
            earlier_frame, earlier_places = self._previous
            change = float(np.abs(frame.astype(np.int16) - earlier_frame).mean())
            found.difference.append(round(change, 4))
            moved = float(np.abs(places - earlier_places).max())
            found.moved.append(round(moved, 5))
            if change == 0.0 and moved > VISIBLE_MOVE:
                raise RenderError(
                    f"Frame {found.frames} shows the pose of the frame before, although a body moved {moved:.3f} m: "
                    "the viewer stopped drawing"
                )
        self._previous = (frame, places)
        if found.frames % COVERAGE_EVERY == 0:
            found.coverage_frames.append(found.frames)
            found.coverage.append(round(self._coverage(), 5))

    def _coverage(self) -> float:
        renderer = self._viewer.renderer
        renderer.draw_shadows = False  # a shadow is not the character
        try:
            shown = self._stage.render().astype(np.int16)
            self._stage.show_character(False)
            bare = self._stage.render()
        finally:
            self._stage.show_character(True)
            renderer.draw_shadows = True
        return float((np.abs(shown - bare).max(axis=2) > PIXEL_CHANGE).mean())


def judge(evidence: FrameEvidence, travel: float, has_props: bool, where: Path) -> None:
    """Raises RenderError unless the frames show a moving character.

    Args:
        evidence: what was measured.
        travel: the farthest that any body coordinate got from its first value, metres.
        has_props: props may hide the character for a while; then half of the measured frames must show it.
        where: the folder with the files, named in the message.
    """
    blank = [i for i, value in enumerate(evidence.variance) if value < LEAST_VARIANCE]
    if blank:
        raise RenderError(f"{len(blank)} of {evidence.frames} frames are blank (first: {blank[0]}); see {where}")
    covered = zip(evidence.coverage_frames, evidence.coverage, strict=True)
    unseen = [i for i, value in covered if value < LEAST_COVERAGE]
    if len(unseen) > (len(evidence.coverage) // 2 if has_props else 0):
        raise RenderError(
            f"The character is not in view in {len(unseen)} of {len(evidence.coverage)} measured frames "
            f"(first: {unseen[0]}); see {where / 'contact_sheet.png'}"
        )
    if travel < LEAST_TRAVEL or not any(evidence.difference):
        raise RenderError(f"Nothing moves in the {evidence.frames} frames; see {where / 'contact_sheet.png'}")


def _rgb(colour: tuple[float, float, float]) -> tuple[int, int, int]:
    return tuple(round(255 * part) for part in colour)
