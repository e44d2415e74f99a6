"""Metadata values of simple types as bytes: a type number and the value, as GGUF has them.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. It knows neither keys nor what they mean.
"""

from __future__ import annotations

import math
import struct

from webui.workbench.gguf_layout import Entry, Span
from webui.workbench.gguf_output import read_span
from webui.workbench.protocol import Scalar

U16, U32, I32, F32, BOOL, STRING, I64 = 2, 4, 5, 6, 7, 8, 11
_INTEGERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 10: "Q", 11: "q"}
_FLOATS = {6: "f", 12: "d"}
_NAMES = (
    {BOOL: "true or false", STRING: "a text"}
    | dict.fromkeys(_INTEGERS, "a whole number")
    | dict.fromkeys(_FLOATS, "a number")
)


class UnfitValue(Exception):
    """A value that a key's type cannot hold; the text goes on in a sentence."""


def pack(value: Scalar, kind: int) -> bytes:
    """Raises UnfitValue."""
    head = struct.pack("<I", kind)
    try:
        if kind == STRING and isinstance(value, str):
            data = value.encode()
            return head + struct.pack("<Q", len(data)) + data
        if kind == BOOL and isinstance(value, bool):
            return head + struct.pack("<?", value)
        if kind in _INTEGERS and isinstance(value, int) and not isinstance(value, bool):
            return head + struct.pack(f"<{_INTEGERS[kind]}", value)
        if kind in _FLOATS and isinstance(value, int | float) and not isinstance(value, bool):
            packed = struct.pack(f"<{_FLOATS[kind]}", value)
            if math.isfinite(struct.unpack(f"<{_FLOATS[kind]}", packed)[0]):
                return head + packed
    except (struct.error, OverflowError):
        raise UnfitValue("the number is too large for it") from None
    except UnicodeEncodeError:
        raise UnfitValue("the text holds characters that are not text") from None
    raise UnfitValue(f"it must be {_NAMES[kind]}" if kind in _NAMES else "it is a list, and lists stay as they are")


def natural_kind(value: Scalar) -> int:
    """The type of a key that is new: what converters use for such a value."""
    match value:
        case bool():
            return BOOL
        case str():
            return STRING
        case float():
            return F32
    return U32 if 0 <= value < 1 << 32 else I64


def kind_of(entry: Entry) -> int:
    """The type number of a value that is there."""
    content = entry.content
    head = next(iter(read_span(Span(content.path, content.start, 4)))) if isinstance(content, Span) else content[:4]
    return int(struct.unpack("<I", head)[0])
