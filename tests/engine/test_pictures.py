"""Pictures to pixels: as a browser would show them, and nothing of what is broken, huge or something else."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from webui.engine.pictures import MAX_SIDE, MIN_SIDE, Picture, decode_picture
from webui.errors import InvalidRequest


def encode(image: PIL.Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def half_red(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> PIL.Image.Image:
    """Red above, blue below."""
    image = PIL.Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0], size[1] // 2))
    return image.convert(mode)


def colour_at(picture: Picture, x: int, y: int) -> tuple[int, ...]:
    pixels = np.frombuffer(picture.pixels, np.uint8).reshape(picture.height, picture.width, 3)
    return tuple(int(value) for value in pixels[y, x])


def png_that_says(width: int, height: int) -> bytes:
    """A PNG with hardly a pixel behind its header."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize(
    ("form", "mode"), [("PNG", "RGB"), ("PNG", "P"), ("GIF", "P"), ("WEBP", "RGB"), ("JPEG", "RGB")]
)
def test_four_formats_are_read(form: str, mode: str) -> None:
    picture = decode_picture(encode(half_red(mode=mode), form))
    assert (picture.width, picture.height) == (64, 48)
    assert colour_at(picture, 32, 8) == pytest.approx((255, 0, 0), abs=4)
    assert colour_at(picture, 32, 40) == pytest.approx((0, 0, 255), abs=4)


def test_a_cameras_picture_is_turned_upright() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # orientation: the camera was held upright
    picture = decode_picture(encode(half_red(), "JPEG", exif=exif))
    assert (picture.width, picture.height) == (48, 64)
    assert colour_at(picture, 40, 32) == pytest.approx((255, 0, 0), abs=4)


def test_what_is_transparent_stands_on_white() -> None:
    clear = PIL.Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert colour_at(decode_picture(encode(clear, "PNG")), 5, 5) == (255, 255, 255)


def test_large_ones_shrink_and_tiny_ones_grow() -> None:
    wide = decode_picture(encode(PIL.Image.new("RGB", (MAX_SIDE * 2, 64)), "PNG"))
    assert (wide.width, wide.height) == (MAX_SIDE, MIN_SIDE)
    dot = decode_picture(encode(PIL.Image.new("RGB", (1, 1), "red"), "PNG"))
    assert (dot.width, dot.height) == (MIN_SIDE, MIN_SIDE)
    assert colour_at(dot, 0, 0) == (255, 0, 0)


@pytest.mark.parametrize("size", [(9000, 9000), (60_000, 60_000)])
def test_a_bomb_is_not_unpacked(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidRequest, match="50 million pixels"):
        decode_picture(png_that_says(*size))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        png_that_says(64, 64),
        encode(half_red(), "PNG")[:-200],
        encode(half_red(), "JPEG")[:300],
        encode(half_red(), "WEBP")[:60],
        encode(half_red(), "BMP"),
        encode(half_red(), "TIFF"),
        b"GIF89a" + bytes(20),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ],
)
def test_what_is_broken_or_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="damaged or of an unknown format"):
        decode_picture(data)
