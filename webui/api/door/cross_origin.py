"""CORS: what a browser is told when a page of another origin wants to use the API. Closed, unless the settings name
origins; the gate refuses all others, whatever a browser makes of it.

Cookies are no part of it: such a page asks as a guest, or with a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webui.api.door.hosts import origin_pattern

_READABLE = (
    "X-Request-ID",
    "X-Glasshouse-Cache",
    "Retry-After",
    *(f"X-RateLimit-{what}-{of}" for what in ("Limit", "Remaining", "Reset") for of in ("Requests", "Tokens")),
)


def cross_origin_options(allowed: Sequence[str]) -> dict[str, Any]:
    """For Starlette's CORSMiddleware, which answers preflights before anybody is asked for a key."""
    return {
        "allow_origin_regex": origin_pattern(allowed).pattern,
        "allow_methods": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        "allow_headers": ("*",),
        "expose_headers": _READABLE,
        "allow_private_network": True,
    }
