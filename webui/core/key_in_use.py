"""One API key while the server lives: its limits, what is used with it, and the requests that run under it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from webui.core.key_limits import Allowance, KeyLimiter
from webui.core.revocable import Revocable
from webui.errors import InvalidKey
from webui.store.keys import ApiKey, KeyUsage


class KeyInUse:
    """`on_use` is called whenever there is something to write down."""

    def __init__(self, key: ApiKey, on_use: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.key = key  #: as it was made
        self._on_use = on_use
        self._limiter = KeyLimiter(key.limits, clock)
        self._usage = key.usage
        self._unwritten = KeyUsage()
        self._running: set[Revocable] = set()

    @property
    def id(self) -> str:
        return self.key.id

    def used_so_far(self) -> ApiKey:
        """The key with what was used until now."""
        return msgspec.structs.replace(self.key, usage=self._usage)

    @property
    def allowances(self) -> dict[str, Allowance]:
        return self._limiter.allowances()

    @contextmanager
    def admit(self) -> Iterator[None]:
        """One request that counts, from its beginning to its end. Raises RateLimited, and InvalidKey once the key has
        expired: a socket may have been opened before."""
        if self.key.is_expired():
            raise InvalidKey("expired")
        with self._limiter.admit():
            self._note(num_requests=1)
            yield

    @contextmanager
    def revocable(self) -> Iterator[None]:
        """The work of a request; when the key is revoked it is cancelled, and the block raises InvalidKey."""
        with Revocable(_revoked) as work:
            self._running.add(work)
            try:
                yield
            finally:
                self._running.discard(work)

    def touch(self) -> None:
        """It was used for something that does not count."""
        self._note()

    def charge(self, prompt_tokens: int, generated_tokens: int) -> None:
        self._limiter.charge(prompt_tokens + generated_tokens)
        self._note(prompt_tokens=prompt_tokens, generated_tokens=generated_tokens)

    def revoke(self) -> None:
        """End what runs under it."""
        for work in list(self._running):
            work.revoke()

    def take_unwritten(self) -> KeyUsage:
        """What is to be written down; `keep` takes it back when that failed."""
        taken, self._unwritten = self._unwritten, KeyUsage()
        return taken

    def keep(self, taken: KeyUsage) -> None:
        self._unwritten = taken + self._unwritten

    def _note(self, *, num_requests: int = 0, prompt_tokens: int = 0, generated_tokens: int = 0) -> None:
        used = KeyUsage(
            num_requests=num_requests,
            prompt_tokens=prompt_tokens,
            generated_tokens=generated_tokens,
            used_at=time.time(),
        )
        self._usage = self._usage + used
        self._unwritten = self._unwritten + used
        self._on_use()


def _revoked() -> InvalidKey:
    return InvalidKey("revoked")
