"""The conversations of this server: what people do with them, and the replies that are being written.

It knows stores, the model manager and running replies; it does not know pages or requests. One reply at a time in a
conversation, any number of conversations at once. Whoever shows a conversation watches it and reads its thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import msgspec
from msgspec import UNSET, UnsetType

from webui.core.alive import Answering, Ask
from webui.core.model_manager import ModelManager
from webui.core.prompt import build_prompt, make_title
from webui.core.read_ahead import DraftReader, ReadAhead
from webui.core.reply import Reply
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.core.title_writer import TitleWriter
from webui.errors import (
    AlreadyAnswering,
    EmptyMessage,
    MessageTooLarge,
    NothingToContinue,
    StoreError,
    UnknownMessage,
)
from webui.store.conversations import INTERRUPTED, ConversationStore
from webui.store.preferences import Preferences
from webui.types import (
    ChatEvent,
    ChatMessage,
    Conversation,
    GenerationRequest,
    MessageAdded,
    ReplyEnded,
    ReplyWaiting,
    Role,
    SamplingParams,
    Thread,
    ThreadReplaced,
)

MAX_MESSAGE_BYTES = 2_000_000
MAX_IMAGE_BYTES = 12_000_000  #: of one message's pictures together
NEW_CHAT = "New chat"
CLOSE_SECONDS = 10.0


class Chats:
    """`changed` tells that the list of conversations is another one (a title, the order, who is answering)."""

    def __init__(self, store: ConversationStore, models: ModelManager, preferences: Preferences) -> None:
        self.changed: Signal[None] = Signal()
        self._store = store
        self._models = models
        self._preferences = preferences
        self._tasks = OwnedTasks()
        self._drafts = OwnedTasks()
        self._replies: dict[str, Reply] = {}  # by conversation
        self._reply_tasks: dict[str, asyncio.Task[None]] = {}
        self._unsaved: dict[str, Reply] = {}  # by conversation: ended, but the disk did not take it
        self._reserved: set[str] = set()  # conversations in which a reply is just being set up
        self._watchers: dict[str, Signal[ChatEvent]] = {}
        self._is_closing = False
        self._titles = TitleWriter(models, store, self._tasks, on_title=self._announce)

    # --- conversations ---------------------------------------------------------------------------------------------

    async def list(self) -> list[Conversation]:
        """Newest first."""
        return [self._with_activity(conversation) for conversation in await self._store.list()]

    async def create(self, *, title: str = NEW_CHAT) -> Conversation:
        conversation = await self._store.create(title=title)
        self.changed.emit(None)
        return conversation

    async def rename(self, conversation_id: str, title: str) -> None:
        """An empty title raises EmptyMessage; a long one is cut."""
        if not title.strip():
            raise EmptyMessage
        self._titles.cancel(conversation_id)
        await self._store.rename(conversation_id, make_title(_as_text(title)))
        self._announce(conversation_id)

    async def update(
        self,
        conversation_id: str,
        *,
        system_prompt: str | UnsetType | None = UNSET,
        sampling: SamplingParams | UnsetType | None = UNSET,
    ) -> None:
        """Change the conversation's own settings; None goes back to the defaults. They count from the next answer."""
        if isinstance(system_prompt, str):
            system_prompt = _as_text(system_prompt)
        await self._store.update(conversation_id, system_prompt=system_prompt, sampling=sampling)
        self._announce(conversation_id)

    async def delete(self, conversation_id: str) -> None:
        """Delete the conversation with all its messages and what engines keep of it; a running answer is stopped
        first."""
        await self.stop(conversation_id)
        await self._store.delete(conversation_id)
        await self.stop(conversation_id)  # somebody may have asked again in between
        self._unsaved.pop(conversation_id, None)
        self._announce(conversation_id)
        await self._models.forget(conversation_id)

    async def thread(self, conversation_id: str) -> Thread:
        """The visible messages. A running reply has the text that was told to watchers so far, so that the next
        ReplyDelta continues exactly there."""
        conversation = await self._store.get(conversation_id)
        messages = await self._path(conversation_id)
        reply = self._replies.get(conversation_id)
        if reply is not None:
            messages = tuple(reply.message if message.id == reply.message.id else message for message in messages)
        return Thread(conversation=self._with_activity(conversation), messages=messages)

    def watch(self, conversation_id: str, listener: Callable[[ChatEvent], None]) -> Callable[[], None]:
        """Hear what happens in a conversation; the returned function ends that."""
        signal = self._watchers.setdefault(conversation_id, Signal())
        unsubscribe = signal.subscribe(listener)

        def unwatch() -> None:
            unsubscribe()
            if not signal.has_listeners and self._watchers.get(conversation_id) is signal:
                del self._watchers[conversation_id]

        return unwatch

    def waiting(self, conversation_id: str) -> ReplyWaiting | None:
        """Why the running reply has no text yet, for those who come late; None when it has or none runs."""
        reply = self._replies.get(conversation_id)
        return reply.waiting if reply is not None else None

    # --- replies ---------------------------------------------------------------------------------------------------

    async def send(
        self,
        conversation_id: str,
        text: str,
        *,
        images: Sequence[bytes] = (),
        owner: str = "",
        read_ahead: ReadAhead | None = None,
    ) -> ChatMessage:
        """Store a message and start the reply to it; returns the stored message without waiting for the reply.

        `images` are whole pictures (PNG, JPEG, WebP or GIF), `read_ahead` is what a `reader` has read of the text
        while it was typed.
        """
        text = _as_text(text)
        if not text.strip() and not images:
            raise EmptyMessage
        size, most = len(text.encode()), MAX_MESSAGE_BYTES
        if size <= most and images:
            size, most = sum(map(len, images)), MAX_IMAGE_BYTES
        if size > most:
            raise MessageTooLarge(size, most)
        return await self._tasks.run(self._send(conversation_id, text, tuple(images), owner, read_ahead))

    async def image(self, conversation_id: str, image_id: str) -> bytes:
        """A picture of one of the conversation's messages. Raises UnknownImage."""
        return await self._store.image(conversation_id, image_id)

    async def regenerate(self, conversation_id: str, *, owner: str = "") -> None:
        """Answer the last question anew; the former answer stays in the tree beside the new one."""
        await self._tasks.run(self._regenerate(conversation_id, owner))

    async def continue_reply(self, conversation_id: str, *, owner: str = "") -> None:
        """Go on with the last answer where it ended too early, in the same message."""
        await self._tasks.run(self._continue(conversation_id, owner))

    def reader(self, owner: str) -> DraftReader:
        """Reads what somebody types on one open page."""

        async def build(conversation_id: str | None, text: str) -> Ask:
            conversation, path = None, tuple[ChatMessage, ...]()
            if conversation_id is not None:
                conversation = await self._store.get(conversation_id)
                path = await self._path(conversation_id)
            draft = _new_message(conversation_id or "", "user", _as_text(text), parent=None)
            return await self._request(conversation, (*path, draft), owner)

        return DraftReader(build, self._models.prefill, self._drafts)

    async def stop(self, conversation_id: str) -> None:
        """Stop the running reply, if there is one, and return when it is saved."""
        self._titles.cancel(conversation_id)
        reply = self._replies.get(conversation_id)
        if reply is not None:
            reply.stop()
            await asyncio.wait({self._reply_tasks[conversation_id]})

    async def close(self) -> None:
        """End every running reply as interrupted, its text saved."""
        self._is_closing = True
        self._titles.close()
        await self._drafts.close()
        for reply in self._replies.values():
            reply.interrupt(INTERRUPTED)
        await self._tasks.drain(CLOSE_SECONDS)
        for conversation_id in list(self._unsaved):
            await self._save_again(conversation_id)
        await self._tasks.close()

    async def _send(
        self, conversation_id: str, text: str, images: tuple[bytes, ...], owner: str, read_ahead: ReadAhead | None
    ) -> ChatMessage:
        with self._reserve(conversation_id):
            conversation = await self._store.get(conversation_id)
            path = await self._path(conversation_id)
            if not path and conversation.title == NEW_CHAT:
                await self._store.rename(conversation_id, make_title(text))
            question = _new_message(conversation_id, "user", text, parent=path[-1] if path else None)
            question = msgspec.structs.replace(question, images=tuple(uuid4().hex for _ in images))
            await self._store.add_message(question, images)
            self._publish(conversation_id, MessageAdded(message=question))
            reply = await self._start_reply(conversation, (*path, question), owner, read_ahead)
            self._publish(conversation_id, MessageAdded(message=reply))
        self.changed.emit(None)
        return question

    async def _regenerate(self, conversation_id: str, owner: str) -> None:
        with self._reserve(conversation_id):
            conversation = await self._store.get(conversation_id)
            path = await self._path(conversation_id)
            while path and path[-1].role != "user":
                path = path[:-1]
            if not path:
                raise UnknownMessage(conversation_id)
            await self._start_reply(conversation, path, owner)
            self._publish(conversation_id, ThreadReplaced())
        self.changed.emit(None)

    async def _continue(self, conversation_id: str, owner: str) -> None:
        with self._reserve(conversation_id):
            conversation = await self._store.get(conversation_id)
            path = await self._path(conversation_id)
            if not path or path[-1].role != "assistant" or not path[-1].content:
                raise NothingToContinue
            message = msgspec.structs.replace(
                path[-1], state="streaming", error=None, error_code=None, finish_reason=None, usage=None, timings=None
            )
            await self._store.save_message(message)
            ask = await self._request(conversation, path[:-1], owner)
            self._run_reply(message, lambda who: msgspec.structs.replace(ask(who), continuation=message.content))
            self._publish(conversation_id, ThreadReplaced())
        self.changed.emit(None)

    async def _start_reply(
        self,
        conversation: Conversation,
        path: tuple[ChatMessage, ...],
        owner: str,
        read_ahead: ReadAhead | None = None,
    ) -> ChatMessage:
        """Store an empty reply under the path's last message and let it be written."""
        message = _new_message(conversation.id, "assistant", "", parent=path[-1])
        message = msgspec.structs.replace(message, state="streaming")
        ask = await self._request(conversation, path, owner)
        await self._store.add_message(message)
        self._run_reply(message, ask, read_ahead)
        return message

    async def _request(self, conversation: Conversation | None, path: Sequence[ChatMessage], owner: str) -> Ask:
        """What is asked to answer the path's last message. A chat goes on when it outgrows the context, and tells.

        What the conversation does not say, the model's own defaults do, and then the settings.
        """
        settings = self._preferences.get()
        own_prompt = conversation.system_prompt if conversation is not None else None
        own_sampling = conversation.sampling if conversation is not None else None
        images = {
            each: await self._store.image(message.conversation_id, each) for message in path for each in message.images
        }

        def ask(answering: Answering) -> GenerationRequest:
            of_model = answering.defaults
            prompts = (own_prompt, of_model.system_prompt, settings.system_prompt)
            return GenerationRequest(
                messages=build_prompt(path, next(prompt for prompt in prompts if prompt is not None), images),
                sampling=own_sampling or of_model.sampling or settings.sampling,
                owner=owner,
                conversation=conversation.id if conversation is not None else "",
                overflow="drop_oldest",
                adapters=answering.adapters,
            )

        return ask

    def _run_reply(self, message: ChatMessage, ask: Ask, read_ahead: ReadAhead | None = None) -> None:
        conversation_id = message.conversation_id
        reply = Reply(
            message,
            models=self._models,
            store=self._store,
            publish=lambda event: self._publish(conversation_id, event),
            read_ahead=read_ahead,
        )
        self._replies[conversation_id] = reply
        if self._is_closing:
            reply.interrupt(INTERRUPTED)
        self._reply_tasks[conversation_id] = self._tasks.start(self._write(reply, ask))

    async def _write(self, reply: Reply, ask: Ask) -> None:
        conversation_id = reply.message.conversation_id
        message = await reply.run(ask)
        del self._replies[conversation_id], self._reply_tasks[conversation_id]
        if reply.unsaved is not None:
            self._unsaved[conversation_id] = reply
        self._publish(conversation_id, ReplyEnded(message=message))
        self.changed.emit(None)
        if not self._is_closing and reply.request is not None:
            self._titles.answered(message, reply.request)

    async def _path(self, conversation_id: str) -> tuple[ChatMessage, ...]:
        """The visible messages. An answer that the disk did not take is saved now, or else shown from memory."""
        unsaved = await self._save_again(conversation_id)
        messages = await self._store.path(conversation_id)
        if unsaved is None:
            return messages
        return tuple(unsaved.message if message.id == unsaved.message.id else message for message in messages)

    async def _save_again(self, conversation_id: str) -> Reply | None:
        """Returns the ended reply that still cannot be saved, or None."""
        reply = self._unsaved.get(conversation_id)
        if reply is None or reply.unsaved is None:
            return None
        try:
            await self._store.save_message(reply.unsaved)
        except UnknownMessage:
            pass  # deleted meanwhile
        except StoreError:
            return reply
        if self._unsaved.get(conversation_id) is reply:
            del self._unsaved[conversation_id]
        return None

    @contextmanager
    def _reserve(self, conversation_id: str) -> Iterator[None]:
        if conversation_id in self._replies or conversation_id in self._reserved:
            raise AlreadyAnswering
        self._titles.cancel(conversation_id)
        self._reserved.add(conversation_id)
        try:
            yield
        finally:
            self._reserved.discard(conversation_id)

    # --- who hears what --------------------------------------------------------------------------------------------

    def _publish(self, conversation_id: str, event: ChatEvent) -> None:
        if (signal := self._watchers.get(conversation_id)) is not None:
            signal.emit(event)

    def _announce(self, conversation_id: str) -> None:
        """The conversation itself is another one, or gone."""
        self._publish(conversation_id, ThreadReplaced())
        self.changed.emit(None)

    def _with_activity(self, conversation: Conversation) -> Conversation:
        if conversation.id not in self._replies:
            return conversation
        return msgspec.structs.replace(conversation, is_answering=True)


def _as_text(text: str) -> str:
    """Half of a surrogate pair, which JSON can carry, is no text: neither SQLite nor the pipe could take it."""
    return text.encode(errors="replace").decode()


def _new_message(conversation_id: str, role: Role, content: str, *, parent: ChatMessage | None) -> ChatMessage:
    return ChatMessage(
        id=uuid4().hex,
        conversation_id=conversation_id,
        parent_id=parent.id if parent is not None else None,
        role=role,
        content=content,
        created_at=time.time(),
    )
