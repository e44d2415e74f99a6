"""The message box. It keeps a text until `sent` says that the server has it.

Emits `send` ({attempt, text}), `prepare` ({attempt, bytes}: a long text, or pictures, need a conversation to be posted
to), `stop`, and, where drafts are read ahead, `draft` ({conversation, text}: what is typed so far).
"""

from __future__ import annotations

from nicegui.element import Element

from webui.ui.components import COMPONENTS


class Composer(Element, component=COMPONENTS / "composer.js"):
    """Drafts live in the browser, one for each conversation."""

    def __init__(self, *, reads_ahead: bool) -> None:
        super().__init__()
        self._props["reads-ahead"] = reads_ahead

    def show(self, conversation_id: str | None, *, is_answering: bool) -> None:
        """Belong to this conversation; while it is answering, Send is Stop."""
        shown = {"conversation-id": conversation_id, "is-answering": is_answering}
        if any(self._props.get(key) != value for key, value in shown.items()):
            self._props.update(shown)

    def show_model(self, name: str, *, sees: bool | None) -> None:
        """`sees`: whether it takes pictures; None while that is not known."""
        shown = {"model-name": name, "sees": sees}
        if any(self._props.get(key) != value for key, value in shown.items()):
            self._props.update(shown)

    def sent(self, attempt: int) -> None:
        self.run_method("sent", attempt)

    def refused(self, attempt: int, reason: str) -> None:
        """The text stays in the box, with the reason above it."""
        self.run_method("refused", attempt, reason)

    def prepared(self, attempt: int, conversation_id: str) -> None:
        self.run_method("prepared", attempt, conversation_id)
