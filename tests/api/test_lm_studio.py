"""LM Studio's own routes over a fake engine."""

from __future__ import annotations

import httpx

from tests.api.test_openai import STARTER, ask, read_frames

URL = "/api/v0/chat/completions"


async def test_models_tell_whether_they_are_loaded(client: httpx.AsyncClient) -> None:
    [model] = (await client.get("/api/v0/models")).json()["data"]
    assert (model["id"], model["type"], model["state"], model["arch"]) == (STARTER, "llm", "not-loaded", "llama")
    await client.post("/load_model", json={"model": STARTER})
    loaded = (await client.get(f"/api/v0/models/{STARTER}")).json()
    assert (loaded["state"], loaded["loaded_context_length"] > 0) == ("loaded", True)
    missing = await client.get("/api/v0/models/gpt-9")
    assert (missing.status_code, missing.json()["error"]["param"]) == (404, "model")


async def test_answers_have_figures(client: httpx.AsyncClient) -> None:
    reply = (await client.post(URL, json=ask("hi", max_tokens=2))).json()
    assert reply["choices"][0]["message"]["content"] == "word0 word1 "
    assert reply["stats"] == {
        "tokens_per_second": 100.0,
        "time_to_first_token": 0.01,
        "generation_time": 0.01,
        "stop_reason": "maxPredictedTokensReached",
    }
    assert (reply["model_info"]["quant"], reply["runtime"]["name"]) == ("Q4_1", "glasshouse")
    last = read_frames((await client.post(URL, json=ask("hi", stream=True))).text)[-1]
    assert last["stats"]["stop_reason"] == "eosFound"
