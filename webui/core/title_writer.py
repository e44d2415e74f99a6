"""Gives a conversation a title of the model's own after its first answer, while nobody has given it another one.

Titles are a courtesy: they never load a model, wait behind everybody's answers, give way to whatever the person does
next, and fail in silence. What makes a good title is `titles`'.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from webui.core.model_manager import ModelManager
from webui.core.prompt import make_title
from webui.core.tasks import OwnedTasks
from webui.core.titles import build_title_request, clean_title
from webui.errors import GlasshouseError
from webui.store.conversations import ConversationStore
from webui.types import ChatMessage, GenerationRequest, TextDelta

_log = logging.getLogger(__name__)


class TitleWriter:
    """`answered` after each answer, `cancel` when the person does something in the conversation."""

    def __init__(
        self, models: ModelManager, store: ConversationStore, tasks: OwnedTasks, *, on_title: Callable[[str], None]
    ) -> None:
        self._models = models
        self._store = store
        self._tasks = tasks
        self._on_title = on_title
        self._writing: dict[str, asyncio.Task[None]] = {}  # by conversation

    def answered(self, message: ChatMessage, request: GenerationRequest) -> None:
        """An answer to `request` has ended; if it is the first one and ended in order, a title is written."""
        questions = [asked.content for asked in request.messages if asked.role == "user"]
        if message.state != "complete" or not message.content or len(questions) != 1:
            return
        conversation_id = message.conversation_id
        self.cancel(conversation_id)
        task = self._tasks.start(self._write(conversation_id, make_title(questions[0]), message, request))
        self._writing[conversation_id] = task
        task.add_done_callback(lambda done: self._forget(conversation_id, done))

    def cancel(self, conversation_id: str) -> None:
        if (task := self._writing.pop(conversation_id, None)) is not None:
            task.cancel()

    def close(self) -> None:
        for conversation_id in list(self._writing):
            self.cancel(conversation_id)

    def _forget(self, conversation_id: str, task: asyncio.Task[None]) -> None:
        if self._writing.get(conversation_id) is task:
            del self._writing[conversation_id]

    async def _write(
        self, conversation_id: str, first_line: str, message: ChatMessage, request: GenerationRequest
    ) -> None:
        try:
            if (await self._store.get(conversation_id)).title != first_line:
                return
            title = clean_title(await self._ask(request), request.messages, message.content)
            if title is None or (await self._store.get(conversation_id)).title != first_line:
                return
            await self._store.rename(conversation_id, title)
        except GlasshouseError as error:  # unloaded, deleted, too long: the first line stays
            _log.debug("No title was written: %s", error.code)
        else:
            self._on_title(conversation_id)

    async def _ask(self, request: GenerationRequest) -> str:
        async with aclosing(self._models.generate_aside(build_title_request(request))) as events:
            return "".join([event.text async for event in events if isinstance(event, TextDelta)])
