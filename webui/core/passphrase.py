"""The one passphrase: how it is made, what counts as the same, and how a guess is checked.

Checking is slow on purpose (argon2) and paid for once by those who are right. It knows nothing of browsers, sessions
and HTTP; only the hash is stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webui.core.attempts import AttemptLimiter
from webui.errors import ConfigurationError, WeakPassphrase, WrongPassphrase

MIN_PASSPHRASE_LENGTH = 8

LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  #: without 0 o 1 l i; 16 of these are 79 bits
_MADE_HERE = re.compile(rf"[{LETTERS}]{{4}}(?:[\s-]*[{LETTERS}]{{4}}){{3}}", re.IGNORECASE)


def make_passphrase() -> str:
    """Sixteen random letters and digits in four groups, easy to read aloud and to type on a phone."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))


def normalise(passphrase: str) -> str:
    """What is the same to a person is the same here; one that was made here may be typed in any case and grouping."""
    text = unicodedata.normalize("NFKC", passphrase).strip()
    if _MADE_HERE.fullmatch(text):
        letters = re.sub(r"[\s-]", "", text).lower()
        return "-".join(letters[start : start + 4] for start in range(0, 16, 4))
    return text


class Passphrase:
    """What guesses are checked against. `fixed` comes from the settings, and cannot be changed here then."""

    def __init__(
        self, fixed: str | None, *, limiter: AttemptLimiter | None = None, hasher: PasswordHasher | None = None
    ) -> None:
        self.fixed = fixed
        self.hash: str | None = None  #: what is stored; None before there is one
        self.limiter = limiter or AttemptLimiter()
        self._hasher = hasher or PasswordHasher()
        self._hashing = asyncio.Semaphore(2)  # each check takes 64 MiB
        self._digest_key = secrets.token_bytes(32)
        self._known_digest: bytes | None = None  # of the passphrase once it was verified

    def refuse_if_fixed(self) -> None:
        if self.fixed is not None:
            raise ConfigurationError(
                "The passphrase is set by GLASSHOUSE_PASSPHRASE or --passphrase. Change it there and start again."
            )

    def refuse_if_weak(self, new: str) -> None:
        self.refuse_if_fixed()
        if len(normalise(new)) < MIN_PASSPHRASE_LENGTH:
            raise WeakPassphrase(MIN_PASSPHRASE_LENGTH)

    async def hash_of(self, new: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self._hasher.hash, normalise(new))

    def use(self, new_hash: str) -> None:
        """Guesses are checked against this one from now on."""
        self.hash = new_hash
        self._known_digest = None

    async def is_the_fixed(self) -> bool:
        """Whether what is stored is the hash of the one from the settings."""
        if self.hash is None or self.fixed is None:
            return False
        return await self._verify(normalise(self.fixed), self.hash)

    async def check(self, guess: str, address: str) -> None:
        """Raises WrongPassphrase or TooManyAttempts."""
        passphrase = normalise(guess)
        self.limiter.begin(address)
        current = self.hash
        if current is None or not await self._verify(passphrase, current) or current is not self.hash:
            raise WrongPassphrase
        self.limiter.succeed(address)
        self._known_digest = self._digest(passphrase)

    async def check_often(self, guess: str, address: str) -> None:
        """As `check`, for programs that send it with each request.

        The slow check runs once; after that a keyed digest of the right one is compared. Who has to wait is refused
        even with the right one, or guessing against the digest would be free.
        """
        self.limiter.check(address)
        digest = self._digest(normalise(guess))
        if self._known_digest is None or not hmac.compare_digest(digest, self._known_digest):
            await self.check(guess, address)

    async def _verify(self, passphrase: str, expected: str) -> bool:
        async with self._hashing:
            try:
                return await asyncio.to_thread(self._hasher.verify, expected, passphrase)
            except (VerificationError, InvalidHashError):
                return False

    def _digest(self, passphrase: str) -> bytes:
        return hashlib.blake2b(passphrase.encode(errors="replace"), key=self._digest_key).digest()
