"""One reply while it is being written: from engine events to stored text and to whoever watches.

A reply belongs to its conversation, not to a page: it runs until it is finished, stopped or failed, and whatever
happens its text is saved. It does not know conversations beyond its own message, nor who watches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Literal, assert_never

import msgspec

from webui.core.alive import Answering, Ask
from webui.core.model_manager import ModelManager
from webui.core.read_ahead import ReadAhead
from webui.errors import GlasshouseError, StoreError, UnknownMessage
from webui.store.conversations import ConversationStore
from webui.types import (
    ChatEvent,
    ChatMessage,
    ContextTrimmed,
    Finished,
    GenerationEvent,
    GenerationRequest,
    MessageChanged,
    ModelStatus,
    PromptProgress,
    Queued,
    ReasoningDelta,
    ReplyDelta,
    ReplyWaiting,
    TextDelta,
    TokenLogprobs,
    ToolCallDelta,
)

_log = logging.getLogger(__name__)

TextField = Literal["content", "reasoning"]

FLUSH_SECONDS = 0.05
SAVE_SECONDS = 1.0
STOP_SECONDS = 2.0  #: what an engine gets to end an answer in order, with its usage and timings

_STOPPED = {"state": "stopped", "finish_reason": "cancelled"}
UNFORESEEN = "Something went wrong inside Glasshouse; its log says what. What was written is kept."


class Reply:
    """Writes one stored message, empty or to be continued. `message` is what everybody has been told of it so far."""

    def __init__(
        self,
        message: ChatMessage,
        *,
        models: ModelManager,
        store: ConversationStore,
        publish: Callable[[ChatEvent], None],
        read_ahead: ReadAhead | None = None,
    ) -> None:
        self.message = message
        self.waiting: ReplyWaiting | None = None
        self.request: GenerationRequest | None = None  #: what was asked, once it is known who answers
        self.unsaved: ChatMessage | None = None  #: what the disk did not take at the end
        self._models = models
        self._store = store
        self._publish = publish
        self._read_ahead = read_ahead
        self._pending: dict[TextField, list[str]] = {"reasoning": [], "content": []}
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._saved = message
        self._generation: asyncio.Task[Finished] | None = None
        self._stop = asyncio.Event()
        self._model_name: str | None = None
        self._has_begun = False  # the engine has said something
        self._ending: dict[str, Any] | None = None  # how the message ends when it is cut short

    async def run(self, ask: Ask) -> ChatMessage:
        """Write to the end and return the message in its final form, saved; never raises.

        The generation is a task of its own, so that cutting it short never touches the saving.
        """
        loop = asyncio.get_running_loop()
        self._generation = loop.create_task(self._generate(ask))
        if self._ending is not None:
            self._generation.cancel()
        saver = loop.create_task(self._save_regularly())
        await asyncio.wait({self._generation})
        saver.cancel()
        await asyncio.wait({saver})
        self._flush()
        self.waiting = None
        self.message = msgspec.structs.replace(self.message, **self._outcome(self._generation))
        await self._save_finally()
        return self.message

    def stop(self) -> None:
        """End it with the text that it has."""
        if self._has_begun and not self._stop.is_set():
            self._stop.set()
            asyncio.get_running_loop().call_later(STOP_SECONDS, self._cut_short, _STOPPED)
        elif not self._has_begun:
            self._cut_short(_STOPPED)

    def interrupt(self, error: str) -> None:
        """End it as failed, with the text that it has and this sentence."""
        self._cut_short({"state": "failed", "error": error, "error_code": "interrupted"})

    def _cut_short(self, ending: dict[str, Any]) -> None:
        if self._ending is None:
            self._ending = ending
            if self._generation is not None:
                self._generation.cancel()

    def _outcome(self, generation: asyncio.Task[Finished]) -> dict[str, Any]:
        if generation.cancelled():
            return self._ending or {"state": "failed", "error": UNFORESEEN}
        error = generation.exception()
        if isinstance(error, GlasshouseError):
            return {"state": "failed", "error": str(error), "error_code": error.code}
        if error is not None:
            _log.error("A reply failed in an unforeseen way", exc_info=error)
            return {"state": "failed", "error": UNFORESEEN, "error_code": GlasshouseError.code}
        finished = generation.result()
        return {
            "state": "stopped" if finished.reason == "cancelled" else "complete",
            "finish_reason": finished.reason,
            "usage": finished.usage,
            "timings": finished.timings,
            "read_ahead": self._read_ahead.num_used(finished.usage) if self._read_ahead is not None else 0,
        }

    # --- events in -------------------------------------------------------------------------------------------------

    async def _generate(self, ask: Ask) -> Finished:
        unsubscribe = self._models.changed.subscribe(self._show_loading)
        self._show_loading(self._models.status)
        try:
            events = self._models.generate(lambda answering: self._build(ask, answering), stop=self._stop)
            async with aclosing(events):
                async for event in events:
                    unsubscribe()
                    self._has_begun = True
                    if isinstance(event, Finished):
                        return event
                    self._take(event)
        finally:
            unsubscribe()
        raise RuntimeError("the generation ended without a last event")

    def _build(self, ask: Ask, answering: Answering) -> GenerationRequest:
        self.request = ask(answering)
        if self.message.model_name is None:
            self._model_name = answering.model.name
        return self.request

    def _take(self, event: GenerationEvent) -> None:
        if self.message.model_name is None:
            self.message = msgspec.structs.replace(self.message, model_name=self._model_name)
        match event:
            case TextDelta(text=text):
                self._append("content", text)
            case ReasoningDelta(text=text):
                self._append("reasoning", text)
            case Queued(position=position, seconds=seconds):
                self._wait("queued", position=position, seconds=seconds)
            case PromptProgress(done=done, total=total):
                self._wait("reading", progress=done / total if total else 1.0)
            case ContextTrimmed():
                self._note_trimmed(event)
            case TokenLogprobs() | ToolCallDelta() | Finished():  # a chat of the page offers no tools
                pass
            case _:
                assert_never(event)

    def _note_trimmed(self, event: ContextTrimmed) -> None:
        """Messages are counted once, before the answer begins; tokens may go several times while it is written."""
        before = self.message.trimmed or ContextTrimmed()
        trimmed = ContextTrimmed(
            num_messages=max(before.num_messages, event.num_messages), num_tokens=before.num_tokens + event.num_tokens
        )
        self._flush()
        self.message = msgspec.structs.replace(self.message, trimmed=trimmed)
        self._publish(MessageChanged(message=self.message))

    def _show_loading(self, status: ModelStatus) -> None:
        if status.state != "ready":
            self._wait("loading", progress=status.progress)

    # --- events out ------------------------------------------------------------------------------------------------

    def _wait(
        self,
        phase: Literal["loading", "queued", "reading"],
        *,
        progress: float = 0.0,
        position: int = 0,
        seconds: float | None = None,
    ) -> None:
        waiting = ReplyWaiting(
            message_id=self.message.id, phase=phase, progress=progress, position=position, seconds=seconds
        )
        if waiting != self.waiting:
            self.waiting = waiting
            self._publish(waiting)

    def _append(self, field: TextField, text: str) -> None:
        self.waiting = None
        self._pending[field].append(text)
        if self._flush_timer is not None:
            return
        loop = asyncio.get_running_loop()
        due = self._flushed_at + FLUSH_SECONDS
        if loop.time() >= due:  # the first words, or words after a pause, go out at once
            self._flush()
        else:
            self._flush_timer = loop.call_at(due, self._flush)

    def _flush(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        self._flushed_at = asyncio.get_running_loop().time()
        for field, parts in self._pending.items():
            if not parts:
                continue
            text = "".join(parts)
            parts.clear()
            before: str = getattr(self.message, field)
            self.message = msgspec.structs.replace(self.message, **{field: before + text})
            self._publish(ReplyDelta(message_id=self.message.id, field=field, start=len(before), text=text))

    # --- to disk ---------------------------------------------------------------------------------------------------

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            if self.message is self._saved:
                continue
            message = self.message
            try:
                await self._store.save_message(message)
            except StoreError as error:
                _log.warning("The text so far could not be saved; trying again. %s", error)
            else:
                self._saved = message

    async def _save_finally(self) -> None:
        final = self.message
        try:
            await self._store.save_message(final)
        except UnknownMessage:
            _log.info("The chat was deleted while its answer was being written")
        except StoreError as error:
            _log.exception("An answer could not be saved")
            self.unsaved = final
            self.message = msgspec.structs.replace(final, state="failed", error=str(error), error_code=error.code)
