"""The small file by which the terminal finds a running server: its address and process, in the data folder, and, where
this machine needs one too, a key for whoever can read that folder.

The server writes it when it answers and removes it when it ends. One that was killed leaves it behind: whoever reads it
asks the server for a sign of life. It is a hint and no lock; `data_lock` is the lock.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from webui.types import Value

_FILE = "server.json"
_MAX_BYTES = 4096


class RunningServer(Value, frozen=True):
    """`url` is how this machine reaches it, such as http://127.0.0.1:8002. `key` is good while it runs."""

    url: str
    pid: int
    key: str | None = None


def local_url(listen_host: str, port: int) -> str:
    """The address on this machine of a server that listens there: loopback wherever that is one of its addresses."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}.get(listen_host, listen_host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def write_running_server(data_dir: Path, server: RunningServer) -> None:
    """Whole or not at all. A folder that cannot be written is no reason not to serve."""
    new = data_dir / f"{_FILE}.new"
    with suppress(OSError):
        new.unlink(missing_ok=True)  # whose permissions it had is not asked
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(server))
        new.replace(data_dir / _FILE)


def read_running_server(data_dir: Path) -> RunningServer | None:
    """What the last server wrote; whether it still runs is another question."""
    try:
        with (data_dir / _FILE).open("rb") as file:
            server = msgspec.json.decode(file.read(_MAX_BYTES), type=RunningServer)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return server if server.url.startswith("http://") else None


def remove_running_server(data_dir: Path) -> None:
    """Only one's own: a second server may have been started meanwhile."""
    server = read_running_server(data_dir)
    if server is not None and server.pid == os.getpid():
        with suppress(OSError):
            (data_dir / _FILE).unlink()
