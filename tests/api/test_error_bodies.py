"""Whatever goes wrong with a request, wherever it does: each dialect's programs read an error of their own shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from tests.api.test_openai import STARTER
from webui.api.error_bodies import Dialect
from webui.core.application import Application

JSON = {"content-type": "application/json"}
#: A route of each dialect that takes a body, one that is not there, and where its errors have a word for programs.
ROUTES: dict[Dialect, tuple[str, str]] = {
    "openai": ("/v1/chat/completions", "/v1/nothing"),
    "anthropic": ("/v1/messages", "/v1/messages/nothing"),
    "ollama": ("/api/chat", "/api/nothing"),
    "llama.cpp": ("/completion", "/completion/nothing"),
}
OWN_ROUTES = ("/load_model", "/manage/downloads", "/api/v0/chat/completions", "/api/uploads")
#: OpenAI's own schema wants these four, null or not.
SHAPES: dict[Dialect, dict[str, Any]] = {
    "openai": {
        "required": ["error"],
        "properties": {
            "error": {
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"minLength": 10},
                    "type": {"pattern": "_error$"},
                    "code": {"type": "string"},
                },
            }
        },
    },
    "anthropic": {
        "required": ["type", "error"],
        "additionalProperties": False,
        "properties": {
            "type": {"const": "error"},
            "request_id": {"pattern": "^req_"},
            "error": {
                "required": ["type", "message"],
                "additionalProperties": False,
                "properties": {"message": {"minLength": 10}, "type": {"pattern": "_error$|^request_too_large$"}},
            },
        },
    },
    "ollama": {
        "required": ["error"],
        "additionalProperties": False,
        "properties": {"error": {"type": "string", "minLength": 10}},
    },
    "llama.cpp": {
        "required": ["error"],
        "properties": {
            "error": {
                "required": ["code", "message", "type"],
                "properties": {
                    "code": {"type": "integer"},
                    "message": {"minLength": 10},
                    "type": {"pattern": "_error$"},
                },
            }
        },
    },
}
#: What is sent, and the status that comes of it.
FAULTS: dict[str, tuple[dict[str, Any], int]] = {
    "no body": ({"headers": JSON}, 400),
    "no JSON": ({"headers": JSON, "content": b"{"}, 400),
    "no UTF-8": ({"headers": JSON, "content": b'{"model": "\xff"}'}, 400),
    "no object": ({"headers": JSON, "content": b"[]"}, 400),
    "no end of brackets": ({"headers": JSON, "content": b'{"messages": ' + b"[" * 100_000}, 400),
    "a number without end": ({"headers": JSON, "content": b'{"seed": ' + b"9" * 5000 + b"}"}, 400),
    "wrong types": ({"json": {"model": 3, "messages": 4, "prompt": {}, "max_tokens": "many"}}, 400),
    "no JSON by its own account": ({"headers": {"content-type": "application/xml"}, "content": b"<a/>"}, 400),
    "a form": ({"headers": {"content-type": "multipart/form-data; boundary=x"}, "content": b"--x--"}, 400),
    "compressed": ({"headers": JSON | {"content-encoding": "gzip"}, "content": b"\x1f\x8b\x08"}, 400),
    "too much": ({"content": b" " * 17_000_000}, 413),
    "for another host": ({"headers": {"host": "evil.example"}, "json": {}}, 421),
    "from a page elsewhere": ({"headers": {"origin": "https://evil.example"}, "json": {}}, 403),
}


def question(dialect: Dialect, text: str) -> dict[str, Any]:
    if dialect == "llama.cpp":
        return {"prompt": text}
    body: dict[str, Any] = {"model": STARTER, "messages": [{"role": "user", "content": text}]}
    return body | ({"max_tokens": 5} if dialect == "anthropic" else {})


def check(response: httpx.Response, dialect: Dialect, status: int) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    jsonschema.validate(response.json(), SHAPES[dialect])
    assert "Traceback" not in response.text


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dialect", ROUTES)
async def test_every_fault_has_the_dialects_shape(client: httpx.AsyncClient, dialect: Dialect, fault: str) -> None:
    sent, status = FAULTS[fault]
    check(await client.post(ROUTES[dialect][0], **sent), dialect, status)


@pytest.mark.parametrize("dialect", ROUTES)
async def test_so_has_what_is_not_there(client: httpx.AsyncClient, dialect: Dialect) -> None:
    route, nothing = ROUTES[dialect]
    if dialect != "llama.cpp":  # its routes have no prefix: what is beside them is a page's
        check(await client.post(nothing, json={}), dialect, 404)
    wrong = await client.put(route, json={})
    check(wrong, dialect, 405)
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize("dialect", ROUTES)
async def test_so_have_those_who_may_not_come_in(stranger: httpx.AsyncClient, dialect: Dialect) -> None:
    without_key = await stranger.post(ROUTES[dialect][0], json={})
    check(without_key, dialect, 401)
    assert without_key.headers["www-authenticate"].startswith("Bearer")
    check(await stranger.post(ROUTES[dialect][0], json={}, headers={"x-api-key": "wrong"}), dialect, 401)


@pytest.mark.parametrize("dialect", ROUTES)
async def test_so_has_what_nobody_expected(
    client: httpx.AsyncClient, dialect: Dialect, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret path /home/ann")

    monkeypatch.setattr(application.models, "generate", fail)
    response = await client.post(ROUTES[dialect][0], json=question(dialect, "Hi"))
    check(response, dialect, 500)
    assert "ann" not in response.text


@pytest.mark.parametrize("dialect", ROUTES)
async def test_so_has_a_body_that_never_ends(client: httpx.AsyncClient, dialect: Dialect) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 1_000_000

    check(await client.post(ROUTES[dialect][0], content=drip()), dialect, 413)


@pytest.mark.parametrize("path", OWN_ROUTES)
async def test_what_is_our_own_has_openais_shape(client: httpx.AsyncClient, path: str) -> None:
    for fault in ("no JSON", "no object", "for another host", "from a page elsewhere"):
        sent, status = FAULTS[fault]
        check(await client.post(path, **sent), "openai", status)


async def test_the_list_of_models_fails_in_the_words_of_whoever_asks(client: httpx.AsyncClient, app: FastAPI) -> None:
    check(await client.get("/v1/models/none"), "openai", 404)
    anthropics = {"anthropic-version": "2023-06-01"}
    check(await client.get("/v1/models/none", headers=anthropics), "anthropic", 404)
    check(await client.get("/v1/models", headers=anthropics | {"host": "evil.example"}), "anthropic", 421)


@pytest.mark.parametrize("dialect", ROUTES)
async def test_a_prompt_that_is_too_long_is_said_as_programs_look_for_it(
    client: httpx.AsyncClient, dialect: Dialect
) -> None:
    response = await client.post(ROUTES[dialect][0], json=question(dialect, "too long"))
    check(response, dialect, 400)
    told: dict[Dialect, str] = {
        "openai": "This model's maximum context length is 2048 tokens",
        "anthropic": "prompt is too long: 9000 tokens > 2048 maximum",
        "ollama": "9,000 tokens",
        "llama.cpp": "request (9000 tokens) exceeds the available context size (2048 tokens)",
    }
    assert told[dialect] in response.text
