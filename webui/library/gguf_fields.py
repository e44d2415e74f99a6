"""A GGUF file's metadata by name, where a value of the wrong kind means a damaged file.

It knows the file's way of naming keys, not what the values mean. Keys:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and llama.cpp's `llama-arch.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from webui.errors import DamagedGguf
from webui.library.gguf_metadata import MetadataValue

MAX_COUNT = (1 << 31) - 1  #: llama.cpp keeps these in 32 bits


class GgufFields:
    """`count` and `per_layer` take keys of the model's own architecture, all others whole keys."""

    def __init__(self, metadata: Mapping[str, MetadataValue], file_name: str) -> None:
        self._metadata = metadata
        self._file_name = file_name
        self.architecture = self.text("general.architecture")
        if not self.architecture:
            raise DamagedGguf(file_name, "it does not name its architecture")

    def has(self, key: str) -> bool:
        return f"{self.architecture}.{key}" in self._metadata

    def text(self, key: str) -> str:
        value = self._metadata.get(key, "")
        if not isinstance(value, str):
            raise DamagedGguf(self._file_name, f"{key} is not a text")
        return value

    def note(self, key: str) -> str:
        """A text that nothing depends on: "" where the file has something else under this name."""
        value = self._metadata.get(key, "")
        return value if isinstance(value, str) else ""

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of short texts; also where the file has a single one."""
        value = self._metadata.get(key, ())
        values = value if isinstance(value, tuple) else (value,)
        return tuple(each for each in values if isinstance(each, str))

    def number(self, key: str) -> float | None:
        """None where the file does not say, or says something that is no number."""
        value = self._metadata.get(key)
        return value if isinstance(value, int | float) and math.isfinite(value) else None

    def truth(self, key: str) -> bool | None:
        value = self._metadata.get(key)
        return bool(value) if isinstance(value, int) else None

    def count(self, key: str, default: int = 0, limit: int = MAX_COUNT) -> int:
        """Some files give one number per layer where most give one: the largest."""
        return max(self._numbers(key, default, limit), default=default)

    def per_layer(self, key: str, num_layers: int) -> tuple[int, ...]:
        values = self._numbers(key, 0, MAX_COUNT)
        if len(values) == 1:
            return values * num_layers
        return (values + (0,) * num_layers)[:num_layers]

    def _numbers(self, key: str, default: int, limit: int) -> tuple[int, ...]:
        value = self._metadata.get(f"{self.architecture}.{key}", default)
        values = value if isinstance(value, tuple) else (value,)
        counts = tuple(int(each) for each in values if isinstance(each, int) and 0 <= each <= limit)
        if len(counts) != len(values):
            raise DamagedGguf(self._file_name, f"{key} is not a usable number")
        return counts
