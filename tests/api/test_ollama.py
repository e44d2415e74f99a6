"""Ollama's routes over a fake engine: lines, records, names, loading, keeping, and errors in Ollama's words."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_hub import NAME, REPO, hub  # noqa: F401 - a fixture
from tests.api.test_openai import STARTER
from tests.library.gguf_files import write_model
from tests.support.fake_hub import FakeHub
from webui.core.application import Application

FIGURES = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": STARTER, "messages": [{"role": "user", "content": text}], **more}


def read_lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def asked_of(application: Application) -> Any:
    """What the engine was asked last."""
    live = application.models.pool.get(STARTER)
    assert live is not None
    return live.engine.asked[-1]  # type: ignore[union-attr]


# --- answers -------------------------------------------------------------------------------------------------------


async def test_a_chat_is_streamed_in_lines_unless_one_says_otherwise(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/chat", json=ask("hi"), headers={"accept-encoding": "gzip"})
    assert response.headers["content-type"] == "application/x-ndjson"
    assert "content-encoding" not in response.headers, "a compressed stream would arrive in lumps"
    *words, last = read_lines(response)
    assert [line["message"]["content"] for line in words] == ["word0 ", "word1 ", "word2 ", "word3 "]
    assert all(line["done"] is False and line["model"] == STARTER for line in words)
    assert (last["done"], last["done_reason"], last["message"]["content"]) == (True, "stop", "")
    assert last.keys() >= FIGURES
    assert (last["prompt_eval_count"], last["eval_count"]) == (7, 4)
    assert (last["prompt_eval_duration"], last["eval_duration"]) == (10_000_000, 10_000_000), "nanoseconds"


async def test_a_whole_answer_has_text_and_figures(client: httpx.AsyncClient) -> None:
    options = {"num_predict": 2, "temperature": 0, "seed": 3, "num_ctx": 4096}
    reply = (await client.post("/api/chat", json=ask("think", stream=False, options=options))).json()
    assert reply["message"] == {"role": "assistant", "content": "word0 word1 ", "thinking": "hm"}
    assert (reply["done"], reply["done_reason"]) == (True, "length")
    assert reply.keys() >= FIGURES


async def test_a_prompt_goes_through_the_template_or_is_raw(
    client: httpx.AsyncClient, application: Application
) -> None:
    body = {"model": f"{STARTER}:latest", "prompt": "hi", "stream": False}
    reply = (await client.post("/api/generate", json=body | {"system": "Be brief."})).json()
    assert (reply["response"], reply["model"]) == ("word0 word1 word2 word3 ", f"{STARTER}:latest")
    assert [each.role for each in asked_of(application).messages] == ["system", "user"]
    await client.post("/api/generate", json=body | {"raw": True})
    assert (asked_of(application).prompt, asked_of(application).messages) == ("hi", ())


async def test_options_and_formats_reach_the_engine(client: httpx.AsyncClient, application: Application) -> None:
    options = {"temperature": 0.5, "top_k": 9, "stop": ["END"], "num_predict": -1}
    await client.post("/api/chat", json=ask("hi", options=options, format="json", truncate=True))
    asked = asked_of(application)
    sampling = asked.sampling
    assert (sampling.temperature, sampling.top_k, sampling.stop, sampling.max_tokens) == (0.5, 9, ("END",), None)
    assert (sampling.grammar.kind, asked.overflow) == ("json_object", "drop_oldest")
    await client.post("/api/chat", json=ask("hi", format={"type": "object"}))
    assert asked_of(application).sampling.grammar.source == '{"type": "object"}'


async def test_tools_and_their_results_reach_the_engine(client: httpx.AsyncClient, application: Application) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    call = {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_name": "weather", "content": "Rain"},
    ]
    response = await client.post("/api/chat", json={"model": STARTER, "messages": messages, "tools": [tool]})
    assert response.status_code == 200
    _, called, result = asked_of(application).messages
    assert json.loads(called.tool_calls[0].arguments) == {"city": "Oslo"}
    assert (result.name, result.tool_call_id) == ("weather", called.tool_calls[0].id)
    assert asked_of(application).tools[0].name == "weather"


async def test_calls_of_the_model_are_told_whole(client: httpx.AsyncClient) -> None:
    *_, calls, last = read_lines(await client.post("/api/chat", json=ask("call")))
    [call] = calls["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "weather", "arguments": {"city": "Oslo"}}
    assert last["done_reason"] == "stop"


async def test_a_call_that_was_cut_off_is_left_out_and_told(client: httpx.AsyncClient) -> None:
    reply = (await client.post("/api/chat", json=ask("call", stream=False, options={"num_predict": 1}))).json()
    assert ("tool_calls" in reply["message"], reply["done_reason"]) == (False, "length")
    assert "weather" in reply["notes"][0]


async def test_an_empty_request_loads_and_keep_alive_0_unloads(client: httpx.AsyncClient) -> None:
    loaded = (await client.post("/api/chat", json={"model": STARTER})).json()
    assert (loaded["done"], loaded["done_reason"], loaded["message"]["content"]) == (True, "load", "")
    [here] = (await client.get("/api/ps")).json()["models"]
    assert (here["model"], here["size_vram"], here["details"]["family"]) == (STARTER, 0, "llama")
    assert here["context_length"] > 0
    gone = (await client.post("/api/generate", json={"model": STARTER, "keep_alive": 0})).json()
    assert (gone["done_reason"], gone["response"]) == ("unload", "")
    assert (await client.get("/api/ps")).json() == {"models": []}


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (ask("hi", model="gpt-9"), 404, "gpt-9"),
        (ask("too long"), 400, "9,000"),
        (ask("busy"), 429, "waiting"),
        (ask("hi", options={"temprature": 1}), 400, "temprature"),
        (ask("hi", options={"temperature": 99}), 400, "temperature"),
        (ask("hi", colour="red"), 400, "colour"),
        ({"model": STARTER, "messages": [{"role": "user", "content": "?", "images": ["aGk="]}]}, 400, "no image"),
        ({"messages": []}, 400, "model"),
    ],
)
async def test_errors_are_a_sentence_under_error(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, word: str
) -> None:
    response = await client.post("/api/chat", json=body)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert word in response.json()["error"]


async def test_an_error_after_the_headers_is_the_last_line(client: httpx.AsyncClient) -> None:
    assert read_lines(await client.post("/api/chat", json=ask("fail")))[-1].keys() == {"error"}


async def test_strangers_are_refused_in_ollamas_words(stranger: httpx.AsyncClient) -> None:
    response = await stranger.get("/api/tags")
    assert (response.status_code, response.json().keys()) == (401, {"error"})
    assert (await stranger.get("/api/nothing", headers={"x-api-key": "wrong"})).json().keys() == {"error"}


# --- models --------------------------------------------------------------------------------------------------------


async def test_what_clients_look_at_first(client: httpx.AsyncClient) -> None:
    version = (await client.get("/api/version")).json()["version"]
    assert tuple(map(int, version.split("."))) >= (0, 6, 4), "what editors ask for"
    assert (await client.head("/api/version")).status_code == 200
    [model] = (await client.get("/api/tags")).json()["models"]
    assert (model["name"], model["model"], model["size"] > 0, len(model["digest"])) == (STARTER, STARTER, True, 64)
    assert model["details"] | {"parent_model": ""} == {
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
        "parameter_size": "134.52M", "quantization_level": "Q4_1",
    }  # fmt: skip
    shown = (await client.post("/api/show", json={"model": STARTER})).json()
    assert "completion" in shown["capabilities"]
    assert shown["model_info"]["general.architecture"] == "llama"
    assert 256 <= shown["model_info"]["llama.context_length"] <= 8192
    assert "im_start" in shown["template"]


async def test_a_copy_answers_until_it_is_deleted(client: httpx.AsyncClient, application: Application) -> None:
    body = {"model": "pirate", "from": STARTER, "system": "Talk like a pirate.", "parameters": {"temperature": 0.1}}
    *_, created = read_lines(await client.post("/api/create", json=body))
    assert created == {"status": "success"}
    assert (await client.post("/api/copy", json={"source": "pirate", "destination": "parrot"})).status_code == 200
    assert (await client.post("/api/chat", json=ask("hi", model="parrot:latest", stream=False))).status_code == 200
    assert asked_of(application).messages[0].content == "Talk like a pirate."
    assert asked_of(application).sampling.temperature == 0.1
    assert "temperature" in (await client.post("/api/show", json={"model": "parrot"})).json()["parameters"]
    as_curl = {"content-type": "application/x-www-form-urlencoded"}
    gone = await client.request("DELETE", "/api/delete", content=b'{"model": "parrot"}', headers=as_curl)
    assert gone.status_code == 200
    assert (await client.request("DELETE", "/api/delete", json={"model": "parrot"})).status_code == 404
    names = [each["name"] for each in (await client.get("/api/tags")).json()["models"]]
    assert names == [STARTER, "pirate"]


async def test_a_model_is_made_of_a_blob(client: httpx.AsyncClient, application: Application, tmp_path: Path) -> None:
    content = write_model(tmp_path / "a.gguf").read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert (await client.head(f"/api/blobs/{digest}")).status_code == 404
    wrong = await client.post(f"/api/blobs/{digest}", content=b"something else")
    assert (wrong.status_code, "Nothing of it was kept" in wrong.json()["error"]) == (400, True)
    assert (await client.post(f"/api/blobs/{digest}", content=content)).status_code == 201
    assert (await client.head(f"/api/blobs/{digest}")).status_code == 200
    made = await client.post("/api/create", json={"model": "mine", "files": {"a.gguf": digest}, "stream": False})
    assert made.json() == {"status": "success"}
    assert (application.settings.models_dir / "mine.gguf").stat().st_size == len(content)
    assert "mine" in [each["name"] for each in (await client.get("/api/tags")).json()["models"]]
    assert (await client.post("/api/blobs/sha256:..%2F..", content=b"")).status_code in {400, 404}


async def test_a_blob_that_is_no_model_is_refused(client: httpx.AsyncClient, application: Application) -> None:
    digest = f"sha256:{hashlib.sha256(b'hello').hexdigest()}"
    await client.post(f"/api/blobs/{digest}", content=b"hello")
    made = await client.post("/api/create", json={"model": "mine", "files": {"a.gguf": digest}})
    assert (made.status_code, made.json().keys()) == (422, {"error"})
    assert not (application.settings.models_dir / "mine.gguf").exists()


async def test_a_model_that_is_here_needs_no_pulling(client: httpx.AsyncClient) -> None:
    assert read_lines(await client.post("/api/pull", json={"model": STARTER})) == [
        {"status": "pulling manifest"},
        {"status": "success"},
    ]
    refused = await client.post("/api/pull", json={"model": "no such thing"})
    assert (refused.status_code, refused.json().keys()) == (400, {"error"})


async def test_pulling_tells_how_far_it_is(client: httpx.AsyncClient, hub: FakeHub) -> None:  # noqa: F811
    first, *pieces, last = read_lines(await client.post("/api/pull", json={"model": f"hf.co/{REPO}"}))
    assert (first, last) == ({"status": "pulling manifest"}, {"status": "success"})
    content = hub.repos[REPO].files[NAME]
    assert isinstance(content, bytes)
    counts = [(each["completed"], each["total"]) for each in pieces if "completed" in each]
    assert counts == sorted(counts)
    assert {total for _, total in counts} == {len(content)}
    assert "Tiny-Q4_K_M" in [each["name"] for each in (await client.get("/api/tags")).json()["models"]]
    # The hub does not tell what is missing from what is private.
    missing = await client.post("/api/pull", json={"model": "me/Nothing-GGUF"})
    assert (missing.status_code, missing.json().keys()) == (403, {"error"})
