"""Every no has a status, a code and a sentence, and never a traceback."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI

from webui import errors
from webui.api.door.request_ids import RequestIds
from webui.api.errors import add_error_handlers, describe, status_of


def kinds(base: type[errors.GlasshouseError] = errors.GlasshouseError) -> Iterator[type[errors.GlasshouseError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_kind_of_error_has_a_status(kind: type[errors.GlasshouseError]) -> None:
    assert 400 <= status_of(kind.__new__(kind)) < 600


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.UnknownModel("gpt-9"), 404, "model_not_found"),
        (errors.ModelTooBig("Huge", 90 * 10**9, 8 * 10**9), 507, "model_too_big"),
        (errors.EngineBusy(3.2), 429, "engine_busy"),
        (errors.EngineDied("killed"), 503, "engine_died"),
        (errors.LoadOvertaken("Small"), 409, "load_overtaken"),
        (errors.ContextTooLarge("Small", 100_000, 8192), 400, "context_too_large"),
        (errors.AlreadyAnswering(), 409, "already_answering"),
    ],
)
def test_the_body_is_openais(error: errors.GlasshouseError, status: int, code: str) -> None:
    body = describe(error, "/v1/chat/completions")["error"]
    assert status_of(error) == status
    assert (body["code"], body["message"]) == (code, str(error))
    assert set(body) >= {"message", "type", "param", "code"}


def test_what_is_too_long_is_told_in_openais_words_too() -> None:
    """Programs look for one of these two sentences, and make room then."""
    body = describe(errors.ContextTooLong(9000, 2048), "/v1/chat/completions")["error"]
    assert body["code"] == "context_length_exceeded"
    assert "Input tokens exceed the configured limit" in body["message"]
    assert "This model's maximum context length is 2048 tokens. However, your messages" in body["message"]
    assert "9,000" in body["message"], "and in ours"


def test_both_numbers_are_there_for_programs() -> None:
    body = describe(errors.ContextTooLong(9000, 2048), "/status")["error"]
    assert body["code"] == "context_too_long"
    assert body["details"] == {"prompt_tokens": 9000, "context_tokens": 2048}


async def test_what_nobody_expected_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    add_error_handlers(app)
    app.add_middleware(RequestIds)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the secret path /home/ann")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        with caplog.at_level(logging.ERROR):
            response = await client.get("/broken")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "ann" not in response.text
    assert "Traceback" not in response.text


async def test_bad_bodies_are_told_in_a_sentence(client: httpx.AsyncClient) -> None:
    broken = await client.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_json")

    wrong = await client.post("/v1/chat/completions", json={"messages": [], "temperature": 3})
    error = wrong.json()["error"]
    assert (wrong.status_code, error["param"]) == (400, "messages")
    assert "temperature: Input should be less than or equal to 2" in error["message"]


async def test_unknown_paths_and_methods_are_told_in_json(client: httpx.AsyncClient) -> None:
    missing = await client.get("/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    wrong = await client.put("/status")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_a_body_without_end_is_refused(client: httpx.AsyncClient) -> None:
    announced = await client.post("/v1/chat/completions", content=b" " * (17 * 1024 * 1024))
    assert (announced.status_code, announced.json()["error"]["code"]) == (413, "message_too_large")

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(18):
            yield b" " * (1024 * 1024)

    dripped = await client.post("/v1/chat/completions", content=drip())
    assert dripped.status_code == 413
    assert "16 MB" in dripped.json()["error"]["message"] or "17 MB" in dripped.json()["error"]["message"]


async def test_before_signing_in_only_short_bodies_are_read(stranger: httpx.AsyncClient) -> None:
    announced = await stranger.post("/api/session", content=b"[" + b"[]," * 10_000 + b"[]]")
    assert announced.status_code == 413

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1024

    assert (await stranger.post("/api/session", content=drip())).status_code == 413


async def test_half_a_character_in_a_name_is_no_failure_of_the_server(client: httpx.AsyncClient) -> None:
    body = b'{"model": "\\ud800", "messages": [{"role": "user", "content": "Hi"}]}'
    for path in ("/v1/chat/completions", "/load_model"):
        response = await client.post(path, content=body, headers={"content-type": "application/json"})
        assert response.status_code == 404
        assert "“?”" in response.json()["error"]["message"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "top_k"])
async def test_numbers_that_no_machine_holds_are_told(client: httpx.AsyncClient, name: str) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], name: 10**30}
    response = await client.post("/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, name)


@pytest.mark.parametrize("name", ["ctx", "gpu_layers"])
async def test_numbers_that_no_model_has_are_told_before_loading(client: httpx.AsyncClient, name: str) -> None:
    response = await client.post("/load_model", json={"model": "any", name: 10**30})
    assert (response.status_code, response.json()["error"]["param"]) == (400, name)


async def test_more_messages_than_any_model_reads_are_refused_before_the_model_counts_them(
    client: httpx.AsyncClient,
) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}] * 10_000}
    response = await client.post("/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "messages")
    assert "at most 8192" in response.json()["error"]["message"]
