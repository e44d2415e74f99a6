"""Generation events in the words of the Responses API: one object, and the numbered events of its stream.

The object is true at any time: an event that brings it brings what is known by then. It does not read or write a
connection, nor keep anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from msgspec import structs

from webui.api.errors import status_of
from webui.api.gathered import Gathered
from webui.api.openai.reply import logprobs_object, timings_object
from webui.api.openai.responses.items import new_id
from webui.api.openai.responses.output import (
    CallItem,
    Event,
    ItemStatus,
    Logprobs,
    MessageItem,
    OutputItem,
    ReasoningItem,
)
from webui.errors import GlasshouseError
from webui.store.responses import Item
from webui.types import Finished, GenerationEvent, Queued, ReasoningDelta, TextDelta, ToolCallDelta, Usage

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

_ERROR_CODES = {429: "rate_limit_exceeded"}


class Reply:
    """One response while it is written: `begin`, then `take` for each event, or `fail`."""

    def __init__(self, told: dict[str, Any], model: str, *, is_silent: bool = False) -> None:
        """`told`: what the response repeats of its request. `is_silent`: no words are wanted, only a prompt read."""
        self.id = new_id("resp")
        self.status: Status = "queued"
        self.model = model
        self.created_at = int(time.time())
        self._told = told
        self._is_silent = is_silent
        self._gathered = Gathered()
        self._done: list[Item] = []
        self._open: OutputItem | None = None
        self._num_events = 0
        self._end: dict[str, Any] = {}

    @property
    def has_begun(self) -> bool:
        return self._num_events > 0

    @property
    def has_ended(self) -> bool:
        return self.status not in {"queued", "in_progress"}

    @property
    def output(self) -> list[Item]:
        """The items so far."""
        if self._open is None:
            return list(self._done)
        return [*self._done, self._open.told("incomplete" if self.has_ended else "in_progress")]

    @property
    def body(self) -> dict[str, Any]:
        """The object without its output."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": self.status,
            "model": self.model,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "service_tier": "default",
            "usage": None,
            **self._told,
            **self._end,
        }

    @property
    def object(self) -> dict[str, Any]:
        return self.body | {"output": self.output}

    def note(self, **told: Any) -> None:
        """What turned out about the answer since, such as the sampling of the model that gives it."""
        self._told |= told

    def begin(self, *, is_queued: bool) -> Iterator[Event]:
        """The first events."""
        self.status = "queued" if is_queued else "in_progress"
        yield self._lifecycle("response.created")
        yield self._lifecycle(f"response.{self.status}")

    def take(self, event: GenerationEvent) -> Iterator[Event]:
        """The stream events of one of ours: none for what there is no word for."""
        if self.status == "queued" and not isinstance(event, Queued):
            self.status = "in_progress"
            yield self._lifecycle("response.in_progress")
        match event:
            case TextDelta() | ReasoningDelta() | ToolCallDelta() if self._is_silent:
                pass
            case TextDelta(text=text):
                yield from self._say(MessageItem, "message", text)
            case ReasoningDelta(text=text):
                yield from self._say(ReasoningItem, "reasoning", text)
            case ToolCallDelta(index=index, arguments=arguments):
                yield from self._say(lambda: CallItem(index, event.id, event.name), f"call {index}", arguments)
            case Finished():
                yield from self._finish(event)
            case _:
                self._gathered.take(event)

    def fail(self, error: GlasshouseError) -> Event:
        """The last event, when it went wrong."""
        code = _ERROR_CODES.get(status_of(error), "invalid_prompt" if status_of(error) < 500 else "server_error")
        self._end = {"error": {"code": code, "message": error.message}}
        self.status = "failed"
        return self._lifecycle("response.failed")

    def cancel(self) -> Event:
        """The last event, when its end was asked for. OpenAI has no name of its own for it."""
        self.status = "cancelled"
        return self._lifecycle("response.incomplete")

    def _finish(self, finished: Finished) -> Iterator[Event]:
        if self._is_silent:
            usage = structs.replace(finished.usage, completion_tokens=0, reasoning_tokens=0)
            finished = structs.replace(finished, reason="stop", usage=usage)
        self._gathered.take(finished)
        is_cut = finished.reason in {"length", "cancelled"}
        if self._open is None and not self._done and not is_cut and not self._is_silent:
            yield from self._say(MessageItem, "message", "")  # an answer of no words is still an answer
        yield from self._close("incomplete" if is_cut else "completed")
        self._end = {"usage": usage_object(finished.usage), "timings": timings_object(finished.timings)}
        self._end |= self._gathered.told
        if finished.reason == "cancelled":
            yield self.cancel()
        elif is_cut:
            self.status = "incomplete"
            self._end["incomplete_details"] = {"reason": "max_output_tokens"}
            yield self._lifecycle("response.incomplete")
        else:
            self.status = "completed"
            self._end["completed_at"] = int(time.time())
            yield self._lifecycle("response.completed")

    def _say(self, make: Callable[[], OutputItem], key: str, text: str) -> Iterator[Event]:
        """Add to the open item, or to a new one where this is no part of it."""
        if self._open is None or self._open.key != key:
            yield from self._close("completed")
            self._open = make()
            for event in self._open.open():
                yield self._number(event)
        if text:
            yield self._number(self._open.add(text, _odds(self._gathered)))

    def _close(self, status: ItemStatus) -> Iterator[Event]:
        if self._open is None:
            return
        if isinstance(self._open, MessageItem):
            self._open.add_odds(_odds(self._gathered))
        for event in self._open.close(status):
            yield self._number(event)
        self._done.append(self._open.told(status))
        self._open = None

    def _lifecycle(self, name: str) -> Event:
        return self._sequenced({"type": name, "response": self.object})

    def _number(self, event: Event) -> Event:
        return self._sequenced(event | {"output_index": len(self._done)})

    def _sequenced(self, event: Event) -> Event:
        number, self._num_events = self._num_events, self._num_events + 1
        return event | {"sequence_number": number}


def _odds(gathered: Gathered) -> Logprobs:
    """Those since the last time."""
    told = logprobs_object(gathered.take_logprobs())
    return [] if told is None else list(told["content"])


def usage_object(usage: Usage) -> dict[str, Any]:
    """What was read anew lies in the cache afterwards."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.prompt_tokens - usage.cached_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
