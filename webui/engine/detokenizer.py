"""Bytes of tokens to text: whole characters only.

A token may end in the middle of a character (byte-fallback tokens, emoji cut in two by a byte-level BPE). What is not
whole yet is held back; what can never become whole turns into U+FFFD. It does not know tokens, only their bytes.
"""

from __future__ import annotations

import codecs


class Detokenizer:
    """One answer's stream of bytes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        """The characters that are whole now. Half a character at the very end is simply never returned."""
        return self._decoder.decode(piece)
