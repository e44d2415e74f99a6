"""The places of an image in a sequence of tokens.

What a projector makes of an image are rows of numbers in place of tokens. So that slots, prefixes and files can go on
counting tokens, each row has an id: a negative number, which no vocabulary has, made from the image and the row's
place in it. Two prompts with the same image have the same ids, so they share its computed rows like any other prefix.
It does not know who makes rows of images.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SIGN = np.uint32(0x80000000)


def image_ids(key: bytes, count: int) -> list[int]:
    """Negative 32-bit numbers that stand for the `count` rows of whatever `key` names."""
    digest = np.frombuffer(hashlib.shake_128(key).digest(4 * count), np.dtype("<u4"))
    ids: list[int] = (digest | _SIGN).astype(np.uint32).view(np.int32).tolist()
    return ids


@dataclass(frozen=True, slots=True)
class ImagePart:
    """One run of rows: an image, or one of the tiles that it was cut into."""

    key: bytes  #: names projector, image and part
    ids: list[int]
    is_whole: bool  #: its rows see each other in both directions, so one step computes them all
    source: bytes  #: the image as it was sent, should its rows have to be made again
    num_places: int  #: that it takes of the sequence, fewer than rows where these stand in two dimensions
    #: where each row stands behind the image's first place, in four dimensions (M-RoPE): an array of 4 × rows; None:
    #: one behind the other
    places: NDArray[np.int32] | None = None

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def num_saved(self) -> int:
        """By so much what follows moves up."""
        return self.count - self.num_places


@dataclass(frozen=True, slots=True)
class ImageSpan:
    """Where an image part stands in a sequence."""

    start: int
    part: ImagePart

    @property
    def end(self) -> int:
        return self.start + self.part.count
