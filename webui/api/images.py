"""Images of a message: what every dialect sends, checked before anything else sees it.

An image comes as base64, plainly or in a data URL; an address is not fetched, since a server that fetches for
strangers reaches what they cannot. Here only the bytes' size and the mark of their format are looked at: what decodes
them (the engine) has limits of its own. It does not know dialects: `param` is how theirs names the field.
"""

from __future__ import annotations

import base64
import binascii
import re

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.errors import format_bytes
from webui.types import Image

MAX_IMAGE_BYTES = 20 * 1024 * 1024
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w.+=-]+)*?(?P<base64>;base64)?,", re.IGNORECASE)
_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_FORMATS = "PNG, JPEG, WebP or GIF"


def media_type(data: bytes) -> str:
    """Of bytes that were checked."""
    for mark, name in ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"GIF8", "image/gif")):
        if data.startswith(mark):
            return name
    return "image/webp"


class MessageContent:
    """Text and images of one message, in the order in which they come."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._length = 0
        self._images: list[Image] = []

    def add_text(self, text: str) -> None:
        self._text.append(text)
        self._length += len(text)

    def add_image(self, data: bytes) -> None:
        """`data` is what `read_image_url` or `read_base64` gave."""
        self._images.append(Image(data=data, at=self._length))

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(self._images)


def read_image_url(url: str, param: str) -> bytes:
    """The image of a data URL. Raises ParameterError, and UnsupportedParameter for an address on the net."""
    if url[:8].lower().startswith(("http://", "https://")):
        raise UnsupportedParameter(
            param,
            "Images are not fetched from the net. Send the image itself, as a data URL (data:image/png;base64,…).",
        )
    if (found := _DATA_URL.match(url[:200])) is None or not found["base64"]:
        raise ParameterError(param, "An image is sent as a data URL: data:image/png;base64, and its bytes in base64.")
    if found["type"] and not found["type"].lower().startswith("image/"):
        raise ParameterError(param, f"This is of the type {found['type']}. An image is {_FORMATS}.")
    return read_base64(url[found.end() :], param)


def read_base64(text: str, param: str) -> bytes:
    """The image that `text` stands for; programs that send a data URL where base64 is meant get what they mean.

    Raises ParameterError for what is no base64, too large, or not one of the formats.
    """
    if text[:8].lower().startswith(("data:", "http://", "https://")):
        return read_image_url(text, param)
    if len(text) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise _too_large(param, len(text) * 3 // 4)
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters beyond ASCII
        raise ParameterError(param, "The image is not valid base64.") from None
    check_image(data, param)
    return data


def check_image(data: bytes, param: str) -> None:
    """Raises ParameterError for bytes that are too many, or of no format that is understood."""
    if len(data) > MAX_IMAGE_BYTES:
        raise _too_large(param, len(data))
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if not is_webp and not data.startswith(_MARKS):
        raise ParameterError(param, f"This is no image that is understood. Send {_FORMATS}.")


def _too_large(param: str, num_bytes: int) -> ParameterError:
    return ParameterError(
        param, f"The image has {format_bytes(num_bytes)}, and {format_bytes(MAX_IMAGE_BYTES)} is the most. Shrink it."
    )
