"""The engine process with a clock at its border to llama.cpp: one line of JSON for each step goes to a file.

A step lasts from one `llama_decode` to the next. `inside` are the seconds of it that were spent in llama.cpp. Run as
`python -m glasshouse_bench.timed_engine FILE`; it talks frames like `python -m webui.engine`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp

_TIMED = (
    "llama_synchronize", "llama_sampler_sample", "llama_sampler_apply", "llama_sampler_accept", "llama_get_logits_ith",
    "llama_get_logits", "llama_memory_seq_rm", "llama_memory_seq_cp", "llama_state_seq_get_data",
    "llama_state_seq_set_data",
)  # fmt: skip


class StepClock:
    """Replaces functions of llama_cpp by timed ones."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)
        self._begun = 0.0
        self._tokens = 0
        self._inside = 0.0

    def install(self) -> None:
        decode = llama_cpp.llama_decode
        llama_cpp.llama_decode = lambda context, batch: self._step(decode, context, batch)
        for name in _TIMED:
            if hasattr(llama_cpp, name):
                setattr(llama_cpp, name, self._timed(getattr(llama_cpp, name)))

    def _step(self, decode: Callable[..., int], context: Any, batch: Any) -> int:
        now = time.perf_counter()
        if self._tokens:
            step = {"tokens": self._tokens, "seconds": now - self._begun, "inside": self._inside}
            self._file.write(json.dumps(step) + "\n")
            now = time.perf_counter()  # writing this down is not the engine's work
        self._begun, self._tokens, self._inside = now, batch.n_tokens, 0.0
        return int(self._timed(decode)(context, batch))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self._inside += time.perf_counter() - begun

        return call


def main() -> int:
    StepClock(Path(sys.argv[1])).install()
    from webui.engine.model_runner import load_model  # noqa: PLC0415 - only after the clock is in place
    from webui.engine.process import serve_process  # noqa: PLC0415

    return serve_process(load_model)


if __name__ == "__main__":
    sys.exit(main())
