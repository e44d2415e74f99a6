"""LM Studio's newer routes over models, its text completions, and its words in OpenAI's routes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.test_openai import STARTER, ask, read_frames
from webui.core.application import Application
from webui.core.download_job import DownloadJob
from webui.errors import AlreadyHere

MODELS = "/api/v1/models"


async def test_models_tell_what_is_loaded_of_them(client: httpx.AsyncClient) -> None:
    [model] = (await client.get(MODELS)).json()["models"]
    assert (model["key"], model["type"], model["format"], model["params_string"]) == (STARTER, "llm", "gguf", "135M")
    assert (model["quantization"]["name"], model["loaded_instances"]) == ("Q4_1", [])
    assert model["capabilities"] == {"vision": False, "trained_for_tool_use": False}
    body = {"model": STARTER, "context_length": 1024, "echo_load_config": True}
    loaded = (await client.post(f"{MODELS}/load", json=body)).json()
    assert (loaded["type"], loaded["instance_id"], loaded["status"]) == ("llm", STARTER, "loaded")
    assert loaded["load_config"] == {"context_length": 1024}
    [model] = (await client.get(MODELS)).json()["models"]
    assert model["loaded_instances"] == [{"id": STARTER, "config": {"context_length": 1024}}]
    unload = {"instance_id": STARTER}
    assert (await client.post(f"{MODELS}/unload", json=unload)).json() == unload
    again = await client.post(f"{MODELS}/unload", json=unload)
    assert (again.status_code, again.json()["error"]["code"]) == (404, "unknown_model")
    strange = await client.post(f"{MODELS}/load", json={"model": STARTER, "num_experts": 4})
    assert (strange.status_code, strange.json()["error"]["param"]) == (400, "num_experts")


async def test_models_are_fetched(
    client: httpx.AsyncClient, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    job = DownloadJob(
        id="j1", reference="r", title="t", state="running", done_bytes=5, total_bytes=9, bytes_per_second=2.0,
        seconds_left=2.0,
    )  # fmt: skip

    async def start(reference: str) -> DownloadJob:
        asked.append(reference)
        if "here" in reference:
            raise AlreadyHere("x")
        return job

    monkeypatch.setattr(application.downloads, "start", start)
    monkeypatch.setattr(type(application.downloads), "jobs", (job,))
    monkeypatch.setattr(application.downloads, "job", lambda _: job)
    told = (await client.post(f"{MODELS}/download", json={"model": "org/repo", "quantization": "Q4_K_M"})).json()
    assert (told["job_id"], told["status"], told["downloaded_bytes"], told["total_size_bytes"]) == (
        "j1", "downloading", 5, 9,
    )  # fmt: skip
    assert (await client.post(f"{MODELS}/download", json={"model": "org/here"})).json() == {
        "status": "already_downloaded"
    }
    assert asked == ["org/repo:Q4_K_M", "org/here"]
    assert (await client.get(f"{MODELS}/download/status/j1")).json()["job_id"] == "j1"
    status = (await client.get(f"{MODELS}/download/status")).json()
    assert [len(status[name]) for name in ("downloading", "completed", "failed", "paused")] == [1, 0, 0, 0]
    twice = await client.post(f"{MODELS}/download", json={"model": "org/repo:Q8_0", "quantization": "Q4_K_M"})
    assert (twice.status_code, twice.json()["error"]["param"]) == (400, "quantization")


async def test_texts_go_on_with_figures(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"prompt": "the meaning of life is", "max_tokens": 2, "stop": "\n"}
    reply = (await client.post("/api/v0/completions", json=body)).json()
    assert (reply["object"], reply["choices"][0]["text"]) == ("text_completion", "word0 word1 ")
    assert reply["stats"]["stop_reason"] == "maxPredictedTokensReached"
    last = read_frames((await client.post("/api/v0/completions", json=body | {"stream": True})).text)[-1]
    assert (last["stats"]["generation_time"], last["model_info"]["format"]) == (0.01, "gguf")


async def test_lm_studios_words_are_understood_in_openais_routes(
    client: httpx.AsyncClient, application: Application
) -> None:
    """`ttl` is how long a model stays, `max_tokens` -1 is no limit."""
    reply = await client.post("/v1/chat/completions", json=ask("hi", ttl=300, max_tokens=-1))
    assert reply.status_code == 200
    engine: Any = await application.models.ensure_loaded()
    assert engine.asked[-1].sampling.max_tokens is None
    [alive] = application.models.alive
    assert alive.seconds_left is not None
    assert 200 < alive.seconds_left <= 300
