"""Tells which GPUs llama.cpp can use and what is free on them: `python -m webui.engine.devices`, one line of JSON.

A process of its own, because looking at a GPU takes hold of it, and a driver that fails takes the process with it. It
knows ggml's list of devices and no model.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from typing import Any

from llama_cpp import _ggml  # loads the library and its backends

_GPU, _INTEGRATED_GPU = 1, 2  # ggml-backend.h: enum ggml_backend_dev_type


def list_gpus() -> list[dict[str, Any]]:
    """Name and bytes of each. One that shares the machine's memory only where there is no other, as llama.cpp does."""
    found = list(_devices())
    own = [device for kind, device in found if kind == _GPU]
    return own or [device for kind, device in found if kind == _INTEGRATED_GPU]


def _devices() -> Iterator[tuple[int, dict[str, Any]]]:
    ggml = _ggml.libggml
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.argtypes = (ctypes.c_size_t,)
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_description.restype = ctypes.c_char_p
    for index in range(ggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(ggml.ggml_backend_dev_get(index))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        name = ggml.ggml_backend_dev_description(device).decode("utf-8", "replace")
        kind = int(ggml.ggml_backend_dev_type(device))
        yield kind, {"name": name, "total_bytes": total.value, "free_bytes": free.value}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(list_gpus()) + "\n")
