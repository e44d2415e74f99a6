"""Signs of life: who may ask, what ready means, and that nothing is told that is nobody's business."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from webui.core.application import Application
from webui.types import ModelStatus

STARTER = "SmolLM2-135M-Instruct.Q4_1"
PROBES = ("/health", "/health/live", "/v1/health", "/health/ready")


@pytest.mark.parametrize("path", PROBES)
async def test_anybody_may_ask_and_learns_one_word(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, path: str
) -> None:
    for asker in (client, stranger):
        response = await asker.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
        assert (await asker.head(path)).status_code == 200


async def test_a_model_that_would_be_loaded_on_demand_is_ready(
    client: httpx.AsyncClient, application: Application
) -> None:
    assert application.models.alive == ()
    assert (await client.get("/health/ready")).status_code == 200
    await client.post("/load_model", json={"model": STARTER})
    assert (await client.get("/health/ready")).status_code == 200


async def test_without_a_model_nobody_is_ready(
    stranger: httpx.AsyncClient, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.library.catalog.find_starter", lambda: None)
    await refuses(stranger, "no_model")
    assert (await stranger.get("/health/live")).status_code == 200, "restarting would not help"


async def test_a_model_that_failed_is_told_without_its_name(
    stranger: httpx.AsyncClient, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ModelStatus(state="failed", error="“Secret plans” could not be loaded from /home/ann/secret.gguf.")
    monkeypatch.setattr(type(application.models), "status", failed)
    await refuses(stranger, "model_failed")


async def test_a_server_that_stops_gets_no_more_requests(stranger: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.stopping.set()
    await refuses(stranger, "server_stopping")
    assert (await stranger.get("/health/live")).status_code == 200


async def test_a_probe_does_not_look_into_the_folders_each_time(
    client: httpx.AsyncClient, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_looks = 0
    look = application.catalog.scan

    async def counted() -> object:
        nonlocal num_looks
        num_looks += 1
        return await look()

    monkeypatch.setattr(application.catalog, "scan", counted)
    await client.get("/health/ready")
    after_one = num_looks
    for _ in range(10):
        await client.get("/health/ready")
    assert num_looks == after_one > 0


async def refuses(asker: httpx.AsyncClient, reason: str) -> None:
    response = await asker.get("/health/ready")
    assert response.status_code == 503
    body = response.json()
    assert (body["status"], body["reason"]) == ("unavailable", reason)
    assert body["message"].endswith(".")
    assert "secret" not in response.text.lower()
