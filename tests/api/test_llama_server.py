"""llama.cpp's routes over a fake engine, whose tokens are characters."""

from __future__ import annotations

import httpx

from tests.api.test_openai import STARTER, read_frames


async def test_a_raw_text_goes_on(client: httpx.AsyncClient) -> None:
    reply = (await client.post("/completion", json={"prompt": "Once ", "n_predict": 2, "cache_prompt": True})).json()
    assert (reply["content"], reply["stop"], reply["stop_type"]) == ("word0 word1 ", True, "limit")
    assert (reply["tokens_predicted"], reply["tokens_evaluated"], reply["timings"]["prompt_ms"]) == (2, 7, 10.0)
    *pieces, last = read_frames((await client.post("/completion", json={"prompt": [1, 2], "stream": True})).text)
    assert "".join(piece["content"] for piece in pieces) == "word0 word1 word2 word3 "
    assert (last["stop"], last["stop_type"]) == (True, "eos")
    unknown = await client.post("/completion", json={"prompt": "x", "colour": "red"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "colour")


async def test_text_and_tokens(client: httpx.AsyncClient) -> None:
    tokens = (await client.post("/tokenize", json={"content": "Hé"})).json()["tokens"]
    assert tokens == [72, 233]
    pieces = (await client.post("/tokenize", json={"content": "Hé", "with_pieces": True})).json()["tokens"]
    assert pieces == [{"id": 72, "piece": "H"}, {"id": 233, "piece": "é"}]
    assert (await client.post("/detokenize", json={"tokens": tokens})).json() == {"content": "Hé"}


async def test_the_template_is_applied_or_says_why_not(client: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    assert (await client.post("/apply-template", json={"messages": messages})).json() == {"prompt": "user: Hi"}
    refused = await client.post("/apply-template", json={"messages": []})
    assert (refused.status_code, refused.json()["error"]["reason"]) == (400, "template_failed")


async def test_the_loaded_model_tells_its_context_and_template(client: httpx.AsyncClient) -> None:
    assert (await client.get("/props")).status_code == 503
    await client.post("/load_model", json={"model": STARTER, "ctx": 1024})
    props = (await client.get("/props")).json()
    assert (props["model_alias"], props["default_generation_settings"]["n_ctx"]) == (STARTER, 1024)
    assert props["total_slots"] > 0
    assert "im_start" in props["chat_template"]
