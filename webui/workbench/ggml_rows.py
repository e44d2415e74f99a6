"""Rows of a tensor to floats and back, by ggml itself: the numbers are those that the engine computes with.

llama-cpp-python loads ggml but does not bind these calls of ggml.h, so they are declared here; what ggml says of each
type is compared with our table first. It does not know tensors or files.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from llama_cpp._ggml import libggml
from numpy.typing import NDArray

from webui.errors import WorkFailed
from webui.library.ggml_types import TENSOR_TYPES

Floats = NDArray[np.float32]

_F32 = 0
_TO_FLOAT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class _TypeTraits(ctypes.Structure):
    """ggml.h: `struct ggml_type_traits`, as of llama.cpp in llama-cpp-python 0.3.36."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block_size", ctypes.c_int64),
        ("block_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", _TO_FLOAT),
        ("from_float_ref", ctypes.c_void_p),
    )


libggml.ggml_get_type_traits.argtypes = (ctypes.c_int,)
libggml.ggml_get_type_traits.restype = ctypes.POINTER(_TypeTraits)
libggml.ggml_quantize_requires_imatrix.argtypes = (ctypes.c_int,)
libggml.ggml_quantize_requires_imatrix.restype = ctypes.c_bool
libggml.ggml_quantize_chunk.argtypes = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_void_p,
)
libggml.ggml_quantize_chunk.restype = ctypes.c_size_t

#: those that `ggml_quantize_chunk` writes and that do not lose what was merged: names of TENSOR_TYPES
_QUANTIZABLE = {"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4", "IQ4_NL", "IQ4_XS", "IQ3_S"} | {
    f"Q{bits}_K" for bits in range(2, 7)
}


def can_quantize(kind: int) -> bool:
    """Whether floats can be written in this type without an importance matrix."""
    return TENSOR_TYPES[kind].name in _QUANTIZABLE and not libggml.ggml_quantize_requires_imatrix(kind)


def dequantize(data: bytes, kind: int) -> Floats:
    """Raises WorkFailed for a type that ggml cannot turn into floats."""
    if kind == _F32:
        return np.frombuffer(data, dtype="<f4").astype(np.float32)
    tensor_type = TENSOR_TYPES[kind]
    to_float = _traits(kind).to_float
    if not to_float:
        raise WorkFailed(f"llama.cpp cannot read numbers of the type {tensor_type.name} back")
    count = len(data) // tensor_type.block_bytes * tensor_type.block_length
    floats = np.empty(count, dtype=np.float32)
    to_float(data, floats.ctypes.data, count)
    return floats


def quantize(rows: Floats, kind: int) -> bytes:
    """`rows` has two dimensions; the length of a row is a multiple of the type's blocks."""
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    tensor_type = TENSOR_TYPES[_traits_checked(kind)]
    buffer = ctypes.create_string_buffer(rows.size // tensor_type.block_length * tensor_type.block_bytes)
    written = libggml.ggml_quantize_chunk(kind, rows.ctypes.data, buffer, 0, rows.shape[0], rows.shape[1], None)
    if written != len(buffer):
        raise WorkFailed(f"llama.cpp could not write numbers of the type {tensor_type.name}")
    return buffer.raw


def _traits_checked(kind: int) -> int:
    _traits(kind)
    return kind


@cache
def _traits(kind: int) -> _TypeTraits:
    """What ggml says of the type; WorkFailed when that is not what our table says."""
    traits: _TypeTraits = libggml.ggml_get_type_traits(kind).contents
    known = TENSOR_TYPES[kind]
    said = (bytes(traits.type_name).decode().upper(), traits.block_size, traits.type_size)
    if said != (known.name.upper(), known.block_length, known.block_bytes):
        raise WorkFailed(f"this version of llama.cpp stores the type {known.name} in another way")
    return traits
