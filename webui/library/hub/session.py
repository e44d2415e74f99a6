"""The HTTP client through which huggingface-hub speaks: short time-outs, bounded answers, and failures as our errors.

huggingface-hub tries failed requests again for up to a minute of its own accord. Here each request is made once, and
whoever asked decides: a page says at once that nobody is there, a transfer waits and goes on. That works because our
errors are none of those that the library takes for a reason to try again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.constants import is_offline_mode

from webui.errors import HubAnswerUnusable, HubBusy, HubOffline

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0  #: without a byte
ANSWER_SECONDS = 20.0  #: for the whole of an answer that is not a file
MAX_ANSWER_BYTES = 24 << 20
_LONGEST_WAIT = 3600.0
_DEFAULT_WAIT = 30.0
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


class HubSession(httpx2.Client):
    """Raises HubOffline, HubBusy and HubAnswerUnusable instead of the library's own errors of transport; statuses that
    say no (401, 403, 404, …) stay what they are."""

    def __init__(self, silence_seconds: float = SILENCE_SECONDS) -> None:
        super().__init__(
            event_hooks={"response": [_watch]},
            follow_redirects=True,
            timeout=httpx2.Timeout(silence_seconds, connect=min(CONNECT_SECONDS, silence_seconds)),
        )

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        if is_offline_mode():
            raise HubOffline(request.url.host)
        # huggingface-hub passes time-outs of its own, or none at all, which would mean for ever
        own = {name: value for name, value in self.timeout.as_dict().items() if value is not None}
        request.extensions = {**request.extensions, "timeout": own, "is_file": stream}
        try:
            return super().send(request, stream=stream, **options)
        except httpx2.TransportError as error:
            raise HubOffline(request.url.host) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise HubAnswerUnusable(request.url.host, type(error).__name__) from error


@cache
def use_hub_sessions(silence_seconds: float = SILENCE_SECONDS) -> None:
    """Make huggingface-hub use this client, in the whole process: it has one for everything. Only the first call does
    it, because to set one is to close the one that others may be using."""
    set_client_factory(lambda: HubSession(silence_seconds))


def _watch(response: httpx2.Response) -> None:
    """Runs for every answer, redirects among them, before its body is read."""
    host = response.request.url.host
    if response.status_code in _BUSY:
        raise HubBusy(host, _retry_after(response))
    is_file = bool(response.request.extensions.get("is_file")) and response.is_success
    if isinstance(response.stream, httpx2.SyncByteStream):  # always, with a client that is not asyncio's
        response.stream = _WatchedStream(response.stream, host, is_bounded=not is_file)


class _WatchedStream(httpx2.SyncByteStream):
    """The body of an answer. One that is not a file may be neither long nor slow."""

    def __init__(self, stream: httpx2.SyncByteStream, host: str, *, is_bounded: bool) -> None:
        self._stream = stream
        self._host = host
        self._bytes_left = MAX_ANSWER_BYTES
        self._deadline = time.monotonic() + ANSWER_SECONDS
        self._is_bounded = is_bounded

    def __iter__(self) -> Iterator[bytes]:
        try:
            if not self._is_bounded:
                yield from self._stream
                return
            for chunk in self._stream:
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise HubAnswerUnusable(self._host, "it is far too long")
                if time.monotonic() > self._deadline:
                    raise HubOffline(self._host)
                yield chunk
        except httpx2.TransportError as error:
            raise HubOffline(self._host) from error

    def close(self) -> None:
        self._stream.close()


def _retry_after(response: httpx2.Response) -> float:
    """The seconds that the server asks for; it may also give a date, which is not worth a parser."""
    try:
        asked = float(response.headers.get("Retry-After", _DEFAULT_WAIT))
    except ValueError:
        return _DEFAULT_WAIT
    return min(max(asked, 1.0), _LONGEST_WAIT) if asked == asked else _DEFAULT_WAIT  # noqa: PLR0124 - NaN
