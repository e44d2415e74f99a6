"""Calls `llama_model_quantize`: dry, to hear what would become of each tensor, or in earnest.

A dry run reads the header only (23 ms with SmolLM2). It decides nothing: types are llama.cpp's choice, and what may be
asked is `quantize`'s.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import llama_cpp

from webui.workbench.gguf_layout import ALIGNMENT_KEY, DEFAULT_ALIGNMENT
from webui.workbench.imatrix import Importance
from webui.workbench.quantize_log import QuantizeLog

_LOG_INFO, _LOG_CONT = 2, 5  # ggml.h: enum ggml_log_level
_BUFFER_BYTES = 1 << 30  #: of one tensor's rows as floats; llama.cpp's default is 8 GiB
_OVERRIDE_INT = 0  # llama.h: enum llama_model_kv_override_type
_SILENT = llama_cpp.llama_log_callback(lambda _level, _text, _user_data: None)  # C may call it at any time


@dataclass(frozen=True, slots=True)
class QuantizeCall:
    """`file_type` is llama.cpp's number. `target` None: a dry run."""

    source: Path
    target: Path | None
    file_type: int
    allow_requantize: bool
    threads: int
    importance: Importance | None = None
    alignment: int = DEFAULT_ALIGNMENT  #: of the source


def call_quantize(call: QuantizeCall, on_tensor: Callable[[int, int, str], None]) -> tuple[bool, QuantizeLog]:
    """Whether it worked, and what llama.cpp said."""
    log = QuantizeLog(on_tensor)

    def write(level: int, text: bytes, _user_data: object) -> None:
        line = text.decode("utf-8", "replace")
        log.add(line, is_problem=_LOG_INFO < level < _LOG_CONT)
        if call.target is not None:
            sys.stderr.write(line)

    callback = llama_cpp.llama_log_callback(write)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    params, kept = _params(call)
    try:
        target = os.fsencode(call.target) if call.target else b""
        status = llama_cpp.llama_model_quantize(os.fsencode(call.source), target, ctypes.byref(params))
    finally:
        llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))
    del kept, callback
    return status == 0, log


def _params(call: QuantizeCall) -> tuple[llama_cpp.llama_model_quantize_params, list[object]]:
    """The parameters, and what must live while they are used."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = call.file_type
    params.nthread = call.threads
    params.allow_requantize = call.allow_requantize
    params.dry_run = call.target is None
    params.max_buf_size = _BUFFER_BYTES
    kept: list[object] = []
    if call.importance is not None:
        params.imatrix = _imatrix(call.importance)
        kept += [call.importance, params.imatrix]
    if call.alignment != DEFAULT_ALIGNMENT:  # llama.cpp writes at its default, and would copy the source's key
        params.kv_overrides = _override(ALIGNMENT_KEY, DEFAULT_ALIGNMENT)
        kept.append(params.kv_overrides)
    return params, kept


def _imatrix(importance: Importance) -> ctypes.Array[llama_cpp.llama_model_imatrix_data]:
    """Ends with an entry without a name."""
    data = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for entry, (name, values) in zip(data, importance.items(), strict=False):
        entry.name = name.encode("utf-8", "surrogateescape")
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = len(values)
    return data


def _override(key: str, value: int) -> ctypes.Array[llama_cpp.llama_model_kv_override]:
    """Ends with an entry without a key."""
    overrides = (llama_cpp.llama_model_kv_override * 2)()
    overrides[0].tag = _OVERRIDE_INT
    overrides[0].key = key.encode()
    cast("Any", overrides[0]).value.val_i64 = value
    return overrides
