"""Connections: how many of them one address may hold open, and how long they may keep the server waiting.

A process has few sockets (often 1,024), and whoever opens one needs no passphrase: without limits one guest takes them
all, and nobody else comes in. Headers have to come soon, what is answered has to be read, and what is left of a body
that nobody waits for any more is not waited for. It does not know what is asked over a connection.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from webui.api.door.hosts import is_loopback

MAX_PER_ADDRESS = 256  # a browser has about seven; a proxy in another machine speaks for many
HEADER_SECONDS = 20.0  # from a connection, or from a request's first byte on a used one, to the end of its headers
LINGER_SECONDS = 20.0  # for the rest of a body whose request was answered before it had come
STALL_SECONDS = 60.0  # for a client to read the 64 kB that wait for it


class BoundedHttp(H11Protocol):
    """uvicorn's HTTP over h11, which also bounds the headers; its other parser takes headers without end."""

    header_seconds = HEADER_SECONDS
    linger_seconds = LINGER_SECONDS
    stall_seconds = STALL_SECONDS

    _patience: asyncio.TimerHandle | None = None  # until headers are whole, or the rest of a body is
    _stalled: asyncio.TimerHandle | None = None  # until the client reads

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if self._is_one_too_many():
            transport.abort()
        else:
            self._patience = self.loop.call_later(self.header_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        self._read_again()
        super().connection_lost(exc)

    # --- headers, and bodies that nobody waits for -------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_or_settle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_or_settle()

    def _wait_or_settle(self) -> None:
        seconds = self._seconds_to_wait()
        if seconds is None:
            self._settle()
        elif self._patience is None:
            self._patience = self.loop.call_later(seconds, self._give_up)

    def _seconds_to_wait(self) -> float | None:
        """None while nothing is owed: a request is answered, or uvicorn counts the seconds until the next one."""
        if self.transport.get_protocol() is not self:  # upgraded: a socket of a page or a program has its own pings
            return None
        if self.conn.their_state is h11.IDLE:
            is_idle = self.timeout_keep_alive_task is not None and not self.conn.trailing_data[0]
            return None if is_idle else self.header_seconds
        is_answered = self.cycle is not None and self.cycle.response_complete
        return self.linger_seconds if is_answered and self.conn.their_state is h11.SEND_BODY else None

    def _settle(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        self.transport.close()
        self._expect_reading()

    # --- clients that do not read ------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_again()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._expect_reading()

    def _expect_reading(self) -> None:
        """What waits to be sent is thrown away, and whoever writes more of it is stopped, if the client does not read
        on; closing alone would wait for ever."""
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stall_seconds, self.transport.abort)

    def _read_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    # --- how many ----------------------------------------------------------------------------------------------------

    def _is_one_too_many(self) -> bool:
        """Programs of this machine, a proxy among them, are not counted. Sockets of pages are, after their upgrade."""
        if self.client is None or is_loopback(self.client[0]):
            return False
        clients: list[tuple[str, int] | None] = [getattr(each, "client", None) for each in self.connections]
        return sum(client is not None and client[0] == self.client[0] for client in clients) > MAX_PER_ADDRESS
