"""The shell of every page: veil, notices, the banner that says the connection is lost.

It also carries the browser's history: which address the page shows. Knows nothing of chats or models.
"""

from __future__ import annotations

from typing import Literal

from nicegui.element import Element

from webui.ui.components import COMPONENTS

NoticeKind = Literal["info", "good", "bad"]


class Shell(Element, component=COMPONENTS / "shell.js"):
    """Emits `navigate` with the path when the person goes back or forward."""

    def notify(self, text: str, kind: NoticeKind = "info") -> None:
        """Show one quiet sentence for some seconds; `bad` ones stay until they are closed."""
        self.run_method("notify", text, kind)

    def show_address(self, path: str, title: str) -> None:
        """Make `path` the page's address without loading anything, and `title` the title of the tab."""
        self.run_method("showAddress", path, title)

    def show_title(self, title: str) -> None:
        """Only the title of the tab."""
        self.run_method("showTitle", title)
