"""Who may come in from another machine: the passphrase, signed-in browsers, bearer keys and pairing links.

It knows secrets and how to check them without helping those who guess, and whether the first visitor is still awaited;
it does not know HTTP, cookies, nor who is let in without asking (that is the gate's). Stored are hashes only: argon2 of
the passphrase, SHA-256 of random tokens.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import re
import secrets
import time
import unicodedata
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webui.core.attempts import AttemptLimiter
from webui.errors import ConfigurationError, StoreError, WeakPassphrase, WrongPassphrase
from webui.store.sessions import SessionStore

_log = logging.getLogger(__name__)

MIN_PASSPHRASE_LENGTH = 8
PAIRING_SECONDS = 600.0
MAX_PAIRINGS = 100
FIRST_VISIT_SECONDS = 900.0  #: after the server's start
SESSION_SECONDS = 180 * 86_400.0  #: a browser that was not seen for so long signs in again
_TOUCH_SECONDS = 86_400.0

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # without 0 o 1 l i; 16 of these are 79 bits
_MADE_HERE = re.compile(rf"[{_LETTERS}]{{4}}(?:[\s-]*[{_LETTERS}]{{4}}){{3}}", re.IGNORECASE)


def make_passphrase() -> str:
    """Sixteen random letters and digits in four groups, easy to read aloud and to type on a phone."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def normalise(passphrase: str) -> str:
    """What is the same to a person is the same here; one that was made here may be typed in any case and grouping."""
    text = unicodedata.normalize("NFKC", passphrase).strip()
    if _MADE_HERE.fullmatch(text):
        letters = re.sub(r"[\s-]", "", text).lower()
        return "-".join(letters[start : start + 4] for start in range(0, 16, 4))
    return text


