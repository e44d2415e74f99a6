"""Reads an importance matrix (GGUF): how much each column of each tensor matters, as llama.cpp's imatrix tool wrote it.

Format: `NAME.in_sum2` (sums of squared activations, a row for each expert) and `NAME.counts` in llama.cpp's
tools/imatrix. It does not know the model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from webui.errors import InvalidRequest
from webui.library.gguf_file import parse_gguf_file
from webui.workbench.gguf_layout import Tensor, read_file_layout
from webui.workbench.gguf_output import read_span

Importance = dict[str, NDArray[np.float32]]

_SUMS, _COUNTS = ".in_sum2", ".counts"
_F32 = 0


def read_imatrix(path: Path) -> Importance:
    """The mean squared activations by tensor name, one row behind the other. Raises InvalidRequest for a GGUF that is
    no importance matrix, else as `read_file_layout`."""
    if parse_gguf_file(path).metadata.get("general.type") != "imatrix":
        raise InvalidRequest(f"“{path.name}” is not an importance matrix. Make one with llama.cpp's llama-imatrix.")
    tensors = {tensor.name: tensor for tensor in read_file_layout(path).tensors}
    importance: Importance = {}
    for name, sums in tensors.items():
        counts = tensors.get(name.removesuffix(_SUMS) + _COUNTS)
        if not name.endswith(_SUMS) or counts is None:
            continue
        values, weights = _read(sums), _read(counts)
        if len(weights) == 0 or len(values) % len(weights):
            raise InvalidRequest(f"“{path.name}” is damaged: the sizes of “{name}” do not go together.")
        rows = values.reshape(len(weights), -1)
        counted = weights[:, None] > 0
        means = np.where(counted, rows / np.where(counted, weights[:, None], 1), 1)
        if not np.isfinite(means).all():
            raise InvalidRequest(f"“{path.name}” is damaged: “{name}” holds numbers that are none.")
        importance[name.removesuffix(_SUMS)] = np.ascontiguousarray(means.ravel(), dtype=np.float32)
    return importance


def _read(tensor: Tensor) -> NDArray[np.float32]:
    if tensor.kind != _F32:
        raise InvalidRequest(f"The importance matrix has “{tensor.name}” in a type that is not F32.")
    return np.frombuffer(b"".join(read_span(tensor.data)), dtype="<f4")
