"""One writer for a file: a lock that the system drops when its process ends, however it ends.

Where the system has no such locks (Windows, some network folders) there is none; the SHA-256 at the end tells then.
"""

from __future__ import annotations

import sys
import time
from typing import BinaryIO

_PATIENCE_SECONDS = 5.0  #: a transfer whose server was killed ends within a moment
_PAUSE_SECONDS = 0.05


def lock_file(file: BinaryIO) -> bool:
    """Whether this process is the only one that writes to it now."""
    if sys.platform == "win32":
        return True
    import fcntl  # noqa: PLC0415 - not on every system

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        except OSError:
            return True
        else:
            return True
