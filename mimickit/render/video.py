"""Writing an H.264 file that browsers play, and a contact sheet."""

from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mimickit.errors import RenderError


class VideoWriter:
    """Encodes frames one by one in a separate ffmpeg process."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        """Starts the encoder.

        Raises:
            RenderError: no ffmpeg program can be found or started.
        """
        self._frames = imageio_ffmpeg.write_frames(
            str(path),
            (width, height),
            fps=fps,
            codec="libx264",
            pix_fmt_out="yuv420p",
            quality=None,
            macro_block_size=2,
            ffmpeg_log_level="error",
            output_params=["-preset", "veryfast", "-crf", "21"],
        )
        try:
            self._frames.send(None)
        except (RuntimeError, OSError) as error:
            raise RenderError(
                f"The video encoder does not start: {error}. Reinstall imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE."
            ) from error

    def add(self, frame: np.ndarray) -> None:
        """Appends a frame, (height, width, 3) uint8.

        Raises:
            RenderError: the encoder died.
        """
        try:
            self._frames.send(np.ascontiguousarray(frame))
        except OSError as error:
            raise RenderError(f"The video encoder failed: {error}") from error

    def close(self) -> None:
        """Finishes the file; safe to call twice."""
        self._frames.close()


class Thumbnails:
    """Evenly spaced small frames of a sequence whose length is not known beforehand.

    Holds at most eight times as many as wanted: when full, every second one is dropped and the stride doubles.
    """

    def __init__(self, wanted: int = 12, width: int = 320) -> None:
        self._wanted = wanted
        self._width = width
        self._stride = 1
        self._kept: list[tuple[int, Image.Image]] = []

    def add(self, index: int, frame: np.ndarray) -> None:
        """Offers frame number ``index``, (height, width, 3) uint8; indices ascend from 0."""
        if len(self._kept) == 8 * self._wanted:
            self._kept = self._kept[::2]
            self._stride *= 2
        if index % self._stride == 0:
            height = round(self._width * frame.shape[0] / frame.shape[1])
            small = Image.fromarray(frame).resize((self._width, height), Image.Resampling.LANCZOS)
            self._kept.append((index, small))

    def chosen(self) -> list[tuple[int, Image.Image]]:
        """At most ``wanted`` (index, picture), evenly spread from the first to the last kept."""
        picks = np.unique(np.linspace(0, len(self._kept) - 1, self._wanted).round().astype(int))
        return [self._kept[pick] for pick in picks]


def write_contact_sheet(
    path: Path, tiles: Sequence[tuple[int, Image.Image]], fps: float, legend: Sequence[tuple[str, tuple[int, int, int]]]
) -> None:
    """Writes a PNG of time-stamped tiles, four to a row, under a line that says which colour is which.

    Args:
        path: the PNG file.
        tiles: (frame index, picture), all of one size.
        fps: frames per second, for the time stamps.
        legend: (text, RGB) entries of the top line.
    """
    columns = min(4, len(tiles))
    rows = -(-len(tiles) // columns)
    width, height = tiles[0][1].size
    gap, top = 6, 34
    size = (columns * (width + gap) + gap, top + rows * (height + gap))
    sheet = Image.new("RGB", size, (24, 26, 30))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=16)
    left = gap + 4
    for text, colour in legend:
        draw.rounded_rectangle((left, 10, left + 16, 26), radius=3, fill=colour)
        draw.text((left + 24, 17), text, fill=(235, 235, 235), font=font, anchor="lm")
        left += 24 + int(draw.textlength(text, font=font)) + 28
    for place, (index, picture) in enumerate(tiles):
        x = gap + place % columns * (width + gap)
        y = top + place // columns * (height + gap)
        sheet.paste(picture, (x, y))
        stamp = f"{index / fps:.2f} s"
        end = x + 14 + draw.textlength(stamp, font=font)
        draw.rounded_rectangle((x + 6, y + 6, end + 2, y + 28), radius=4, fill=(24, 26, 30))
        draw.text((x + 11, y + 17), stamp, fill=(255, 255, 255), font=font, anchor="lm")
    sheet.save(path, format="PNG")
