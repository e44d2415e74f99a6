"""What a part holds, as one number: the BLAKE3 digest of its bytes from the first one on.

It follows the bytes as they are appended, and catches up from the disk where it did not see them come (after a
restart). It does not know whom it convinces: `uploads.py` compares it with the digest of the one who sends.

BLAKE3 and not SHA-256, because an import may cost one CPU second per gigabyte in all: SHA-256 takes 0.45 of it (with
SHA-NI; several without), BLAKE3 takes 0.10.
"""

from __future__ import annotations

from pathlib import Path

from blake3 import blake3

_BLOCK_BYTES = 1 << 20
_BLOCKS_AT_ONCE = 16


class PartDigest:
    """`num_bytes` of the part are in the digest so far; a part that is shorter than that was changed by others."""

    def __init__(self) -> None:
        self._hash = blake3()
        self.num_bytes = 0

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()

    def update(self, data: memoryview | bytes) -> None:
        self._hash.update(data)
        self.num_bytes += len(data)

    def copy(self) -> PartDigest:
        twin = PartDigest()
        twin._hash = self._hash.copy()
        twin.num_bytes = self.num_bytes
        return twin

    def read_on(self, path: Path, end: int) -> bool:
        """Take some more of the file's bytes before `end` in, 16 MiB at most; False when there are no more. Blocks."""
        with path.open("rb") as file:
            file.seek(self.num_bytes)
            for _ in range(_BLOCKS_AT_ONCE):
                block = file.read(min(_BLOCK_BYTES, end - self.num_bytes))
                if not block:
                    return False
                self.update(block)
        return self.num_bytes < end
