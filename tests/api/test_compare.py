"""Comparing models over HTTP: a job like the others, with figures at its end."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from webui.core.application import Application

STARTER = "SmolLM2-135M-Instruct.Q4_1"
TEXT = "The keeper wrote down the ships that passed, the colour of the sky and the direction of the wind. " * 5


async def when_ended(client: httpx.AsyncClient, application: Application, job_id: str) -> dict[str, Any]:
    ended = asyncio.Event()
    unsubscribe = application.workbench.changed.subscribe(lambda job: ended.set() if job.has_ended else None)
    if not application.workbench.job(job_id).has_ended:
        await asyncio.wait_for(ended.wait(), 60)
    unsubscribe()
    result: dict[str, Any] = (await client.get(f"/manage/compare/{job_id}")).json()
    return result


async def test_models_are_compared_on_a_text(client: httpx.AsyncClient, application: Application) -> None:
    answer = await client.post("/manage/compare", json={"models": [STARTER, STARTER], "text": TEXT, "chunks": 1})
    assert (answer.status_code, answer.json()["kind"]) == (202, "compare")
    found = await when_ended(client, application, answer.json()["id"])
    assert found["job"]["state"] == "done", found
    first, second = found["result"]["models"]
    assert first["perplexity"] == second["perplexity"] > 1
    assert (first["divergence"], second["same_best"]) == (None, 1.0)


async def test_what_cannot_be_compared_is_said(client: httpx.AsyncClient, application: Application) -> None:
    models = {"models": [STARTER, STARTER]}
    without_chats = await client.post("/manage/compare", json=models)
    assert (without_chats.status_code, "Give a text" in without_chats.text) == (400, True)
    alone = await client.post("/manage/compare", json={"models": [STARTER]})
    assert alone.status_code == 400
    unknown = await client.post("/manage/compare", json={"models": [STARTER, "nobody"], "text": TEXT})
    assert unknown.status_code == 404
    short = await client.post("/manage/compare", json=models | {"text": "Hi."})
    found = await when_ended(client, application, short.json()["id"])
    assert (found["job"]["state"], found["job"]["error_code"]) == ("failed", "text_too_short")
    assert (await client.get("/manage/compare/nothing")).status_code == 404
