"""A Hugging Face hub on loopback that can be told to misbehave; huggingface-hub speaks to it as to the real one.

    hub.add("me/Model-GGUF", {"Model-Q4_K_M.gguf": content})
    hub.drop_after("Model-Q4_K_M.gguf", 100_000)         # the next answer with this file breaks off there
    hub.refuse("Model-Q4_K_M.gguf", 503)                 # the next one is this status
    held = hub.hold_after("Model-Q4_K_M.gguf", 100_000)  # the next one waits there until held.release()

Faults are used up in the order in which they were given, one an answer. `hub.requests` tells what was asked, and with
which token.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

Content = bytes | Path
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_PIECE_BYTES = 1 << 16


@dataclass
class Held:
    """An answer that stands still. `reached` is set once its beginning was sent."""

    after: int
    reached: threading.Event = field(default_factory=threading.Event)
    _go: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self._go.set()

    def wait(self) -> None:
        self.reached.set()
        self._go.wait(60)


@dataclass
class Fault:
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop_after: int | None = None
    content: bytes | None = None  #: sent in place of the file's own
    held: Held | None = None
    ignores_range: bool = False
    is_endless: bool = False  #: sends more than the file has


@dataclass
class FakeRepo:
    files: dict[str, Content]
    token: str | None = None  #: whom it is open to; None: to everybody
    is_gated: bool = False
    commit: str = "0" * 40
    tags: tuple[str, ...] = ("gguf",)
    downloads: int = 0
    lies: dict[str, dict[str, Any]] = field(default_factory=dict)  #: what the API says of a file instead of the truth


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    token: str | None
    range: str | None
    host: str


class FakeHub:
    """A context manager; `endpoint` is its address. With `cdn=True` files come by way of another origin, as the real
    hub's do."""

    def __init__(self, *, cdn: bool = False) -> None:
        self.repos: dict[str, FakeRepo] = {}
        self.direct: dict[str, Content] = {}  #: files that are in no repository, by their path
        self.requests: list[Asked] = []
        self.api_answer: tuple[int, bytes] | None = None  #: said to every question but for files
        self.cdn = cdn
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._held: list[Held] = []
        hub = self

        class Handler(_Handler):
            fake = hub

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for held in self._held:
            held.release()
        self._server.shutdown()
        self._server.server_close()

    def add(self, repo: str, files: dict[str, Content], **options: Any) -> FakeRepo:
        self.repos[repo] = FakeRepo(files, **options)
        return self.repos[repo]

    def fault(self, name: str, fault: Fault) -> None:
        """For the next GET of the file with this name."""
        self._faults[name].append(fault)

    def drop_after(self, name: str, num_bytes: int) -> None:
        self.fault(name, Fault(drop_after=num_bytes))

    def refuse(self, name: str, status: int, **headers: str) -> None:
        self.fault(name, Fault(status=status, headers=headers))

    def hold_after(self, name: str, num_bytes: int) -> Held:
        held = Held(num_bytes)
        self._held.append(held)
        self.fault(name, Fault(held=held))
        return held

    def take_fault(self, name: str) -> Fault:
        return self._faults[name].popleft() if self._faults[name] else Fault()

    def asked_for(self, name: str) -> list[Asked]:
        """The GETs of a file, those that were sent on to the other origin once only."""
        return [each for each in self.requests if each.method == "GET" and each.path.endswith(f"/{name}")]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that were killed leave broken pipes, which are nobody's failure here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Tests show what they want to show."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        asked = Asked(self.command, path, token, self.headers.get("Range"), self.headers.get("Host", ""))
        self.fake.requests.append(asked)
        if path.startswith("/api/models"):
            self._answer_question(path, parse_qs(parts.query), token)
        elif path in self.fake.direct:
            self._send_file(self.fake.direct[path], path)
        elif path.startswith("/cdn/"):
            repo, _, file = path.removeprefix("/cdn/").partition("/resolve/")
            self._send_file(self.fake.repos[repo].files[file], file)
        else:
            self._answer_file(path, token)

    # --- questions -------------------------------------------------------------------------------------------------

    def _answer_question(self, path: str, query: dict[str, list[str]], token: str | None) -> None:
        if self.fake.api_answer is not None:
            status, body = self.fake.api_answer
            self._send(status, body)
            return
        name = path.removeprefix("/api/models").strip("/")
        if not name:
            wanted = query.get("search", [""])[0].casefold()
            found = [self._info(each) for each in self.fake.repos if wanted in each.casefold()]
            found.sort(key=lambda info: -info["downloads"])
            self._send_json(found[: int(query["limit"][0])])
            return
        name, _, revision = name.partition("/revision/")
        if (refusal := self._refusal(name, revision, token)) is not None:
            status, code = refusal
            self._send(status, b"{}", {"X-Error-Code": code} if code else {})
            return
        self._send_json(self._info(name, with_files=True))

    def _refusal(self, name: str, revision: str, token: str | None) -> tuple[int, str] | None:
        """As the hub does: 401 for what is missing when nobody signed in, 404 when somebody did."""
        repo = self.fake.repos.get(name)
        if repo is None or (repo.token is not None and not repo.is_gated and token != repo.token):
            return (404, "RepoNotFound") if token else (401, "")
        if revision and revision not in {"main", repo.commit}:
            return 404, "RevisionNotFound"
        return None

    def _info(self, name: str, *, with_files: bool = False) -> dict[str, Any]:
        repo = self.fake.repos[name]
        info: dict[str, Any] = {
            "id": name,
            "modelId": name,
            "sha": repo.commit,
            "private": repo.token is not None and not repo.is_gated,
            "gated": "manual" if repo.is_gated else False,
            "downloads": repo.downloads,
            "likes": 3,
            "tags": [*repo.tags, "license:apache-2.0"],
            "lastModified": "2026-10-01T12:00:00.000Z",
        }
        if with_files:
            info["siblings"] = [self._sibling(repo, path) for path in repo.files]
        return info

    def _sibling(self, repo: FakeRepo, path: str) -> dict[str, Any]:
        content = repo.files[path]
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        about: dict[str, Any] = {"rfilename": path, "size": size, "blobId": "1" * 40}
        if isinstance(content, bytes):
            digest = hashlib.sha256(content).hexdigest()
            about["lfs"] = {"size": size, "sha256": digest, "pointerSize": 134}
        if (lie := repo.lies.get(path)) is not None:
            about |= {key: value for key, value in lie.items() if key == "rfilename"}
            about["lfs"] = about.get("lfs", {"size": size, "sha256": "f" * 64, "pointerSize": 134}) | lie
        return about

    # --- files -----------------------------------------------------------------------------------------------------

    def _answer_file(self, path: str, token: str | None) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        repo = self.fake.repos.get(match[1]) if match else None
        if match is None or repo is None or match[3] not in repo.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif repo.token is not None and token != repo.token:
            self._send(403 if repo.is_gated else 401, b"", {"X-Error-Code": "GatedRepo"} if repo.is_gated else {})
        elif self.fake.cdn:
            location = f"http://localhost:{self.fake.port}/cdn/{match[1]}/resolve/{match[3]}"
            self._send(302, b"", {"Location": location})
        else:
            self._send_file(repo.files[match[3]], match[3])

    def _send_file(self, content: Content, path: str) -> None:
        fault = self.fake.take_fault(path.rpartition("/")[2]) if self.command == "GET" else Fault()
        if fault.status is not None:
            self._send(fault.status, b"", fault.headers)
            return
        data = fault.content if fault.content is not None else content
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        start, end, status = 0, size, 200
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted and not fault.ignores_range:
            start, status = int(wanted[1]), 206
            end = min(size, int(wanted[2]) + 1) if wanted[2] else size
            if start >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
        self.send_response(status)
        self.send_header("ETag", '"of-this-file"')
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start + (10_000_000 if fault.is_endless else 0)))
        self.end_headers()
        if self.command == "GET":
            self._send_body(data, start, end, fault)

    def _send_body(self, data: Content, start: int, end: int, fault: Fault) -> None:
        limit = end if fault.drop_after is None else min(end, start + fault.drop_after)
        try:
            if isinstance(data, Path):
                with data.open("rb") as file:
                    self.connection.sendfile(file, start, limit - start)
            else:
                self._send_bytes(data[start:limit], fault)
            while fault.is_endless:
                self.wfile.write(bytes(_PIECE_BYTES))
            if limit < end:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
        except OSError:  # who asked has had enough
            self.close_connection = True

    def _send_bytes(self, data: bytes, fault: Fault) -> None:
        if fault.held is None:
            self.wfile.write(data)
            return
        self.wfile.write(data[: fault.held.after])
        self.wfile.flush()
        fault.held.wait()
        self.wfile.write(data[fault.held.after :])

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
