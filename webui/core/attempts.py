"""How often somebody may guess: a delay that grows with each wrong attempt, per address and for all together.

An address that was right before is counted by itself, so that whoever guesses elsewhere, from however many addresses or
in the same network, cannot keep it out. It knows counts and times; what is guessed it does not know. Times are seconds
of a clock that is passed in.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from webui.errors import TooManyAttempts

FREE_ATTEMPTS = 5
FREE_ATTEMPTS_OVERALL = 50
MAX_DELAY_SECONDS = 300.0
MAX_DELAY_OVERALL_SECONDS = 10.0  # one who guesses must not keep everybody out
FORGET_SECONDS = 900.0
KNOWN_SECONDS = 30 * 86_400.0  # how long an address that was right is counted by itself
MAX_ADDRESSES = 4096

_EVERYBODY = "everybody"


@dataclass(slots=True)
class _Record:
    num_wrong: int = 0
    last_at: float = 0.0

    def delay(self, free: int, longest: float) -> float:
        over = self.num_wrong - free
        return 0.0 if over < 0 else min(longest, 2.0 ** min(over, 30))


class AttemptLimiter:
    """`begin` before checking a guess, `succeed` after a right one. A guess counts as wrong until then, so that many
    at once cannot slip through."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._known: dict[str, float] = {}  # address → when it was right

    def check(self, address: str) -> None:
        """Raises TooManyAttempts while the address, or everybody together, has to wait."""
        now = self._clock()
        for key, free, longest in self._limits(address):
            record = self._records.get(key)
            if record is None or now - record.last_at >= FORGET_SECONDS:
                continue
            wait = record.last_at + record.delay(free, longest) - now
            if wait > 0:
                raise TooManyAttempts(wait)

    def begin(self, address: str) -> None:
        self.check(address)
        now = self._clock()
        self._forget(now)
        for key, _, _ in self._limits(address):
            record = self._records.setdefault(key, _Record())
            record.num_wrong += 1
            record.last_at = now

    def succeed(self, address: str) -> None:
        """The guess was right: the address starts afresh, and the guess does not count for everybody."""
        keys = [key for key, _, _ in self._limits(address)]
        self._records.pop(keys[0], None)
        if _EVERYBODY in keys and (record := self._records.get(_EVERYBODY)) is not None:
            record.num_wrong = max(0, record.num_wrong - 1)
        self._known.pop(address, None)
        self._known[address] = self._clock()
        if len(self._known) > MAX_ADDRESSES:
            del self._known[next(iter(self._known))]

    def _limits(self, address: str) -> list[tuple[str, int, float]]:
        """What counts for an address: the key of a record, the free attempts, and the longest delay."""
        if self._clock() - self._known.get(address, -math.inf) < KNOWN_SECONDS:
            return [(f"known {address}", FREE_ATTEMPTS, MAX_DELAY_SECONDS)]
        return [
            (_group(address), FREE_ATTEMPTS, MAX_DELAY_SECONDS),
            (_EVERYBODY, FREE_ATTEMPTS_OVERALL, MAX_DELAY_OVERALL_SECONDS),
        ]

    def _forget(self, now: float) -> None:
        for key in [key for key, record in self._records.items() if now - record.last_at >= FORGET_SECONDS]:
            del self._records[key]
        while len(self._records) >= MAX_ADDRESSES:
            oldest = min(
                (key for key in self._records if key != _EVERYBODY), key=lambda key: self._records[key].last_at
            )
            del self._records[oldest]


def _group(address: str) -> str:
    """One household's key: an IPv4 address, or the /64 network that a single IPv6 host can move about in."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
