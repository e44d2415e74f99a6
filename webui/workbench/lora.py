"""A LoRA adapter's file as pairs of matrices, checked against the model that they are to change.

What llama.cpp checks when it loads one (`llama-adapter.cpp`) is checked here, with the same words; what it computes
with one (`build_lora_mm`) is what `Change` adds to the weights. It writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from webui.errors import UnusableAdapter
from webui.library.gguf_file import parse_gguf_file
from webui.types import LoraAdapter
from webui.workbench.ggml_rows import Floats, dequantize
from webui.workbench.gguf_layout import Tensor, read_layout
from webui.workbench.gguf_output import read_span

_A, _B = ".lora_a", ".lora_b"
_MAX_DIMENSIONS = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """How one adapter changes one tensor: `factor` times the product of both matrices."""

    adapter: str
    factor: float
    down: Tensor  #: rows of the input's length, one for each rank ("A"); for token embeddings one for each token
    up: Tensor  #: rows of the rank's length, one for each output ("B")


def read_pairs(adapter: LoraAdapter, architecture: str, tensors: Mapping[str, Tensor]) -> dict[str, Pair]:
    """By the name of the tensor that each changes. Raises UnusableAdapter."""
    path = Path(adapter.path)
    name = path.stem
    metadata = parse_gguf_file(path)
    _check_metadata(name, metadata.metadata, metadata.array_lengths, architecture)
    found = {tensor.name: tensor for tensor in read_layout(path).tensors}
    alpha = metadata.metadata.get("adapter.lora.alpha", 0.0)
    pairs = {}
    for tensor_name in dict.fromkeys(_target(name, each) for each in found if not each.endswith("_norm.weight")):
        down, up = found.get(tensor_name + _A), found.get(tensor_name + _B)
        if down is None or up is None:
            raise UnusableAdapter(name, f"the file is damaged: half of “{tensor_name}” is missing")
        if tensor_name not in tensors:
            raise UnusableAdapter(name, f"it changes “{tensor_name}”, which the model does not have")
        _check_shapes(name, tensors[tensor_name], down, up)
        rank = up.dimensions[0]
        factor = adapter.scale * (float(alpha) / rank if isinstance(alpha, int | float) and alpha else 1.0)
        pairs[tensor_name] = Pair(name, factor, down, up)
    if not pairs:
        raise UnusableAdapter(name, "it changes nothing")
    return pairs


class Change:
    """The sum of what adapters do to one tensor, reckoned for any of its rows."""

    def __init__(self, tensor: Tensor, pairs: list[Pair]) -> None:
        self._is_embedding = is_embedding(tensor.name)
        self._rows_of_a_matrix = tensor.dimensions[1]
        self._pairs = [(pair.factor, _matrices(pair.down), _matrices(pair.up)) for pair in pairs]
        for pair, (_, down, up) in zip(pairs, self._pairs, strict=True):
            if not (np.isfinite(down).all() and np.isfinite(up).all() and np.isfinite(pair.factor)):
                raise UnusableAdapter(pair.adapter, "the file is damaged: it holds numbers that are none")

    def rows(self, start: int, stop: int) -> Floats:
        """What is added to the tensor's rows `start` to `stop`, which lie in one matrix of it (one expert)."""
        matrix, first = divmod(start, self._rows_of_a_matrix)
        last = first + stop - start
        total = np.zeros(1, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # whoever adds them looks
            for factor, down, up in self._pairs:
                one, other = (down[matrix], up[matrix].T) if self._is_embedding else (up[matrix], down[matrix])
                total = total + np.float32(factor) * (one[first:last] @ other)
        return total


def is_embedding(tensor_name: str) -> bool:
    """Of token embeddings rows are looked up, so there A has a row for each token and B one for each number."""
    return tensor_name.endswith("token_embd.weight")


def _target(adapter: str, tensor_name: str) -> str:
    for suffix in (_A, _B):
        if tensor_name.endswith(suffix):
            return tensor_name.removesuffix(suffix)
    raise UnusableAdapter(adapter, f"it holds “{tensor_name}”, which is no part of a LoRA")


def _check_metadata(
    name: str, metadata: Mapping[str, object], array_lengths: Mapping[str, int], architecture: str
) -> None:
    if metadata.get("general.type") != "adapter" or metadata.get("adapter.type") != "lora":
        raise UnusableAdapter(name, "it is not a LoRA")
    if metadata.get("general.architecture") != architecture:
        raise UnusableAdapter(name, "it was made for a model of another architecture")
    if "adapter.alora.invocation_tokens" in array_lengths:
        raise UnusableAdapter(name, "it is one that certain words switch on (aLoRA), which cannot be merged")


def _check_shapes(name: str, tensor: Tensor, down: Tensor, up: Tensor) -> None:
    """Dimensions in ggml's order, a matrix has rows of `dimensions[0]`; a third one counts experts."""
    shape, a, b = (_three(each) for each in (tensor, down, up))
    if is_embedding(tensor.name):
        fits = (shape[0], shape[1]) == (b[1], a[1]) and a[0] == b[0]
    else:
        fits = (shape[0], shape[1]) == (a[0], b[1]) and a[1] == b[0]
    has_matrices = all(2 <= len(each.dimensions) <= _MAX_DIMENSIONS for each in (tensor, down, up))
    if not fits or not has_matrices or not shape[2] == a[2] == b[2]:
        raise UnusableAdapter(name, f"it was made for a model of another size (“{tensor.name}”)")


def _three(tensor: Tensor) -> tuple[int, ...]:
    return (*tensor.dimensions, 1, 1)[:3]


def _matrices(tensor: Tensor) -> Floats:
    """As numpy counts: matrix, row, column."""
    floats = dequantize(b"".join(read_span(tensor.data)), tensor.kind)
    return floats.reshape(_three(tensor)[::-1])
