"""What a model's file says about itself, as the plain JSON that the sheet's Overview draws. Pure functions."""

from __future__ import annotations

from webui.library.model_card import ModelDetails
from webui.ui.models.part import Json


def view_details(details: ModelDetails) -> Json:
    return {
        "numParts": len(details.parts),
        "shares": [
            {"name": share.name, "bytes": share.bytes, "tensors": share.num_tensors} for share in details.type_shares
        ],
        "bitsPerWeight": details.bits_per_weight,
        "numLayers": details.num_layers,
        "numHeads": details.num_heads,
        "numKvHeads": details.num_kv_heads,
        "embeddingLength": details.embedding_length,
        "feedForwardLength": details.feed_forward_length,
        "numExperts": details.num_experts,
        "numExpertsUsed": details.num_experts_used,
        "slidingWindow": details.sliding_window,
        "numWindowLayers": details.num_window_layers,
        "numRecurrentLayers": details.num_recurrent_layers,
        "ropeScaling": details.rope_scaling,
        "contextBeforeScaling": details.context_before_scaling,
        "vocabSize": details.vocab_size,
        "tokenizer": details.tokenizer,
        "preTokenizer": details.pre_tokenizer,
        "templates": _view_templates(details),
        "capabilities": sorted(details.capabilities),
        "mmproj": details.mmproj.name if details.mmproj else "",
        "license": details.license,
        "licenseUrl": details.license_url,
        "languages": list(details.languages),
        "author": details.organization or details.author,
        "url": details.url,
        "description": details.description,
        "quantizedBy": details.quantized_by,
        "baseModels": [
            {"name": "/".join(filter(None, (base.organization, base.name))), "url": base.url}
            for base in details.base_models
        ],
    }


def _view_templates(details: ModelDetails) -> list[Json]:
    """The chat template first, then those with names of their own."""
    own = [("Chat", details.chat_template)] if details.chat_template else []
    return [{"name": name, "text": text} for name, text in [*own, *details.named_templates]]


def sampling_hints(details: ModelDetails) -> Json:
    """What its makers say of sampling, by the names of our own sampling."""
    names = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")
    hints = {name: getattr(details.sampling, name) for name in names}
    return {name: value for name, value in hints.items() if value is not None}
