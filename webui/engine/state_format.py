"""The bytes of a state file: what it belongs to, its tokens, the state, and checksums over all three.

    magic (8) · length of the header (4, big-endian) · header (msgpack) · BLAKE2b of all that (16)
    tokens (4 bytes each, little-endian) · state

The header names the model key, the conversation, the lengths and the checksums of tokens and state, so the tokens of
a file are known for certain without reading its state. Every length is checked against the size of the file before
it is believed. It does not know where files lie, nor what a state is.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

_MAGIC = b"GLASSKV\x01"  #: the last byte is the version
_PREFIX = struct.Struct(">8sI")
_DIGEST_BYTES = 16
_MAX_HEADER_BYTES = 1024
_TOKEN_BYTES = 4


class DamagedState(Exception):
    """The file is not a whole state file."""


class StateHeader(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What stands before tokens and state."""

    model_key: str
    conversation: str
    num_tokens: int
    num_state_bytes: int
    tokens_digest: bytes
    state_digest: bytes


def most_file_bytes(num_tokens: int, num_state_bytes: int) -> int:
    """How large the file of such a state can get."""
    return _PREFIX.size + _MAX_HEADER_BYTES + _DIGEST_BYTES + num_tokens * _TOKEN_BYTES + num_state_bytes


def write_state(file: BinaryIO, model_key: str, conversation: str, tokens: Sequence[int], state: bytes) -> None:
    """Write a whole state file. Raises OSError."""
    packed = _pack(tokens)
    header = StateHeader(model_key, conversation, len(tokens), len(state), _digest(packed), _digest(state))
    body = msgspec.msgpack.encode(header)
    head = _PREFIX.pack(_MAGIC, len(body)) + body
    file.write(head + _digest(head) + packed)
    file.write(state)


def read_header(file: BinaryIO, file_bytes: int) -> tuple[StateHeader, tuple[int, ...]]:
    """Header and tokens; the file stands at the state then. Raises DamagedState, OSError."""
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise DamagedState("it is too short")
    magic, header_bytes = _PREFIX.unpack(prefix)
    if magic != _MAGIC or header_bytes > _MAX_HEADER_BYTES:
        raise DamagedState("it does not begin like a state file of this version")
    body = file.read(header_bytes)
    if file.read(_DIGEST_BYTES) != _digest(prefix + body):
        raise DamagedState("the header's checksum is wrong")
    header = msgspec.msgpack.decode(body, type=StateHeader)  # its checksum is right: it is as we wrote it
    before_tokens = _PREFIX.size + header_bytes + _DIGEST_BYTES
    if file_bytes != before_tokens + header.num_tokens * _TOKEN_BYTES + header.num_state_bytes:
        raise DamagedState("it is cut off or too long")
    packed = file.read(header.num_tokens * _TOKEN_BYTES)
    if _digest(packed) != header.tokens_digest:
        raise DamagedState("the tokens' checksum is wrong")
    return header, _unpack(packed)


def read_state(file: BinaryIO, header: StateHeader) -> bytes:
    """The state behind what `read_header` has read. Raises DamagedState, OSError."""
    state = file.read(header.num_state_bytes)
    if _digest(state) != header.state_digest:
        raise DamagedState("the state's checksum is wrong")
    return state


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()  # more than a gigabyte a second


def _pack(tokens: Sequence[int]) -> bytes:
    values = array("i", tokens)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _unpack(packed: bytes) -> tuple[int, ...]:
    values = array("i", packed)
    if sys.byteorder == "big":
        values.byteswap()
    return tuple(values)
