"""Files that lie. Each ends in one of our errors, quickly and in little memory, never in anything else."""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.library.gguf_files import (
    array_entry,
    number_entry,
    raw_gguf,
    tensor,
    text,
    text_entry,
    write_model,
)
from webui.errors import DamagedGguf, ModelFileError, NotGguf, UnsupportedModel
from webui.library.card_reader import read_details
from webui.library.gguf import read_header
from webui.types import ModelFile

HUGE = 2**63


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "hostile.gguf"
    path.write_bytes(content)
    return path


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.gguf"
    path.touch()
    with pytest.raises(DamagedGguf, match="it is empty"):
        read_header(path)


@pytest.mark.parametrize(
    "content",
    [b"GG", b"PK\x03\x04 a zip file", b"<!DOCTYPE html><html>sign in to the network</html>", bytes(4096)],
)
def test_what_is_no_gguf_is_called_so(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotGguf):
        read_header(_write(tmp_path, content))


def test_a_pipe_with_the_name_of_a_model_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "pipe.gguf"
    os.mkfifo(path)
    with pytest.raises(NotGguf):
        read_header(path)


def test_a_truncated_file_names_both_sizes(tmp_path: Path) -> None:
    path = write_model(tmp_path / "tiny.gguf")
    whole = path.stat().st_size
    os.truncate(path, whole - 10_000)
    with pytest.raises(DamagedGguf, match=r"truncated: \d+ kB of \d+ kB"):
        read_header(path)
    os.truncate(path, 100)
    with pytest.raises(DamagedGguf, match="ends inside its header"):
        read_header(path)


@pytest.mark.parametrize(
    "content",
    [
        raw_gguf(num_entries=HUGE),
        raw_gguf(num_tensors=HUGE),
        raw_gguf(num_entries=60_000),
        raw_gguf(struct.pack("<Q", HUGE)),
        raw_gguf(text("key") + struct.pack("<I", 99)),
        raw_gguf(text("key") + struct.pack("<IQ", 8, HUGE)),
        raw_gguf(array_entry("key", 8, HUGE)),
        raw_gguf(array_entry("key", 8, 2, struct.pack("<Q", HUGE) + b"x")),
        raw_gguf(array_entry("key", 10, HUGE)),
        raw_gguf(array_entry("key", 77, 1)),
        raw_gguf(array_entry("key", 9, 1, struct.pack("<IQ", 9, 1) * 50)),
        raw_gguf(number_entry("key", 1), number_entry("key", 2)),
        raw_gguf(number_entry("general.alignment", 0)),
        raw_gguf(number_entry("general.alignment", 24)),
        raw_gguf(text_entry("general.alignment", "32")),
        raw_gguf(number_entry("llama.block_count", 10**9)),
        raw_gguf(number_entry("llama.context_length", HUGE)),
        raw_gguf(text_entry("llama.context_length", "long")),
        raw_gguf(number_entry("general.name", 5)),
        raw_gguf(tensors=(tensor("a", ()),)),
        raw_gguf(tensors=(tensor("a", (1,) * 5),)),
        raw_gguf(tensors=(tensor("a", (0,)),)),
        raw_gguf(tensors=(tensor("a", (HUGE, HUGE, HUGE, HUGE)),)),
        raw_gguf(tensors=(tensor("a", (33,), kind=2),)),
        raw_gguf(tensors=(tensor("a", (8,), offset=HUGE),)),
        raw_gguf(tensors=(tensor("a", (8,)), tensor("b", (8,), offset=0)), data=bytes(64)),
        raw_gguf(tensors=(tensor("a" * 5000, (8,)),), data=bytes(64)),
        raw_gguf(tensors=(tensor("a", (8,)),)),
        raw_gguf(version=0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
    ],
)
def test_impossible_claims_are_damage(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DamagedGguf):
        read_header(_write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (raw_gguf(version=1), "first GGUF version"),
        (raw_gguf(version=4), "version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (raw_gguf(tensors=(tensor("a", (256,), kind=200),)), r"type \(200\)"),
    ],
)
def test_what_is_sound_but_foreign_is_unsupported(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnsupportedModel, match=reason):
        read_header(_write(tmp_path, content))


def test_a_sparse_giant_of_empty_strings_ends_soon(tmp_path: Path) -> None:
    """Zeros without end are valid empty strings: only the limit on headers stops this one."""
    path = _write(tmp_path, raw_gguf(array_entry("key", 8, 10**9)))
    os.truncate(path, 10**10)
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(DamagedGguf, match="impossibly long"):
        read_header(path)
    assert time.perf_counter() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_text_of_many_megabytes_is_not_kept(tmp_path: Path) -> None:
    path = _write(tmp_path, raw_gguf(text_entry("tokenizer.chat_template", "x" * (4 << 20))))
    tracemalloc.start()
    assert read_header(path).chat_template is None
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


def test_bytes_that_are_no_utf8_are_shown_as_such(tmp_path: Path) -> None:
    entry = text("general.name") + struct.pack("<I", 8) + text(b"caf\xe9")
    assert read_header(_write(tmp_path, raw_gguf(entry))).name == "caf\ufffd"


@pytest.fixture(scope="module")
def sound_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("sound") / "sound.gguf", vocab=20)


