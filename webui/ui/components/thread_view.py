"""The conversation on the page: one element for the whole thread, fed with what is new.

Emits `regenerate`, `continue` (go on with a cut answer), `resync` (a delta did not fit: show the thread again), `start`
(load the starter model), `prompt` (text of a suggestion) and `new`. Rendering, scrolling and putting deltas together
happen in the browser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from nicegui.element import Element

from webui.errors import format_bytes
from webui.types import (
    ChatEvent,
    ChatMessage,
    MessageAdded,
    MessageChanged,
    ModelFile,
    ModelStatus,
    ReplyDelta,
    ReplyEnded,
    ReplyWaiting,
    Thread,
)
from webui.ui.components import COMPONENTS

_SHOWN = (
    "id", "role", "content", "reasoning", "state", "model_name", "error", "finish_reason", "usage", "timings",
    "trimmed", "read_ahead",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ThreadSnapshot:
    """What a thread view shows; without a thread it is a new chat, or `problem` says why there is nothing."""

    thread: Thread | None = None
    waiting: ReplyWaiting | None = None  #: why the running reply has no text yet
    problem: str | None = None


class ThreadView(Element, component=COMPONENTS / "thread_view.js"):
    """The first thread travels with the page, the others by `show`. Properties never change afterwards: each change
    would send the first thread again."""

    def __init__(self) -> None:
        super().__init__()
        self._model: dict[str, Any] = {}

    def begin(self, view: ThreadSnapshot) -> None:
        """What the page opens with; only before the page is sent."""
        self._props["initial"] = {"thread": _thread_to_wire(view), "model": self._model}

    def show(self, view: ThreadSnapshot) -> None:
        """Show a thread from its beginning."""
        self.run_method("show", _thread_to_wire(view))

    def take(self, event: ChatEvent) -> None:
        """Show what happened in the thread."""
        match event:
            case ReplyDelta(message_id=message_id, field=field, start=start, text=text):
                self.run_method("append", message_id, field, start, text)
            case ReplyWaiting(message_id=message_id):
                self.run_method("wait", message_id, _waiting_to_wire(event))
            case MessageAdded(message=message) | MessageChanged(message=message) | ReplyEnded(message=message):
                self.run_method("put", _message_to_wire(message))

    def show_model(self, status: ModelStatus, default: ModelFile | None) -> None:
        """Which model answers, and which one an empty chat offers to start."""
        model = status.model or default
        shown: dict[str, Any] = {
            "starter": {"name": default.name, "size": format_bytes(default.size_bytes)} if default else None,
            "state": status.state,
            "name": model.name if model else "",
        }
        if shown != self._model:
            self._model = shown
            self.run_method("describe", shown)


def _thread_to_wire(view: ThreadSnapshot) -> dict[str, Any]:
    if view.thread is None:
        return {"id": None, "title": "", "messages": [], "problem": view.problem}
    conversation = view.thread.conversation
    messages = [_message_to_wire(message) for message in view.thread.messages if message.role != "system"]
    if view.waiting and messages and messages[-1]["id"] == view.waiting.message_id:
        messages[-1]["waiting"] = _waiting_to_wire(view.waiting)
    return {"id": conversation.id, "title": conversation.title, "messages": messages}


def _waiting_to_wire(waiting: ReplyWaiting) -> dict[str, Any]:
    return {
        "phase": waiting.phase,
        "progress": round(waiting.progress, 3),
        "position": waiting.position,
        "seconds": waiting.seconds,
    }


def _message_to_wire(message: ChatMessage) -> dict[str, Any]:
    wire = {name: msgspec.to_builtins(getattr(message, name)) for name in _SHOWN}
    if message.images:
        wire["images"] = [f"/api/conversations/{message.conversation_id}/images/{each}" for each in message.images]
    return wire
