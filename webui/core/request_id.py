"""Which request this code runs for: a word that its answer, its errors and its log lines carry.

It knows no HTTP: the door names the request, whatever runs in its context can ask. Threads and tasks that are started
in a request belong to it.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("request_id", default="")
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def current_request_id() -> str:
    """ "" outside of a request."""
    return _current.get()


def name_request(wanted: str | None = None) -> str:
    """The id that a client gave, if it is fit for headers and logs, else a new one."""
    return wanted if wanted is not None and _SANE.fullmatch(wanted) else f"req_{secrets.token_hex(12)}"


@contextmanager
def in_request(request_id: str) -> Iterator[None]:
    """Everything inside the block belongs to this request."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


class RequestIdFilter(logging.Filter):
    """For a log handler: every record has a `request_mark`, which is "[id] ", or "" outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        request_id = _current.get()
        record.request_mark = f"[{request_id}] " if request_id else ""
        return True
