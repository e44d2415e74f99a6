"""Sending a message over HTTP, as the page does with one that is too long for its socket."""

from __future__ import annotations

import asyncio

import httpx

from webui.core.application import Application
from webui.types import ChatEvent, ReplyEnded


async def test_a_long_message_is_stored_and_answered(client: httpx.AsyncClient, application: Application) -> None:
    chat = await application.chats.create()
    ended = asyncio.Event()

    def note(event: ChatEvent) -> None:
        if isinstance(event, ReplyEnded):
            ended.set()

    application.chats.watch(chat.id, note)
    text = "A long story. " * 100_000
    accepted = await client.post(f"/api/conversations/{chat.id}/messages", json={"text": text})
    assert accepted.status_code == 202
    await asyncio.wait_for(ended.wait(), 10)
    said, answered = (await application.chats.thread(chat.id)).messages
    assert (said.id, said.content) == (accepted.json()["id"], text)
    assert (answered.role, answered.state) == ("assistant", "complete")


async def test_nothing_and_too_much_are_refused(client: httpx.AsyncClient, application: Application) -> None:
    chat = await application.chats.create()
    url = f"/api/conversations/{chat.id}/messages"
    empty = await client.post(url, json={"text": "  \n"})
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, "empty_message")
    enormous = await client.post(url, json={"text": "x" * 3_000_000})
    assert (enormous.status_code, enormous.json()["error"]["code"]) == (413, "message_too_large")
    assert (await application.chats.thread(chat.id)).messages == ()


async def test_an_unknown_chat_is_a_404(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/conversations/none/messages", json={"text": "hello"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_conversation")
