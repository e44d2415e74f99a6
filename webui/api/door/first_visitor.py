"""Which request may be the first visitor's: a browser that opens a page because a person wants it to.

Whether the first visitor is still awaited is `core.access`'s to say; this only reads the request.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from webui.api.door.session_cookie import set_session

# Browsers say this only over HTTPS or to localhost; programs and old browsers never do.
_WANTED = {"sec-fetch-mode": {"navigate"}, "sec-fetch-dest": {"document"}, "sec-fetch-site": {"none", "same-origin"}}


def may_be_first_visitor(scope: Scope, headers: Headers) -> bool:
    """Neither an API call, nor a part of a page, nor a page that another site opens."""
    if scope["type"] != "http" or scope["method"] != "GET" or "text/html" not in headers.get("accept", ""):
        return False
    if scope["path"] != "/" and not scope["path"].startswith("/c/"):
        return False
    return all(headers.get(name, next(iter(wanted))) in wanted for name, wanted in _WANTED.items())


def welcome(scope: Scope, token: str) -> Response:
    """The same page once more, now with the cookie: whatever reads a session reads it from the request."""
    query = scope["query_string"].decode("latin-1")
    target = quote(scope["path"]) + (f"?{query}" if query else "")
    response = RedirectResponse(target, status_code=303)
    set_session(response, token, scheme=scope["scheme"])
    return response
