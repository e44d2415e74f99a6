"""A model's facts as lines for people: what `glasshouse show` prints of the file and of what is kept about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from webui.cli.output import count, size

Json = dict[str, Any]


def facts_of(kept: Json, details: Json) -> Iterator[tuple[str, str]]:
    """`kept` is `/manage/models/{id}`, `details` what the file tells. Empty values are not shown."""
    yield "id", kept["id"]
    yield "problem", kept["problem"] or ""
    yield "architecture", f"{details['model']['architecture']} · {count(kept['parameters'])} parameters"
    yield (
        "size",
        f"{size(kept['size_bytes'])} · {kept['quantization']} · {details['bits_per_weight']:.2f} bits a weight",
    )
    yield "context", _context(details)
    yield "layers", _layers(details)
    yield "vocabulary", _vocabulary(details)
    yield "capabilities", ", ".join(sorted(details["capabilities"]))
    yield "template", "its own" if details["chat_template"] else ""
    yield "fits", _fit(kept["fit"])
    yield "licence", " ".join(each for each in (details["license"], details["license_url"]) if each)
    yield "languages", ", ".join(details["languages"])
    yield "made from", ", ".join(_base(each) for each in details["base_models"])
    yield "by", ", ".join(each for each in (details["organization"], details["author"]) if each)
    yield "description", details["description"]
    yield "tags", ", ".join(kept["tags"])
    yield "notes", kept["notes"]
    yield "settings", ", ".join(f"{name} {value}" for name, value in _settings(kept["defaults"]))
    yield "presets", ", ".join(kept["presets"])
    yield "sees with", details["mmproj"] or ""
    yield "file", kept["path"] if len(details["parts"]) == 1 else f"{kept['path']} and {len(details['parts']) - 1} more"


def shares_of(details: Json) -> list[tuple[str, str, str]]:
    return [(f"{share['num_tensors']:,}", share["name"], size(share["bytes"])) for share in details["type_shares"]]


def _context(details: Json) -> str:
    trained, before = details["model"]["context_train"], details["context_before_scaling"]
    if not trained:
        return ""
    scaled = f", {details['rope_scaling']} from {before:,}" if details["rope_scaling"] and before else ""
    window = f", {details['num_window_layers']} layers see {details['sliding_window']:,}"
    return f"{trained:,} tokens{scaled}{window if details['sliding_window'] and details['num_window_layers'] else ''}"


def _layers(details: Json) -> str:
    if not details["num_layers"]:
        return ""
    words = [f"{details['num_layers']}, {details['num_heads']} heads, {details['num_kv_heads']} of KV"]
    if details["num_experts"]:
        words.append(f"{details['num_experts_used']} of {details['num_experts']} experts")
    if details["num_recurrent_layers"]:
        words.append(f"{details['num_recurrent_layers']} recurrent")
    return ", ".join(words)


def _vocabulary(details: Json) -> str:
    kinds = " ".join(each for each in (details["tokenizer"], details["pre_tokenizer"]) if each)
    return f"{details['vocab_size']:,} tokens ({kinds})" if details["vocab_size"] else ""


def _fit(fit: Json | None) -> str:
    if fit is None:
        return ""
    if fit["words"]:
        return str(fit["words"])
    ram, vram = size(fit["ram_bytes"]), size(fit["vram_bytes"])
    return f"{fit['verdict']}: {ram} of RAM{f', {vram} of graphics memory' if vram else ''}"


def _base(base: Json) -> str:
    return "/".join(each for each in (base["organization"], base["name"]) if each)


def _settings(defaults: Json) -> Iterator[tuple[str, str]]:
    for name, value in defaults.items():
        if value not in (None, [], {}):
            yield name, "its own" if name in {"system_prompt", "chat_template", "sampling"} else str(value)
