"""More of llama.cpp's routes over a fake engine: gaps, slots, models, adapters' scales, OpenAI's routes without /v1."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.api.test_openai import STARTER, ask, read_frames
from tests.core.waiting import until
from tests.library.adapter_files import write_adapter_file
from webui.core.application import Application
from webui.types import Gap, GenerationRequest, OtherFile


async def last_asked(application: Application) -> GenerationRequest:
    engine: Any = await application.models.ensure_loaded()
    request = engine.asked[-1]
    assert isinstance(request, GenerationRequest)
    return request


async def test_a_gap_is_filled_as_editors_ask_for_it(client: httpx.AsyncClient, application: Application) -> None:
    body = {
        "input_prefix": "def add(", "input_suffix": "\n", "prompt": "a", "n_predict": 2, "stream": False, "n_indent": 4,
        "input_extra": [{"filename": "b.py", "text": "x = 1"}], "samplers": ["top_k", "infill"], "t_max_prompt_ms": 500,
    }  # fmt: skip
    reply = await client.post("/infill", json=body)
    assert (reply.json()["content"], reply.json()["truncated"]) == ("word0 word1 ", False)
    wanted = Gap(prefix="def add(a", suffix="\n", others=(OtherFile(name="b.py", text="x = 1"),))
    assert (await last_asked(application)).gap == wanted
    *pieces, last = read_frames((await client.post("/infill", json=body | {"stream": True})).text)
    assert ("".join(piece["content"] for piece in pieces), last["stop"]) == ("word0 word1 ", True)
    unknown = await client.post("/infill", json=body | {"colour": "red"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "colour")


async def test_a_text_can_be_read_and_nothing_more(client: httpx.AsyncClient, application: Application) -> None:
    reply = (await client.post("/completion", json={"prompt": "Once", "n_predict": 0})).json()
    assert (reply["content"], reply["stop"]) == ("", True)
    assert (await last_asked(application)).sampling.max_tokens == 1
    streamed = await client.post("/completion", json={"prompt": "Once", "n_predict": 0, "stream": True})
    [last] = read_frames(streamed.text)
    assert last["content"] == ""


async def test_a_suffix_makes_a_gap(client: httpx.AsyncClient, application: Application) -> None:
    reply = await client.post("/v1/completions", json={"prompt": "def add(", "suffix": "): pass", "max_tokens": 1})
    assert reply.json()["choices"][0]["text"] == "word0 "
    assert (await last_asked(application)).gap == Gap(prefix="def add(", suffix="): pass")
    tokens = await client.post("/v1/completions", json={"prompt": [1, 2], "suffix": "x"})
    assert (tokens.status_code, tokens.json()["error"]["param"]) == (400, "suffix")
    body = {"model": STARTER, "prompt": "def sub(", "suffix": "): pass", "stream": False}
    assert (await client.post("/api/generate", json=body)).json()["response"] == "word0 word1 word2 word3 "
    assert (await last_asked(application)).gap == Gap(prefix="def sub(", suffix="): pass")
    assert (await client.post("/api/generate", json=body | {"system": "Be brief."})).status_code == 400


async def test_slots_tell_who_computes_in_them(client: httpx.AsyncClient, application: Application) -> None:
    assert (await client.get("/slots")).status_code == 503
    await client.post("/load_model", json={"model": STARTER, "ctx": 1024})
    idle = (await client.get("/slots")).json()
    assert [(each["id"], each["is_processing"], each["n_ctx"]) for each in idle] == [(0, False, 1024), (1, False, 1024)]
    answer = asyncio.create_task(client.post("/v1/chat/completions", json=ask("long")))
    await until(lambda: application.models.alive[0].load.num_running)
    [busy, _] = (await client.get("/slots", params={"model": STARTER, "fail_on_no_slot": "1"})).json()
    assert (busy["is_processing"], busy["n_prompt_tokens"], busy["n_decoded"]) == (True, 7, 2)
    answer.cancel()
    assert (await client.get("/slots", params={"model": "gpt-9"})).status_code == 404


async def test_programs_list_load_and_unload_models(client: httpx.AsyncClient) -> None:
    async def state() -> str:
        [entry] = [each for each in (await client.get("/models")).json()["data"] if each["id"] == STARTER]
        return str(entry["status"]["value"])

    assert await state() == "unloaded"
    assert (await client.post("/models/load", json={"model": STARTER})).json() == {"success": True}
    assert await state() == "loaded"
    assert (await client.post("/models/unload", json={"model": STARTER})).json() == {"success": True}
    assert await state() == "unloaded"
    assert (await client.post("/models/load", json={"model": "gpt-9"})).status_code == 404
    page = await client.get("/models", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert "data" not in page.text  # the page of that address takes it, where there are pages


async def test_scales_of_adapters_hold_for_everybody(client: httpx.AsyncClient, application: Application) -> None:
    write_adapter_file(application.settings.models_dir / "Pirate-LoRA.gguf")
    wanted = [{"id": "pirate-lora", "scale": 0.5}]
    assert (await client.post("/lora-adapters", json=wanted)).json()["error"]["reason"] == "no_model"
    await client.post("/load_model", json={"model": STARTER})
    assert [each["scale"] for each in (await client.get("/lora-adapters")).json()] == [0.0]
    assert [each["scale"] for each in (await client.post("/lora-adapters", json=wanted)).json()] == [0.5]
    await client.post("/v1/chat/completions", json=ask("hi"))
    assert [each.scale for each in (await last_asked(application)).adapters] == [0.5]
    unknown = await client.post("/lora-adapters", json=[{"id": "Parrot", "scale": 1}])
    assert unknown.json()["error"]["reason"] == "unknown_adapter"
    assert [each["scale"] for each in (await client.post("/lora-adapters", json=[])).json()] == [0.0]
    await client.post("/v1/chat/completions", json=ask("hi"))
    assert (await last_asked(application)).adapters == ()


async def test_openais_routes_are_there_without_v1(client: httpx.AsyncClient) -> None:
    assert (await client.post("/chat/completions", json=ask("hi"))).json()["object"] == "chat.completion"
    assert (await client.post("/completions", json={"prompt": "x"})).json()["object"] == "text_completion"
    assert (await client.post("/responses", json={"input": "hi"})).json()["object"] == "response"
    assert (await client.post("/responses/input_tokens", json={"input": "hi"})).json()["input_tokens"] == 7
    for path in ("/embeddings", "/rerank", "/reranking", "/v1/reranking"):
        assert (await client.post(path, json={})).status_code == 400  # it says what is missing
