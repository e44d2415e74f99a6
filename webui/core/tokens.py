"""Random secrets that are handed out once and kept as hashes: 256 bits, so that a fast hash is enough."""

from __future__ import annotations

import hashlib
import secrets

TOKEN_LENGTH = 43  #: characters of 32 bytes in URL-safe base64


def make_token() -> str:
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """SHA-256, hexadecimal. Whoever reads the database cannot turn it round."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
