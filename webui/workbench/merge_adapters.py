"""Adds LoRA adapters to a model's weights: one file that answers as the model did with the adapters over it.

llama.cpp's library has no call for it. Tensors that no adapter changes are copied byte by byte; the others are turned
into floats, changed and written again a few rows at a time, so memory holds some megabytes and the adapters' matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from webui.errors import UnusableAdapter
from webui.library.ggml_types import TENSOR_TYPES
from webui.library.gguf_file import parse_gguf_file
from webui.workbench.checked_writing import write_checked
from webui.workbench.ggml_rows import can_quantize, dequantize, quantize
from webui.workbench.gguf_layout import Entry, Layout, Span, Tensor, read_layout
from webui.workbench.gguf_output import FilePlan, NewTensor, read_span
from webui.workbench.lora import Change, Pair, read_pairs
from webui.workbench.metadata_values import U32, pack
from webui.workbench.protocol import MergeAdapters, Precision, ReportProgress, Written

_F16 = 1
_FLOATS = {number for number, tensor_type in TENSOR_TYPES.items() if tensor_type.name in {"F32", "F16", "BF16"}}
_FILE_TYPE = "general.file_type"
_FILE_TYPE_F16 = 1
_CHUNK_ELEMENTS = 1 << 20


def plan(request: MergeAdapters) -> dict[str, FilePlan]:
    """Raises UnusableAdapter, with the adapter's name and the reason."""
    source = Path(request.source)
    layout = read_layout(source)
    architecture = str(parse_gguf_file(source).metadata.get("general.architecture", ""))
    tensors = {tensor.name: tensor for tensor in layout.tensors}
    pairs: dict[str, list[Pair]] = {}
    for adapter in request.adapters:
        for name, pair in read_pairs(adapter, architecture, tensors).items():
            pairs.setdefault(name, []).append(pair)
    new = [_new_tensor(tensor, pairs.get(tensor.name, ()), request.precision) for tensor in layout.tensors]
    return {request.file_name: FilePlan(_entries(layout, new), new, layout.alignment)}


def run(request: MergeAdapters, report: ReportProgress) -> Written:
    return write_checked(plan(request), request, report)


def _new_tensor(tensor: Tensor, pairs: Sequence[Pair], precision: Precision) -> NewTensor:
    if not pairs:
        return NewTensor.copy_of(tensor)
    keeps = tensor.kind in _FLOATS or (precision == "keep" and can_quantize(tensor.kind))
    kind = tensor.kind if keeps else _F16
    return NewTensor(
        tensor.name, tensor.dimensions, kind, tensor.size_as(kind), partial(_merge, tensor, list(pairs), kind)
    )


def _merge(tensor: Tensor, pairs: list[Pair], kind: int) -> Iterator[bytes]:
    """The changed tensor's bytes, some rows at a time."""
    change = Change(tensor, pairs)
    length, rows_of_a_matrix = tensor.dimensions[:2]
    step = max(1, min(rows_of_a_matrix, _CHUNK_ELEMENTS // length))
    row_bytes = tensor.data.size // tensor.num_rows
    for matrix in range(0, tensor.num_rows, rows_of_a_matrix):
        for start in range(matrix, matrix + rows_of_a_matrix, step):
            stop = min(start + step, matrix + rows_of_a_matrix)
            span = Span(tensor.data.path, tensor.data.start + start * row_bytes, (stop - start) * row_bytes)
            rows = dequantize(b"".join(read_span(span)), tensor.kind).reshape(stop - start, length)
            rows = rows + change.rows(start, stop)
            if not np.isfinite(rows).all() or (kind == _F16 and np.abs(rows).max() > np.finfo(np.float16).max):
                raise UnusableAdapter(pairs[-1].adapter, f"with this scale “{tensor.name}” grows beyond all numbers")
            yield quantize(rows, kind)


def _entries(layout: Layout, tensors: Sequence[NewTensor]) -> list[Entry]:
    """The model's own; the type that it says to be of changes when most of it is F16 now."""
    f16_bytes = sum(tensor.size for tensor in tensors if tensor.kind == _F16)
    if 2 * f16_bytes <= sum(tensor.size for tensor in tensors):
        return list(layout.entries)
    file_type = Entry(_FILE_TYPE, pack(_FILE_TYPE_F16, U32))
    return [file_type if entry.key == _FILE_TYPE else entry for entry in layout.entries]
