"""What the card says of a model, from its files alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from tests.library.gguf_files import array_entry, raw_gguf, text, text_entry, write_model
from webui.errors import DamagedGguf, UnknownModel, UnreadableModel
from webui.library.capabilities import find_capabilities
from webui.library.card_reader import read_details
from webui.library.catalog import Catalog, find_starter
from webui.library.companions import find_mmproj
from webui.library.gguf import describe, read_parts
from webui.library.gguf_fields import GgufFields
from webui.library.model_card import BaseModel, Capability, ModelDetails, SamplingHints, TypeShare
from webui.types import ModelFile


def card(path: Path) -> ModelDetails:
    model = ModelFile(id="m", name="M", path=path, size_bytes=path.stat().st_size, source="local")
    return read_details(model)


def write(folder: Path, more: Callable[[gguf.GGUFWriter], object] = lambda _: None, name: str = "m.gguf") -> Path:
    return write_model(folder / name, more=more)


async def test_the_card_of_the_starter_model(tmp_path: Path) -> None:
    details = await Catalog(tmp_path, []).details("SmolLM2-135M-Instruct.Q4_1")
    assert details.model.name == "SmolLM2 135M Instruct"
    assert details.type_shares == (
        TypeShare(name="Q4_1", bytes=66_355_200, num_tensors=210),
        TypeShare(name="Q8_0", bytes=49_152 * 576 // 32 * 34, num_tensors=1),
        TypeShare(name="F32", bytes=61 * 576 * 4, num_tensors=61),
    )
    assert sum(share.num_tensors for share in details.type_shares) == details.num_tensors == 272
    assert (details.num_layers, details.num_heads, details.num_kv_heads, details.head_length) == (30, 9, 3, 64)
    assert (details.vocab_size, details.tokenizer, details.pre_tokenizer) == (49_152, "gpt2", "smollm")
    assert details.capabilities == {"chat"}
    assert details.license == "apache-2.0"
    assert details.languages == ("en",)
    assert "<|im_start|>" in (details.chat_template or "")


async def test_a_card_of_nothing_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(tmp_path, [], include_starter=False)
    with pytest.raises(UnknownModel):
        await catalog.details("nobody")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF")
    with pytest.raises(DamagedGguf):
        await catalog.details("bad")

    def refuse(model: ModelFile) -> ModelDetails:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("webui.library.catalog.read_details", refuse)
    with pytest.raises(UnreadableModel, match=r"cannot be read .Permission denied.*permissions"):
        await catalog.details("bad")


def test_who_made_it_and_how_it_wants_to_be_used(tmp_path: Path) -> None:
    def describe_it(writer: gguf.GGUFWriter) -> None:
        writer.add_license("llama3.1")
        writer.add_license_link("https://llama.example/license")
        writer.add_languages(["de", "fr"])
        writer.add_tags(["chat", "text-generation"])
        writer.add_author("Ada")
        writer.add_url("javascript:alert(1)")
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, "Llama 3.1 8B")
        writer.add_base_model_organization(0, "Meta")
        writer.add_base_model_repo_url(0, "https://hub.example/llama")
        writer.add_float32("general.sampling.temp", 0.5)
        writer.add_int32("general.sampling.top_k", 20)
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)

    details = card(write(tmp_path, describe_it))
    assert (details.license, details.license_url) == ("llama3.1", "https://llama.example/license")
    assert (details.languages, details.tags, details.author) == (("de", "fr"), ("chat", "text-generation"), "Ada")
    assert details.url == "", "only what is safe to offer as a link"
    [base] = details.base_models
    assert base == BaseModel(name="Llama 3.1 8B", organization="Meta", url="https://hub.example/llama")
    assert details.sampling == SamplingHints(temperature=0.5, top_k=20)
    assert details.rope_scaling == "yarn"


def test_shares_of_tensor_types_add_up(tmp_path: Path) -> None:
    details = card(write(tmp_path))
    assert details.type_shares == (
        TypeShare(name="F16", bytes=2 * 64 * 64 * 2, num_tensors=2),
        TypeShare(name="F32", bytes=16 * 64 * 4 + 64 * 4, num_tensors=2),
    )
    assert details.bits_per_weight == pytest.approx(8 * (16_384 + 4096 + 256) / (8192 + 1024 + 64))


# --- what it can do ------------------------------------------------------------------------------------------------


def with_template(folder: Path, template: str) -> frozenset[Capability]:
    """A file has one entry of a name, so the template goes in by hand."""
    path = folder / "templated.gguf"
    path.write_bytes(raw_gguf(text_entry("tokenizer.chat_template", template)))
    return card(path).capabilities


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ messages[0].content }}", {"chat"}),
        ("{% if tools %}{{ tools | tojson }}{% endif %}", {"chat", "tools"}),
        ("{%- for call in message.tool_calls %}x{% endfor %}", {"chat", "tools"}),
        ("{# tools come later #}You have no tools.{{ messages }}", {"chat"}),
        ("{% if enable_thinking %}{% endif %}", {"chat", "thinking"}),
        ("{{ content.split('</think>')[-1] }}", {"chat", "thinking"}),
        ("{% if tools %}{% endif %}<|channel|>analysis", {"chat", "tools", "thinking"}),
    ],
)
def test_a_template_tells_what_a_model_was_made_for(tmp_path: Path, template: str, expected: set[Capability]) -> None:
    assert with_template(tmp_path, template) == expected


def test_a_template_made_to_be_slow_is_read_as_fast_as_any(tmp_path: Path) -> None:
    started = time.perf_counter()
    for piece in ("{%", "{{ '\\'", "<|channel|>" + " " * 50, "<think", "{#"):
        with_template(tmp_path, piece * (900_000 // len(piece)))
    assert time.perf_counter() - started < 3


def test_a_template_for_tools_only_counts(tmp_path: Path) -> None:
    def named(writer: gguf.GGUFWriter) -> None:
        writer.add_array("tokenizer.chat_templates", ["tool_use"])
        writer.add_string("tokenizer.chat_template.tool_use", "{{ tools }}")

    details = card(write(tmp_path, named))
    assert details.named_templates == (("tool_use", "{{ tools }}"),)
    assert "tools" in details.capabilities


def test_filling_in_the_middle_shows_in_the_vocabulary_or_in_the_metadata(tmp_path: Path) -> None:
    words = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]

    def vocabulary(found: list[str]) -> Path:
        path = tmp_path / "words.gguf"
        texts = [f"word{number}" for number in range(200_000)]
        texts[50_000:50_000] = found
        content = b"".join(map(text, texts))
        path.write_bytes(raw_gguf(array_entry("tokenizer.ggml.tokens", 8, len(texts), content)))
        return path

    def ids(writer: gguf.GGUFWriter) -> None:
        for name in ("fim_pre", "fim_suf", "fim_mid"):
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", 7)

    assert "infill" in card(vocabulary(words)).capabilities
    assert "infill" not in card(vocabulary(words[:2])).capabilities
    assert "infill" in card(write(tmp_path, ids)).capabilities


def test_a_model_without_a_template_completes_and_does_not_chat() -> None:
    path = find_starter()
    assert path is not None
    [file] = read_parts(path)
    del file.metadata["tokenizer.chat_template"]
    fields = GgufFields(file.metadata, path.name)
    assert find_capabilities(describe([file], path.name), fields, ()) == set()


def test_embedding_and_rerank_models_say_so(tmp_path: Path) -> None:
    embedder = card(write(tmp_path, lambda writer: writer.add_pooling_type(gguf.PoolingType.MEAN)))
    ranker = card(write(tmp_path, lambda writer: writer.add_pooling_type(gguf.PoolingType.RANK)))
    assert embedder.capabilities == {"embedding"}
    assert ranker.capabilities == {"rerank"}


# --- the image reader beside it ------------------------------------------------------------------------------------


def write_mmproj(path: Path, *, width: int = 64, hears: bool = False) -> Path:
    def tell(writer: gguf.GGUFWriter) -> None:
        writer.add_uint32("clip.vision.projection_dim", width)
        writer.add_bool("clip.has_audio_encoder" if hears else "clip.has_vision_encoder", True)

    return write_model(path, architecture="clip", more=tell)


def test_an_image_reader_of_the_same_name_makes_a_model_see(tmp_path: Path) -> None:
    path = write(tmp_path, name="Gemma-3-4B-it-Q4_K_M.gguf")
    write(tmp_path, name="Other-7B-Q4_K_M.gguf")
    mmproj = write_mmproj(tmp_path / "mmproj-gemma-3-4b-it-f16.gguf")
    details = card(path)
    assert details.mmproj == mmproj
    assert details.capabilities == {"chat", "vision"}
    assert card(tmp_path / "Other-7B-Q4_K_M.gguf").mmproj is None


def test_an_image_reader_without_a_name_belongs_to_the_only_model_of_its_width(tmp_path: Path) -> None:
    path = write(tmp_path, name="Model-A-Q4_K_M.gguf")
    write(tmp_path, name="Model-A-Q8_0.gguf")
    mmproj = write_mmproj(tmp_path / "mmproj-F16.gguf")
    assert card(path).mmproj == mmproj
    assert find_mmproj(path, 2048) is None, "its vectors would have another width"
    write(tmp_path, name="Model-B.gguf")
    assert card(path).mmproj is None, "it could be either's"


def test_a_sound_reader_makes_a_model_hear_and_a_damaged_one_does_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, name="Voice.gguf")
    mmproj = write_mmproj(tmp_path / "mmproj-Voice.gguf", hears=True)
    assert card(path).capabilities == {"chat", "audio"}
    mmproj.write_bytes(b"GGUF" + bytes(8))
    assert card(path).capabilities == {"chat"}
