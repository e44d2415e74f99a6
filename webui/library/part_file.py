"""An unfinished import on disk: `Name.gguf.part`, and `Name.gguf.part.json` which says what it is to become.

The size of the part is the only record of how far the import is, so killing the process loses nothing and claims
nothing. Everything here blocks and belongs in a thread; it does not know connections.
"""

from __future__ import annotations

import json
import os
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from webui.errors import FileExists, InvalidFileName, UnsupportedModel
from webui.library.durable import sync_folder
from webui.library.gguf import check_part

_SUFFIX = ".gguf"
_PART = ".part"
_SIDECAR = ".part.json"
_MAX_NAME_LENGTH = 200
_MAX_NAME_BYTES = 240  # file systems take 255, and the sidecar's ending comes on top
_MAX_SIDECAR_BYTES = 1 << 16
_RESERVED_CHARACTERS = frozenset('<>:"/\\|?*')
_RESERVED_STEMS = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}
)


def checked_file_name(name: str) -> str:
    """The name in composed Unicode (macOS sends it decomposed), or InvalidFileName. What it refuses is what some file
    system would, so that a models folder can move between machines."""
    name = unicodedata.normalize("NFC", name)
    stem = name[: -len(_SUFFIX)]
    if (
        not name.lower().endswith(_SUFFIX)
        or not stem.strip(" .")
        or name != name.strip()
        or name.startswith(".")
        or stem.split(".")[0].strip().casefold() in _RESERVED_STEMS
        or any(each in _RESERVED_CHARACTERS or _is_invisible(each) for each in name)
        or len(name) > _MAX_NAME_LENGTH
        or len(name.encode()) > _MAX_NAME_BYTES
    ):
        raise InvalidFileName(name.encode("utf-8", "replace").decode()[:_MAX_NAME_LENGTH])
    return name


def _is_invisible(character: str) -> bool:
    """Control characters, halves of surrogate pairs, separators of lines, and format characters (marks that turn the
    direction of writing around, blanks without width), but for the joiners that some scripts and emoji need."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class PartFile:
    """One import. `id` is random and names the import to clients; `size_bytes` is what they announced."""

    folder: Path
    id: str
    name: str
    size_bytes: int

    @property
    def path(self) -> Path:
        return self.folder / (self.name + _PART)

    @property
    def target(self) -> Path:
        return self.folder / self.name

    @property
    def _sidecar(self) -> Path:
        return self.folder / (self.name + _SIDECAR)

    def offset(self) -> int:
        """Bytes that are here."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def create(self) -> None:
        """Raises FileExists for a finished file of this name, and for a part that is somebody else's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.target.exists():
            raise FileExists(self.name)
        if self.path.exists():
            raise FileExists(self.path.name)
        # The sidecar comes first and goes last: a part without one was never ours, and is left alone.
        record = json.dumps({"id": self.id, "name": self.name, "size_bytes": self.size_bytes}, ensure_ascii=False)
        self._sidecar.write_text(record, encoding="utf-8")
        self.path.touch(exist_ok=False)

    def truncate(self, size_bytes: int) -> None:
        """Forget what came behind these bytes."""
        os.truncate(self.path, size_bytes)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)

    def publish(self) -> None:
        """Make the whole part a model file. Raises NotGguf, DamagedGguf, or FileExists."""
        if self.target.exists():
            raise FileExists(self.name)
        # A sound file of a kind that this version cannot run is kept: the list of models says what is the matter.
        with suppress(UnsupportedModel):
            check_part(self.path, self.name)
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._sidecar.unlink(missing_ok=True)
        sync_folder(self.folder)


def find_part_files(folder: Path) -> list[PartFile]:
    """The unfinished imports that an earlier run left. Records that say nothing useful are passed over."""
    if not folder.is_dir():
        return []
    parts = (_read_sidecar(sidecar) for sidecar in sorted(folder.glob("*" + _SIDECAR)))
    return [part for part in parts if part is not None and not _is_leftover(part)]


def _read_sidecar(sidecar: Path) -> PartFile | None:
    try:
        if sidecar.stat().st_size > _MAX_SIDECAR_BYTES:
            return None
        record = json.loads(sidecar.read_text(encoding="utf-8"))
        part = PartFile(sidecar.parent, str(record["id"]), checked_file_name(record["name"]), int(record["size_bytes"]))
        is_ours = sidecar.name == part.name + _SIDECAR and part.offset() <= part.size_bytes
    except (OSError, ValueError, TypeError, KeyError, AttributeError, InvalidFileName):
        return None
    return part if is_ours else None


def _is_leftover(part: PartFile) -> bool:
    """The process ended between publishing the file and removing its record: remove it now."""
    if part.path.exists() or not part.target.exists():
        return False
    part.remove()
    return True
