"""Connections: how many of them one address may hold open, and how long a new one may take for its first request.

A process has few sockets (often 1,024), and whoever opens one needs no passphrase: without a limit one guest takes them
all, and nobody else comes in. It does not know what is asked over them.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from webui.api.door.hosts import is_loopback

MAX_PER_ADDRESS = 256  # a browser has about seven; a proxy in another machine speaks for many
FIRST_REQUEST_SECONDS = 20.0


class BoundedHttp(H11Protocol):
    """uvicorn's HTTP over h11, which also bounds the headers; its other parser takes headers without end."""

    first_request_seconds = FIRST_REQUEST_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if self._is_one_too_many():
            transport.abort()
        else:
            self.loop.call_later(self.first_request_seconds, self._close_if_silent)

    def _is_one_too_many(self) -> bool:
        """Programs of this machine, a proxy among them, are not counted. Sockets of pages are, after their upgrade."""
        if self.client is None or is_loopback(self.client[0]):
            return False
        clients: list[tuple[str, int] | None] = [getattr(each, "client", None) for each in self.connections]
        return sum(client is not None and client[0] == self.client[0] for client in clients) > MAX_PER_ADDRESS

    def _close_if_silent(self) -> None:
        is_upgraded = self.transport.get_protocol() is not self
        if self.cycle is None and not is_upgraded:
            self.transport.close()
