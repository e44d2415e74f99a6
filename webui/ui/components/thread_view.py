"""The conversation on the page: one element for the whole thread, fed with what is new.

Emits `regenerate`, `resync` (a delta did not fit: show the thread again), `start` (load the starter model), `prompt`
(text of a suggestion) and `new`. Rendering, scrolling and putting deltas together happen in the browser.
"""

from __future__ import annotations

from typing import Any

import msgspec
from nicegui.element import Element

from webui.errors import format_bytes
from webui.types import ChatEvent, ChatMessage, MessageAdded, ModelFile, ReplyDelta, ReplyEnded, ReplyWaiting, Thread
from webui.ui.components import COMPONENTS

_SHOWN = ("id", "role", "content", "reasoning", "state", "model_name", "error", "usage", "timings")


class ThreadView(Element, component=COMPONENTS / "thread_view.js"):
    """The first thread travels with the page, the others by `show`."""

    def begin(self, thread: Thread | None, problem: str | None = None) -> None:
        """The thread that the page opens with; only before the page is sent."""
        self._props["initial"] = _thread_to_wire(thread, problem)

    def show(self, thread: Thread | None, problem: str | None = None) -> None:
        """Show a thread from its beginning; None is a new chat, `problem` says why there is nothing."""
        self.run_method("show", _thread_to_wire(thread, problem))

    def take(self, event: ChatEvent) -> None:
        """Show what happened in the thread."""
        match event:
            case ReplyDelta(message_id=message_id, field=field, start=start, text=text):
                self.run_method("append", message_id, field, start, text)
            case ReplyWaiting(message_id=message_id, phase=phase, progress=progress, position=position):
                waiting = {"phase": phase, "progress": round(progress, 3), "position": position}
                self.run_method("wait", message_id, waiting)
            case MessageAdded(message=message) | ReplyEnded(message=message):
                self.run_method("put", _message_to_wire(message))

    def offer(self, starter: ModelFile | None, engine_state: str) -> None:
        """Which model an empty chat offers to start, and whether there is need to."""
        shown = {"name": starter.name, "size": format_bytes(starter.size_bytes)} if starter else None
        if self._props.get("starter") != shown or self._props.get("engine-state") != engine_state:
            self._props["starter"] = shown
            self._props["engine-state"] = engine_state
            self.update()


def _thread_to_wire(thread: Thread | None, problem: str | None) -> dict[str, Any]:
    if thread is None:
        return {"id": None, "title": "", "messages": [], "problem": problem}
    conversation = thread.conversation
    messages = [_message_to_wire(message) for message in thread.messages if message.role != "system"]
    return {"id": conversation.id, "title": conversation.title, "messages": messages, "problem": problem}


def _message_to_wire(message: ChatMessage) -> dict[str, Any]:
    return {name: msgspec.to_builtins(getattr(message, name)) for name in _SHOWN}