@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mutation_of_a_real_file_is_a_header_or_one_of_our_errors(
    sound_file: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(sound_file.read_bytes())
    positions = st.integers(0, 1600)  # the header; beyond it are only zeros
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(positions)
        kind = data.draw(st.sampled_from(["byte", "u32", "u64", "cut", "insert", "delete"]))
        if kind == "byte":
            content[position : position + 1] = bytes([data.draw(st.integers(0, 255))])
        elif kind == "u32":
            content[position : position + 4] = struct.pack("<I", data.draw(st.integers(0, 2**32 - 1)))
        elif kind == "u64":
            content[position : position + 8] = struct.pack("<Q", data.draw(st.integers(0, 2**64 - 1)))
        elif kind == "cut":
            del content[position:]
        elif kind == "insert":
            content[position:position] = data.draw(st.binary(max_size=16))
        else:
            del content[position : position + data.draw(st.integers(1, 16))]
    try:
        header = read_header(_write(tmp_path, bytes(content)))
    except ModelFileError as error:
        assert len(str(error)) < 500
    else:
        assert header.tensor_bytes <= header.file_bytes
        assert len(header.num_kv_heads) == len(header.layer_bytes) == header.num_layers <= 4096


# --- how long a header takes, and how much memory ------------------------------------------------------------------


def write_giant(path: Path, gigabytes: int = 40) -> Path:
    """A sparse file in the shape of a 70B model: 128,256 words with scores, types and merges, 80 layers."""
    words = [f"Ġtoken{number}" for number in range(128_256)]
    merges = [f"Ġto ken{number}" for number in range(280_147)]
    width, layers = 8192, 80
    rows = gigabytes * 10**9 // (layers * 9) // (width // 32 * 34)
    size = rows * (width // 32 * 34)
    names = [f"blk.{layer}.{part}.weight" for layer in range(layers) for part in "abcdefghi"]
    tensors = tuple(tensor(name, (width, rows), kind=8, offset=place * size) for place, name in enumerate(names))
    path.write_bytes(
        raw_gguf(
            number_entry("llama.block_count", layers),
            number_entry("llama.context_length", 131_072),
            array_entry("tokenizer.ggml.tokens", 8, len(words), b"".join(map(text, words))),
            array_entry("tokenizer.ggml.token_type", 5, len(words), bytes(4 * len(words))),
            array_entry("tokenizer.ggml.merges", 8, len(merges), b"".join(map(text, merges))),
            text_entry("tokenizer.chat_template", "{{ messages }}"),
            tensors=tensors,
        )
    )
    os.truncate(path, path.stat().st_size + len(names) * size)
    return path


def test_the_header_of_a_giant_is_read_at_once(tmp_path: Path) -> None:
    path = write_giant(tmp_path / "giant.gguf")
    assert path.stat().st_size > 39 * 10**9
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        header = read_header(path)
        seconds.append(time.perf_counter() - started)
    assert (header.num_layers, header.vocab_size) == (80, 128_256)
    assert min(seconds) < 0.3
    tracemalloc.start()
    read_header(path)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20, "a window of it, not its 12 MB of words"
    tracemalloc.stop()


def mutate(content: bytes, random: Random) -> bytes:
    """One to four changes of the header: bits, numbers, lengths, whole pieces, an early end."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 4)):
        position = random.randrange(1600)  # the header; beyond it are only zeros
        kind = random.choice(("bit", "byte", "u32", "u64", "huge", "cut", "insert", "delete", "repeat"))
        if kind == "bit" and position < len(changed):
            changed[position] ^= 1 << random.randrange(8)
        elif kind == "byte":
            changed[position : position + 1] = random.randbytes(1)
        elif kind == "u32":
            changed[position : position + 4] = random.randbytes(4)
        elif kind == "u64":
            changed[position : position + 8] = random.randbytes(8)
        elif kind == "huge":
            changed[position : position + 8] = struct.pack("<Q", random.choice((2**64 - 1, 2**63, 2**40, 2**32, 0)))
        elif kind == "cut":
            del changed[position:]
        elif kind == "insert":
            changed[position:position] = random.randbytes(random.randint(1, 16))
        elif kind == "delete":
            del changed[position : position + random.randint(1, 16)]
        else:
            changed[position:position] = changed[: random.randint(1, 400)]
    return bytes(changed)


def test_a_thousand_damaged_files_are_a_card_or_an_error_each(sound_file: Path, tmp_path: Path) -> None:
    random = Random(4)
    content = sound_file.read_bytes()
    started = time.perf_counter()
    slowest = 0.0
    num_errors = 0
    tracemalloc.start()
    for _ in range(1000):
        path = _write(tmp_path, mutate(content, random))
        began = time.perf_counter()
        try:
            details = read_details(ModelFile(id="m", name="M", path=path, size_bytes=1, source="local"))
        except ModelFileError as error:
            assert len(str(error)) < 500
            num_errors += 1
        else:
            assert sum(share.bytes for share in details.type_shares) <= path.stat().st_size
        slowest = max(slowest, time.perf_counter() - began)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 400 < num_errors < 1000, "the rest changed a text or a number that nothing depends on"
    assert peak < 4 << 20
    assert slowest < 0.5
    assert time.perf_counter() - started < 10
