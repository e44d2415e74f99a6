"""How large an engine's context must be made for its options: cells of KV memory, rows of logits.

llama.cpp gives every sequence of the separate layout the same number of cells and rounds it up; a batch with more
outputs than were announced would abort the process. Sums only: it does not know llama_cpp.
"""

from __future__ import annotations

from webui.types import EngineOptions

CELL_ROUNDING = 256  #: llama.cpp rounds the cells of a stream up to a multiple of this
SPARE_OUTPUTS = 16
"""Rows of logits in a batch beyond one for each slot, for drafted tokens that are verified: every one of them has
logits. With a vocabulary of 150,000 a row takes 0.6 MB twice (compute buffer and result), so 16 rows are 19 MB."""


def max_outputs(num_slots: int) -> int:
    """Most tokens with logits in one batch, all sequences together."""
    return num_slots + SPARE_OUTPUTS


def cells_of_slot(options: EngineOptions) -> int:
    """Cells that one sequence can use."""
    if options.kv_layout == "shared":
        return options.kv_tokens
    return -(-options.context_tokens // CELL_ROUNDING) * CELL_ROUNDING


def total_cells(options: EngineOptions) -> int:
    """Cells of the whole KV memory."""
    return options.kv_tokens if options.kv_layout == "shared" else options.num_slots * cells_of_slot(options)
