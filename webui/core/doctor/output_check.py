"""Does the model write sense? Its logits are looked at, it foresees texts that every model has read, and it answers.

The bounds come from SmolLM2 135M, the weakest model that is still of use, and from copies of it damaged in seventeen
ways (as `tests/core/doctor/test_real.py` does). In nats a byte, for the best of the known languages: 0.26 to 0.35
intact; 0.40 to 0.55 with one tensor zeroed or all weights 20 % off, which still answers; 0.71 with twenty holes of
64 KiB, which talks nonsense; 1.1 and more with weights 50 % off, layers or matrices swapped, the end of the file
missing. Sampled answers of the intact one surprise by 0.8 to 1.7 nats a token, broken ones by 2 to 11 where they are
noise, and where they are loops 0.5 to 1.0 of their four-word sequences repeat.
"""

from __future__ import annotations

import math
import re

from webui.core.doctor.garble import MOST_UNPRINTABLE, TextFigures, measure_text
from webui.core.doctor.samples import KNOWN_TEXTS, QUESTIONS
from webui.core.doctor.subject import EMPTY_THOUGHT, Answer, OutOfTime, Subject, person
from webui.core.doctor.words import count_words
from webui.engine.protocol import Scored
from webui.types import Check, CheckState, Figure, SamplingParams

TITLE = "Output"
DOUBTFUL_NATS = 0.65  #: a byte, of the best language
BROKEN_NATS = 0.95
MOST_SURPRISE = 4.0  #: nats a token, of an answer sampled at MODERATE
MOST_REPETITION = 0.5
MODERATE = SamplingParams(temperature=0.7, seed=1, logprobs=0)
_LETTERS = re.compile(r"\w")


async def check_output(subject: Subject) -> Check:
    language, scored = await _score_best(subject)
    if scored.nats is None:
        return _not_numbers(scored)
    nats = scored.nats / max(1, scored.num_bytes)
    answers = await _answers(subject)
    garbled = [figures for text, figures in answers if is_garbled(text, figures)]
    return Check(
        name="output",
        title=TITLE,
        state=_judge(nats, len(garbled), len(answers)),
        words=_words(nats, len(garbled), len(answers)),
        figures=(
            Figure(label=f"nats per byte of known text ({language})", value=round(nats, 3)),
            Figure(label="entropy", value=round(scored.entropy or 0.0, 2), unit="nats"),
            *_answer_figures([figures for _, figures in answers]),
        ),
    )


def is_garbled(text: str, figures: TextFigures) -> bool:
    """Whether an answer is noise, a loop, unprintable, or nothing. `figures` of at least a few tokens."""
    return (
        not _LETTERS.search(text)
        or not figures.surprise <= MOST_SURPRISE  # also where it is no number
        or figures.repetition > MOST_REPETITION
        or figures.unprintable > MOST_UNPRINTABLE
    )


async def _score_best(subject: Subject) -> tuple[str, Scored]:
    """The language that is foreseen best; the first that is sound ends the search. One with NaN ends it at once."""
    best: tuple[str, Scored] | None = None
    for language, text in KNOWN_TEXTS.items():
        if best is not None and subject.budget.left_for_checks <= 0:
            break
        scored = await subject.score(text)
        if scored.nats is None:
            return language, scored
        if best is None or _nats_per_byte(scored) < _nats_per_byte(best[1]):
            best = language, scored
        if _nats_per_byte(scored) < DOUBTFUL_NATS:
            break
    assert best is not None  # noqa: S101 - there are known texts
    return best


def _nats_per_byte(scored: Scored) -> float:
    return math.inf if scored.nats is None else scored.nats / max(1, scored.num_bytes)


async def _answers(subject: Subject) -> list[tuple[str, TextFigures]]:
    """As many as there is time for. A model that is seen to think is asked to leave it from then on."""
    answers: list[tuple[str, TextFigures]] = []
    for question in QUESTIONS:
        try:
            answer = await _ask(subject, question)
        except OutOfTime:
            break
        if answer.thought:
            subject.thinks, subject.no_thought = True, subject.no_thought or EMPTY_THOUGHT
        if answer.end.usage.completion_tokens > 1 or answer.end.reason == "stop":
            text = answer.text or answer.thought
            answers.append((text, measure_text(text, answer.logprobs)))
    return answers


async def _ask(subject: Subject, question: str) -> Answer:
    limit = subject.budget.limits.answer_tokens // 2
    sampling = SamplingParams(
        temperature=MODERATE.temperature, seed=MODERATE.seed, logprobs=MODERATE.logprobs, max_tokens=limit
    )
    return await subject.ask(person(question), sampling=sampling)


def _judge(nats: float, num_garbled: int, num_answers: int) -> CheckState:
    if nats >= BROKEN_NATS or (num_answers and num_garbled == num_answers):
        return "fail"
    return "warn" if nats >= DOUBTFUL_NATS or num_garbled else "ok"


def _words(nats: float, num_garbled: int, num_answers: int) -> str:
    if nats >= BROKEN_NATS:
        return (
            "The model is broken: it does not know texts that every model has read. The file is damaged or was "
            "converted wrongly. Download it again, from somebody else if need be."
        )
    if num_answers and num_garbled == num_answers:
        return "The model writes garble. The file or its chat template is damaged; try another copy of it."
    if nats >= DOUBTFUL_NATS:
        return (
            "The model knows plain texts badly: it is damaged, quantized too far, or made for something other than "
            "the languages that were tried."
        )
    if num_garbled:
        return f"{count_words(num_garbled, 'answer')} of {num_answers} looked like garble; its text is sound otherwise."
    if not num_answers:
        return "It foresees plain text as a sound model does; it is too slow here to be asked questions."
    return f"It writes sense: {count_words(num_answers, 'answer')}, no garble, no numbers that are none."


def _not_numbers(scored: Scored) -> Check:
    count = scored.num_nan + scored.num_infinite
    words = (
        f"The model computes {count:,} values that are no numbers (NaN): its file is damaged, or it does not bear the "
        "precision that this machine computes with. Download it again, or try another quantization."
    )
    figures = (
        Figure(label="NaN", value=scored.num_nan),
        Figure(label="infinite", value=scored.num_infinite),
    )
    return Check(name="output", title=TITLE, state="fail", words=words, figures=figures)


def _answer_figures(answers: list[TextFigures]) -> list[Figure]:
    """The mean of each, with its spread."""
    if not answers:
        return []
    columns = {
        "surprise": ("nats per token", [each.surprise for each in answers]),
        "repetition": ("", [each.repetition for each in answers]),
        "unprintable": ("", [each.unprintable for each in answers]),
    }
    return [
        Figure(
            label=label,
            value=round(sum(values) / len(values), 3),
            unit=unit,
            low=round(min(values), 3),
            high=round(max(values), 3),
        )
        for label, (unit, values) in columns.items()
    ]
