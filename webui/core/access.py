"""Which people may come in from another machine: the passphrase, the browsers that are signed in, the first visitor.

It puts the parts together (`passphrase`, `signed_in`) where one of them changes the others; it does not know HTTP,
cookies, nor who is let in without asking (that is the gate's). Programs have keys of their own: `keys`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from argon2 import PasswordHasher

from webui.core.attempts import AttemptLimiter
from webui.core.passphrase import Passphrase, make_passphrase
from webui.core.signed_in import Pairings, SignedIn
from webui.core.tokens import hash_token
from webui.errors import StoreError, WrongPassphrase
from webui.store.sessions import SessionStore

_log = logging.getLogger(__name__)

FIRST_VISIT_SECONDS = 900.0  #: after the server's start


class Access:
    """Check and hand out what lets a person in. `await load()` comes first."""

    def __init__(
        self,
        sessions: SessionStore,
        *,
        passphrase: str | None,
        first_visitor: bool = False,
        clock: Callable[[], float] = time.monotonic,
        limiter: AttemptLimiter | None = None,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._store = sessions
        self._passphrase = Passphrase(passphrase, limiter=limiter, hasher=hasher)
        self._signed_in = SignedIn(sessions)
        self._pairings = Pairings()
        self._lets_first_in = first_visitor and passphrase is None
        self._clock = clock
        self._awaits_first_until = -math.inf

    async def load(self) -> None:
        """Read what is stored."""
        await self._signed_in.load()
        self._passphrase.hash = await self._store.passphrase_hash()
        if self._lets_first_in and await self._store.is_new():
            self._awaits_first_until = self._clock() + FIRST_VISIT_SECONDS

    # --- the passphrase --------------------------------------------------------------------------------------------

    async def ensure_passphrase(self) -> str | None:
        """Make a passphrase at first use and return it, for the one time that it can be shown; None when there is one.

        One from the settings replaces what is stored, and whoever signed in with another one is signed out.
        """
        if self._passphrase.fixed is not None:
            if not await self._passphrase.is_the_fixed():
                await self._replace(self._passphrase.fixed, keep_token=None)
            return None
        if self._passphrase.hash is not None:
            return None
        passphrase = make_passphrase()
        await self._replace(passphrase, keep_token=None, is_chosen=False)
        return passphrase

    async def change_passphrase(self, new: str, *, keep_token: str | None = None) -> None:
        """Every other browser, and every program without an API key, has to use the new one from now on; `keep_token`'s
        session stays."""
        self._passphrase.refuse_if_weak(new)
        await self._replace(new, keep_token=keep_token)

    async def renew_passphrase(self, *, keep_token: str | None = None) -> str:
        """Make a new passphrase in place of the old one and return it."""
        self._passphrase.refuse_if_fixed()
        passphrase = make_passphrase()
        await self._replace(passphrase, keep_token=keep_token)
        return passphrase

    @property
    def is_fixed(self) -> bool:
        """Whether the settings give the passphrase, so that it cannot be changed here."""
        return self._passphrase.fixed is not None

    async def verify_key(self, key: str, address: str) -> None:
        """The passphrase in place of an API key. Raises WrongPassphrase or TooManyAttempts."""
        await self._passphrase.check_often(key, address)

    async def _replace(self, passphrase: str, *, keep_token: str | None, is_chosen: bool = True) -> None:
        new_hash = await self._passphrase.hash_of(passphrase)
        keep = None if keep_token is None else hash_token(keep_token)
        await self._store.replace_passphrase(new_hash, keep_token_hash=keep, is_chosen=is_chosen)
        if is_chosen:
            self._awaits_first_until = -math.inf
        self._passphrase.use(new_hash)
        self._signed_in.forget_others(keep_token)
        self._pairings.clear()

    # --- browsers --------------------------------------------------------------------------------------------------

    async def sign_in(self, passphrase: str, address: str, label: str) -> str:
        """A session token for a browser that knows the passphrase."""
        await self._passphrase.check(passphrase, address)
        return await self._start_session(address, label)

    async def is_session(self, token: str) -> bool:
        return await self._signed_in.is_session(token)

    async def sign_out(self, token: str) -> None:
        await self._signed_in.end(token)

    async def sign_out_others(self, keep_token: str | None) -> None:
        """End every session but this one, and every pairing link; the passphrase and the API keys stay."""
        self._pairings.clear()
        await self._signed_in.end_others(keep_token)

    def create_pairing(self) -> str:
        """A token for a QR code that signs one browser in within ten minutes."""
        return self._pairings.create()

    async def redeem_pairing(self, token: str, address: str, label: str) -> str:
        """A session token in exchange for a pairing token; WrongPassphrase when it was used or is too old."""
        self._passphrase.limiter.begin(address)
        if not self._pairings.redeem(token):
            raise WrongPassphrase
        self._passphrase.limiter.succeed(address)
        return await self._start_session(address, label)

    async def _start_session(self, address: str, label: str) -> str:
        token = await self._signed_in.start(address, label)
        self._awaits_first_until = -math.inf
        return token

    # --- the first visitor -----------------------------------------------------------------------------------------

    @property
    def awaits_first_visitor(self) -> bool:
        """Whether the next browser is let in: the settings say so, the data are new, the server started just now."""
        return self._clock() < self._awaits_first_until

    async def admit_first(self, address: str, label: str) -> str | None:
        """A session token for the first browser in the life of these data; None for everybody else."""
        if not self.awaits_first_visitor:
            return None
        try:
            token = await self._signed_in.start_first(address, label)
        except StoreError:  # on a full disk, say: the passphrase is asked for then
            _log.exception("The first visitor could not be noted")
            return None
        self._awaits_first_until = -math.inf
        if token is not None:
            _log.info("The first browser was let in without the passphrase, from %s; others are asked for it", address)
        return token
