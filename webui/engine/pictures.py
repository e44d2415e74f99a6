"""Pictures as programs send them, to pixels.

The bytes are hostile: only four formats are let in, the size is checked before anything is decoded, and a file that
lies about itself is refused. Cameras' pictures are turned upright, transparent ones stand on white, as in a browser.
It does not know models.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from struct import error as StructError  # noqa: N812 - a class, whatever its name

import PIL.Image
import PIL.ImageOps

from webui.errors import InvalidRequest

logger = logging.getLogger(__name__)

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 50_000_000  #: of what is decoded: 150 MB
MAX_SIDE = 4096  #: pixels; larger ones are shrunk, since no projector looks closer
MIN_SIDE = 32  #: pixels; some projectors count patches of smaller ones to zero
_TOO_LARGE = f"The image has more than {MAX_PIXELS // 10**6} million pixels. Shrink it."
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, StructError, IndexError, KeyError)  # what Pillow's readers raise


@dataclass(frozen=True, slots=True)
class Picture:
    width: int
    height: int
    pixels: bytes  #: three bytes each, red, green and blue; rows from the top


def decode_picture(data: bytes) -> Picture:
    """Of several frames the first. Raises InvalidRequest."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(picture.width, picture.height)
            picture.thumbnail((MAX_SIDE, MAX_SIDE))  # of a JPEG, no more is decoded than this needs
            return _to_pixels(PIL.ImageOps.exif_transpose(picture))
    except PIL.Image.DecompressionBombError:
        raise InvalidRequest(_TOO_LARGE) from None
    except _BROKEN as error:
        logger.info("An image cannot be decoded: %s", error)
        raise InvalidRequest(
            "The image is damaged or of an unknown format. Send a whole PNG, JPEG, WebP or GIF."
        ) from None


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InvalidRequest(_TOO_LARGE)


def _to_pixels(picture: PIL.Image.Image) -> Picture:
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, "white"), layer)
    picture = picture.convert("RGB")
    if min(picture.size) < MIN_SIDE:
        picture = picture.resize((max(MIN_SIDE, picture.width), max(MIN_SIDE, picture.height)))
    return Picture(picture.width, picture.height, picture.tobytes())
