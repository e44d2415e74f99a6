"""Newline-delimited JSON, Ollama's way to stream: one object a line."""

from __future__ import annotations

from typing import Any

import msgspec

from webui.api.sse import EventStream

MEDIA_TYPE = "application/x-ndjson"


def line(record: dict[str, Any]) -> bytes:
    return msgspec.json.encode(record) + b"\n"


class LineStream(EventStream):
    """An EventStream whose frames are lines."""

    media_type = MEDIA_TYPE
