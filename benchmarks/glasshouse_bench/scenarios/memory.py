"""What the engine process needs beside the weights and the KV memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from glasshouse_bench import engine
from glasshouse_bench.scenarios.base import Against, Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import paste, story

_MEGABYTE = 1_000_000
_MEASURE_WEIGHTS = """
import ctypes, re, sys
import llama_cpp
lines = []
callback = llama_cpp.llama_log_callback(lambda level, text, data: lines.append(text.decode(errors="replace")))
llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
params = llama_cpp.llama_model_default_params()
params.n_gpu_layers = 0
llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), params)
sizes = re.findall(r"(\\S+) model buffer size = +([0-9.]+) MiB", "".join(lines))
print(sum(float(size) for name, size in sizes if "Mapped" not in name) * 2**20)
"""


class Memory(Scenario):
    """Private memory of the process after eight people were answered, one of them with a long text, less the KV of
    their tokens, less the weights that llama.cpp copied out of the file to lay them out for this processor. Weights
    that are mapped from the file are not private. KV memory that nobody has used yet is not resident; where it is, it
    counts here."""

    bars = (
        Bar("memory", "The engine's memory above weights and KV", "megabytes", "MB", 150, at_least=False,
            against=Against.NOTHING),
    )  # fmt: skip

    async def measure_engine(self, setup: Setup, seed: str) -> Figures:
        weights = await asyncio.to_thread(_copied_weights, setup.model.path)
        async with engine.open_engine(setup) as running:
            chats = [paste(setup.sizes.prefix, seed), *(story(f"{seed}/{person}") for person in range(7))]
            answers = await asyncio.gather(*(engine.ask(running, engine.request(chat, 16)) for chat in chats))
            kv = sum(answer.usage.total_tokens for answer in answers) * setup.model.kv_bytes_per_token
            assert running.pid is not None, "the engine lives"
            private = _private_bytes(running.pid)
        return {
            "megabytes": (private - weights - kv) / _MEGABYTE,
            "private": private / _MEGABYTE,
            "copied_weights": weights / _MEGABYTE,
            "kv": kv / _MEGABYTE,
        }


def _copied_weights(path: Path) -> float:
    """Bytes, from llama.cpp's own log of a load in a process of its own."""
    command = [sys.executable, "-c", _MEASURE_WEIGHTS, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _private_bytes(pid: int) -> int:
    """Resident memory that no file stands behind (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = dict(line.split(":", 1) for line in lines if ":" in line)
    return sum(int(sizes[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))
