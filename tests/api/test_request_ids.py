"""Every request has an id: in its answer, in its error, in the log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from webui.api.door.request_ids import RequestIds
from webui.core.request_id import RequestIdFilter, current_request_id, in_request, name_request


async def test_every_answer_has_one_of_its_own(client: httpx.AsyncClient) -> None:
    paths = ("/health", "/v1/models", "/v1/nothing", "/static/css/base.css", "/", "/api/version")
    ids = [(await client.get(path)).headers["x-request-id"] for path in paths * 2]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("req_") for each in ids)


async def test_so_have_refusals_before_any_route(client: httpx.AsyncClient) -> None:
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        refused = await client.get("/v1/models", headers=headers)
        assert refused.json()["error"]["request_id"] == refused.headers["x-request-id"]


async def test_a_clients_own_is_kept_where_it_is_fit_for_headers_and_logs(client: httpx.AsyncClient) -> None:
    for wanted, is_kept in (
        ("job-17:a.b_c", True),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("two words", False),
        ("-rm", False),
        ("ü", False),
    ):
        answer = await client.get("/health", headers=[(b"x-request-id", wanted.encode())])
        assert (answer.headers["x-request-id"] == wanted) is is_kept, wanted


async def test_anthropics_programs_read_theirs(client: httpx.AsyncClient) -> None:
    refused = await client.post("/v1/messages", json={})
    assert refused.json()["request_id"] == refused.headers["request-id"] == refused.headers["x-request-id"]


async def test_a_socket_has_one_too() -> None:
    sent: list[Message] = []

    async def accept(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/_nicegui_ws/socket.io", "headers": [(b"x-request-id", b"mine")]}
    await RequestIds(accept)(scope, send, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.accept", "headers": [(b"x-request-id", b"mine")]}]


@pytest.fixture
async def broken(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A server one of whose routes has a bug."""

    async def fail() -> None:
        logging.getLogger("webui.route").warning("about to fail in %s", current_request_id())
        raise ZeroDivisionError("a secret")

    app.add_api_route("/v1/bug", fail)
    app.router.routes.insert(0, app.router.routes.pop())
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8002") as session:
        yield session


async def test_what_nobody_has_foreseen_is_told_without_a_trace_and_found_in_the_log(
    broken: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await broken.get("/v1/bug", headers={"x-request-id": "mine-1"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["request_id"]) == (500, "internal_error", "mine-1")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in answer.text
    assert "ZeroDivisionError: a secret" in caplog.text
    assert "about to fail in mine-1" in caplog.text


def test_lines_of_a_request_say_which() -> None:
    def mark() -> str:
        record = logging.LogRecord("a", logging.INFO, "", 1, "hello", None, None)
        RequestIdFilter().filter(record)
        return str(record.__dict__["request_mark"])

    assert mark() == ""
    with in_request(name_request("mine")):
        assert mark() == "[mine] "
    assert current_request_id() == ""
