"""Who hears what a request has cost, by its owner. What is computed is charged, not what a cache remembers."""

from __future__ import annotations

from collections.abc import Callable

from webui.types import Usage

Charge = Callable[[str, Usage], None]  #: owner, and what was computed for it


def charge_nobody(_owner: str, _usage: Usage) -> None:
    """Where nobody counts."""


def tokens_read(num_tokens: int) -> Usage:
    """Of a model that embeds or ranks: it reads and writes nothing."""
    return Usage(prompt_tokens=num_tokens, cached_tokens=0, completion_tokens=0)
