"""Images through every dialect: what they become for the engine, and what is said of those that cannot be one.

The engine is a fake; tests/api/test_real_vision.py lets a real one look.
"""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.api.test_ollama import asked_of
from tests.api.test_openai import STARTER
from webui.core.application import Application
from webui.types import Image

PNG = b"\x89PNG\r\n\x1a\n" + b"a picture of a cat"
BASE64 = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{BASE64}"


def openai(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"model": STARTER, "messages": [{"role": role, "content": list(parts)}]}


def anthropic(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"model": STARTER, "max_tokens": 9, "messages": [{"role": "user", "content": list(blocks)}]}


def ollama(words: str, *images: str) -> dict[str, Any]:
    return {"model": STARTER, "messages": [{"role": "user", "content": words, "images": list(images)}]}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


IMAGE_URL = {"type": "image_url", "image_url": {"url": URL, "detail": "high"}}
BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}}


@pytest.mark.parametrize(
    ("path", "body", "at"),
    [
        ("/v1/chat/completions", openai(IMAGE_URL, text("What is it?")), 0),
        ("/v1/chat/completions", openai(text("What is it?"), {"type": "image_url", "image_url": URL}), 11),
        ("/api/v0/chat/completions", openai(text("What is "), IMAGE_URL, text("it?")), 8),
        ("/v1/messages", anthropic(text("What is it?"), BLOCK), 11),
        ("/v1/messages", anthropic({"type": "image", "source": {"type": "url", "url": URL}}, text("What is it?")), 0),
        ("/api/chat", ollama("What is it?", BASE64), 0),
        ("/api/generate", {"model": STARTER, "prompt": "What is it?", "images": [URL]}, 0),
    ],
)  # fmt: skip
async def test_an_image_comes_to_the_engine_where_it_stands(
    client: httpx.AsyncClient, application: Application, path: str, body: dict[str, Any], at: int
) -> None:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    *_, message = asked_of(application).messages
    assert (message.content, message.images) == ("What is it?", (Image(data=PNG, at=at),))


async def test_a_tools_result_may_be_an_image(client: httpx.AsyncClient, application: Application) -> None:
    call = {"type": "tool_use", "id": "call_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [text("It shows:"), BLOCK], "is_error": True}
    messages = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    body = {"model": STARTER, "max_tokens": 9, "messages": [{"role": "user", "content": "Look"}, *messages]}
    assert (await client.post("/v1/messages", json=body)).status_code == 200
    *_, message = asked_of(application).messages
    assert (message.role, message.content) == ("tool", "Error: It shows:")
    assert message.images == (Image(data=PNG, at=16),)


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/chat/completions", openai({"type": "image_url", "image_url": {"url": "https://a.b/c"}}), "not fetched"),
        ("/v1/chat/completions", openai({"type": "image_url"}), "data URL"),
        ("/v1/chat/completions", openai(IMAGE_URL, role="assistant"), "no images"),
        ("/v1/messages", anthropic({"type": "image", "source": {"type": "url", "url": "http://a.b/c"}}), "not fetched"),
        ("/v1/messages", anthropic({"type": "image", "source": {"type": "file", "file_id": "f"}}), "Send base64"),
        ("/v1/messages", anthropic({"type": "image"}), "source"),
        ("/api/chat", ollama("?", "%%%"), "base64"),
        ("/api/generate", {"model": STARTER, "prompt": "?", "raw": True, "images": [BASE64]}, "raw"),
    ],
)  # fmt: skip
async def test_what_cannot_be_an_image_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], says: str
) -> None:
    response = await client.post(path, json=body)
    assert response.status_code == 400
    assert says in response.text
