"""How a line of the log looks: text for people, or one JSON object for programs that collect logs.

A line that is written while a request is answered says which one. It does not know where lines go.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

from webui.core.request_id import current_request_id
from webui.core.telemetry.request_record import find_current

LogFormat = Literal["text", "json"]


def create_formatter(log_format: LogFormat) -> logging.Formatter:
    """For a handler with a `RequestIdFilter`."""
    if log_format == "json":
        return JsonFormatter()
    return logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(request_mark)s%(message)s")


class JsonFormatter(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`, then `request_id` and `owner` where there is a request, the fields
    that a line brings in `extra={"fields": {…}}`, and `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := current_request_id():
            line["request_id"] = request_id
        if (request := find_current()) is not None and request.owner:
            line["owner"] = request.owner
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # ASCII: a half character of a broken name would otherwise be an error in the handler, and the line lost.
        return json.dumps(line, separators=(",", ":"), default=str)
