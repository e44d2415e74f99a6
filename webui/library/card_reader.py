"""Reads a model's card from its files: the header, the words of the vocabulary that tell what it can do, and what lies
beside it.

It reads the header again rather than keep all of it for every model of the list; a second at most, in a thread.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from webui.library.capabilities import INFILL_WORDS, find_capabilities, named_templates
from webui.library.companions import Companion, find_mmproj
from webui.library.find_words import find_words
from webui.library.gguf import GgufHeader, describe, read_parts, sum_tables
from webui.library.gguf_fields import GgufFields
from webui.library.gguf_file import GgufFile
from webui.library.model_card import BaseModel, Capability, ModelDetails, SamplingHints, TypeShare
from webui.library.split import list_parts
from webui.types import ModelFile

_TOKENS = "tokenizer.ggml.tokens"
_MOST_BASE_MODELS = 32


def read_details(model: ModelFile) -> ModelDetails:
    """Raises NotGguf, DamagedGguf or UnsupportedModel for a file that cannot be read, and OSError."""
    files = read_parts(model.path)
    header = describe(files, model.path.name)
    fields = GgufFields(files[0].metadata, model.path.name)
    parts = tuple(list_parts(model.path))
    mmproj = find_mmproj(model.path, header.embedding_length) if header.model_kind == "chat" else None
    lengths = _lengths(header)
    return ModelDetails(
        model=model,
        parts=parts,
        gguf_version=header.version,
        type_shares=_type_shares(files),
        bits_per_weight=header.tensor_bytes * 8 / header.num_parameters if header.num_parameters else 0.0,
        num_tensors=sum(file.num_tensors for file in files),
        num_layers=header.num_layers,
        num_heads=header.num_heads,
        num_kv_heads=max(header.num_kv_heads, default=0),
        head_length=header.key_length,
        embedding_length=header.embedding_length,
        feed_forward_length=header.feed_forward_length,
        num_experts=header.num_experts,
        num_experts_used=header.num_experts_used,
        sliding_window=header.sliding_window if lengths["window"] else 0,
        num_window_layers=lengths["window"],
        num_recurrent_layers=lengths["recurrent"],
        rope_scaling=fields.note(f"{fields.architecture}.rope.scaling.type"),
        context_before_scaling=fields.count("rope.scaling.original_context_length"),
        vocab_size=header.vocab_size,
        tokenizer=fields.note("tokenizer.ggml.model"),
        pre_tokenizer=fields.note("tokenizer.ggml.pre"),
        adds_bos=fields.truth("tokenizer.ggml.add_bos_token"),
        chat_template=header.chat_template,
        named_templates=named_templates(fields),
        capabilities=_capabilities(header, fields, _words(parts[0], files[0]), mmproj),
        mmproj=mmproj.path if mmproj else None,
        license=fields.note("general.license.name") or fields.note("general.license"),
        license_url=_link(fields, "general.license.link"),
        languages=fields.texts("general.languages"),
        tags=fields.texts("general.tags"),
        author=fields.note("general.author"),
        organization=fields.note("general.organization"),
        description=fields.note("general.description"),
        url=_link(fields, "general.url") or _link(fields, "general.repo_url"),
        quantized_by=fields.note("general.quantized_by"),
        base_models=_base_models(fields),
        sampling=_sampling(fields),
    )


def _type_shares(files: list[GgufFile]) -> tuple[TypeShare, ...]:
    num_tensors = sum_tables([file.type_tensors for file in files])
    sizes = sum_tables([file.type_bytes for file in files])
    shares = (TypeShare(name=name, bytes=size, num_tensors=num_tensors[name]) for name, size in sizes.items())
    return tuple(sorted(shares, key=lambda share: (-share.bytes, share.name)))


def _lengths(header: GgufHeader) -> dict[str, int]:
    return {
        "window": sum(layer.is_window for layer in header.layers),
        "recurrent": sum(bool(layer.state) for layer in header.layers),
    }


def _words(path: Path, file: GgufFile) -> set[str]:
    """Those words of the vocabulary that tell something."""
    kept = file.metadata.get(_TOKENS)
    if isinstance(kept, tuple):
        return {word for word in kept if isinstance(word, str)} & INFILL_WORDS
    span = file.text_spans.get(_TOKENS)
    return find_words(path, span, INFILL_WORDS) if span else set()


def _capabilities(
    header: GgufHeader, fields: GgufFields, words: set[str], mmproj: Companion | None
) -> frozenset[Capability]:
    found = set(find_capabilities(header, fields, words))
    if mmproj is not None and mmproj.sees:
        found.add("vision")
    if mmproj is not None and mmproj.hears:
        found.add("audio")
    return frozenset(found)


def _base_models(fields: GgufFields) -> tuple[BaseModel, ...]:
    count = fields.number("general.base_model.count") or 0
    found = []
    for number in range(min(int(count), _MOST_BASE_MODELS)):
        key = f"general.base_model.{number}"
        if name := fields.note(f"{key}.name"):
            url = _link(fields, f"{key}.repo_url") or _link(fields, f"{key}.url")
            found.append(BaseModel(name=name, organization=fields.note(f"{key}.organization"), url=url))
    return tuple(found)


def _sampling(fields: GgufFields) -> SamplingHints:
    def hint(name: str) -> float | None:
        return fields.number(f"general.sampling.{name}")

    def whole(name: str) -> int | None:
        value = hint(name)
        return None if value is None else int(value)

    return SamplingHints(
        temperature=hint("temp"),
        top_k=whole("top_k"),
        top_p=hint("top_p"),
        min_p=hint("min_p"),
        repeat_penalty=hint("penalty_repeat"),
        xtc_probability=hint("xtc_probability"),
        xtc_threshold=hint("xtc_threshold"),
        mirostat=whole("mirostat"),
        mirostat_tau=hint("mirostat_tau"),
        mirostat_eta=hint("mirostat_eta"),
    )


def _link(fields: GgufFields, key: str) -> str:
    """Only what a page may offer as a link: anything else in a foreign file could be a script."""
    text = fields.note(key)
    try:
        return text if urlsplit(text).scheme in {"http", "https"} else ""
    except ValueError:
        return ""
