"""How much memory an embedding or rerank model is given, and when it is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import gguf
import msgspec
import psutil
import pytest

from tests.engine.tiny_embedding_models import BERT_CONTEXT, DECODER_CONTEXT, write_bert, write_decoder
from webui.core.engine_client import EngineClient
from webui.errors import ModelTooBig
from webui.library.embedding_fit import DEFAULT_CONTEXT, plan_embedding_fit
from webui.library.gguf import GgufHeader, read_header
from webui.library.memory_fit import FitPlan
from webui.types import EmbeddingRequest, Gpu, Memory, ModelFile

GB = 1 << 30
PLENTY = Memory(ram_total=64 * GB, ram_free=48 * GB)
WITH_GPU = msgspec.structs.replace(PLENTY, gpus=(Gpu(name="GPU", total_bytes=24 * GB, free_bytes=20 * GB),))


def plan(header: GgufHeader, memory: Memory = PLENTY, gpu_layers: int | None = None) -> FitPlan:
    return plan_embedding_fit(header, "Tiny", memory, threads=1, gpu_layers=gpu_layers, can_offload=True)


def large(header: GgufHeader, context: int) -> GgufHeader:
    """As if it were a whole model of half a gigabyte."""
    return replace(header, context_train=context, embedding_length=1024, feed_forward_length=4096, tensor_bytes=GB // 2)


def test_the_kind_is_read_from_the_file(tmp_path: Path) -> None:
    encoder = read_header(write_bert(tmp_path / "bert.gguf"))
    ranker = read_header(write_bert(tmp_path / "rank.gguf", pooling=gguf.PoolingType.RANK))
    decoder = read_header(write_decoder(tmp_path / "last.gguf"))
    chat = read_header(write_decoder(tmp_path / "chat.gguf", pooling=None))
    kinds = [header.model_kind for header in (encoder, ranker, decoder, chat)]
    assert kinds == ["embedding", "rerank", "embedding", "chat"]


def test_the_context_is_the_trained_one_and_a_batch_has_room_for_several_texts(tmp_path: Path) -> None:
    options = plan(read_header(write_bert(tmp_path / "bert.gguf"))).options
    assert (options.context_tokens, options.batch_tokens, options.gpu_layers) == (BERT_CONTEXT, 512, 0)
    decoder = plan(read_header(write_decoder(tmp_path / "last.gguf"))).options
    assert (decoder.context_tokens, decoder.batch_tokens) == (DECODER_CONTEXT, DECODER_CONTEXT)


def test_a_long_context_shrinks_before_a_model_is_refused(tmp_path: Path) -> None:
    header = large(read_header(write_bert(tmp_path / "bert.gguf")), 32_768)
    assert plan(header).options.context_tokens == DEFAULT_CONTEXT
    tight = msgspec.structs.replace(PLENTY, ram_free=GB)
    small = plan(header, tight)
    assert 512 <= small.options.context_tokens < DEFAULT_CONTEXT
    assert small.ram_needed < GB
    with pytest.raises(ModelTooBig) as refused:
        plan(header, msgspec.structs.replace(PLENTY, ram_free=GB // 2))
    assert int(refused.value.details["needed_bytes"] or 0) > GB // 2


def test_it_goes_to_a_gpu_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    header = large(read_header(write_bert(tmp_path / "bert.gguf")), 512)
    on_gpu = plan(header, WITH_GPU)
    assert (on_gpu.options.gpu_layers, on_gpu.vram_needed > GB // 2) == (-1, True)
    assert plan(header, WITH_GPU, gpu_layers=0).options.gpu_layers == 0
    full = msgspec.structs.replace(WITH_GPU, gpus=(Gpu(name="GPU", total_bytes=24 * GB, free_bytes=GB),))
    assert (plan(header, full).options.gpu_layers, plan(header, full).vram_needed) == (0, 0)


async def test_a_process_takes_no_more_than_planned(tmp_path: Path) -> None:
    for path in (write_bert(tmp_path / "bert.gguf"), write_decoder(tmp_path / "last.gguf")):
        fit = plan(read_header(path))
        client = EngineClient()
        await client.start(ModelFile(id="m", name="m", path=path, size_bytes=1, source="local"), fit.options)
        try:
            await client.embed(EmbeddingRequest(inputs=("the fox " * 60,) * 100))
            memory = await asyncio.to_thread(lambda pid: psutil.Process(pid).memory_info(), client.pid)
        finally:
            await client.stop()
        assert memory.rss - memory.shared < fit.ram_needed
