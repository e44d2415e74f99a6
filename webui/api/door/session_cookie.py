"""The cookie that a signed-in browser carries: its name, how it is set and read; not whether its token is good."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

SESSION_COOKIE = "glasshouse_session"
_SECONDS = 400 * 24 * 3600  # as long as browsers keep a cookie; changing the passphrase ends it earlier


def set_session(response: Response, token: str, *, scheme: str) -> None:
    response.set_cookie(
        SESSION_COOKIE, token, max_age=_SECONDS, httponly=True, samesite="lax", secure=scheme == "https"
    )
    response.headers["Cache-Control"] = "no-store"


def read_session(headers: Headers) -> str | None:
    """The session's token. Cookies of other programs on this machine come along and may be any nonsense."""
    return cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE)
