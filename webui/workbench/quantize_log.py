"""Reads llama.cpp's log while it quantizes: what becomes of each tensor, how far it is, and why it failed.

llama.cpp says this in its log only. It knows lines of text, not llama_cpp. Source of the lines: llama-quant.cpp as of
llama-cpp-python 0.3.36.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from webui.errors import GlasshouseError, ImatrixNeeded, InvalidRequest, WorkFailed

# "[   3/ 272] blk.0.attn_k.weight  - [   576,    192,      1,      1], type =   q4_1, "
# "size =     0.07 MiB ->     0.21 MiB (f16)"
_BEGUN = re.compile(r"\[ *(\d+)/ *(\d+)\] (.+?) +- \[([\d, ]+)\], type = +(\w+), ")
_BECOMES = re.compile(r"-> +[\d.]+ MiB \((\w+)\)")
_WANTS_IMATRIX = re.compile(r"will require an imatrix")
_NEEDS_IMATRIX = re.compile(r"requires an i(?:mportance )?matrix|Missing importance matrix")
_REASONS = (
    (r"bad_alloc|failed to allocate", "memory ran out"),
    (r"iostream error", "the disk could not be written to; it may be full"),
    (r"imatrix contains non-finite", "the importance matrix holds numbers that are none"),
    (r"no tensor type fallback is defined for type (\w+)", "the model's tensors have rows that {0} cannot hold"),
    (r"no dequantization available|cannot dequantize", "llama.cpp cannot read the numbers of this file's types back"),
    (r"unknown model architecture: '([\w.-]+)'", "its architecture “{0}” is not known to this version of llama.cpp"),
    (r"validation failed", "the file holds numbers that are none; it may be damaged"),
)


@dataclass(frozen=True, slots=True)
class TensorStep:
    """Tensor `number` of `count`: its row length first, its type in the file, and the one that it gets (dry runs)."""

    number: int
    count: int
    name: str
    dimensions: tuple[int, ...]
    source_type: str
    target_type: str


class QuantizeLog:
    """Takes the log in pieces as llama.cpp says them; `on_tensor` hears of each tensor when its line is begun."""

    def __init__(self, on_tensor: Callable[[int, int, str], None] = lambda _, __, ___: None) -> None:
        self.steps: list[TensorStep] = []
        self.wants_imatrix = False
        self._on_tensor = on_tensor
        self._line = ""
        self._problems: deque[str] = deque(maxlen=20)

    def add(self, text: str, *, is_problem: bool) -> None:
        if (begun := _BEGUN.search(text)) is not None:
            self._on_tensor(int(begun[1]), int(begun[2]), begun[3])
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(line, is_problem=is_problem)

    def explain(self, file_type: str) -> GlasshouseError:
        """Why it failed."""
        text = "\n".join(self._problems)
        if _NEEDS_IMATRIX.search(text):
            return ImatrixNeeded(file_type)
        if re.search(r"imatrix size \d+ is different", text):
            return InvalidRequest("The importance matrix was made for another model: its sizes are others.")
        for pattern, reason in _REASONS:
            if found := re.search(pattern, text, re.IGNORECASE):
                return WorkFailed(reason.format(*(each.upper() for each in found.groups())))
        return WorkFailed(f"llama.cpp says “{self._problems[-1]}”" if self._problems else "llama.cpp gives no reason")

    def _take(self, line: str, *, is_problem: bool) -> None:
        self.wants_imatrix = self.wants_imatrix or _WANTS_IMATRIX.search(line) is not None
        if is_problem and line.strip(" ="):
            self._problems.append(line.strip()[:300])
        if (begun := _BEGUN.search(line)) is not None:
            becomes = _BECOMES.search(line, begun.end())
            dimensions = tuple(int(each) for each in begun[4].split(","))
            target = becomes[1] if becomes else begun[5]
            self.steps.append(
                TensorStep(int(begun[1]), int(begun[2]), begun[3], dimensions, begun[5].upper(), target.upper())
            )
