"""The response cache through the wire: every dialect, streamed and not, with the header that says what happened."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.support.fake_engine import FakeEngine
from webui.api import add_routes
from webui.config import Settings
from webui.core.application import Application

CHAT = "/v1/chat/completions"


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", response_cache="memory")
    settings.models_dir.mkdir()
    async with Application(settings, engine_factory=FakeEngine) as opened:
        yield opened


def ask(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}


async def num_asked(application: Application) -> int:
    engine = await application.models.ensure_loaded()
    assert isinstance(engine, FakeEngine)
    return len(engine.asked)


async def test_the_second_answer_comes_from_the_cache(client: httpx.AsyncClient, application: Application) -> None:
    first = await client.post(CHAT, json=ask())
    second = await client.post(CHAT, json=ask())
    assert first.headers["x-glasshouse-cache"] == "miss"
    assert second.headers["x-glasshouse-cache"] == "hit"
    assert second.json()["choices"] == first.json()["choices"]
    assert second.json()["id"] != first.json()["id"]
    assert second.json()["usage"]["prompt_tokens_details"] == {"cached_tokens": 7}
    assert second.json()["usage"]["completion_tokens"] == 4
    assert await num_asked(application) == 1


async def test_a_stream_is_told_again_frame_by_frame(client: httpx.AsyncClient, application: Application) -> None:
    body = ask("call", stream=True, stream_options={"include_usage": True})
    frames = []
    for expected in ("miss", "hit"):
        response = await client.post(CHAT, json=body)
        assert response.headers["x-glasshouse-cache"] == expected
        frames.append([line for line in response.text.splitlines() if '"delta":' in line])
        assert response.text.rstrip().endswith("data: [DONE]")
    deltas = [[re.sub(r'.*"delta":|"timings":{[^}]*}', "", frame) for frame in said] for said in frames]
    assert deltas[0] == deltas[1]
    assert "tool_calls" in str(deltas[1])
    assert await num_asked(application) == 1


async def test_dialects_share_what_means_the_same(client: httpx.AsyncClient, application: Application) -> None:
    """One question in three dialects: the same messages, samplers and limits."""
    model = (await client.get("/v1/models")).json()["data"][0]["id"]
    body = {"messages": [{"role": "user", "content": "hi"}], "model": model}
    await client.post(CHAT, json=body | {"temperature": 0, "max_tokens": 4})
    claude = await client.post("/v1/messages", json=body | {"temperature": 0, "max_tokens": 4})
    assert claude.headers["x-glasshouse-cache"] == "hit"
    assert claude.json()["content"][0]["text"] == "word0 word1 word2 word3 "
    assert await num_asked(application) == 1


@pytest.mark.parametrize("body", [ask(temperature=0.7), ask(temperature=None)])
async def test_what_is_drawn_has_no_header(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    for _ in range(2):
        assert "x-glasshouse-cache" not in (await client.post(CHAT, json=body)).headers


async def test_each_choice_of_a_seed_is_an_answer_of_its_own(
    client: httpx.AsyncClient, application: Application
) -> None:
    body = ask(temperature=0.7, seed=5, n=2)
    assert (await client.post(CHAT, json=body)).headers["x-glasshouse-cache"] == "miss"
    assert (await client.post(CHAT, json=body)).headers["x-glasshouse-cache"] == "hit"
    assert (await client.post(CHAT, json=body | {"n": 3})).headers["x-glasshouse-cache"] == "miss"
    assert await num_asked(application) == 3


async def test_an_error_is_never_kept(client: httpx.AsyncClient, application: Application) -> None:
    for _ in range(2):
        assert (await client.post(CHAT, json=ask("fail"))).status_code == 503
    assert await num_asked(application) == 2


async def test_hits_and_misses_are_counted(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post(CHAT, json=ask())
    figures = (await client.get("/metrics")).text
    assert 'glasshouse_response_cache_total{outcome="miss"} 1.0' in figures
    assert 'glasshouse_response_cache_total{outcome="hit"} 2.0' in figures
    assert "glasshouse_response_cache_entries 1.0" in figures
    assert re.search(r"glasshouse_time_to_first_token_seconds_count\{[^}]*\} 1\.0", figures), "a replay is no model's"


def test_without_the_setting_there_is_none(tmp_path: Path) -> None:
    application = Application(Settings(data_dir=tmp_path))
    add_routes(FastAPI(), application)
    assert application.response_cache is None
