"""Small things for sentences."""

from __future__ import annotations

from collections.abc import Sequence


def join_words(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def count_words(number: int, noun: str) -> str:
    """ "1 answer", "3 answers"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
