"""Machines and models to plan for that are not here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from webui.library.catalog import find_starter
from webui.library.gguf import GgufHeader, read_header
from webui.library.gguf_layers import LayerMemory
from webui.types import Gpu, Memory

GIB = 1 << 30
ATTENTION = LayerMemory(keys=8 * 128, values=8 * 128)  #: a layer of Llama 3.1 8B


def machine(ram_free: float, vram_free: tuple[float, ...] = ()) -> Memory:
    """Gibibytes; one more of each is taken by others."""
    gpus = tuple(Gpu(name="GPU", total_bytes=int(free * GIB) + GIB, free_bytes=int(free * GIB)) for free in vram_free)
    return Memory(ram_total=int(ram_free * GIB) + GIB, ram_free=int(ram_free * GIB), gpus=gpus)


@pytest.fixture(scope="module")
def starter() -> GgufHeader:
    return _read_starter()


@pytest.fixture(scope="module")
def eight_billion() -> GgufHeader:
    """The numbers of Llama 3.1 8B in Q4_K_M."""
    return replace(
        _read_starter(),
        tensor_bytes=4_900_000_000,
        context_train=131_072,
        num_layers=32,
        num_heads=32,
        num_kv_heads=(8,) * 32,
        key_length=128,
        value_length=128,
        layers=(ATTENTION,) * 32,
        embedding_length=4096,
        feed_forward_length=14_336,
        vocab_size=128_256,
        layer_bytes=(130_000_000,) * 32,
        input_bytes=300_000_000,
        output_bytes=440_000_000,
        has_output=True,
    )


def _read_starter() -> GgufHeader:
    path = find_starter()
    assert path is not None
    return read_header(path)
