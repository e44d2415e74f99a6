"""Tells a text that a sound model wrote from garble: how surprising, how repetitive, how unprintable it is.

Sums over a text and the log-probabilities of its tokens; it knows neither models nor engines. The bounds stand beside
what was measured, with SmolLM2 135M (the weakest model that is still of use: larger ones lie further away) and with
copies of it that were damaged in seventeen ways.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MOST_UNPRINTABLE = 0.02
_GRAM = 4  #: words; Chinese and Japanese, which write no blanks, are taken by characters
_LONG_WORD = 15  #: characters; where words are longer on average there are no blanks between them
_PLAIN_CONTROLS = frozenset("\n\t\r")
_UNPRINTABLE = frozenset({"Cc", "Cn", "Co", "Cs"})


@dataclass(frozen=True, slots=True)
class TextFigures:
    """What a written text looks like."""

    num_tokens: int
    surprise: float  #: mean of minus the log-probability of the tokens that were chosen, in nats
    repetition: float  #: share of the sequences of four words that were there before, 0 to 1
    unprintable: float  #: share of characters that are none, 0 to 1


def measure_text(text: str, logprobs: Sequence[float]) -> TextFigures:
    """The figures of an answer. `logprobs`: natural logarithms, one for each of its tokens."""
    return TextFigures(
        num_tokens=len(logprobs),
        surprise=-sum(logprobs) / len(logprobs) if logprobs else 0.0,
        repetition=repetition(text),
        unprintable=unprintable(text),
    )


def repetition(text: str) -> float:
    """The share of sequences of four words that the text has had before."""
    words: Sequence[str] = text.split()
    if len(words) * _LONG_WORD < len(text):
        words = "".join(words)
    grams = [tuple(words[at : at + _GRAM]) for at in range(len(words) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def unprintable(text: str) -> float:
    """The share of characters that stand for nothing: controls, unassigned ones, and bytes that were no character."""
    bad = sum(
        character == "\N{REPLACEMENT CHARACTER}"
        or (unicodedata.category(character) in _UNPRINTABLE and character not in _PLAIN_CONTROLS)
        for character in text
    )
    return bad / len(text) if text else 0.0
