"""Which scope a key needs for which path: the one table. What no line names needs `admin`, so a new route is closed to
keys until somebody decides.

People and, unless keys are required, programs of this machine may do everything; the gate asks here for keys, and for
pages of other origins.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from webui.store.keys import KeyScope

Need = KeyScope | Literal["any", "open"]  #: any: every key may; open: nobody is asked who they are

SOCKET = "websocket"  #: in place of a method, for handshakes

_READS = frozenset({"GET", "HEAD"})
_PAGES_TOO = frozenset({"/models"})
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ALL = _READS | _WRITES | {SOCKET}


class Line(NamedTuple):
    """A path and, with a slash or a star at its end, everything below it or that begins so."""

    need: Need
    path: str
    methods: frozenset[str] = _ALL

    def covers(self, method: str, path: str) -> bool:
        if method not in self.methods:
            return False
        if self.path.endswith(("/", "*")):
            return path.startswith(self.path.rstrip("*"))
        return path == self.path


TABLE = (
    # --- before anybody signs in ---
    *(Line("open", path, _READS) for path in ("/signin", "/favicon.ico", "/manifest.webmanifest", "/static/")),
    *(Line("open", path, _READS) for path in ("/health", "/health/live", "/health/ready", "/v1/health")),
    Line("open", "/api/session", frozenset({"POST"})),
    # --- what there is and how it goes ---
    *(Line("any", path, _READS) for path in ("/v1/models*", "/api/v0/models*", "/api/tags", "/api/version", "/api/ps")),
    *(Line("any", path, _READS) for path in ("/status", "/metrics", "/info", "/docs", "/openapi.json")),
    *(Line("any", path, _READS) for path in ("/models", "/api/v1/models*")),
    Line("any", "/api/show", frozenset({"POST"})),
    # --- asking models ---
    Line("inference", "/v1/"),
    Line("inference", "/api/v0/"),
    *(Line("inference", f"/api/{name}") for name in ("chat", "generate", "embed", "embeddings")),
    *(Line("inference", path) for path in ("/generate", "/generate/", "/chat", "/chat/", "/embeddings")),
    *(Line("inference", path) for path in ("/completion", "/completions", "/infill", "/responses", "/responses/")),
    *(Line("inference", path) for path in ("/tokenize", "/detokenize", "/apply-template", "/rerank", "/reranking")),
    *(Line("inference", path, _READS) for path in ("/props", "/lora-adapters")),
    # --- loading, fetching and deleting them ---
    *(Line("models", f"/api/{name}") for name in ("pull", "create", "copy", "delete", "blobs/")),
    *(Line("models", path) for path in ("/api/uploads", "/api/uploads/", "/load_model", "/unload_model")),
    *(Line("models", path) for path in ("/models/load", "/models/unload", "/api/v1/models/")),
    Line("admin", "/manage/keys*"),
    Line("any", "/manage/connect*", _READS),
    Line("models", "/manage/connect/", frozenset({"POST"})),
    Line("admin", "/manage/hub/token"),
    *(
        Line("models", f"/manage/{name}*")
        for name in ("compare", "disk", "doctor", "downloads", "hub", "jobs", "models", "named-presets", "presets")
    ),
    *(Line("models", f"/manage/{name}*") for name in ("ps", "quantizations", "stores")),
    # --- what people have said, the slots that hold it, the pages: decided, not forgotten ---
    *(Line("admin", path) for path in ("/api/conversations/", "/api/session", "/slots*", "/lora-adapters")),
)


@lru_cache(maxsize=512)
def need_of(method: str, path: str, *, wants_page: bool = False) -> Need:
    """What a request needs. Where a page and a program's route have one address, browsers get the page."""
    line = find_line(method, path)
    if line is None or (wants_page and path in _PAGES_TOO):
        return "admin"
    return line.need


def find_line(method: str, path: str) -> Line | None:
    return next((line for line in TABLE if line.covers(method, path)), None)


def counts(method: str, need: Need) -> bool:
    """Whether the limits of a key count it: what makes a model work, not what is only looked at. Over a socket each
    question is counted, not the socket."""
    return need == "inference" and method in _WRITES
