"""API keys over HTTP: who may what with them, how much, and what each dialect's programs are told otherwise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import openai
import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from tests.core.waiting import until
from tests.support.fake_engine import FakeEngine
from webui.api import add_routes
from webui.api.door.gate import Gate
from webui.config import Settings
from webui.core.application import Application
from webui.store.keys import KeyLimits, KeyScope

HELLO: dict[str, Any] = {
    "model": "SmolLM2-135M-Instruct.Q4_1",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 3,
}
LONG: dict[str, Any] = {"model": HELLO["model"], "messages": [{"role": "user", "content": "long"}], "stream": True}


async def make(application: Application, *scopes: KeyScope, **limits: int) -> dict[str, str]:
    """The header of a new key."""
    name = f"key {len(application.keys.all())}"
    _, token = await application.keys.create(name, scopes or ("inference",), limits=KeyLimits(**limits))
    return {"Authorization": f"Bearer {token}"}


# --- making them ---------------------------------------------------------------------------------------------------


async def test_a_key_is_made_shown_once_used_and_revoked(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    made = await client.post("/manage/keys", json={"name": "Editor", "limits": {"requests_per_minute": 60}})
    assert made.status_code == 201
    key = made.json()
    token = key.pop("key")
    listed = await client.get("/manage/keys")
    assert token not in listed.text
    assert listed.json() == [key]
    assert (key["scopes"], key["limits"]["requests_per_minute"], key["expires_at"]) == (["inference"], 60, None)

    for name in ("Authorization", "x-api-key", "api-key"):
        sent = {name: f"Bearer {token}" if name == "Authorization" else token}
        assert (await stranger.post("/v1/chat/completions", json=HELLO, headers=sent)).status_code == 200
    used = (await client.get(f"/manage/keys/{key['id']}")).json()["usage"]
    assert (used["num_requests"], used["prompt_tokens"], used["generated_tokens"]) == (3, 21, 9)

    assert (await client.delete(f"/manage/keys/{key['id']}")).status_code == 204
    refused = await stranger.post("/v1/chat/completions", json=HELLO, headers={"x-api-key": token})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert (await client.delete(f"/manage/keys/{key['id']}")).status_code == 404


async def test_a_key_that_would_not_be_what_was_asked_for_is_refused(client: httpx.AsyncClient) -> None:
    for body in (
        {},
        {"name": ""},
        {"name": "a\u0000b"},
        {"name": "a", "scopes": []},
        {"name": "a", "scopes": ["root"]},
        {"name": "a", "scope": "admin"},
        {"name": "a", "expires_days": 0},
        {"name": "a", "limits": {"requests_per_minute": 0}},
        {"name": "a", "limits": {"requests_per_hour": 5}},
    ):
        refused = await client.post("/manage/keys", json=body)
        assert refused.status_code == 400, body
        assert refused.json()["error"]["message"]
    assert (await client.get("/manage/keys")).json() == []


# --- who needs one -------------------------------------------------------------------------------------------------


async def test_on_this_machine_whatever_others_call_a_key_is_ignored_and_a_revoked_one_is_not(
    client: httpx.AsyncClient, application: Application
) -> None:
    for key in ("none", "sk-proj-1234", "ollama", "lm-studio", "gh-tooshort"):
        sent = {"Authorization": f"Bearer {key}"}
        assert (await client.get("/v1/models", headers=sent)).status_code == 200
    header = await make(application)
    await application.keys.revoke(application.keys.all()[0].id)
    refused = await client.get("/v1/models", headers=header)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="Glasshouse"')


async def test_a_key_holds_on_this_machine_too(client: httpx.AsyncClient, application: Application) -> None:
    header = await make(application, "inference", requests_per_minute=1)
    assert (await client.get("/manage/models", headers=header)).status_code == 403
    asked = [await client.post("/v1/chat/completions", json=HELLO, headers=header) for _ in range(2)]
    assert [each.status_code for each in asked] == [200, 429]


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """This machine, before a server that asks everybody."""
    settings = Settings(data_dir=tmp_path / "strict", models_dir=tmp_path / "models", require_key=True)
    async with Application(settings, engine_factory=FakeEngine) as application:
        app = FastAPI()
        app.state.kept = application
        add_routes(app, application)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8002") as session:
            yield session


async def test_keys_can_be_required_on_this_machine_too(strict: httpx.AsyncClient) -> None:
    assert (await strict.get("/health")).status_code == 200
    for sent in ({}, {"Authorization": "Bearer none"}):
        assert (await strict.get("/v1/models", headers=sent)).status_code == 401
    page = await strict.get("/", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/signin?next=%2F")
    application: Application = strict._transport.app.state.kept  # type: ignore[attr-defined]
    assert (await strict.get("/v1/models", headers=await make(application))).status_code == 200


# --- scopes --------------------------------------------------------------------------------------------------------


FREE: dict[KeyScope, tuple[str, ...]] = {
    "inference": (
        "GET /v1/models",
        "GET /metrics",
        "POST /v1/chat/completions",
        "POST /api/chat",
    ),
    "models": (
        "GET /manage/models",
        "POST /unload_model",
        "GET /v1/models",
    ),
    "admin": (
        "GET /manage/keys",
        "POST /v1/chat/completions",
        "POST /unload_model",
    ),
}
SHUT: dict[KeyScope, tuple[str, ...]] = {
    "inference": (
        "POST /api/pull",
        "GET /manage/models",
        "POST /unload_model",
    ),
    "models": (
        "POST /v1/chat/completions",
        "GET /manage/keys",
        "PUT /manage/hub/token",
        "POST /api/conversations/x/messages",
        "GET /",
    ),
}


async def test_a_key_may_what_its_scopes_say(stranger: httpx.AsyncClient, application: Application) -> None:
    for is_free, lines in ((True, FREE), (False, SHUT)):
        for scope, wanted in lines.items():
            header = await make(application, scope)
            for line in wanted:
                method, path = line.split()
                answer = await stranger.request(method, path, headers=header, json={} if method == "POST" else None)
                assert (answer.status_code != 403) is is_free, f"{scope}: {line}: {answer.text}"


async def test_a_missing_scope_is_said_in_each_dialects_own_words(
    stranger: httpx.AsyncClient, application: Application
) -> None:
    header = await make(application, "models")
    openai_error = (await stranger.post("/v1/chat/completions", headers=header)).json()["error"]
    assert (openai_error["type"], openai_error["code"]) == ("permission_error", "missing_scope")
    assert "“inference”" in openai_error["message"]
    anthropic = (await stranger.post("/v1/messages", headers=header)).json()
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "permission_error")
    ollama = (await stranger.post("/api/chat", headers=header)).json()
    assert "“inference”" in ollama["error"]


# --- limits --------------------------------------------------------------------------------------------------------


async def test_what_is_left_is_told_with_each_answer_and_what_is_too_much_with_how_long_to_wait(
    stranger: httpx.AsyncClient, application: Application
) -> None:
    header = await make(application, requests_per_minute=2, tokens_per_minute=1000)
    told = [(await stranger.post("/v1/chat/completions", json=HELLO, headers=header)).headers for _ in range(2)]
    assert [each["x-ratelimit-remaining-requests"] for each in told] == ["1", "0"]
    assert (told[0]["x-ratelimit-limit-requests"], told[0]["x-ratelimit-limit-tokens"]) == ("2", "1000")
    assert told[1]["x-ratelimit-remaining-tokens"] == "980", "both answers have cost ten"
    assert 0 < float(told[1]["x-ratelimit-reset-requests"].removesuffix("s")) <= 61

    refused = await stranger.post("/v1/chat/completions", json=HELLO, headers=header)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert (await stranger.get("/v1/models", headers=header)).status_code == 200, "to look costs nothing"


async def test_tokens_are_limited(stranger: httpx.AsyncClient, application: Application) -> None:
    header = await make(application, tokens_per_minute=15)
    codes = [(await stranger.post("/v1/messages", json=HELLO, headers=header)).status_code for _ in range(3)]
    assert codes == [200, 200, 429]


async def test_answers_at_once_are_limited_until_one_ends(app: FastAPI, application: Application) -> None:
    header = await make(application, concurrent_requests=1)
    stream = Streaming(app, header)
    await stream.begun()
    async with talk(app) as session:
        refused = await session.post("/v1/chat/completions", json=HELLO, headers=header)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        await stream.leave()
        assert (await session.post("/v1/chat/completions", json=HELLO, headers=header)).status_code == 200


# --- revoking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "more", "last"),
    [
        ("/v1/chat/completions", {}, b'data: {"error":'),
        ("/v1/messages", {"max_tokens": 10**6}, b'event: error\ndata: {"type":"error"'),
        ("/api/chat", {}, b'{"error":"This API key was revoked'),
    ],
)
async def test_a_running_stream_ends_with_its_key_in_its_dialects_words(
    app: FastAPI, application: Application, path: str, more: dict[str, Any], last: bytes
) -> None:
    stream = Streaming(app, await make(application), path, **more)
    await stream.begun()
    await application.keys.revoke(application.keys.all()[0].id)
    await stream.ended()
    assert stream.pieces[-1].startswith(last)
    assert b"revoked" in stream.pieces[-1]
    await until(lambda: not application.models.alive[0].load.num_running)


async def test_who_waits_for_a_whole_answer_is_told_too(app: FastAPI, application: Application) -> None:
    header = await make(application)
    async with talk(app) as session:
        asking = asyncio.create_task(
            session.post("/v1/chat/completions", json=LONG | {"stream": False}, headers=header)
        )
        await until(lambda: any(each.load.num_running for each in application.models.alive))
        await application.keys.revoke(application.keys.all()[0].id)
        answer = await asking
    assert (answer.status_code, answer.json()["error"]["details"]) == (401, {"state": "revoked"})


async def test_what_runs_in_the_background_for_a_key_ends_with_it_too(
    client: httpx.AsyncClient, application: Application
) -> None:
    header = await make(application)
    wanted = {"model": HELLO["model"], "input": "long", "background": True}
    made = await client.post("/v1/responses", json=wanted, headers=header)
    assert made.status_code == 200, made.text
    await until(lambda: any(each.load.num_running for each in application.models.alive))
    await application.keys.revoke(application.keys.all()[0].id)
    assert not any(each.load.num_running for each in application.models.alive)


# --- a real client -------------------------------------------------------------------------------------------------


async def test_the_official_clients_own_errors(app: FastAPI, application: Application) -> None:
    async def ask(header: dict[str, str]) -> Any:
        async with talk(app, "192.168.1.77") as http_client:
            client = openai.AsyncOpenAI(
                base_url="http://192.168.1.5:8002/v1",
                api_key=header["Authorization"].removeprefix("Bearer "),
                http_client=cast("Any", http_client),  # its own httpx is a copy of this one
                max_retries=0,
            )
            return await client.chat.completions.with_raw_response.create(**HELLO)

    await application.access.ensure_passphrase()
    answer = await ask(header := await make(application, requests_per_minute=1))
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert answer.request_id.startswith("req_")
    with pytest.raises(openai.RateLimitError) as limited:
        await ask(header)
    assert limited.value.code == "rate_limit_exceeded"
    assert limited.value.request_id
    with pytest.raises(openai.PermissionDeniedError):
        await ask(await make(application, "models"))
    with pytest.raises(openai.AuthenticationError) as unknown:
        await ask({"Authorization": "Bearer gh-" + "x" * 43})
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        await ask({"Authorization": "Bearer wrong"})


# --- who asks ------------------------------------------------------------------------------------------------------


async def test_routes_hear_who_asks_by_the_keys_id(application: Application) -> None:
    header = await make(application)
    [key] = application.keys.all()

    seen: list[Scope] = []

    async def note(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate = Gate(note, application.settings, lambda: application.access, lambda: application.keys)
    transport = httpx.ASGITransport(gate, client=("192.168.1.77", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://192.168.1.5:8002") as session:
        await session.get("/v1/models", headers=header)
    assert (seen[0]["state"]["owner"], seen[0]["state"]["key"].id) == (key.id, key.id)


# --- help ----------------------------------------------------------------------------------------------------------


def talk(app: FastAPI, address: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50000))
    host = "localhost:8002" if address == "127.0.0.1" else "192.168.1.5:8002"
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


class Streaming:
    """A request that is answered piece by piece, over bare ASGI: httpx's transport waits for the whole answer."""

    def __init__(self, app: FastAPI, header: dict[str, str], path: str = "/v1/chat/completions", **more: Any) -> None:
        self.pieces: list[bytes] = []
        self._received = asyncio.Event()
        self._left = asyncio.Event()
        self._body = json.dumps(LONG | more).encode()
        self._was_asked = False
        headers = [(b"host", b"localhost:8002"), (b"content-type", b"application/json")]
        headers += [(name.lower().encode(), value.encode()) for name, value in header.items()]
        scope: Scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": headers, "client": ("127.0.0.1", 1), "scheme": "http", "server": ("localhost", 8002),
            "http_version": "1.1", "asgi": {"version": "3.0"}, "root_path": "",
        }  # fmt: skip
        self._task = asyncio.create_task(app(scope, self._receive, self._send))

    async def begun(self) -> None:
        await asyncio.wait_for(self._received.wait(), 10)

    async def leave(self) -> None:
        self._left.set()
        await self.ended()

    async def ended(self) -> None:
        await asyncio.wait_for(self._task, 10)

    async def _receive(self) -> Message:
        if not self._was_asked:
            self._was_asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            self.pieces.append(message["body"])
            if b"word" in message["body"]:
                self._received.set()
        await asyncio.sleep(0)
