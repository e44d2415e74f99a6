"""The side list: conversations grouped by date, New chat, Share and Settings.

Emits `open` (id), `new`, `rename` ({id, title}) and `remove` (id). Knows nothing of where conversations are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from nicegui.element import Element

from webui.types import Conversation
from webui.ui.components import COMPONENTS


class SideList(Element, component=COMPONENTS / "side_list.js"):
    """Dates are grouped in the browser, by its own calendar."""

    def show(self, conversations: Sequence[Conversation]) -> None:
        """Show these conversations, newest first."""
        self._props["conversations"] = [
            {"id": one.id, "title": one.title, "updated_at": one.updated_at, "is_answering": one.is_answering}
            for one in conversations
        ]

    def show_current(self, conversation_id: str | None) -> None:
        """Mark the open conversation."""
        self._props["current"] = conversation_id
