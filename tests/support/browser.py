"""A Chromium for tests and a watch over its pages: what a page must never do fails the test that opened it."""

from __future__ import annotations

import os
import shutil
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request

_CHROMIUM_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


def find_chromium() -> str | None:
    """The browser to test with: `GLASSHOUSE_CHROMIUM`, one on the PATH, or None for Playwright's own."""
    named = os.environ.get("GLASSHOUSE_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def chromium_flags() -> list[str]:
    """Flags that keep the browser quiet; a root user (a container) has no sandbox."""
    return [*_CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


class PageWatch:
    """Collects what a good page does not do: errors in the console, uncaught exceptions, requests to other servers.

    A test that provokes an error on purpose says so: `watch.allow("part of the text")`.
    """

    def __init__(self) -> None:
        self._problems: list[str] = []
        self._allowed: list[str] = []

    def allow(self, text: str) -> None:
        """Do not mind problems whose text holds this."""
        self._allowed.append(text)

    def observe(self, page: Page, origin: str) -> None:
        """Watch a page that may talk to this origin only."""
        host = urlsplit(origin).netloc

        def on_request(request: Request) -> None:
            url = urlsplit(request.url)
            if url.scheme in {"http", "https", "ws", "wss"} and url.netloc != host:
                self._problems.append(f"request to a foreign server: {request.url}")

        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error":
                self._problems.append(f"console error: {message.text} ({message.location.get('url', '')})")

        page.on("request", on_request)
        page.on("console", on_console)
        page.on("pageerror", lambda error: self._problems.append(f"uncaught exception: {error}"))

    @property
    def problems(self) -> list[str]:
        return [text for text in self._problems if not any(allowed in text for allowed in self._allowed)]
