"""The clients' doctor over HTTP: what a program is told, and every dialect's requests against the real routes."""

from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import PASSPHRASE
from webui.core.application import Application


async def test_the_list(client: httpx.AsyncClient) -> None:
    clients = (await client.get("/manage/connect")).json()
    assert {"openai-python", "claude-code", "codex", "ollama"} <= {each["id"] for each in clients}


async def test_a_program_is_told_the_address_that_it_can_reach(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    elsewhere = await stranger.get("/manage/connect/openai-python", headers={"Authorization": f"Bearer {PASSPHRASE}"})
    shown = elsewhere.json()
    assert shown["address"] == "http://192.168.1.5:8002"
    assert 'base_url="http://192.168.1.5:8002/v1", api_key="YOUR-KEY"' in shown["paste"][0]["text"]
    assert (await client.get("/manage/connect/netscape")).status_code == 404


@pytest.mark.parametrize("name", ["openai-python", "codex", "anthropic-python", "ollama-python"])
async def test_what_a_program_would_ask_works(client: httpx.AsyncClient, name: str) -> None:
    result = (await client.post(f"/manage/connect/{name}/test", json={})).json()
    words = {step["use"]: step["words"] for step in result["steps"]}
    assert result["is_ok"], words
    assert "tokens read" in words["stream"]
    assert "in words" in words["tools"], "the fake model answers in words"


async def test_a_wrong_key_is_found_and_the_right_one_works(
    client: httpx.AsyncClient, application: Application
) -> None:
    await application.access.ensure_passphrase()
    wrong = (await client.post("/manage/connect/curl/test", json={"key": "wrong horse"})).json()
    assert [step["state"] for step in wrong["steps"]] == ["failed", "skipped", "skipped"]
    assert "401" in wrong["steps"][0]["words"]
    right = (await client.post("/manage/connect/curl/test", json={"key": PASSPHRASE})).json()
    assert right["is_ok"], right
