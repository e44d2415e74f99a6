"""What the header reader says of sound files, checked against llama.cpp's own writer and the starter model."""

from __future__ import annotations

import time
from pathlib import Path

import gguf
import pytest

from tests.library.gguf_files import raw_gguf, tensor, write_model, write_split_model
from webui.errors import DamagedGguf, UnsupportedModel
from webui.library.byte_reader import KnownArrays
from webui.library.catalog import find_starter
from webui.library.ggml_types import FILE_TYPES, TENSOR_TYPES
from webui.library.gguf import ensure_chat_model, read_header


def test_the_starter_model_is_what_it_is() -> None:
    starter = find_starter()
    assert starter is not None
    header = read_header(starter)
    assert header.architecture == "llama"
    assert header.name == "Smollm2 135M 8k Lc100K Mix1 Ep2"
    assert header.num_parameters == 134_515_008
    assert header.quantization == "Q4_1"
    assert header.file_bytes == starter.stat().st_size == 98_362_432
    assert header.context_train == 8192
    assert (header.num_layers, header.num_heads, header.num_kv_heads) == (30, 9, (3,) * 30)
    assert (header.key_length, header.value_length, header.embedding_length) == (64, 64, 576)
    assert header.vocab_size == 49_152
    assert sum(header.layer_bytes) + header.input_bytes + header.output_bytes == header.tensor_bytes
    assert not header.has_output  # the output layer shares the token embeddings
    assert header.chat_template is not None
    assert "<|im_start|>" in header.chat_template
    assert header.is_chat


def test_a_written_model_is_read_back(tmp_path: Path) -> None:
    header = read_header(write_model(tmp_path / "tiny.gguf"))
    assert header.name == "Tiny Test"
    assert header.quantization == "Q4_K_M"  # what the file says of itself comes first
    assert header.num_parameters == 16 * 64 + 2 * 64 * 64 + 64
    assert header.tensor_bytes == 16 * 64 * 4 + 2 * 64 * 64 * 2 + 64 * 4
    assert header.layer_bytes == (64 * 64 * 2,) * 2
    assert header.vocab_size == 300
    assert header.chat_template == "{{ messages[0].content }}"
    assert header.num_kv_heads == (2, 2)
    assert header.key_length == 16  # 64 over four heads


def test_without_a_file_type_the_commonest_tensor_type_names_the_quantization(tmp_path: Path) -> None:
    assert read_header(write_model(tmp_path / "tiny.gguf", file_type=None)).quantization == "F16"


def test_version_two_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "old.gguf"
    path.write_bytes(raw_gguf(tensors=(tensor("a", (8,)),), data=bytes(32), version=2))
    assert read_header(path).version == 2


def test_hybrid_models_keep_kv_in_some_layers_only(tmp_path: Path) -> None:
    per_layer = write_model(tmp_path / "a.gguf", architecture="lfm2", kv_heads=[0, 2])
    assert read_header(per_layer).num_kv_heads == (0, 2)
    interval = write_model(
        tmp_path / "b.gguf",
        architecture="qwen3next",
        more=lambda w: w.add_uint32("qwen3next.full_attention_interval", 2),
    )
    assert read_header(interval).num_kv_heads == (0, 2)
    silent = write_model(tmp_path / "c.gguf", architecture="qwen3next")
    assert read_header(silent).num_kv_heads == (0, 0), "every fourth layer, and this one has two"


def windows(path: Path) -> list[bool]:
    return [layer.is_window for layer in read_header(path).layers]


def test_sliding_window_layers_come_from_the_file_or_from_the_architecture(tmp_path: Path) -> None:
    def window(writer: gguf.GGUFWriter) -> None:
        writer.add_sliding_window(512)

    def window_and_pattern(writer: gguf.GGUFWriter) -> None:
        writer.add_sliding_window(512)
        writer.add_sliding_window_pattern([True, False])

    by_architecture = write_model(tmp_path / "a.gguf", architecture="gemma2", more=window)
    by_file = write_model(tmp_path / "b.gguf", architecture="other", more=window_and_pattern)
    unknown = write_model(tmp_path / "c.gguf", architecture="other", more=window)
    assert windows(by_architecture) == [True, False]
    assert windows(by_file) == [True, False]
    assert windows(unknown) == [False, False]  # counted as full: too much rather than too little


