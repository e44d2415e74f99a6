"""Warns before the machine starts to swap, and while its memory runs low."""

from __future__ import annotations

from typing import Literal

from webui.types import Value


class MemoryWarning(Value, frozen=True):
    """`text` is a sentence for people that says what to do. tight: little would be left if every chat were as long as
    it can get; low: little is left now; swapping: the machine already waits for its memory."""

    level: Literal["tight", "low", "swapping"]
    text: str
    ram_free: int  #: bytes
    ram_total: int
