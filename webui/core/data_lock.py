"""One server per data directory: a lock that the system drops when its process ends, however it ends.

It knows only the lock. SQLite holds it (an exclusive transaction on a file of its own), because that is one portable
call; a second server would otherwise take the first one's running replies for interrupted ones.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from webui.errors import ConfigurationError


class DataLock:
    """`acquire` raises ConfigurationError while another server holds the directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._connection: sqlite3.Connection | None = None

    def acquire(self) -> None:
        path = self._data_dir / "server.lock"
        try:
            connection = sqlite3.connect(path, timeout=0.0, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            connection.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise ConfigurationError(
                    f"Another Glasshouse is running with the data folder {self._data_dir}. Use that one, stop it, or "
                    "choose another folder with --data-dir."
                ) from error
            raise self._unusable(error) from error
        self._connection = connection

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _unusable(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"Glasshouse cannot write to its data folder {self._data_dir} ({error}). Choose another one with "
            "--data-dir or GLASSHOUSE_DATA_DIR."
        )
