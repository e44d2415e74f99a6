"""LoRA adapters over the loaded model: kept while requests need them, switched between steps.

An adapter is loaded once, however many requests use it; a few stay for whoever comes next, until the process ends. What
is switched is the whole context, so a step computes for one set of adapters only; switching makes llama.cpp plan its
graphs anew (9 ms with SmolLM2), so it is done only when the set changes. It does not know which sequences there are.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp

from webui.engine.load_log import explain_adapter_failure
from webui.errors import EngineBusy, UnusableAdapter
from webui.types import LoraAdapter

MAX_LOADED = 8

_Adapters = tuple[LoraAdapter, ...]
_Key = tuple[str, str]  # path and version: a file that was replaced is another adapter


@dataclass(slots=True)
class _Loaded:
    pointer: Any  # llama_adapter_lora *
    num_users: int = 0


class AdapterShelf:
    """The adapters of one context. `last_problem` is what llama.cpp logged last."""

    def __init__(
        self, model: llama_cpp.llama_model_p, context: llama_cpp.llama_context_p, last_problem: Callable[[], str]
    ) -> None:
        self._model = model
        self._context = context
        self._last_problem = last_problem
        self._loaded: dict[_Key, _Loaded] = {}  # the one that was asked for longest ago first
        self._current: _Adapters = ()

    def acquire(self, adapters: _Adapters) -> None:
        """Have these loaded until they are released. Raises UnusableAdapter, or EngineBusy when too many different ones
        are in use."""
        acquired = []
        try:
            for adapter in adapters:
                self._acquire(adapter)
                acquired.append(adapter)
        except Exception:
            self.release(tuple(acquired))
            raise

    def release(self, adapters: _Adapters) -> None:
        """A request that had acquired these has ended. They stay loaded until somebody needs the place."""
        for adapter in adapters:
            self._loaded[_key(adapter)].num_users -= 1

    def use(self, adapters: _Adapters) -> None:
        """From the next step on the model is what these (acquired ones) make of it."""
        if adapters == self._current:
            return
        pointers = [self._loaded[_key(adapter)].pointer for adapter in adapters]
        status = llama_cpp.llama_set_adapters_lora(
            self._context,
            (llama_cpp.llama_adapter_lora_p_ctypes * len(pointers))(*pointers),
            len(pointers),
            (ctypes.c_float * len(pointers))(*(adapter.scale for adapter in adapters)),
        )
        if status != 0:
            raise RuntimeError(f"llama_set_adapters_lora failed with {status}")
        self._current = adapters

    def _acquire(self, adapter: LoraAdapter) -> None:
        key = _key(adapter)
        loaded = self._loaded.pop(key, None)
        if loaded is None:
            if len(self._loaded) >= MAX_LOADED:
                self._drop_unused()
            loaded = _Loaded(self._load(adapter))
        self._loaded[key] = loaded
        loaded.num_users += 1

    def _load(self, adapter: LoraAdapter) -> Any:
        name = Path(adapter.path).stem
        pointer = llama_cpp.llama_adapter_lora_init(self._model, adapter.path.encode("utf-8", "surrogateescape"))
        if not pointer:
            raise UnusableAdapter(name, explain_adapter_failure(self._last_problem()))
        if llama_cpp.llama_adapter_get_alora_n_invocation_tokens(pointer):
            llama_cpp.llama_adapter_lora_free(pointer)
            raise UnusableAdapter(name, "it is one that certain words switch on (aLoRA), which is not supported")
        return pointer

    def _drop_unused(self) -> None:
        """Make room for one more."""
        key = next((key for key, loaded in self._loaded.items() if not loaded.num_users), None)
        if key is None:
            raise EngineBusy(retry_after=10)
        if any(_key(adapter) == key for adapter in self._current):
            self.use(())
        llama_cpp.llama_adapter_lora_free(self._loaded.pop(key).pointer)


def _key(adapter: LoraAdapter) -> _Key:
    return (adapter.path, adapter.version)