class Access:
    """Check and hand out what lets a browser or a program in. `await load()` comes first."""

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
        self._sessions = sessions
        self._fixed = passphrase  # from the settings; the page cannot change it then
        self._lets_first_in = first_visitor and passphrase is None
        self._clock = clock
        self._awaits_first_until = -math.inf
        self._limiter = limiter or AttemptLimiter()
        self._hasher = hasher or PasswordHasher()
        self._hashing = asyncio.Semaphore(2)  # each check takes 64 MiB
        self._hash: str | None = None
        self._digest_key = secrets.token_bytes(32)
        self._known_digest: bytes | None = None  # of the passphrase once it was verified
        self._tokens: dict[str, float] = {}  # token hash → when it was last noted as seen (monotonic)
        self._pairings: dict[str, float] = {}  # token hash → when it ends (monotonic)

    async def load(self) -> None:
        """Read what is stored; forget browsers that were not seen for half a year."""
        since = time.time() - SESSION_SECONDS
        await self._sessions.remove_unseen(since=since)
        self._tokens = dict.fromkeys(await self._sessions.hashes(), 0.0)
        self._hash = await self._sessions.passphrase_hash()
        if self._lets_first_in and await self._sessions.is_new():
            self._awaits_first_until = self._clock() + FIRST_VISIT_SECONDS

    # --- the passphrase --------------------------------------------------------------------------------------------

    async def ensure_passphrase(self) -> str | None:
        """Make a passphrase at first use and return it, for the one time that it can be shown; None when there is one.

        One from the settings replaces what is stored, and whoever signed in with another one is signed out.
        """
        if self._fixed is not None:
            if self._hash is None or not await self._verify(normalise(self._fixed), self._hash):
                await self._replace(self._fixed, keep_token=None)
            return None
        if self._hash is not None:
            return None
        passphrase = make_passphrase()
        await self._replace(passphrase, keep_token=None, is_chosen=False)
        return passphrase

    async def change_passphrase(self, new: str, *, keep_token: str | None = None) -> None:
        """Every other browser and program has to use the new one from now on; `keep_token`'s session stays."""
        self._refuse_if_fixed()
        if len(normalise(new)) < MIN_PASSPHRASE_LENGTH:
            raise WeakPassphrase(MIN_PASSPHRASE_LENGTH)
        await self._replace(new, keep_token=keep_token)

    async def renew_passphrase(self, *, keep_token: str | None = None) -> str:
        """Make a new passphrase in place of the old one and return it."""
        self._refuse_if_fixed()
        passphrase = make_passphrase()
        await self._replace(passphrase, keep_token=keep_token)
        return passphrase

    @property
    def is_fixed(self) -> bool:
        """Whether the settings give the passphrase, so that it cannot be changed here."""
        return self._fixed is not None

    def _refuse_if_fixed(self) -> None:
        if self._fixed is not None:
            raise ConfigurationError(
                "The passphrase is set by GLASSHOUSE_PASSPHRASE or --passphrase. Change it there and start again."
            )

    async def _replace(self, passphrase: str, *, keep_token: str | None, is_chosen: bool = True) -> None:
        async with self._hashing:
            new_hash = await asyncio.to_thread(self._hasher.hash, normalise(passphrase))
        keep = None if keep_token is None else _sha256(keep_token)
        await self._sessions.replace_passphrase(new_hash, keep_token_hash=keep, is_chosen=is_chosen)
        if is_chosen:
            self._awaits_first_until = -math.inf
        self._hash = new_hash
        self._known_digest = None
        self._tokens = {token_hash: seen for token_hash, seen in self._tokens.items() if token_hash == keep}
        self._pairings.clear()

    # --- programs --------------------------------------------------------------------------------------------------

    async def verify_key(self, key: str, address: str) -> None:
        """A program's bearer key is the passphrase. Raises WrongPassphrase or TooManyAttempts.

        The slow check runs once; after that a keyed digest of the right key is compared. Who has to wait is refused
        even with the right key, or guessing against the digest would be free.
        """
        self._limiter.check(address)
        passphrase = normalise(key)
        if self._known_digest is not None and hmac.compare_digest(self._digest(passphrase), self._known_digest):
            return
        await self._check(passphrase, address)

    # --- browsers --------------------------------------------------------------------------------------------------

    async def sign_in(self, passphrase: str, address: str, label: str) -> str:
        """A session token for a browser that knows the passphrase."""
        await self._check(normalise(passphrase), address)
        return await self._start_session(address, label)

    async def is_session(self, token: str) -> bool:
        token_hash = _sha256(token)
        seen = self._tokens.get(token_hash)
        if seen is None:
            return False
        now = time.monotonic()
        if seen == 0.0 or now - seen > _TOUCH_SECONDS:
            self._tokens[token_hash] = now
            try:
                await self._sessions.touch(token_hash)
            except StoreError:  # on a full disk, say: no reason to keep anybody out
                _log.exception("That a session was used could not be noted")
        return True

    async def sign_out(self, token: str) -> None:
        token_hash = _sha256(token)
        self._tokens.pop(token_hash, None)
        await self._sessions.remove(token_hash)

    async def sign_out_others(self, keep_token: str | None) -> None:
        """End every session but this one, and every pairing link; the passphrase stays."""
        keep = None if keep_token is None else _sha256(keep_token)
        self._tokens = {token_hash: seen for token_hash, seen in self._tokens.items() if token_hash == keep}
        self._pairings.clear()
        await self._sessions.remove_others(keep)

    def create_pairing(self) -> str:
        """A token for a QR code that signs one browser in within ten minutes."""
        now = time.monotonic()
        self._pairings = {token: end for token, end in self._pairings.items() if end > now}
        while len(self._pairings) >= MAX_PAIRINGS:
            del self._pairings[next(iter(self._pairings))]
        token = secrets.token_urlsafe(24)
        self._pairings[_sha256(token)] = now + PAIRING_SECONDS
        return token

    async def redeem_pairing(self, token: str, address: str, label: str) -> str:
        """A session token in exchange for a pairing token; WrongPassphrase when it was used or is too old."""
        self._limiter.begin(address)
        end = self._pairings.pop(_sha256(token), None)
        if end is None or end <= time.monotonic():
            raise WrongPassphrase
        self._limiter.succeed(address)
        return await self._start_session(address, label)

    async def _start_session(self, address: str, label: str) -> str:
        token = secrets.token_urlsafe(32)
        token_hash = _sha256(token)
        await self._sessions.add(token_hash, label=label[:200], address=address)
        self._tokens[token_hash] = time.monotonic()
        self._awaits_first_until = -math.inf
        return token

    @property
    def awaits_first_visitor(self) -> bool:
        """Whether the next browser is let in: the settings say so, the data are new, the server started just now."""
        return self._clock() < self._awaits_first_until

    async def admit_first(self, address: str, label: str) -> str | None:
        """A session token for the first browser in the life of these data; None for everybody else."""
        if not self.awaits_first_visitor:
            return None
        token = secrets.token_urlsafe(32)
        token_hash = _sha256(token)
        try:
            is_first = await self._sessions.add_first(token_hash, label=label[:200], address=address)
        except StoreError:  # on a full disk, say: the passphrase is asked for then
            _log.exception("The first visitor could not be noted")
            return None
        self._awaits_first_until = -math.inf
        if not is_first:
            return None
        self._tokens[token_hash] = time.monotonic()
        _log.info("The first browser was let in without the passphrase, from %s; others are asked for it", address)
        return token

    # --- checking --------------------------------------------------------------------------------------------------

    async def _check(self, passphrase: str, address: str) -> None:
        self._limiter.begin(address)
        current = self._hash
        if current is None or not await self._verify(passphrase, current) or current is not self._hash:
            raise WrongPassphrase
        self._limiter.succeed(address)
        self._known_digest = self._digest(passphrase)

    async def _verify(self, passphrase: str, expected: str) -> bool:
        async with self._hashing:
            try:
                return await asyncio.to_thread(self._hasher.verify, expected, passphrase)
            except (VerificationError, InvalidHashError):
                return False

    def _digest(self, passphrase: str) -> bytes:
        return hashlib.blake2b(passphrase.encode(errors="replace"), key=self._digest_key).digest()


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
