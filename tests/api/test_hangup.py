"""A client that hangs up, in every dialect: its answer stops at once, streamed or not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI

from tests.api.test_openai import STARTER
from tests.core.waiting import until
from webui.core.application import Application


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat", "/api/v0/chat/completions"])
async def test_an_answer_stops_when_its_client_hangs_up(
    app: FastAPI, application: Application, path: str, stream: bool
) -> None:
    messages = [{"role": "user", "content": "long"}]  # goes on until it is cancelled
    body = {"model": STARTER, "messages": messages, "stream": stream, "max_tokens": 10**6}
    if path == "/api/chat":
        del body["max_tokens"]
    has_left, has_begun = asyncio.Event(), asyncio.Event()
    incoming = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> Any:
        if incoming:
            return incoming.pop()
        await has_left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            has_begun.set()

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")], "client": ("127.0.0.1", 50000),
        "server": ("localhost", 8002), "scheme": "http", "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    answering = asyncio.create_task(app(scope, receive, send))

    def num_running() -> int:
        return sum(each.load.num_running for each in application.models.alive)

    await until(lambda: num_running() == 1)
    if stream:
        await has_begun.wait()
    has_left.set()
    await asyncio.wait_for(answering, 5)
    assert num_running() == 0
