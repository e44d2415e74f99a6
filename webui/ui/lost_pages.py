"""What stands at an address that is nobody's, and where a page could not be made: our own words, and the way back."""

from __future__ import annotations

import logging

from fastapi import Request
from fastapi.responses import HTMLResponse
from nicegui import app

from webui.assets import STATIC_DIR
from webui.ui.head import path_prefix

_log = logging.getLogger(__name__)


def add_lost_pages() -> None:
    """Take the place of NiceGUI's own pages, which show the exception's name and text."""
    template = (STATIC_DIR / "lost.html").read_text(encoding="utf-8")

    def answer(request: Request, status: int, title: str, words: str) -> HTMLResponse:
        values = {"base": f"{path_prefix(request)}/", "title": title, "words": words}
        page = template
        for name, value in values.items():
            page = page.replace("{{" + name + "}}", value)
        return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})

    @app.exception_handler(404)
    async def not_found(request: Request, _: Exception) -> HTMLResponse:
        return answer(request, 404, "Nothing is here", "This address does not belong to any page.")

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> HTMLResponse:
        _log.error("A page could not be made", exc_info=error)
        words = "Something went wrong inside Glasshouse; its log says what. Your chats are safe."
        return answer(request, 500, "This page could not be made", words)
