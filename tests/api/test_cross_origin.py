"""Pages of other origins: shut out, unless the settings name them; then they may ask models, and more with a key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.support.fake_engine import FakeEngine
from webui.api.door.hosts import origin_pattern
from webui.config import Settings
from webui.core.application import Application

APP = "http://localhost:3000"


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", lan=True, allowed_origins=[APP])
    async with Application(settings, engine_factory=FakeEngine) as opened:
        yield opened


async def preflight(client: httpx.AsyncClient, origin: str, path: str = "/v1/chat/completions") -> httpx.Response:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, x-mine"}
    return await client.options(path, headers={"origin": origin} | asked)


async def test_an_allowed_page_asks_a_model(client: httpx.AsyncClient) -> None:
    before = await preflight(client, APP)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == APP
    assert before.headers["access-control-allow-headers"] == "authorization, x-mine"
    assert "access-control-allow-credentials" not in before.headers

    answer = await client.get("/v1/models", headers={"origin": APP})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP)
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]


async def test_without_a_key_it_may_do_no_more_than_that(client: httpx.AsyncClient, application: Application) -> None:
    refused = await client.get("/manage/models", headers={"origin": APP})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "missing_scope")
    assert refused.headers["access-control-allow-origin"] == APP, "or the page could not read why"
    assert (await client.get("/", headers={"origin": APP})).status_code == 403
    _, token = await application.keys.create("app", ["models"])
    allowed = await client.get("/manage/models", headers={"origin": APP, "x-api-key": token})
    assert allowed.status_code == 200


async def test_a_visitors_session_is_not_the_pages(
    app: FastAPI, stranger: httpx.AsyncClient, application: Application
) -> None:
    await application.access.change_passphrase("correct horse battery")
    assert (await stranger.post("/api/session", json={"passphrase": "correct horse battery"})).status_code == 201
    assert (await stranger.get("/v1/models")).status_code == 200
    assert (await stranger.get("/v1/models", headers={"origin": APP})).status_code == 401


async def test_all_others_stay_shut_out(client: httpx.AsyncClient) -> None:
    for origin in ("https://evil.example", "http://localhost:3001", "null", "http://localhost:3000.evil"):
        before = await preflight(client, origin)
        assert before.status_code == 400
        assert "access-control-allow-origin" not in before.headers
        answer = await client.post("/v1/chat/completions", headers={"origin": origin}, json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("allowed", "origin", "is_allowed"),
    [
        ([], "http://localhost:3000", False),
        (["http://localhost:*"], "http://localhost:5173", True),
        (["http://localhost:*"], "http://localhost", True),
        (["http://localhost:*"], "http://localhost:5173.evil.example", False),
        (["http://localhost:*"], "http://localhost:80@evil.example", False),
        (["https://app.example"], "https://app.example.evil", False),
        (["https://app.example"], "https://APP.example", True),
        (["https://app.example"], "https://appXexample", False),
        (["vscode-webview://*"], "vscode-webview://1abc", True),
        (["vscode-webview://*"], "https://evil.example/vscode-webview://1", False),
        (["app://obsidian.md", "tauri://localhost"], "tauri://localhost", True),
    ],
)
def test_which_origins_are_meant(allowed: list[str], origin: str, is_allowed: bool) -> None:
    meant = Settings(allowed_origins=allowed).allowed_origins
    assert (origin_pattern(meant).fullmatch(origin) is not None) is is_allowed


@pytest.mark.parametrize("wrong", ["*", "https://*", "localhost", "http://a/b", "http://*.example"])
def test_what_would_allow_everybody_is_no_setting(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        Settings(allowed_origins=[wrong])
