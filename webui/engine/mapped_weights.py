"""Gives back the pages of a model's file that were read while it loaded and are not needed any more.

llama.cpp rearranges some quantizations for the processor at hand, and copies what goes to a GPU; the file stays mapped,
and what was read of it stays resident: the same weights in memory twice, 146 MB of file in 374 MB. Pages of a file that
is only read may be dropped at any time; whoever needs one finds it in the system's cache. Only Linux; where it does not
work, nothing happens. It does not know llama.cpp.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

LEAST_BYTES = 1 << 20  #: smaller mappings are not worth a call


def release_mapped_pages(model_path: str) -> None:
    """Drop what is resident of the model's file, and of other parts of it, which lie in the same folder."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in list(_mapped(Path(os.path.realpath(model_path)).parent)):
        if libc.madvise(start, end - start, mmap.MADV_DONTNEED) != 0:
            logger.warning("Pages of the model's file stay in memory: %s", os.strerror(ctypes.get_errno()))


def _mapped(folder: Path) -> Iterator[tuple[int, int]]:
    """Addresses of the mappings of files in `folder` that are only read."""
    try:
        lines = Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        span, permissions, _offset, _device, _inode, *name = line.split(maxsplit=5)
        start, end = (int(address, 16) for address in span.split("-"))
        if name and permissions.startswith("r--") and end - start >= LEAST_BYTES and Path(name[0]).parent == folder:
            yield start, end
