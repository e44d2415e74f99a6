"""Images as dialects send them: what becomes of good ones, and what is said of bad ones."""

from __future__ import annotations

import base64

import pytest

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.images import MAX_IMAGE_BYTES, MessageContent, read_base64, read_image_url
from webui.types import Image

PNG = b"\x89PNG\r\n\x1a\n" + b"the rest is the engine's to judge"
BASE64 = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{BASE64}",
        f"DATA:IMAGE/PNG;BASE64,{BASE64}",
        f"data:image/png;name=a.png;base64,{BASE64}",
        f"data:;base64,{BASE64}",
        f"data:image/png;base64,{BASE64[:20]}\r\n {BASE64[20:]}",
    ],
)
def test_a_data_url_is_the_image_itself(url: str) -> None:
    assert read_image_url(url, "messages.0.content") == PNG


def test_base64_may_be_plain_or_a_data_url() -> None:
    assert read_base64(BASE64, "images") == PNG
    assert read_base64(f"data:image/png;base64,{BASE64}", "images") == PNG


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data", "HTTPS://example.org/cat.png"])
def test_nothing_is_fetched_from_the_net(url: str) -> None:
    with pytest.raises(UnsupportedParameter, match="not fetched"):
        read_image_url(url, "messages.0.content")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "data URL"),
        ("file:///etc/passwd", "data URL"),
        ("data:image/png,raw", "data URL"),
        (f"data:text/html;base64,{BASE64}", "text/html"),
        ("data:image/png;base64,@@@@", "base64"),
        ("data:image/png;base64,äöü", "base64"),
        ("data:image/png;base64,", "PNG, JPEG, WebP or GIF"),
        (f"data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()}", "PNG, JPEG, WebP or GIF"),
    ],
)
def test_what_is_no_image_is_refused_in_words(url: str, says: str) -> None:
    with pytest.raises(ParameterError, match=says) as caught:
        read_image_url(url, "messages.3.content")
    assert caught.value.details["param"] == "messages.3.content"


def test_an_image_has_a_greatest_size() -> None:
    with pytest.raises(ParameterError, match="21 MB is the most"):
        read_base64("A" * (MAX_IMAGE_BYTES * 4 // 3 + 100), "images")


def test_content_remembers_where_its_images_stand() -> None:
    content = MessageContent()
    content.add_image(PNG)
    content.add_text("Compare this")
    content.add_image(PNG)
    content.add_text(" with that.")
    assert content.text == "Compare this with that."
    assert content.images == (Image(data=PNG, at=0), Image(data=PNG, at=12))
