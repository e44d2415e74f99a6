"""An engine process with an embedding or rerank model: the same program, asked through the same client."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.core.waiting import until
from tests.engine.tiny_embedding_models import WIDTH, write_bert, write_decoder
from webui.core.engine_client import EngineClient
from webui.errors import EngineDied, EngineStopped, InputTooLong, InvalidRequest
from webui.types import (
    EmbeddingRequest,
    Embeddings,
    EngineLoad,
    EngineOptions,
    GenerationRequest,
    Message,
    ModelFile,
    RerankRequest,
)

OPTIONS = EngineOptions(context_tokens=8192, kv_tokens=8192, num_slots=64, threads=1)
LONG = EmbeddingRequest(inputs=("the lazy dog is over the blue sea " * 10,) * 4000, owner="ann")


@asynccontextmanager
async def engine(path: Path, loads: list[EngineLoad] | None = None) -> AsyncIterator[EngineClient]:
    client = EngineClient(on_engine_load=(loads if loads is not None else []).append)
    await client.start(ModelFile(id="m", name="Tiny", path=path, size_bytes=1, source="local"), OPTIONS)
    try:
        yield client
    finally:
        await client.stop()


@pytest.fixture
def embedder(tmp_path: Path) -> Path:
    return write_bert(tmp_path / "embedder.gguf")


def rows(embeddings: Embeddings) -> np.ndarray:
    return np.frombuffer(embeddings.vectors, dtype="<f4").reshape(-1, embeddings.dimensions)


async def test_texts_become_vectors(embedder: Path) -> None:
    async with engine(embedder) as client:
        answer = await client.embed(EmbeddingRequest(inputs=("the fox", "red")))
        again = await client.embed(EmbeddingRequest(inputs=("red",)))
    assert (answer.dimensions, answer.num_tokens) == (WIDTH, 4 + 3)
    np.testing.assert_allclose(np.linalg.norm(rows(answer), axis=1), 1, atol=1e-6)
    assert rows(answer)[1] @ rows(again)[0] > 0.9999


async def test_documents_become_scores(tmp_path: Path) -> None:
    async with engine(write_bert(tmp_path / "ranker.gguf", pooling=gguf.PoolingType.RANK)) as client:
        ranking = await client.rerank(RerankRequest(query="the fox", documents=("red", "blue sea")))
    assert len(ranking.scores) == 2
    assert all(0 < score < 1 for score in ranking.scores)
    assert ranking.num_tokens == 6 + 7


async def test_a_refusal_is_typed_and_the_engine_goes_on(embedder: Path) -> None:
    async with engine(embedder) as client:
        with pytest.raises(InputTooLong) as refused:
            await client.embed(EmbeddingRequest(inputs=("red " * 1000,)))
        assert (refused.value.details["prompt_tokens"], refused.value.details["context_tokens"]) == (1002, 128)
        with pytest.raises(InvalidRequest, match="characters that are not text"):
            await client.embed(EmbeddingRequest(inputs=("half a pair: \ud800",)))
        with pytest.raises(InvalidRequest, match="Load a rerank model"):
            await client.rerank(RerankRequest(query="red", documents=("blue",)))
        with pytest.raises(InvalidRequest, match="Load a chat model"):
            await anext(client.generate(GenerationRequest(messages=(Message(role="user", content="Hi"),))))
        assert (await client.embed(EmbeddingRequest(inputs=("red",)))).num_tokens == 3


async def test_a_short_request_overtakes_a_long_one_of_somebody_else(embedder: Path) -> None:
    async with engine(embedder) as client:
        ended: list[str] = []

        async def ask(name: str, request: EmbeddingRequest) -> int:
            answer = await client.embed(request)
            ended.append(name)
            return len(rows(answer))

        counts = await asyncio.gather(
            ask("long", EmbeddingRequest(inputs=LONG.inputs[:500], owner="ann")),
            ask("short", EmbeddingRequest(inputs=("red",) * 10, owner="bob")),
        )
    assert (ended, list(counts)) == (["short", "long"], [500, 10])


async def test_the_engine_stops_working_for_one_who_leaves(embedder: Path) -> None:
    loads: list[EngineLoad] = []
    async with engine(embedder, loads) as client:
        leaving = asyncio.create_task(client.embed(LONG))
        await until(lambda: loads and loads[-1].num_running == 1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await until(lambda: loads[-1].num_running == 0)
        assert sum(load.tokens_per_second for load in loads) < 4000 * 82 / 2, "it did not go on to the end"
        assert (await client.embed(EmbeddingRequest(inputs=("red",)))).num_tokens == 3


async def test_kill_9_and_stop_are_told_to_everybody(embedder: Path) -> None:
    async with engine(embedder) as client:
        asked = asyncio.create_task(client.embed(LONG))
        await client.embed(EmbeddingRequest(inputs=("red",), owner="bob"))
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            await asked
        with pytest.raises(EngineDied):
            await client.embed(EmbeddingRequest(inputs=("red",)))
    async with engine(embedder) as client:
        asked = asyncio.create_task(client.embed(LONG))
        await client.embed(EmbeddingRequest(inputs=("red",), owner="bob"))
        await client.stop()
        with pytest.raises(EngineStopped):
            await asked


async def test_a_chat_model_says_what_to_load_instead(tmp_path: Path) -> None:
    async with engine(write_decoder(tmp_path / "chat.gguf", pooling=None)) as client:
        with pytest.raises(InvalidRequest, match=r"This is a chat model\. Load an embedding or a rerank model"):
            await client.embed(EmbeddingRequest(inputs=("red",)))
