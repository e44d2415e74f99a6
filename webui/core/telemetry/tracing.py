"""Whether traces are told to a collector, and to whom: the environment says so, in OpenTelemetry's own words.

OpenTelemetry is an extra (`otel`) and is imported only when an endpoint is named.
"""

from __future__ import annotations

import logging
import os
from typing import Protocol

from webui.core.telemetry.request_record import AnswerRecord, RequestRecord

_log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing(Protocol):
    """Told of what is over. It returns at once; sending is another thread's."""

    def tell_request(self, record: RequestRecord) -> None: ...

    def tell_answer(self, answer: AnswerRecord) -> None:
        """Of an answer that belongs to no request."""

    def close(self) -> None:
        """Send what is not sent yet; blocks for some seconds at most."""


def create_tracing() -> Tracing | None:
    """None unless the environment names a collector; says so in the log when the extra is missing."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    try:
        from webui.core.telemetry.spans import create_spans  # noqa: PLC0415 - an extra, and it takes a while
    except ModuleNotFoundError as error:
        _log.warning("No traces are sent: %s is missing. It comes with the extra “otel”.", error.name)
        return None
    return create_spans()
