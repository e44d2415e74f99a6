"""Filling in: the prompt for what belongs between two texts, out of the tokens that code models learned for it.

The form is that of the models' training, as llama.cpp's server writes it: other files first, then prefix, suffix, and
the token behind which the model writes the middle. Nothing in the texts becomes a control token.
"""

from __future__ import annotations

from webui.engine.context_policy import RESERVED_SHARE
from webui.engine.runner import GapTokens, Vocabulary
from webui.errors import CannotInfill
from webui.types import Gap, OtherFile

_PROJECT = "project\n"  # models were shown a name; which one says nothing
_SNIPPET = "\n\n--- snippet ---\n\n"  # between files, where a vocabulary has no token for that
_THIS_FILE = "this file\n"


def read_gap(gap: Gap, vocabulary: Vocabulary, max_tokens: int) -> tuple[list[int], int]:
    """The tokens, and how many of the other files were left out: the first ones, where the context is too small for
    all. Raises CannotInfill."""
    prefix, suffix, middle = _marks(vocabulary.gap_tokens)
    text = vocabulary.tokenize_text
    tokens = [prefix, *text(gap.prefix), suffix, *text(gap.suffix), middle]
    begin = vocabulary.tokenize(("",))
    room = max_tokens - max_tokens // RESERVED_SHARE - len(begin) - len(tokens)
    others = _read_others(gap.others, vocabulary, room)
    kept = [token for each in others for token in each]
    return [*begin, *kept, *tokens], len(gap.others) - max(0, len(others) - 2)


def _read_others(files: tuple[OtherFile, ...], vocabulary: Vocabulary, room: int) -> list[list[int]]:
    """As many of the last ones as there is room for, between what begins and what ends them; nothing where none is."""
    marks, text = vocabulary.gap_tokens, vocabulary.tokenize_text
    start = [marks.repository, *text(_PROJECT)] if marks.repository is not None else []
    end = [marks.file, *text(_THIS_FILE)] if marks.file is not None else text(_SNIPPET)
    room -= len(start) + len(end)
    kept: list[list[int]] = []
    for file in reversed(files):
        head = [marks.file, *text(f"{file.name}\n")] if marks.file is not None else text(_SNIPPET)
        tokens = [*head, *text(file.text)]
        room -= len(tokens)
        if room < 0:
            break
        kept.append(tokens)
    return [start, *reversed(kept), end] if kept else []


def _marks(marks: GapTokens) -> tuple[int, int, int]:
    prefix, suffix, middle = marks.prefix, marks.suffix, marks.middle
    if prefix is None or suffix is None or middle is None:
        names = {"the beginning": prefix, "the end": suffix, "the middle": middle}
        *others, last = [name for name, token in names.items() if token is None]
        raise CannotInfill(f"{', '.join(others)} and {last}" if others else last)
    return prefix, suffix, middle
