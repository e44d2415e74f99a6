"""Models that embed or rank: do like things lie closer than unlike ones, and how fast do they read?"""

from __future__ import annotations

import math
import statistics
import struct
from collections.abc import Sequence

from webui.core.doctor.limits import DoctorLimits
from webui.core.doctor.samples import PROSE, WORDS
from webui.core.doctor.subject import Subject
from webui.types import Check, EmbeddingRequest, Embeddings, Figure, RerankRequest

OUTPUT_TITLE = "Output"
SPEED_TITLE = "Speed"
_ALIKE = ("A man plays the guitar on a stage.", "Somebody makes music with a guitar.")
_UNLIKE = "The stock market fell sharply on Monday."
_MOST_CHARACTERS = 1200  #: of a text that is timed; the smallest contexts of such models are 512 tokens


async def check_vectors(subject: Subject) -> Check:
    """Two sentences of one meaning must lie closer to each other than to a third."""
    first, second, third = vectors_of(await subject.engine.embed(EmbeddingRequest(inputs=(*_ALIKE, _UNLIKE))))
    if not all(math.isfinite(value) for vector in (first, second, third) for value in vector):
        words = "Its vectors hold values that are no numbers (NaN): the file is damaged. Download it again."
        return Check(name="output", title=OUTPUT_TITLE, state="fail", words=words)
    alike, unlike = cosine(first, second), max(cosine(first, third), cosine(second, third))
    is_sound = alike > unlike
    return Check(
        name="output",
        title=OUTPUT_TITLE,
        state="ok" if is_sound else "fail",
        words="Sentences of one meaning lie closer to each other than to a third."
        if is_sound
        else "Sentences of one meaning lie no closer than others: it is damaged, or does not know English.",
        figures=(
            Figure(label="cosine of like sentences", value=round(alike, 3)),
            Figure(label="cosine of unlike sentences", value=round(unlike, 3)),
            Figure(label="numbers of a vector", value=len(first)),
        ),
    )


async def check_ranking(subject: Subject) -> Check:
    """A document that answers must be ranked before one that does not."""
    ranking = await subject.engine.rerank(RerankRequest(query="Who plays the guitar?", documents=(_ALIKE[0], _UNLIKE)))
    right, wrong = ranking.scores
    is_sound = math.isfinite(right) and right > wrong
    return Check(
        name="output",
        title=OUTPUT_TITLE,
        state="ok" if is_sound else "fail",
        words="A document that answers a question is ranked before one that does not."
        if is_sound
        else "A document that answers a question is not ranked first: it is damaged, or does not know English.",
        figures=(
            Figure(label="score of the answer", value=round(right, 3)),
            Figure(label="score of the other", value=round(wrong, 3)),
        ),
    )


async def check_vector_speed(subject: Subject) -> Check:
    """Tokens a second, of texts that differ, so that nothing is known before."""
    limits: DoctorLimits = subject.budget.limits
    speeds: list[float] = []
    for number in range(limits.repetitions):
        if speeds and subject.budget.left <= 0:
            break
        text = f"{WORDS[number % len(WORDS)]} {PROSE * 8}"[:_MOST_CHARACTERS]
        began_at = subject.budget.now()
        num_tokens = await _count_read(subject, text)
        speeds.append(num_tokens / max(1e-6, subject.budget.now() - began_at))
    speed = statistics.median(speeds)
    return Check(
        name="speed",
        title=SPEED_TITLE,
        state="ok",
        words=f"On this machine it reads {speed:,.0f} tokens a second.",
        figures=(
            Figure(
                label="reading", value=round(speed, 1), unit="tokens/s", low=round(min(speeds), 1),
                high=round(max(speeds), 1),
            ),
            Figure(label="load", value=round(subject.load_seconds, 2), unit="s"),
            Figure(label="RAM", value=subject.engine.memory_bytes, unit="bytes"),
        ),
    )  # fmt: skip


async def _count_read(subject: Subject, text: str) -> int:
    async def read() -> int:
        if subject.info.kind == "rerank":
            return (await subject.engine.rerank(RerankRequest(query=WORDS[0], documents=(text,)))).num_tokens
        return (await subject.engine.embed(EmbeddingRequest(inputs=(text,)))).num_tokens

    return await subject.quiet.undisturbed(read)


def vectors_of(embeddings: Embeddings) -> list[tuple[float, ...]]:
    """The numbers of each vector."""
    size = 4 * embeddings.dimensions
    pieces = (embeddings.vectors[start : start + size] for start in range(0, len(embeddings.vectors), size))
    return [struct.unpack(f"<{embeddings.dimensions}f", piece) for piece in pieces]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / max(1e-12, math.hypot(*one) * math.hypot(*other))
