"""Gives back the pages of a fresh KV memory that nobody has used yet.

llama.cpp fills the whole memory with zeros when it makes it, so that all of it is resident before anybody says a word:
1.5 GB for SmolLM2 with eight contexts of 8,192 tokens. A page of zeros in private anonymous memory may be dropped and
reads as zeros again; the system gives it back when something is written. So after a context is made, the big mappings
that appeared are looked through, and whatever is all zeros is dropped. Only Linux, only main memory; where it does not
work, nothing happens. What a conversation used stays resident when its slot is cleared.

Nobody may write to a page between the look and the drop. No other thread does at that moment, but Python itself would:
it takes fresh pages for its small objects, and the kernel joins them with the big mapping beside them. So this works
only where Python's objects lie on the C library's heap (PYTHONMALLOC=malloc, as the engine process is started), which
is a mapping of its own. It does not know llama.cpp.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

logger = logging.getLogger(__name__)

LEAST_BYTES = 128 * 1024 * 1024  #: smaller mappings are left alone: they may be somebody else's
CHUNK_BYTES = 1024 * 1024  #: looked at, and dropped, at once

Span = tuple[int, int]  # addresses, the second one behind the end


@contextmanager
def returning_untouched_pages() -> Iterator[None]:
    """Around what makes the memory: what appeared meanwhile and is zeros is no longer resident afterwards."""
    if sys.platform != "linux" or os.environ.get("PYTHONMALLOC") != "malloc":
        yield
        return
    before = _private_spans()
    yield
    try:
        dropped = sum(_drop_zeros(span) for span in _appeared(before, _private_spans()))
    except OSError as error:
        logger.warning("Memory that is not used yet could not be given back: %s", error)
    else:
        logger.info("%d MB of memory wait until they are used", dropped // 1_000_000)


def _private_spans() -> list[Span]:
    """The writable, private, anonymous mappings of this process, in order; those with a name ([heap]) left out."""
    spans = []
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        span, permissions, _offset, _device, inode, *name = line.split()
        if permissions == "rw-p" and inode == "0" and not name:
            start, end = span.split("-")
            spans.append((int(start, 16), int(end, 16)))
    return spans


def _appeared(before: list[Span], after: list[Span]) -> list[Span]:
    """The big parts of `after` that were not in `before`: the kernel joins neighbouring mappings into one."""
    found = []
    for start, end in after:
        position = start
        for old_start, old_end in before:
            if old_end <= position or old_start >= end:
                continue
            found.append((position, old_start))
            position = old_end
        found.append((position, end))
    return [(start, end) for start, end in found if end - start >= LEAST_BYTES]


def _drop_zeros(span: Span) -> int:
    """Drop the chunks of a mapping that are all zeros; bytes that were dropped."""
    start, end = span
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    words = np.ctypeslib.as_array((ctypes.c_uint64 * ((end - start) // 8)).from_address(start))
    step = CHUNK_BYTES // 8
    dropped = 0
    for first in range(0, len(words), step):
        chunk = words[first : first + step]
        if chunk.any():
            continue
        if libc.madvise(start + first * 8, chunk.nbytes, mmap.MADV_DONTNEED) != 0:
            raise OSError(ctypes.get_errno(), "madvise failed")
        dropped += chunk.nbytes
    return dropped
