"""Which layers go to which GPU: llama.cpp's own way of sharing them out (`load_tensors` in llama-model.cpp).

The last layers are offloaded, the output layer counts as one behind them, and each GPU takes a run of them in
proportion to its free memory. Sums only: it does not know what a layer takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

Run = tuple[int, int]  # the first layer of a GPU, and the one behind its last; the output layer is `num_layers`


def split_layers(num_layers: int, num_offloaded: int, free_bytes: Sequence[int]) -> list[Run]:
    """One run for each GPU, empty ones among them; `num_offloaded` includes the output layer."""
    first = max(0, num_layers + 1 - num_offloaded)
    count = num_layers + 1 - first
    total = sum(free_bytes)
    runs: list[Run] = []
    start = first
    for share in accumulate(free_bytes):
        # A layer belongs to the first GPU whose share of all reaches beyond the layer's place in the row.
        end = first + -(-share * count // total) if total else num_layers + 1
        runs.append((start, max(start, end)))
        start = max(start, end)
    return runs
