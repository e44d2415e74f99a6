"""Which of a few words are in the vocabulary of a GGUF file, found by their bytes: a list of 250,000 words is searched
through in a small window, and none of it is kept.

It does not know what the words mean.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path

from webui.library.gguf_metadata import Span

_WINDOW_BYTES = 1 << 20


def find_words(path: Path, span: Span, words: Collection[str]) -> set[str]:
    """Those of `words` that stand between the two bytes of the file, each behind its length as GGUF writes it."""
    patterns = {word: _spelled(word) for word in words}
    overlap = max((len(pattern) for pattern in patterns.values()), default=1) - 1
    found: set[str] = set()
    start, end = span
    with path.open("rb") as file:
        while start < end:
            file.seek(start)
            window = file.read(min(_WINDOW_BYTES + overlap, end - start))
            if not window:
                break
            found |= {word for word, pattern in patterns.items() if word not in found and pattern in window}
            start += _WINDOW_BYTES
    return found


def _spelled(word: str) -> bytes:
    data = word.encode()
    return struct.pack("<Q", len(data)) + data
