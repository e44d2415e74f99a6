"""The key of a saved state: two engines with the same key can read each other's states, and mean the same by them.

It stands for the model file, the llama.cpp that wrote the state, and the options that shape the memory. Context length
and GPU layers are not part of it: they change neither the bytes nor what they mean. It does not know states.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from webui.engine.protocol import Load
from webui.types import EngineOptions

_SAMPLE_BYTES = 1024 * 1024
_SPLIT = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")  # a model in several files names the first


def state_key(load: Load, options: EngineOptions) -> str:
    """A name of 32 hex digits. `options` are those that the loaded engine really has, not those that were asked for."""
    try:
        model = [file_identity(path) for path in _parts(Path(load.model_path))]
    except OSError:
        return secrets.token_hex(16)  # nobody knows which model this is: nothing was ever stored under this key
    memory = (
        options.kv_layout,
        options.num_slots if options.kv_layout == "separate" else 1,  # a state names the number of streams
        options.kv_type,
        options.flash_attention,  # without it values lie transposed
    )
    return hashlib.blake2b(msgspec.msgpack.encode((model, _llama_cpp(), memory)), digest_size=16).hexdigest()


def _parts(path: Path) -> list[Path]:
    split = _SPLIT.search(path.name)
    return sorted(path.parent.glob(path.name[: split.start()] + f"-*-of-{split[1]}.gguf")) if split else [path]


def file_identity(path: Path) -> tuple[int, int, bytes]:
    """Size, time of the last change, and a hash of both ends; reading gigabytes would take longer than it saves."""
    facts = path.stat()
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE_BYTES))
        file.seek(max(0, facts.st_size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return facts.st_size, facts.st_mtime_ns, digest.digest()


def _llama_cpp() -> str:
    try:
        return version("llama-cpp-python")
    except PackageNotFoundError:
        return "unknown"
