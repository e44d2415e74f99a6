"""The client against a small server of its own, and who is asked what, in which order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import gguf
import pytest
from glasshouse_bench.client import AskFailed, Client
from glasshouse_bench.contestants import CONTESTANTS
from glasshouse_bench.measuring import choose
from glasshouse_bench.random_qwen import Shape, write_random_qwen
from glasshouse_bench.scenarios import BARS, SCENARIOS
from glasshouse_bench.text import paste, story, words

STREAM = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {"choices": [{"index": 0, "delta": {"content": "Once "}}]},
    {"choices": [{"index": 0, "delta": {"content": "more"}, "finish_reason": "length"}]},
    {
        "choices": [],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3}},
    },
)


@asynccontextmanager
async def server(*events: Any, status: int = 200, chunk: int = 10) -> AsyncIterator[Client]:
    """A server that streams these events, cut into HTTP chunks that do not care for lines."""
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} Whatever\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for start in range(0, len(body), chunk):
            piece = body[start : start + chunk]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listener:
        yield Client(listener.sockets[0].getsockname()[1], "default")


async def test_the_client_reads_text_times_and_usage() -> None:
    async with server(*STREAM) as client:
        answer = await client.ask(story("x"), 5)
    assert (answer.text, len(answer.moments), answer.finish_reason) == ("Once more", 2, "length")
    assert (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens) == (7, 3, 5)
    assert answer.first_token_seconds > 0


async def test_without_usage_an_answer_cut_at_its_length_has_that_length() -> None:
    async with server(*STREAM[:3]) as client:
        assert (await client.ask(story("x"), 99)).completion_tokens == 99
    async with server(*STREAM[:2]) as client:
        with pytest.raises(AskFailed, match="nobody knows"):
            await client.ask(story("x"), 99)


async def test_a_refusal_and_a_broken_stream_are_told() -> None:
    async with server({"error": "no"}, status=400) as client:
        with pytest.raises(AskFailed, match="status 400") as refusal:
            await client.ask(story("x"), 5)
    assert refusal.value.status == 400
    async with server(STREAM[1], {"error": {"message": "the engine ended"}}) as client:
        with pytest.raises(AskFailed, match="the engine ended"):
            await client.ask(story("x"), 5)


def test_a_seed_gives_everybody_the_same_text_and_another_seed_another() -> None:
    assert words(20, "a") == words(20, "a") != words(20, "b")
    assert len(words(300, "a").split()) == 300
    assert paste(20, "a") != paste(20, "b")


def test_bars_have_names_of_their_own() -> None:
    assert len(BARS) == sum(len(scenario.bars) for scenario in SCENARIOS)


def test_peers_are_asked_where_a_bar_or_the_table_needs_them() -> None:
    asked = {scenario.key: [one.key for one in choose(scenario, CONTESTANTS)] for scenario in SCENARIOS}
    assert asked["Title"] == ["glasshouse"]
    assert asked["Paste"] == ["glasshouse", "llama-server", "xllamacpp"]
    assert "llama-server-unified" in asked["EightPeopleWithHistory"]
    assert "node-llama-cpp" in asked["OnePerson"]


def test_the_random_model_has_the_tensors_of_its_shape(tmp_path: Path) -> None:
    """One layer over a vocabulary of a few words; the whole shape takes a gigabyte."""
    tokenizer = tmp_path / "tokenizer.gguf"
    writer = gguf.GGUFWriter(tokenizer, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<end>", "Ġword", "Ġother"])
    writer.add_token_types([3, 1, 1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    path = tmp_path / "tiny.gguf"
    write_random_qwen(path, tokenizer, Shape(layers=1, vocabulary=5))
    model = gguf.GGUFReader(path)
    assert model.fields["tokenizer.ggml.tokens"].contents() == ["<end>", "Ġword", "Ġother", "[unused0]", "[unused1]"]
    tensors = {tensor.name: tensor for tensor in model.tensors}
    down, gate = tensors["blk.0.ffn_down.weight"], tensors["blk.0.ffn_gate.weight"]
    assert (gate.tensor_type.name, list(gate.shape)) == ("Q4_K", [1536, 8960])
    weights = gguf.quants.dequantize(gate.data, gate.tensor_type)
    assert abs(weights.mean()) < 1e-3
    assert 0.015 < weights.std() < 0.025
    assert list(down.shape) == [8960, 1536]
    embedding = gguf.quants.dequantize(tensors["token_embd.weight"].data, tensors["token_embd.weight"].tensor_type)
    assert [bool(row.any()) for row in embedding] == [False, True, True, False, False], "only words can be said"
