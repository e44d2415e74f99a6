"""Writes a model as several files, as llama.cpp's gguf-split does: the same names and the same keys.

All metadata is in the first part; every part says its number, how many there are, and how many tensors in all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from webui.errors import InvalidRequest, NothingToDo
from webui.library.split import MAX_PARTS, part_name
from webui.workbench.checked_writing import write_checked
from webui.workbench.gguf_layout import ALIGNMENT_KEY, SPLIT_KEYS, Entry, Layout, Tensor, padded, read_layout
from webui.workbench.gguf_output import FilePlan, NewTensor
from webui.workbench.metadata_values import I32, U16
from webui.workbench.protocol import ReportProgress, Split, Written


def plan(request: Split) -> dict[str, FilePlan]:
    """Raises NothingToDo when all of it fits into one part, InvalidRequest when it takes too many."""
    layout = read_layout(Path(request.source))
    groups = list(_group(layout, request.max_part_bytes))
    if len(groups) < 2:
        raise NothingToDo(layout.name, "it fits into one part of that size")
    if len(groups) > MAX_PARTS:
        raise InvalidRequest(f"That would make {len(groups)} parts, and {MAX_PARTS} are the most. Choose larger parts.")
    stem = request.file_name.removesuffix(".gguf")
    alignment = [entry for entry in layout.entries if entry.key == ALIGNMENT_KEY]
    plans = {}
    for number, group in enumerate(groups):
        entries = [
            *(alignment if number else layout.entries),
            *_split_entries(number, len(groups), len(layout.tensors)),
        ]
        tensors = [NewTensor.copy_of(tensor) for tensor in group]
        plans[part_name(stem, number + 1, len(groups))] = FilePlan(entries, tensors, layout.alignment)
    return plans


def run(request: Split, report: ReportProgress) -> Written:
    return write_checked(plan(request), request, report)


def _group(layout: Layout, max_bytes: int) -> Iterator[Sequence[Tensor]]:
    """Tensors in order, as many in a part as fit; a larger one alone."""
    group: list[Tensor] = []
    size = 0
    for tensor in layout.tensors:
        tensor_size = padded(tensor.data.size, layout.alignment)
        if group and size + tensor_size > max_bytes:
            yield group
            group, size = [], 0
        group.append(tensor)
        size += tensor_size
    if group:
        yield group


def _split_entries(number: int, count: int, num_tensors: int) -> list[Entry]:
    values = (struct.pack("<IH", U16, number), struct.pack("<IH", U16, count), struct.pack("<Ii", I32, num_tensors))
    return [Entry(key, value) for key, value in zip(SPLIT_KEYS, values, strict=True)]
