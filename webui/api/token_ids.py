"""Token ids in requests."""

from __future__ import annotations

_LARGEST = 2**31 - 1  # of the engine; JSON knows no end


def are_tokens(value: object) -> bool:
    """Whether it is a list of numbers that can be token ids."""
    return isinstance(value, list) and all(type(each) is int and 0 <= each <= _LARGEST for each in value)
