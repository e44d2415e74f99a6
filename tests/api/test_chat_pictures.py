"""Pictures of chats: kept with their messages, given to the model where they stand, gone with the conversation."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.test_ollama import asked_of
from tests.api.test_seeing import BASE64, PNG, URL
from webui.core.application import Application
from webui.core.chat import MAX_IMAGE_BYTES
from webui.core.prompt import build_prompt
from webui.errors import MessageTooLarge, UnknownImage
from webui.types import ChatMessage, Image, Message


async def say(client: httpx.AsyncClient, application: Application, chat: str, body: dict[str, Any]) -> httpx.Response:
    """Say something and wait for the end of the answer."""
    is_answered = asyncio.Event()

    def listen(event: object) -> None:
        if type(event).__name__ == "ReplyEnded":
            is_answered.set()

    unwatch = application.chats.watch(chat, listen)
    response = await client.post(f"/api/conversations/{chat}/messages", json=body)
    if response.status_code == 202:
        await is_answered.wait()
    unwatch()
    return response


async def test_a_picture_is_kept_and_shown_to_the_model(client: httpx.AsyncClient, application: Application) -> None:
    chat = (await application.chats.create()).id
    assert (await say(client, application, chat, {"text": "What is it?", "images": [URL]})).status_code == 202
    *_, asked = asked_of(application).messages
    assert asked == Message(role="user", content="What is it?", images=(Image(data=PNG),))
    question, _ = (await application.chats.thread(chat)).messages
    response = await client.get(f"/api/conversations/{chat}/images/{question.images[0]}")
    assert (response.content, response.headers["content-type"]) == (PNG, "image/png")
    assert "immutable" in response.headers["cache-control"]

    await say(client, application, chat, {"text": "And now?"})
    first, _, second = asked_of(application).messages[-3:]
    assert (first.images, second.images) == ((Image(data=PNG),), ())

    other = (await application.chats.create()).id
    stolen = await client.get(f"/api/conversations/{other}/images/{question.images[0]}")
    assert stolen.status_code == 404
    await application.chats.delete(chat)
    with pytest.raises(UnknownImage):
        await application.chats.image(chat, question.images[0])


async def test_a_picture_needs_no_words(client: httpx.AsyncClient, application: Application) -> None:
    chat = (await application.chats.create()).id
    await say(client, application, chat, {"images": [BASE64, URL]})
    *_, asked = asked_of(application).messages
    assert (asked.content, len(asked.images)) == ("", 2)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"text": "?", "images": ["https://example.org/cat.png"]}, "not fetched"),
        ({"text": "?", "images": [URL] * 9}, "at most 8"),
        ({"text": " ", "images": []}, "empty"),
    ],
)
async def test_what_cannot_be_kept_is_refused(
    client: httpx.AsyncClient, application: Application, body: dict[str, Any], says: str
) -> None:
    chat = (await application.chats.create()).id
    response = await say(client, application, chat, body)
    assert response.status_code == 400
    assert says in response.text
    assert (await application.chats.thread(chat)).messages == ()


async def test_pictures_together_have_a_greatest_size(application: Application) -> None:
    chat = (await application.chats.create()).id
    with pytest.raises(MessageTooLarge):
        await application.chats.send(chat, "?", images=[bytes(MAX_IMAGE_BYTES), b"and more"])


def test_pictures_of_questions_that_are_joined_stand_before_their_own() -> None:
    def message(
        number: int, role: str, text: str, images: tuple[str, ...] = (), error: str | None = None
    ) -> ChatMessage:
        return ChatMessage(
            id=str(number), conversation_id="c", parent_id=None, role=role, content=text,  # type: ignore[arg-type]
            created_at=0.0, images=images, error_code=error,
        )  # fmt: skip

    path = [
        message(1, "user", "One", ("a",)), message(2, "assistant", "", error="engine_died"),
        message(3, "user", "Two", ("b",)),
    ]  # fmt: skip
    (joined,) = build_prompt(path, "", {"a": b"A", "b": b"B"})
    assert joined.content == "One\n\nTwo"
    assert joined.images == (Image(data=b"A", at=0), Image(data=b"B", at=5))
    unseen = [*path[:1], message(2, "assistant", "", error="images_not_supported"), message(3, "user", "Two")]
    assert build_prompt(unseen, "", {"a": b"A"}) == (Message(role="user", content="Two"),)
