"""What can be said of a model's file: its header, and what its tokenizer makes of texts."""

from __future__ import annotations

from webui.core.doctor.samples import PLAIN_ENGLISH, TOKENIZER_TEXTS
from webui.core.doctor.subject import Subject
from webui.core.doctor.words import join_words
from webui.errors import format_bytes
from webui.library.gguf import GgufHeader
from webui.types import Check, Figure, ModelFile

HEADER_TITLE = "File"
TOKENIZER_TITLE = "Tokenizer"


def check_header(model: ModelFile, header: GgufHeader) -> Check:
    """A file whose header was read and that an engine can load."""
    parts = f" in {header.num_parts} parts" if header.num_parts > 1 else ""
    trained = f", trained for {header.context_train:,} tokens of context" if header.context_train else ""
    return Check(
        name="header",
        title=HEADER_TITLE,
        state="ok",
        words=f"The file is whole{parts}: {header.architecture}, {header.num_parameters / 1e6:,.0f} million parameters "
        f"as {header.quantization}, {format_bytes(model.size_bytes)}{trained}.",
        figures=(
            Figure(label="parameters", value=header.num_parameters),
            Figure(label="size", value=model.size_bytes, unit="bytes"),
            Figure(label="bits per weight", value=round(8 * header.tensor_bytes / max(1, header.num_parameters), 2)),
            Figure(label="context", value=header.context_train, unit="tokens"),
        ),
    )


async def check_tokenizer(subject: Subject) -> Check:
    """Texts of many kinds go to tokens and back."""
    texts = await subject.tokenize(*TOKENIZER_TEXTS.values())
    lost = []
    for name, text, tokenized in zip(TOKENIZER_TEXTS, TOKENIZER_TEXTS.values(), texts, strict=True):
        # SentencePiece puts a blank before a beginning.
        if tokenized.text.decode("utf-8", "replace") not in {text, f" {text}"}:
            lost.append(name)
    num_bytes = sum(len(text.encode()) for text in TOKENIZER_TEXTS.values())
    plain = texts[list(TOKENIZER_TEXTS).index(PLAIN_ENGLISH)]
    return Check(
        name="tokenizer",
        title=TOKENIZER_TITLE,
        state="fail" if PLAIN_ENGLISH in lost else "warn" if lost else "ok",
        words=_tokenizer_words(lost),
        figures=(
            Figure(label="bytes per token, English", value=round(len(plain.text) / max(1, plain.num_tokens), 2)),
            Figure(
                label="bytes per token, all samples",
                value=round(num_bytes / max(1, sum(text.num_tokens for text in texts)), 2),
            ),
        ),
    )


def _tokenizer_words(lost: list[str]) -> str:
    if not lost:
        return "Texts come back from its tokens as they went in, code, emoji and many scripts among them."
    reason = (
        "Its tokenizer is broken." if PLAIN_ENGLISH in lost else "It does not know these characters, or alters them."
    )
    return f"Not everything comes back from its tokens as it went in: {join_words(lost)}. {reason}"
