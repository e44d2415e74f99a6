"""Fetching the files of one job: `python -m webui.library.hub.transfer`, a process of its own.

So the bytes, the memory of the HTTP client and its patience stay out of the server, and to pause or to cancel is to end
a process. The order comes as a line of JSON on stdin, where no other process sees the token; reports leave as lines of
JSON on stdout. When stdin closes, the parent is gone, and so is this. huggingface-hub's `http_get` does the transfer.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import msgspec
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, disable_progress_bars
from huggingface_hub.utils import logging as hub_logging

from webui.errors import DownloadDamaged, GlasshouseError, HubAnswerUnusable, HubBusy, HubOffline, NotGguf
from webui.library.hub.answers import explain_status
from webui.library.hub.received_file import ReceivedFile
from webui.library.hub.session import use_hub_sessions
from webui.library.hub.transfer_order import Checking, FileDone, FileOrder, Order, Progress, Report, TransferFailed

MAX_ATTEMPTS = 6  #: in a row without a new byte
_LONGEST_PAUSE_SECONDS = 60.0  #: a server that wants a longer one makes the job fail, with the time in its sentence
PIECE_BYTES = 32 << 30  #: in one request; the hub's network gives no answers above 50 GB
_RANGE_NOT_SATISFIABLE = 416


def main() -> None:
    stdin, stdout = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    encode = msgspec.json.Encoder().encode

    def tell(report: Report) -> None:
        stdout.write(encode(report) + b"\n")

    order = msgspec.json.decode(stdin.readline(), type=Order)
    threading.Thread(target=_end_with_parent, args=(stdin,), daemon=True).start()
    fetch(order, tell)
    os._exit(0)  # the thread still waits for stdin, which Python's own end would stumble over


def fetch(order: Order, tell: Callable[[Report], None]) -> None:
    """All files, one after the other; the last report is a FileDone for the last of them, or TransferFailed."""
    _prepare_library(order.silence_seconds)
    try:
        for index, file in enumerate(order.files):
            tell(_Transfer(order, file, index, tell).run())
    except GlasshouseError as error:
        tell(TransferFailed(code=error.code, details=error.details))


def _end_with_parent(stdin: BinaryIO) -> None:
    stdin.read()
    os._exit(0)


def _prepare_library(silence_seconds: float) -> None:
    use_hub_sessions(silence_seconds)
    disable_progress_bars()
    hub_logging.set_verbosity(hub_logging.CRITICAL)  # its warnings hold addresses, which may be signed
    # As the bytes come, some 64 kB: collecting chunks copies each byte three times, and a broken line loses one.
    constants.DOWNLOAD_CHUNK_SIZE = None  # type: ignore[assignment]


class _Transfer:
    """One file, until it is whole or hopeless."""

    def __init__(self, order: Order, file: FileOrder, index: int, tell: Callable[[Report], None]) -> None:
        self._order = order
        self._file = file
        self._index = index
        self._tell = tell
        self._host = urlsplit(file.url).hostname or file.url
        is_hub = urlsplit(file.url).netloc == urlsplit(order.files[0].url).netloc
        self._token = order.token if is_hub else None

    def run(self) -> FileDone:
        file = self._file
        received = ReceivedFile(
            Path(file.part),
            file.name,
            file.size_bytes,
            self._order.margin_bytes,
            lambda position: self._tell(Progress(file=self._index, bytes=position)),
        )
        with received:
            received.read_what_is_here(lambda position: self._tell(Checking(file=self._index, bytes=position)))
            self._tell(Progress(file=self._index, bytes=received.tell()))
            try:
                self._fetch_patiently(received)
                self._check(received)
            except (DownloadDamaged, NotGguf):
                Path(file.part).unlink(missing_ok=True)
                raise
            return FileDone(file=self._index, size_bytes=received.tell(), sha256=received.sha256)

    def _fetch_patiently(self, received: ReceivedFile) -> None:
        """Broken lines and busy servers are waited out, longer each time, as long as there is any progress."""
        attempt, position = 0, received.tell()
        while True:
            try:
                self._fetch(received)
                return
            except (HubOffline, HubBusy) as error:
                attempt = 1 if received.tell() != position else attempt + 1
                position = received.tell()
                self._tell(Progress(file=self._index, bytes=position))
                pause = self._order.first_pause_seconds * 2 ** (attempt - 1)
                if isinstance(error, HubBusy):
                    pause = max(pause, float(error.details["retry_after"] or 0))
                if attempt >= MAX_ATTEMPTS or pause > _LONGEST_PAUSE_SECONDS:
                    raise
            time.sleep(pause)

    def _fetch(self, received: ReceivedFile) -> None:
        """From where the file is now to its end, in pieces that the hub's network can give."""
        size = self._file.size_bytes
        if size is None:  # nothing would tell a whole file from a beginning
            received.begin_anew()
        while size is None or received.tell() < size:
            start = received.tell()
            try:
                self._get(received, start, size if size is None else min(size, start + PIECE_BYTES))
            except HfHubHTTPError as error:
                if error.response.status_code == _RANGE_NOT_SATISFIABLE:
                    raise DownloadDamaged(self._file.name, "it is shorter") from error
                raise explain_status(error, self._host, self._file.name, has_token=self._token is not None) from error
            except OSError as error:  # http_get's word for an answer of another length than announced
                raise HubOffline(self._host) from error
            except (ValueError, RuntimeError) as error:
                raise HubAnswerUnusable(self._host, type(error).__name__) from error
            if size is None:
                return

    def _get(self, received: ReceivedFile, start: int, end: int | None) -> None:
        headers = build_hf_headers(token=self._token or False)
        headers["Accept-Encoding"] = "identity"  # or a proxy packs what cannot be packed, and lengths are unknown
        if start and self._file.etag and not self._file.sha256:
            headers["If-Range"] = self._file.etag
        if end != self._file.size_bytes:
            headers["Range"] = f"bytes=0-{(end or 0) - 1}"  # http_get moves the beginning to `start`
        http_get(self._file.url, cast("BinaryIO", received), resume_size=start, headers=headers, expected_size=end)

    def _check(self, received: ReceivedFile) -> None:
        file = self._file
        if file.size_bytes is not None and received.tell() != file.size_bytes:
            raise DownloadDamaged(file.name, "it is shorter")
        if file.sha256 is not None and received.sha256 != file.sha256:
            raise DownloadDamaged(file.name, "its SHA-256 is another one")


if __name__ == "__main__":
    main()
