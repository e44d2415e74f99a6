"""One line of the log for each request of a program: who, what, how it ended, how long, how many tokens.

Never a path as the client wrote it, never a header, never what was asked or answered.
"""

from __future__ import annotations

import logging
from typing import Any

from webui.core.telemetry.request_record import RequestRecord

_log = logging.getLogger("webui.access")

QUIET_ROUTES = frozenset({"/health", "/health/live", "/health/ready", "/v1/health", "/metrics"})


def log_request(record: RequestRecord) -> None:
    """At INFO; probes, scrapes and pages, which come by themselves all the time, at DEBUG."""
    route = record.route
    is_quiet = route.dialect == "page" or route.template in QUIET_ROUTES
    level = logging.DEBUG if is_quiet else logging.INFO
    if _log.isEnabledFor(level):
        fields = _fields(record)
        _log.log(level, "%s", _sentence(record, fields), extra={"fields": fields})


def _fields(record: RequestRecord) -> dict[str, Any]:
    used = [answer.usage for answer in record.answers if answer.usage is not None]
    fields: dict[str, Any] = {
        "request_id": record.id,
        "owner": record.owner,
        "method": record.method,
        "route": record.route.template,
        "dialect": record.route.dialect,
        "status": record.status,
        "duration": round(record.seconds, 6),
    }
    if record.answers:
        first = record.answers[0]
        fields |= {
            "model": first.model,
            "prompt_tokens": sum(usage.prompt_tokens for usage in used),
            "cached_tokens": sum(usage.cached_tokens for usage in used),
            "completion_tokens": sum(usage.completion_tokens for usage in used),
        }
        if first.first_at is not None:
            fields["first_token"] = round(first.first_at - record.started_at, 6)
    if record.cache is not None:
        fields["cache"] = record.cache
    if record.error_code:
        fields["error"] = record.error_code
    return fields


def _sentence(record: RequestRecord, fields: dict[str, Any]) -> str:
    words = f"{record.method} {record.route.template} {record.status} in {record.seconds:.3f} s"
    if fields.get("model"):
        words += f", {fields['model']}: {fields['prompt_tokens']} + {fields['completion_tokens']} tokens"
    if "cache" in fields:
        words += f", cache {fields['cache']}"
    if "error" in fields:
        words += f", {fields['error']}"
    return f"{words} ({record.owner or 'nobody'})"
