"""States on disk, one for each conversation and model, so that an old chat goes on without being read again.

    root/<conversation>/<model key>.kv      folders 0700, files 0600

Writing happens in a thread of its own: into a temporary file that takes its place when it is whole. What is not there,
not whole, or not of this model and these tokens is a miss; no error of the disk reaches the caller. The folder is kept
below a size, by removing what was not used for longest. It does not know what a state is, nor llama_cpp.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from webui.engine.state_format import DamagedState, most_file_bytes, read_header, read_state, write_state

logger = logging.getLogger(__name__)

SHARE_OF_DISK = 10  #: at most a tenth of what would be free without these files
MAX_WAITING_BYTES = 256 * 1024 * 1024  #: what waits to be written is in RAM; beyond this nothing more is taken
MAX_ID_LENGTH = 200  #: characters of a conversation's id
ABANDONED_SECONDS = 600  #: a temporary file of this age has no writer any more
_SUFFIX, _TEMPORARY = ".kv", ".tmp"
_PLAIN_ID = re.compile(r"[0-9a-f-]{1,64}")


@dataclass(frozen=True, slots=True)
class StoredState:
    """A state on disk, or on its way there."""

    conversation: str
    tokens: tuple[int, ...]
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    stored: StoredState
    state: bytes


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    num_bytes: int
    used_at: int


class StateFiles:
    """The states of one model below `root`, which other models' engines use as well."""

    def __init__(self, root: Path, model_key: str, max_bytes: int) -> None:
        self._root = root
        self._model_key = model_key
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._waiting: dict[str, _Job] = {}  # by conversation, oldest first; the one being written among them
        self._writer: threading.Thread | None = None
        self._has_complained = False
        self.num_bytes = 0  #: what lies below `root`, as of the last look

    def load_index(self) -> list[StoredState]:
        """What is there for this model, with its tokens. Damaged files are removed."""
        self._remove_abandoned()
        mine = [file.path for file in self._scan() if file.path.name == self._model_key + _SUFFIX]
        return [stored for path in mine if (stored := self._read_index(path)) is not None]

    def write(self, conversation: str, tokens: Sequence[int], state: bytes) -> StoredState | None:
        """Have a conversation's state written, in place of its former one. None: it is not kept."""
        if not 0 < len(conversation) <= MAX_ID_LENGTH or len(state) > self._max_bytes:
            return None
        stored = StoredState(conversation, tuple(tokens), self._path(conversation))
        with self._changed:
            self._waiting.pop(conversation, None)
            waiting_bytes = sum(len(job.state) for job in self._waiting.values())
            if self._waiting and waiting_bytes + len(state) > MAX_WAITING_BYTES:
                return None
            self._waiting[conversation] = _Job(stored, state)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_waiting, name="state files", daemon=True)
                self._writer.start()
            self._changed.notify_all()
        return stored

    def read(self, stored: StoredState) -> bytes | None:
        """The state; None when it is gone, damaged, or of other tokens. It counts as used now."""
        with self._changed:
            job = self._waiting.get(stored.conversation)
        if job is not None:
            return job.state if job.stored.tokens == stored.tokens else None
        try:
            with stored.path.open("rb") as file:
                header, tokens = read_header(file, os.fstat(file.fileno()).st_size)
                is_it = (header.model_key, header.conversation) == (self._model_key, stored.conversation)
                state = read_state(file, header) if is_it and tokens == stored.tokens else None
            os.utime(stored.path)
        except FileNotFoundError:
            return None
        except DamagedState as error:
            self._remove_damaged(stored.path, error)
            return None
        except (OSError, MemoryError) as error:
            self._complain("read", error)
            return None
        return state

    def forget(self, conversation: str) -> None:
        """Remove what is kept of a conversation, for every model."""
        with self._changed:
            self._waiting.pop(conversation, None)
            self._changed.notify_all()
        shutil.rmtree(self._path(conversation).parent, ignore_errors=True)

    def flush(self, timeout: float) -> None:
        """Wait until everything is written, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, timeout)

    # --- the writer's thread -----------------------------------------------------------------------------------------

    def _write_waiting(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                job = next(iter(self._waiting.values()))
            try:
                self._write_one(job)
            except OSError as error:
                self._complain("write", error)
            with self._changed:
                if self._waiting.get(job.stored.conversation) is job:
                    del self._waiting[job.stored.conversation]
                self._changed.notify_all()

    def _write_one(self, job: _Job) -> None:
        stored = job.stored
        folder = stored.path.parent
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._make_room(most_file_bytes(len(stored.tokens), len(job.state)), stored.path):
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=_TEMPORARY)  # readable by its owner only
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                write_state(file, self._model_key, stored.conversation, stored.tokens, job.state)
                file.flush()
                os.fsync(file.fileno())
            with self._changed:
                if self._waiting.get(stored.conversation) is job:  # nobody has forgotten or replaced it meanwhile
                    temporary.replace(stored.path)
        finally:
            temporary.unlink(missing_ok=True)
            _remove_if_empty(folder)
        self._scan()

    def _make_room(self, num_bytes: int, path: Path) -> bool:
        """Remove what was not used for longest until a file fits; False when it never would."""
        files = sorted(self._scan(), key=lambda file: file.used_at)
        used = sum(file.num_bytes for file in files)
        limit = min(self._max_bytes, (used + shutil.disk_usage(self._root).free) // SHARE_OF_DISK)
        if num_bytes > limit:
            return False
        used -= sum(file.num_bytes for file in files if file.path == path)  # it will be replaced
        for file in files:
            if used + num_bytes <= limit:
                break
            if file.path != path:
                file.path.unlink(missing_ok=True)
                _remove_if_empty(file.path.parent)
                used -= file.num_bytes
        return True

    # --- the folder --------------------------------------------------------------------------------------------------

    def _path(self, conversation: str) -> Path:
        """Ids are hex; whatever else comes is not let near a file name."""
        is_plain = _PLAIN_ID.fullmatch(conversation) is not None
        name = conversation if is_plain else "x" + hashlib.blake2b(conversation.encode(), digest_size=16).hexdigest()
        return self._root / name / (self._model_key + _SUFFIX)

    def _scan(self) -> list[_File]:
        """All state files, of every model; what cannot be looked at is left out."""
        files = []
        for path in self._paths(_SUFFIX):
            try:
                facts = path.stat()
            except OSError:
                continue  # somebody removed it
            files.append(_File(path, facts.st_size, facts.st_mtime_ns))
        self.num_bytes = sum(file.num_bytes for file in files)
        return files

    def _paths(self, suffix: str) -> Iterator[Path]:
        try:
            yield from sorted(self._root.glob(f"*/*{suffix}"))
        except OSError as error:
            self._complain("read", error)

    def _read_index(self, path: Path) -> StoredState | None:
        try:
            with path.open("rb") as file:
                header, tokens = read_header(file, os.fstat(file.fileno()).st_size)
            if header.model_key != self._model_key or self._path(header.conversation) != path:
                raise DamagedState("it belongs elsewhere")
        except DamagedState as error:
            self._remove_damaged(path, error)
            return None
        except OSError as error:
            self._complain("read", error)
            return None
        return StoredState(header.conversation, tokens, path)

    def _remove_damaged(self, path: Path, reason: DamagedState) -> None:
        logger.warning("A saved state cannot be used and is removed: %s", reason)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._complain("remove", error)

    def _remove_abandoned(self) -> None:
        """Temporary files of writers that died."""
        for path in self._paths(_TEMPORARY):
            try:
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink(missing_ok=True)
                    _remove_if_empty(path.parent)
            except OSError as error:
                self._complain("remove", error)

    def _complain(self, action: str, error: Exception) -> None:
        """The disk's first refusal is told, the others are the same story."""
        if not self._has_complained:
            self._has_complained = True
            logger.warning("Cannot %s saved states, so some chats are read again when reopened: %s", action, error)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # there is something in it, or it is gone
        folder.rmdir()
