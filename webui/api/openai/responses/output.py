"""Items of an answer while they are written: each with its stream events, from `added` to `done`.

An event lacks its numbers (`output_index`, `sequence_number`) here: these are for whoever puts the items in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol

from webui.api.openai.responses.items import new_id, text_part
from webui.store.responses import Item

Event = dict[str, Any]
Logprobs = list[dict[str, Any]]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputItem(Protocol):
    """One item. `key` says what belongs to it: words of another key begin another item."""

    key: str

    def open(self) -> Iterator[Event]: ...

    def add(self, text: str, logprobs: Logprobs) -> Event: ...

    def close(self, status: ItemStatus) -> Iterator[Event]: ...

    def told(self, status: ItemStatus) -> Item:
        """As it is by now."""


class _Content:
    """Text of a message or of thoughts: an item with one part, which holds all of it."""

    key: str
    event: str  #: what its deltas are called

    def __init__(self, prefix: str) -> None:
        self._id = new_id(prefix)
        self._text = ""
        self._logprobs: Logprobs = []

    def open(self) -> Iterator[Event]:
        yield {"type": "response.output_item.added", "item": self._item("in_progress", [])}
        yield self._part_event("response.content_part.added", self._part(""))

    def add(self, text: str, logprobs: Logprobs) -> Event:
        self._text += text
        self._logprobs += logprobs
        return self._text_event("delta", "delta", text, logprobs)

    def close(self, status: ItemStatus) -> Iterator[Event]:
        yield self._text_event("done", "text", self._text, self._logprobs)
        yield self._part_event("response.content_part.done", self._part(self._text))
        yield {"type": "response.output_item.done", "item": self.told(status)}

    def told(self, status: ItemStatus) -> Item:
        return self._item(status, [self._part(self._text)])

    def _item(self, status: ItemStatus, content: list[dict[str, Any]]) -> Item:
        raise NotImplementedError

    def _part(self, text: str) -> dict[str, Any]:
        raise NotImplementedError

    def _part_event(self, name: str, part: dict[str, Any]) -> Event:
        return {"type": name, "item_id": self._id, "content_index": 0, "part": part}

    def _text_event(self, step: str, field: str, text: str, logprobs: Logprobs) -> Event:
        del logprobs  # only words have them
        return {"type": f"{self.event}.{step}", "item_id": self._id, "content_index": 0, field: text}


class MessageItem(_Content):
    """What the model says."""

    key = "message"
    event = "response.output_text"

    def __init__(self) -> None:
        super().__init__("msg")

    def add_odds(self, logprobs: Logprobs) -> None:
        """Of tokens that brought no further text."""
        self._logprobs += logprobs

    def _item(self, status: ItemStatus, content: list[dict[str, Any]]) -> Item:
        return {"id": self._id, "type": "message", "status": status, "role": "assistant", "content": content}

    def _part(self, text: str) -> dict[str, Any]:
        return text_part(text, self._logprobs if text else ())

    def _text_event(self, step: str, field: str, text: str, logprobs: Logprobs) -> Event:
        return super()._text_event(step, field, text, logprobs) | {"logprobs": list(logprobs)}


class ReasoningItem(_Content):
    """What it thinks, as it thinks it: no summary is made."""

    key = "reasoning"
    event = "response.reasoning_text"

    def __init__(self) -> None:
        super().__init__("rs")

    def _item(self, status: ItemStatus, content: list[dict[str, Any]]) -> Item:
        return {"id": self._id, "type": "reasoning", "status": status, "summary": [], "content": content}

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "reasoning_text", "text": text}


class CallItem:
    """A function that it wants called; `add` brings pieces of the arguments."""

    def __init__(self, index: int, call_id: str, name: str) -> None:
        self.key = f"call {index}"
        self._id = new_id("fc")
        self._call_id = call_id
        self._name = name
        self._arguments = ""

    def open(self) -> Iterator[Event]:
        yield {"type": "response.output_item.added", "item": self.told("in_progress")}

    def add(self, text: str, logprobs: Logprobs) -> Event:
        del logprobs  # only words have them
        self._arguments += text
        return {"type": "response.function_call_arguments.delta", "item_id": self._id, "delta": text}

    def close(self, status: ItemStatus) -> Iterator[Event]:
        done = {"type": "response.function_call_arguments.done", "item_id": self._id}
        yield done | {"name": self._name, "arguments": self._arguments}
        yield {"type": "response.output_item.done", "item": self.told(status)}

    def told(self, status: ItemStatus) -> Item:
        return {
            "id": self._id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": self._arguments,
        }
