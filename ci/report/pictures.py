"""Pictures inside the page: smaller, and as text, so that no file lies beside it."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

WIDTH = 1000  # pixels; a wider picture is scaled down to it
QUALITY = 78  # of the JPEG: 50 kB for a contact sheet of twelve frames


@dataclass(frozen=True)
class Picture:
    """A JPEG as a data URI, and its size in pixels, which keeps its place before it is drawn."""

    uri: str
    width: int
    height: int


def read_picture(path: Path) -> Picture:
    """The picture in ``path``. FileNotFoundError; ValueError that names the file when it cannot be decoded."""
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name} cannot be decoded: {error}") from error
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, max(1, round(picture.height * WIDTH / picture.width))), reducing_gap=2.0)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=QUALITY)
    uri = f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
    return Picture(uri, picture.width, picture.height)
