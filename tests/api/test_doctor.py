"""The doctor over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.core.doctor.fake_doctor import FakeModel
from tests.support.fake_engine import FakeEngine
from webui.config import Settings
from webui.core.application import Application
from webui.errors import LoadFailed

STARTER = "SmolLM2-135M-Instruct.Q4_1"
BRIEF = {"seconds": 1000, "trials": False}


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
async def application(tmp_path: Path, model: FakeModel) -> AsyncIterator[Application]:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models")
    settings.models_dir.mkdir()
    async with Application(settings, engine_factory=FakeEngine, doctor_engine_factory=model.create_engine) as opened:
        yield opened


async def examine(client: httpx.AsyncClient, name: str = STARTER) -> list[dict[str, Any]]:
    answer = await client.post(f"/manage/doctor/{name}", json=BRIEF)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert frames.pop() == "[DONE]"
    return [json.loads(frame) for frame in frames]


async def test_an_examination_is_watched_and_found_again(client: httpx.AsyncClient) -> None:
    missing = await client.get(f"/manage/doctor/{STARTER}")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no_doctor_report")
    events = await examine(client)
    assert [events[0]["type"], events[-1]["type"]] == ["DoctorStarted", "DoctorDone"]
    checked = [event["check"]["name"] for event in events if event["type"] == "DoctorChecked"]
    assert checked == events[0]["checks"]
    report = (await client.get(f"/manage/doctor/{STARTER}")).json()
    assert report == events[-1]["report"]
    assert report["is_current"] and report["state"] == "ok"
    assert (await client.delete(f"/manage/doctor/{STARTER}")).status_code == 204
    assert (await client.get(f"/manage/doctor/{STARTER}")).status_code == 404


async def test_what_is_refused_is_a_status_code(client: httpx.AsyncClient, application: Application) -> None:
    assert (await client.post("/manage/doctor/nobody")).status_code == 404
    assert (await client.post(f"/manage/doctor/{STARTER}", json={"seconds": 0})).status_code == 400
    running = application.doctor.run(STARTER)
    await anext(running)
    busy = await client.post(f"/manage/doctor/{STARTER}")
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "doctor_busy")
    await running.aclose()


async def test_a_model_that_cannot_be_loaded_is_a_report(client: httpx.AsyncClient, model: FakeModel) -> None:
    model.load_error = LoadFailed("SmolLM2", "its tensors are gone.")
    report = (await examine(client))[-1]["report"]
    assert (report["state"], report["checks"][0]["state"]) == ("fail", "fail")


async def test_the_recommendation_is_used_when_the_model_is_loaded_next(
    client: httpx.AsyncClient, application: Application, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.core.doctor.examination.count_physical_cores", lambda: 6)
    model.writing = lambda options: 90.0 if options.threads == 3 else 50.0
    before = await application.models.fit(STARTER)
    assert before.options.threads != 3
    answer = await client.post(f"/manage/doctor/{STARTER}", json={"seconds": 1000})
    assert '"threads":3' in answer.text
    assert (await application.models.fit(STARTER)).options.threads == 3
    await client.delete(f"/manage/doctor/{STARTER}")
    assert (await application.models.fit(STARTER)).options == before.options


def test_the_routes_are_described(app: FastAPI) -> None:
    assert "/manage/doctor/{model}" in app.openapi()["paths"]
