"""Reads llama.cpp's log while a model loads: why it failed, in words for people, and which device it went to.

llama.cpp gives reasons in its log only. It does not know llama_cpp, only lines of text.
"""

from __future__ import annotations

import re
from collections import deque

from webui.errors import GlasshouseError, LoadFailed, OutOfMemory

_OUT_OF_MEMORY = (
    r"out of memory|insufficient memory|failed to allocate|unable to allocate|cannot allocate|bad_alloc|"
    r"ErrorOutOfDeviceMemory"
)
_REASONS = (  # the first that matches is the reason; llama.cpp's line, ours
    (r"invalid magic", "the file is not a GGUF model."),
    (r"failed to open", "the file cannot be opened."),
    (r"GGUF file is version (\d+)", "the file is GGUF version {0}, which this version of llama.cpp does not read."),
    (r"unknown model architecture: '([\w.-]+)'", "its architecture “{0}” is not known to this version of llama.cpp."),
    (r"unknown pre-tokenizer type: '([\w.-]+)'", "its tokenizer “{0}” is not known to this version of llama.cpp."),
    (r"invalid ggml type|has invalid type", "its quantization is not known to this version of llama.cpp."),
    (r"not within the file bounds|exceeds remaining file size", "the file is incomplete. Get it again."),
    (r"tensor '[^']+' not found|missing tensor|key not found", "parts of the model are missing from the file."),
    (
        r"[KV] cache type (\w+) with block size",
        "its attention heads do not fit a KV memory of type {0}. Set the KV type to f16.",
    ),
    (
        r"quantized V cache (?:was requested|requires)",
        "a quantized KV memory needs flash attention, which does not work for it here. Set the KV type to f16.",
    ),
    (r"wrong shape|wrong number of tensors|failed to read", "the file is damaged. Get it again."),
)

# Every buffer of weights but the mapped file itself: "CPU_REPACK model buffer size", "CUDA0 model buffer size".
_COPIED_WEIGHTS = re.compile(r"(?<!_Mapped) model buffer size")
_ADAPTER_REASONS = (
    (r"arch mismatch", "it was made for a model of another architecture"),
    (r"tensor '([^']+)' does not exist in base model", "it changes “{0}”, which the model does not have"),
    (r"tensor '([^']+)' has incorrect shape", "it was made for a model of another size (“{0}”)"),
    (r"failed to open", "the file cannot be opened"),
    (r"not within the file bounds|missing either|not transposed", "the file is damaged. Get it again"),
    (r"failed to allocate", "there is not enough memory for it"),
)


class LoadLog:
    """The last lines of the log; explains them on demand."""

    def __init__(self) -> None:
        self._problems: deque[str] = deque(maxlen=50)
        self._device = ""
        self.copies_weights = False  #: some weights are not used as the file has them, but rearranged or on a GPU

    def add(self, line: str, *, is_problem: bool) -> None:
        """Take one line; only problems (warnings and errors) are kept, and what tells the device."""
        if is_problem and line.strip():
            self._problems.append(line.strip())
        if _COPIED_WEIGHTS.search(line):
            self.copies_weights = True
        if not self._device and (found := re.search(r"using device \S+ \(([^)]+)\)", line)):
            self._device = found[1]

    @property
    def device(self) -> str:
        """The first device that llama.cpp said it would use, in its own words."""
        return self._device or "CPU"

    @property
    def last_problem(self) -> str:
        return self._problems[-1] if self._problems else ""

    def explain(self, name: str) -> GlasshouseError:
        """The typed error for a model that did not load."""
        return explain_load_failure(name, list(self._problems))


def explain_adapter_failure(line: str) -> str:
    """Why llama.cpp did not take a LoRA, from the line that it logged last."""
    for pattern, reason in _ADAPTER_REASONS:
        if found := re.search(pattern, line):
            return reason.format(*found.groups())
    return "llama.cpp does not accept the file"


def explain_load_failure(name: str, lines: list[str]) -> GlasshouseError:
    """OutOfMemory, or LoadFailed with the first reason that the lines give."""
    text = "\n".join(lines)
    if re.search(_OUT_OF_MEMORY, text, re.IGNORECASE):
        return OutOfMemory(name)
    for pattern, reason in _REASONS:
        if found := re.search(pattern, text):
            return LoadFailed(name, reason.format(*found.groups()))
    return LoadFailed(name, "llama.cpp does not accept the file. It may be damaged or of a kind that is not supported.")
