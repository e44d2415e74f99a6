"""What llama.cpp writes when it cannot load a file, and what a person reads instead. The lines are real ones."""

from __future__ import annotations

import pytest

from webui.engine.load_log import LoadLog
from webui.errors import LoadFailed, OutOfMemory


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'", "not a GGUF"),
        ("gguf_init_from_file: failed to open GGUF file '/x.gguf' (No such file or directory)", "cannot be opened"),
        ("this GGUF file is version 99 but this software only supports up to version 3", "GGUF version 99"),
        ("llama_model_load: error loading model: unknown model architecture: 'lluma'", "architecture “lluma”"),
        ("error loading model vocabulary: unknown pre-tokenizer type: 'new-bpe'", "tokenizer “new-bpe”"),
        ("tensor 'blk.16.ffn_down.weight' data is not within the file bounds, model is corrupted", "incomplete"),
        ("read: string length 20 exceeds remaining file size 18 bytes", "incomplete"),
        ("check_tensor_dims: tensor 'blk.30.attn_norm.weight' not found", "parts of the model are missing"),
        ("tensor 'blk.0.attn_q.weight' has wrong shape; expected 576, 0, got 576, 576", "damaged"),
        ("gguf_init_from_reader: failed to read magic", "damaged"),
        ("something nobody has seen before", "llama.cpp does not accept"),
    ],
)
def test_the_reason_is_told_in_words(line: str, words: str) -> None:
    log = LoadLog()
    log.add(line + "\n", is_problem=True)
    log.add("llama_model_load_from_file_impl: failed to load model\n", is_problem=True)
    error = log.explain("Tiny")
    assert isinstance(error, LoadFailed)
    assert words in str(error)
    assert "_" not in str(error), "no C++ noise"


@pytest.mark.parametrize(
    "line",
    [
        "ggml_aligned_malloc: insufficient memory (attempted to allocate 878906.25 MB)",
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 8192 MiB on device 0: cudaMalloc failed: out of memory",
        "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 921600000000",
    ],
)
def test_too_little_memory_is_told_apart(line: str) -> None:
    log = LoadLog()
    log.add(line, is_problem=True)
    assert isinstance(log.explain("Huge"), OutOfMemory)


def test_the_device_is_the_one_that_llama_cpp_names() -> None:
    log = LoadLog()
    assert log.device == "CPU"
    log.add(
        "llama_model_load_from_file_impl: using device CUDA0 (NVIDIA H200) (0000:01:00.0) - 140000 MiB free",
        is_problem=False,
    )
    assert log.device == "NVIDIA H200"


def test_weights_that_are_copied_out_of_the_file_are_noticed() -> None:
    log = LoadLog()
    log.add("load_tensors:   CPU_Mapped model buffer size =   139.48 MiB\n", is_problem=False)
    assert not log.copies_weights
    log.add("load_tensors:   CPU_REPACK model buffer size =   101.25 MiB\n", is_problem=False)
    assert log.copies_weights
