"""Embeddings and reranking over the real thing: routes, Application, engine processes and tiny models; no socket."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gguf
import httpx
import numpy as np
import openai
import pytest
from fastapi import FastAPI

from tests.core.waiting import until
from tests.engine.tiny_embedding_models import CLS, SEP, WIDTH, write_bert, write_decoder
from tests.support.fake_engine import FakeEngine
from webui.config import Settings
from webui.core.application import Application

EMBEDDINGS, RERANK = "/v1/embeddings", "/v1/rerank"
TEXTS = ["the fox jumps", "red", "over the blue sea"]


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    """Chat is a stand-in; what embeds and ranks is real."""
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", threads=1)
    settings.models_dir.mkdir()
    write_bert(settings.models_dir / "Alpha-Embed.gguf")
    write_decoder(settings.models_dir / "Beta-Embed.gguf")
    write_bert(settings.models_dir / "Ranker.gguf", pooling=gguf.PoolingType.RANK)
    async with Application(settings, engine_factory=FakeEngine) as opened:
        yield opened


def vectors(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.array([entry["embedding"] for entry in response.json()["data"]])


async def test_texts_become_vectors_in_openais_shape(client: httpx.AsyncClient) -> None:
    response = await client.post(EMBEDDINGS, json={"model": "Alpha-Embed", "input": TEXTS, "user": "ann"})
    body = response.json()
    assert (body["object"], body["model"]) == ("list", "Alpha-Embed")
    assert [(entry["object"], entry["index"]) for entry in body["data"]] == [("embedding", index) for index in range(3)]
    assert body["usage"] == {"prompt_tokens": 5 + 3 + 6, "total_tokens": 14}
    assert vectors(response).shape == (3, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(vectors(response), axis=1), 1, atol=1e-6)


async def test_every_shape_of_input_is_understood(client: httpx.AsyncClient) -> None:
    text = await client.post(EMBEDDINGS, json={"input": "red"})
    (reference,) = vectors(text)
    tokens = [CLS, 4, SEP]  # “red” is the first word of the vocabulary
    for given in (["red"], tokens, [tokens]):
        (vector,) = vectors(await client.post(EMBEDDINGS, json={"input": given}))
        assert vector @ reference > 0.9999
    assert len(vectors(await client.post(EMBEDDINGS, json={"input": [tokens, tokens]}))) == 2


async def test_base64_holds_the_same_numbers(client: httpx.AsyncClient) -> None:
    plain = vectors(await client.post(EMBEDDINGS, json={"input": TEXTS}))
    packed = (await client.post(EMBEDDINGS, json={"input": TEXTS, "encoding_format": "base64"})).json()["data"]
    unpacked = [np.frombuffer(base64.b64decode(entry["embedding"]), dtype="<f4") for entry in packed]
    np.testing.assert_allclose(plain, unpacked, atol=1e-3)


async def test_fewer_dimensions(client: httpx.AsyncClient) -> None:
    short = vectors(await client.post(EMBEDDINGS, json={"input": TEXTS, "dimensions": 8}))
    assert short.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
    refused = await client.post(EMBEDDINGS, json={"input": TEXTS, "dimensions": 4096})
    assert (refused.status_code, "between 1 and 32" in refused.json()["error"]["message"]) == (400, True)


async def test_documents_are_ordered_by_the_query(client: httpx.AsyncClient) -> None:
    documents: list[Any] = [*TEXTS, {"text": "one two three", "id": 7}]
    body = (await client.post(RERANK, json={"query": "red fox", "documents": documents})).json()
    scores = [result["relevance_score"] for result in body["results"]]
    assert (body["model"], len(scores)) == ("Ranker", 4)
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] < scores[0] < 1
    assert sorted(result["index"] for result in body["results"]) == [0, 1, 2, 3]
    assert "document" not in body["results"][0]
    assert body["usage"]["total_tokens"] > 20

    asked = {"query": "red fox", "documents": documents, "top_n": 2, "return_documents": True, "model": "Ranker"}
    best = (await client.post(RERANK, json=asked)).json()["results"]
    assert [result["index"] for result in best] == [result["index"] for result in body["results"]][:2]
    words = [*TEXTS, "one two three"]
    assert all(result["document"] == {"text": words[result["index"]]} for result in best)


# --- what cannot be done ---------------------------------------------------------------------------------------------


async def test_a_text_that_is_too_long_is_a_400_with_both_numbers(client: httpx.AsyncClient) -> None:
    response = await client.post(EMBEDDINGS, json={"input": ["red", "red " * 500]})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
    assert "Input 2 is 502 tokens long, and the model reads at most 128 at once." in error["message"]


@pytest.mark.parametrize("given", [[], "", ["red", ""], [["red"]], 7, None, [1, "red"], [-1], [1.5], {"text": "red"}])
async def test_what_is_no_text_is_a_400_in_one_sentence(client: httpx.AsyncClient, given: object) -> None:
    response = await client.post(EMBEDDINGS, json={"input": given})
    assert response.status_code == 400
    assert response.json()["error"]["message"].count(". ") == 0
    assert "Input" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"query": "", "documents": ["red"]},
        {"query": "red", "documents": []},
        {"query": "red", "documents": ["red", ""]},
        {"query": "red", "documents": [{"title": "red"}]},
        {"query": "red", "documents": ["red"], "top_n": 0},
        {"query": "red", "documents": ["red"], "rank_fields": ["title"]},
        {"documents": ["red"]},
    ],
)
async def test_what_cannot_be_ranked_is_a_400(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await client.post(RERANK, json=body)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_models_are_told_apart(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()["data"]
    assert [(model["id"], model["kind"]) for model in listed] == [
        ("SmolLM2-135M-Instruct.Q4_1", "chat"),
        ("Alpha-Embed", "embedding"),
        ("Beta-Embed", "embedding"),
        ("Ranker", "rerank"),
    ]
    unknown = await client.post(EMBEDDINGS, json={"input": "red", "model": "text-embedding-3-small"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    for path, body in (
        (EMBEDDINGS, {"input": "red", "model": "SmolLM2-135M-Instruct.Q4_1"}),
        (RERANK, {"query": "red", "documents": ["red"], "model": "Alpha-Embed"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "model": "Alpha-Embed"}),
    ):
        response = await client.post(path, json=body)
        assert response.status_code in {400, 422}
        assert "is not made for" in response.json()["error"]["message"] or "cannot be used for chat" in response.text


async def test_an_embedding_model_is_never_the_default_of_a_chat(client: httpx.AsyncClient) -> None:
    reply = (await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}]})).json()
    assert reply["model"] == "SmolLM2-135M-Instruct.Q4_1"


async def test_without_a_model_it_says_what_to_get(client: httpx.AsyncClient, application: Application) -> None:
    for path in application.settings.models_dir.iterdir():
        path.unlink()
    response = await client.post(EMBEDDINGS, json={"input": "red"})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_model_of_kind")


async def test_status_tells_what_is_loaded_beside_the_chat_model(client: httpx.AsyncClient) -> None:
    assert (await client.get("/status")).json()["embedding_models"] == []
    await client.post(EMBEDDINGS, json={"input": "red"})
    (model,) = (await client.get("/status")).json()["embedding_models"]
    assert (model["id"], model["kind"], model["engine_bytes"] > 1_000_000) == ("Alpha-Embed", "embedding", True)
    await client.post("/unload_model")
    assert (await client.get("/status")).json()["embedding_models"] == []


async def test_a_deleted_model_is_unloaded(client: httpx.AsyncClient, application: Application) -> None:
    await client.post(EMBEDDINGS, json={"input": "red"})
    await application.models.delete("Alpha-Embed")
    await until(lambda: application.embedding_models.loaded == [])
    assert (await client.post(EMBEDDINGS, json={"input": "red"})).json()["model"] == "Beta-Embed"


# --- a client that we did not write ----------------------------------------------------------------------------------


@pytest.fixture
async def official(app: FastAPI) -> AsyncIterator[openai.AsyncOpenAI]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
    http: Any = httpx.AsyncClient(transport=transport)
    async with openai.AsyncOpenAI(base_url="http://localhost:8002/v1", api_key="none", http_client=http) as client:
        yield client


async def test_the_official_client_gets_its_vectors(official: openai.AsyncOpenAI) -> None:
    answer = await official.embeddings.create(model="Alpha-Embed", input=TEXTS)
    assert [len(entry.embedding) for entry in answer.data] == [WIDTH] * 3
    assert answer.usage.total_tokens == 14
    plain = await official.embeddings.create(model="Alpha-Embed", input=TEXTS, encoding_format="float")
    np.testing.assert_allclose(answer.data[0].embedding, plain.data[0].embedding, atol=1e-3)
    short = await official.embeddings.create(model="Beta-Embed", input="red", dimensions=4)
    assert len(short.data[0].embedding) == 4
    with pytest.raises(openai.BadRequestError, match="130 tokens long, and the model reads at most 128"):
        await official.embeddings.create(model="Alpha-Embed", input="red " * 128)
    with pytest.raises(openai.NotFoundError):
        await official.embeddings.create(model="text-embedding-3-small", input="red")


async def test_ollamas_shapes_hold_the_same_vectors(client: httpx.AsyncClient) -> None:
    ours = (await client.post(EMBEDDINGS, json={"model": "Alpha-Embed", "input": TEXTS})).json()
    many = (await client.post("/api/embed", json={"model": "Alpha-Embed:latest", "input": TEXTS})).json()
    assert many["embeddings"] == [each["embedding"] for each in ours["data"]]
    assert many["prompt_eval_count"] == ours["usage"]["prompt_tokens"]
    one = (await client.post("/api/embeddings", json={"model": "Alpha-Embed", "prompt": TEXTS[0]})).json()
    assert np.allclose(one["embedding"], many["embeddings"][0], atol=1e-6)
    assert (await client.post("/api/embed", json={"model": "Alpha-Embed", "input": []})).json()["embeddings"] == []
