"""The gate before every page, route and websocket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.door.gate import Gate
from webui.api.door.session_cookie import SESSION_COOKIE
from webui.config import Settings
from webui.core.key_in_use import KeyInUse
from webui.errors import InvalidKey, TooManyAttempts, WrongPassphrase

ME, OTHER = "127.0.0.1", "192.168.1.77"
HOST = "192.168.1.5:8002"


class OneKey:
    """Access with one passphrase and one session."""

    async def verify_key(self, key: str, address: str) -> None:
        if key == "guess too often":
            raise TooManyAttempts(retry_after=12.3)
        if key != "the passphrase":
            raise WrongPassphrase

    async def is_session(self, token: str) -> bool:
        return token == "a session"

    async def admit_first(self, address: str, label: str) -> str | None:
        return None


class NoKeys:
    """Nobody has made an API key."""

    def open(self, token: str) -> KeyInUse:
        raise InvalidKey


async def show_owner(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(Request(scope).state.owner)(scope, receive, send)


def gate(app: ASGIApp = show_owner, **settings: Any) -> Gate:
    return Gate(app, Settings(**settings), OneKey, NoKeys)


async def ask(
    path: str = "/", *, address: str = OTHER, method: str = "GET", gate: Gate | None = None, **headers: Any
) -> httpx.Response:
    """One request through the gate. `x_api_key="…"` becomes the header x-api-key."""
    transport = httpx.ASGITransport(gate or globals()["gate"](), client=(address, 50000))
    sent = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        return await client.request(method, path, headers=sent)


async def test_this_machine_needs_nothing() -> None:
    response = await ask("/v1/models", address=ME, host="localhost:8002")
    assert (response.status_code, response.text) == (200, "this machine")


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_forwarded_proto", "x_real_ip"])
async def test_a_proxy_on_this_machine_speaks_for_somebody_else(header: str) -> None:
    response = await ask("/v1/models", address=ME, host="localhost:8002", **{header: "203.0.113.9"})  # type: ignore[arg-type]
    assert response.status_code == 401


async def test_an_allowed_name_is_a_proxys_and_not_this_machine() -> None:
    behind_proxy = gate(allowed_hosts=["chat.example"])
    assert (await ask("/v1/models", address=ME, host="chat.example", gate=behind_proxy)).status_code == 401


@pytest.mark.parametrize("address", [ME, OTHER])
async def test_a_foreign_host_name_gets_no_answer(address: str) -> None:
    response = await ask("/health", address=address, host="evil.example")
    assert response.status_code == 421
    assert "evil.example" in response.json()["error"]["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
async def test_a_foreign_page_gets_no_answer(method: str) -> None:
    response = await ask("/health", address=ME, method=method, host="localhost:8002", origin="https://evil.example")
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "forbidden_origin"


async def test_our_own_page_may_ask() -> None:
    response = await ask("/x", address=ME, method="POST", host="localhost:8002", origin="http://localhost:8002")
    assert response.status_code == 200


async def test_a_page_request_is_led_to_the_sign_in() -> None:
    response = await ask("/c/7?full=1", accept="text/html,*/*")
    assert (response.status_code, response.headers["location"]) == (303, "/signin?next=%2Fc%2F7%3Ffull%3D1")


async def test_a_program_is_told_to_send_a_key() -> None:
    response = await ask("/v1/models", accept="text/html")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="Glasshouse"'
    assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    "header",
    [{"authorization": "Bearer the passphrase"}, {"authorization": "bearer the passphrase"},
     {"x_api_key": "the passphrase"}, {"api_key": "the passphrase"}],
)  # fmt: skip
async def test_the_passphrase_is_a_key(header: dict[str, Any]) -> None:
    response = await ask("/v1/models", **header)
    assert (response.status_code, response.text) == (200, f"program {OTHER}")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_a_key_beyond_ascii_is_read_in_either_encoding(encoding: str) -> None:
    class Umlauts(OneKey):
        async def verify_key(self, key: str, address: str) -> None:
            assert key == "drei grüne Vögel"

    gate = Gate(show_owner, Settings(), Umlauts, NoKeys)
    response = await ask("/v1/models", gate=gate, authorization="Bearer drei grüne Vögel".encode(encoding))
    assert response.status_code == 200


@pytest.mark.parametrize(
    "header", [{"authorization": "Bearer no"}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer "}, {}]
)
async def test_anything_else_is_not(header: dict[str, Any]) -> None:
    assert (await ask("/v1/models", **header)).status_code == 401


async def test_who_guesses_too_often_waits() -> None:
    response = await ask("/v1/models", x_api_key="guess too often")
    assert (response.status_code, response.headers["retry-after"]) == (429, "13")


async def test_a_signed_in_browser_passes_under_a_name_that_hides_its_token() -> None:
    response = await ask("/", cookie=f"other program=1;=; {SESSION_COOKIE}=a session")
    assert response.status_code == 200
    assert response.text.startswith("session ")
    assert "a session" not in response.text


@pytest.mark.parametrize("cookie", [f"{SESSION_COOKIE}=old", f"{SESSION_COOKIE}", "nonsense;;=;", 'a b="c'])
async def test_a_cookie_that_is_not_a_session_does_not(cookie: str) -> None:
    assert (await ask("/v1/models", cookie=cookie)).status_code == 401


@pytest.mark.parametrize("path", ["/signin", "/health", "/static/css/signin.css"])
async def test_what_signing_in_needs_is_open(path: str) -> None:
    assert (await ask(path)).status_code == 200
    assert (await ask(path, method="POST")).status_code == 401


async def test_the_session_route_is_open_for_signing_in_only() -> None:
    assert (await ask("/api/session", method="POST")).status_code == 200
    assert (await ask("/api/session", method="DELETE")).status_code == 401


async def test_sign_in_can_be_switched_off() -> None:
    open_gate = gate(sign_in=False)
    response = await ask("/v1/models", gate=open_gate, authorization="Bearer sk-anything")
    assert (response.status_code, response.text) == (200, f"address {OTHER}")
    assert (await ask("/v1/models", gate=open_gate, host="evil.example")).status_code == 421


async def test_a_socket_ends_with_its_session() -> None:
    """Two messages of a page: signed in with the first, signed out before the second."""
    answers = iter([True, True, False])
    heard: list[str] = []
    sent: list[Message] = []

    class Leaving(OneKey):
        async def is_session(self, token: str) -> bool:
            return next(answers)

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            heard.append(message["text"])

    async def receive() -> Message:
        return {"type": "websocket.receive", "text": "click"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", HOST.encode()), (b"cookie", f"{SESSION_COOKIE}=a session".encode())]
    scope = {"type": "websocket", "path": "/_nicegui_ws/socket.io", "headers": headers, "client": (OTHER, 1)}
    await Gate(page, Settings(), Leaving, NoKeys)(scope, receive, send)
    assert heard == ["click"]
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def open_socket(
    address: str, headers: Iterable[tuple[str, str]], extensions: dict[str, Any] | None = None
) -> list[Message]:
    """What a websocket handshake through the gate is answered."""
    sent: list[Message] = []

    async def accept(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "websocket", "path": "/_nicegui_ws/socket.io", "headers": encoded, "client": (address, 1)}
    await gate(accept)(scope | {"extensions": extensions or {}}, receive, send)
    return sent


async def test_a_program_reads_why_its_socket_was_refused() -> None:
    start, body = await open_socket(OTHER, [("host", HOST)], {"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert b"sign_in_required" in body["body"]


async def test_a_websocket_of_our_page_opens() -> None:
    assert await open_socket(ME, [("host", "localhost:8002"), ("origin", "http://localhost:8002")]) == [
        {"type": "websocket.accept"}
    ]


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (ME, [("host", "localhost:8002"), ("origin", "https://evil.example")]),
        (ME, [("host", "evil.example"), ("origin", "http://evil.example")]),
        (OTHER, [("host", HOST), ("origin", f"http://{HOST}")]),
    ],
)
async def test_a_foreign_or_unknown_websocket_is_closed(address: str, headers: list[tuple[str, str]]) -> None:
    [answer] = await open_socket(address, headers)
    assert (answer["type"], answer["code"]) == ("websocket.close", 1008)
