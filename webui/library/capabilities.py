"""What a model can do, told from its chat template, its special tokens and its metadata, without running it.

A template is somebody else's program: it is searched here, in time that grows with its length only, and never run. That
a template knows tools does not promise that the model uses them well; the doctor tries that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from webui.library.gguf import GgufHeader
from webui.library.gguf_fields import GgufFields
from webui.library.model_card import Capability

_JINJA_EDGE = re.compile(r"(?P<opens>\{[%{#])|[%}#]\}")
_TOOLS = re.compile(r"\b(?:tools|tool_calls|builtin_tools|available_tools)\b")
_THINKING = re.compile(
    r"\b(?:enable_thinking|reasoning_content|reasoning_effort|thinking_budget)\b"
    r"|</?(?:seed:)?think(?:ing)?>|\[THINK\]|◁think▷|<\|channel\|?>\s*(?:analysis|thought)"
)

# Prefix, suffix and middle, as the families of models spell them (llama.cpp finds them the same way: llama-vocab.cpp).
_INFILL_WORDS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),  # CodeLlama
    ("<PRE>", "<SUF>", "<MID>"),  # Granite
    ("[PREFIX]", "[SUFFIX]", "[MIDDLE]"),  # Codestral
)
INFILL_WORDS = frozenset(word for words in _INFILL_WORDS for word in words)
_INFILL_KEYS = tuple(
    tuple(f"tokenizer.ggml.{name}_token_id" for name in names)
    for names in (("fim_pre", "fim_suf", "fim_mid"), ("prefix", "suffix", "middle"))
)


def find_capabilities(header: GgufHeader, fields: GgufFields, words: Iterable[str]) -> frozenset[Capability]:
    """`words`: those of INFILL_WORDS that are in the vocabulary. What lies beside the file is not looked at."""
    kind = header.model_kind
    found: set[Capability] = set()
    if kind in {"embedding", "rerank"}:
        found.add("embedding" if kind == "embedding" else "rerank")
    elif kind == "chat":
        templates = [header.chat_template or "", *(text for _, text in named_templates(fields))]
        if header.chat_template:
            found.add("chat")
        if any(knows_tools(template) for template in templates):
            found.add("tools")
        if any(_THINKING.search(template) for template in templates):
            found.add("thinking")
        if _can_infill(fields, set(words)):
            found.add("infill")
    return frozenset(found)


def knows_tools(template: str) -> bool:
    """Whether a chat template shows tools to the model."""
    return _TOOLS.search(_code_of(template)) is not None


def named_templates(fields: GgufFields) -> tuple[tuple[str, str], ...]:
    """Further templates of the file by name, such as "tool_use"."""
    names = fields.texts("tokenizer.chat_templates")
    found = ((name, fields.note(f"tokenizer.chat_template.{name}")) for name in names)
    return tuple((name, text) for name, text in found if text)


def _can_infill(fields: GgufFields, words: set[str]) -> bool:
    if any(all(fields.number(key) is not None for key in keys) for keys in _INFILL_KEYS):
        return True
    return any(words.issuperset(spelling) for spelling in _INFILL_WORDS)


def _code_of(template: str) -> str:
    """What stands between Jinja's marks; text and comments, which may mention anything, are left out."""
    code = []
    start: int | None = None
    for edge in _JINJA_EDGE.finditer(template):
        if edge["opens"]:
            start = edge.end() if edge["opens"] != "{#" else None
        elif start is not None:
            code.append(template[start : edge.start()])
            start = None
    return " ".join(code)
