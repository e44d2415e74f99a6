"""The last API requests, kept while somebody has switched that on; in memory only, and gone when it is switched off.

It holds so many requests and so many bytes, drops the oldest, and sends one again through the server's own HTTP stack.
It knows no HTTP framework and does not know who may look: `is_allowed` says that to whoever shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar

import httpx

from webui.config import Settings
from webui.core.exchange import Arrived, Exchange
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.core.wire import Wire
from webui.errors import InvalidRequest
from webui.store.preferences import Preferences

MAX_EXCHANGES = 200
MAX_BYTES = 48 * 2**20

THIS_MACHINE = "this machine"
HIDDEN = "(hidden)"
_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "set-cookie"}
)
_SECRET_PARAMETERS = frozenset({"key", "api_key", "token", "access_token"})
#: Of the connection and not of the request, or hidden: a replay has its own.
_NOT_SENT_AGAIN = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "accept-encoding", "origin", "referer", "upgrade"}
)

_replay_of: ContextVar[int | None] = ContextVar("the request that is sent again", default=None)


def is_allowed(owner: str, settings: Settings) -> bool:
    """Who sees what everybody's programs ask: people at this machine, others only where the settings say so."""
    return owner == THIS_MACHINE or settings.inspect_from == "house"


def hide_secrets(headers: Mapping[str, str] | list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Header names in small letters; of keys and cookies only that they were there, and the scheme of the former."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((name.lower(), _hide(name.lower(), value)) for name, value in pairs)


def hide_in_query(query: str) -> str:
    """A query string without the values of keys, which some programs put there."""
    parts = [part.partition("=") for part in query.split("&")]
    return "&".join(
        f"{name}={HIDDEN}" if name.lower() in _SECRET_PARAMETERS else f"{name}{equals}{value}"
        for name, equals, value in parts
    )


class Inspector:
    """`begin` gives None while it is off. `changed` tells of an exchange with news, `emptied` that none are left."""

    def __init__(
        self,
        preferences: Preferences,
        wire: Wire,
        *,
        max_exchanges: int = MAX_EXCHANGES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.changed: Signal[Exchange] = Signal()
        self.switched: Signal[bool] = Signal()
        self.emptied: Signal[None] = Signal()
        self.is_on = preferences.get().inspects
        self.max_exchanges = max_exchanges
        self.max_bytes = max_bytes
        self._preferences = preferences
        self._wire = wire
        self._exchanges: dict[int, Exchange] = {}
        self._costs: dict[int, int] = {}
        self._num_bytes = 0
        self._last_id = 0
        self._tasks = OwnedTasks()
        self._replays: dict[int, asyncio.Task[None]] = {}

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The oldest first."""
        return tuple(self._exchanges.values())

    @property
    def num_bytes(self) -> int:
        """Of memory, roughly."""
        return self._num_bytes

    async def switch(self, is_on: bool) -> None:
        """Also remembered after a restart. Switched off, everything is forgotten."""
        await self._preferences.set(inspects=is_on)
        self.is_on = is_on
        if not is_on:
            self.clear()
        self.switched.emit(is_on)

    def clear(self) -> None:
        self._exchanges.clear()
        self._costs.clear()
        self._num_bytes = 0
        self.emptied.emit(None)

    def get(self, number: int) -> Exchange:
        """Raises InvalidRequest for one that is no longer kept."""
        try:
            return self._exchanges[number]
        except KeyError:
            raise InvalidRequest("This request is no longer kept: newer ones have taken its place.") from None

    def begin(self, arrived: Arrived) -> Exchange | None:
        if not self.is_on:
            return None
        self._last_id += 1
        exchange = Exchange(
            self._last_id, arrived, replay_of=_replay_of.get(), start=self._tasks.start, changed=self._on_change
        )
        self._exchanges[exchange.id] = exchange
        self._on_change(exchange)
        return exchange

    async def close(self) -> None:
        self._exchanges.clear()
        await self._tasks.close()

    # --- again ---------------------------------------------------------------------------------------------------

    def replay(self, number: int, body: str | None = None) -> None:
        """Send a request again as this machine, with another body where one is given. It is kept as a new one, which
        names this one in `replay_of`. Raises InvalidRequest for what cannot be sent again."""
        exchange = self.get(number)
        if exchange.arrived.method == "WEBSOCKET":
            raise InvalidRequest("A conversation over a WebSocket cannot be sent again.")
        if body is None and exchange.request.num_left_out:
            raise InvalidRequest("This request was too long to be kept whole, so it cannot be sent again.")
        self.stop(number)
        data = exchange.request.data if body is None else body.encode("utf-8", "replace")
        task = self._tasks.start(self._send_again(exchange, data))
        self._replays[number] = task
        task.add_done_callback(lambda done: self._forget_replay(number, done))

    def stop(self, number: int) -> None:
        """End the replay of this request, if one runs: its answer stops within one step."""
        if task := self._replays.get(number):
            task.cancel()

    def _forget_replay(self, number: int, task: asyncio.Task[None]) -> None:
        if self._replays.get(number) is task:
            del self._replays[number]

    async def _send_again(self, exchange: Exchange, data: bytes) -> None:
        arrived = exchange.arrived
        headers = [
            (name, value) for name, value in arrived.headers if name not in _NOT_SENT_AGAIN and HIDDEN not in value
        ]
        query = "&".join(part for part in arrived.query.split("&") if HIDDEN not in part)
        address = f"{arrived.path}?{query}" if query else arrived.path
        _replay_of.set(exchange.id)  # of this task alone
        async with (
            self._wire.client() as client,
            client.stream(arrived.method, address, headers=headers, content=data) as response,
        ):
            try:
                async for _ in response.aiter_raw():
                    pass
            except httpx.HTTPError:
                return  # the server ended it; what came is kept

    # --- bounds --------------------------------------------------------------------------------------------------

    def _on_change(self, exchange: Exchange) -> None:
        """Nothing of an exchange that is not kept any more; it goes on all the same."""
        if exchange.id not in self._exchanges:
            return
        cost = exchange.cost
        self._num_bytes += cost - self._costs.get(exchange.id, 0)
        self._costs[exchange.id] = cost
        self._make_room()
        self.changed.emit(exchange)

    def _make_room(self) -> None:
        """The oldest go; the newest stays, bounded by its own limits."""
        while len(self._exchanges) > 1 and (
            len(self._exchanges) > self.max_exchanges or self._num_bytes > self.max_bytes
        ):
            oldest = next(iter(self._exchanges))
            del self._exchanges[oldest]
            self._num_bytes -= self._costs.pop(oldest, 0)


def _hide(name: str, value: str) -> str:
    if name not in _SECRET_HEADERS:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {HIDDEN}" if space and scheme.lower() in {"bearer", "basic"} else HIDDEN