def test_embedding_models_and_companions_of_models_are_not_for_chat(tmp_path: Path) -> None:
    embedder = read_header(
        write_model(
            tmp_path / "embed.gguf", architecture="qwen3", more=lambda w: w.add_pooling_type(gguf.PoolingType.LAST)
        )
    )
    assert embedder.is_embedding
    assert not embedder.is_chat
    assert embedder.unsupported_reason is None
    with pytest.raises(UnsupportedModel, match="search and embeddings"):
        ensure_chat_model(embedder, "embed")
    projector = read_header(write_model(tmp_path / "mmproj.gguf", architecture="clip"))
    assert not projector.is_chat
    with pytest.raises(UnsupportedModel, match="mmproj"):
        ensure_chat_model(projector, "mmproj")


def test_a_split_model_is_read_as_one_from_any_part(tmp_path: Path) -> None:
    parts = write_split_model(tmp_path, "Big")
    for part in parts:
        header = read_header(part)
        assert header.num_parts == 3
        assert header.num_parameters == 3 * 64 * 64
        assert header.layer_bytes == (64 * 64 * 2,) * 3
        assert header.file_bytes == sum(each.stat().st_size for each in parts)
    parts[1].unlink()
    with pytest.raises(DamagedGguf, match="part 2 of 3 is missing"):
        read_header(parts[0])


def test_forty_gigabytes_are_read_in_no_time(tmp_path: Path) -> None:
    """The file is sparse: 40 GB to look at, a few kilobytes on disk. Only its header may be touched."""
    elements = 40 * 10**9 // 2
    path = tmp_path / "huge.gguf"
    head = raw_gguf(tensors=(tensor("blk.0.w", (elements,), kind=1),))
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(len(head) + elements * 2)
    started = time.perf_counter()
    header = read_header(path)
    assert time.perf_counter() - started < 0.3
    assert header.tensor_bytes == 40 * 10**9


def test_a_vocabulary_that_was_seen_before_is_compared_not_guessed(tmp_path: Path) -> None:
    """Two vocabularies of the same length: the memory of one scan must tell them apart."""
    known = KnownArrays()
    short = write_model(tmp_path / "a.gguf", vocab=2000, name="A")
    longer = tmp_path / "b.gguf"
    writer = gguf.GGUFWriter(longer, "llama")
    writer.add_token_list([f"another token {number}" for number in range(2000)])
    writer.add_name("B")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for _ in range(2):
        assert read_header(short, known) == read_header(short)
        assert read_header(longer, known) == read_header(longer)


def test_the_tables_agree_with_llama_cpp_s_own() -> None:
    for number, (block_length, block_bytes) in gguf.GGML_QUANT_SIZES.items():
        if number.name != "Q8_1":  # an intermediate of computing that is never stored; the two sources differ on it
            assert TENSOR_TYPES[int(number)] == (number.name, block_length, block_bytes)
    for file_type in gguf.LlamaFileType:
        if file_type.name != "GUESSED":
            assert FILE_TYPES[int(file_type)] == file_type.name.split("_", 1)[1].removesuffix("_MOE")


def test_an_array_that_only_seems_to_be_known_is_walked_through(tmp_path: Path) -> None:
    """The same number of tokens, the same beginning and end, and a longer token between: its end is elsewhere."""
    known = KnownArrays()
    for name, middle in (("a", "token"), ("b", "a much longer token")):
        writer = gguf.GGUFWriter(tmp_path / f"{name}.gguf", "llama")
        writer.add_token_list(["same"] * 5000 + [middle] + ["same"] * 5000)
        writer.add_name(name)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    assert [read_header(tmp_path / f"{name}.gguf", known).name for name in "ab"] == ["a", "b"]


def test_an_importance_matrix_names_no_architecture_and_is_not_damaged_for_that(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.imatrix.gguf", "")
    writer.kv_data[0].clear()
    writer.add_type("imatrix")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(UnsupportedModel, match="importance matrix, made for quantizing"):
        read_header(tmp_path / "m.imatrix.gguf")
