"""The chat page: connects one browser tab with the application's conversations and model.

Thin on purpose. Conversations and running replies are the application's; a page watches one conversation at a time and
passes on what happens. Every handler turns an error of the application into one quiet sentence. Addresses are `/` (a
new chat) and `/c/{id}`; going from one to the other loads nothing.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable

from nicegui import background_tasks
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.chat import MAX_MESSAGE_BYTES
from webui.errors import GlasshouseError, MessageTooLarge, UnknownConversation
from webui.types import ChatEvent, ChatMessage, MessageAdded, ModelFile, ModelStatus, ReplyEnded, ThreadReplaced
from webui.ui.components.composer import Composer
from webui.ui.components.shell import Shell
from webui.ui.components.side_list import SideList
from webui.ui.components.thread_view import ThreadSnapshot, ThreadView
from webui.ui.components.top_bar import TopBar

APP_TITLE = "Glasshouse"
LOOK_SECONDS = 0.5  # a page does not wait longer for the folders of models

_Handler = Callable[["ChatPage", GenericEventArguments], Awaitable[None]]


def _guarded(handler: _Handler) -> _Handler:
    """A handler whose Glasshouse errors become a notice on the page."""

    @functools.wraps(handler)
    async def guarded(self: ChatPage, event: GenericEventArguments) -> None:
        try:
            await handler(self, event)
        except GlasshouseError as error:
            self.shell.notify(error.message, "bad")

    return guarded


class ChatPage:
    """One tab. `begin` before the page is sent, `close` when its client is gone."""

    def __init__(self, application: Application, shell: Shell, *, owner: str) -> None:
        self.shell = shell
        self._app = application
        self._owner = owner
        self._conversation_id: str | None = None
        self._default: ModelFile | None = None
        self._visits = 0
        self._early: list[ChatEvent] | None = None  # what happened while the thread was being read
        self._unwatch: Callable[[], None] = _nothing
        self._stops: list[Callable[[], None]] = []
        self._reader = application.chats.reader(owner) if application.settings.read_ahead else None

    def add_side(self) -> None:
        self.side = SideList()
        self.side.on("open", self._on_open)
        self.side.on("new", self._on_new)
        self.side.on("rename", self._on_rename)
        self.side.on("remove", self._on_remove)
        self.shell.on("navigate", self._on_navigate)

    def add_main(self) -> None:
        self.top_bar = TopBar()
        self.thread = ThreadView()
        self.composer = Composer(reads_ahead=self._reader is not None)
        self.thread.on("regenerate", self._on_regenerate)
        self.thread.on("continue", self._on_continue)
        self.thread.on("resync", self._on_resync)
        self.thread.on("start", self._on_start)
        self.thread.on("prompt", self._on_prompt)
        self.thread.on("new", self._on_new)
        self.composer.on("send", self._on_send)
        self.composer.on("draft", self._on_draft)
        self.composer.on("prepare", self._on_prepare)
        self.composer.on("stop", self._on_stop)

    async def begin(self, conversation_id: str | None) -> str:
        """Fill the page that is about to be sent; returns its title."""
        self._stops.append(self._app.chats.changed.subscribe(lambda _: self._list_soon()))
        self._stops.append(self._app.models.changed.subscribe(self._on_status))
        self._stops.append(self._app.models.catalog_changed.subscribe(self._on_catalog))
        self._show_status(self._app.models.status)
        await asyncio.wait({self._find_default_soon()}, timeout=LOOK_SECONDS)
        self.side.show(await self._app.chats.list())
        return await self._visit(conversation_id, self.thread.begin) or APP_TITLE

    def close(self) -> None:
        self._unwatch()
        for stop in self._stops:
            stop()
        if self._reader is not None:
            self._reader.stop()

    # --- one conversation at a time ------------------------------------------------------------------------------

    async def open(self, conversation_id: str | None, *, address: bool = True) -> None:
        """Show a conversation, or a new chat, without loading a page."""
        title = await self._visit(conversation_id, self.thread.show)
        if title is None:
            return
        if address:
            self.shell.show_address(f"/c/{conversation_id}" if conversation_id else "/", title)
        else:
            self.shell.show_title(title)

    async def _visit(self, conversation_id: str | None, show: Callable[[ThreadSnapshot], None]) -> str | None:
        """Watch the conversation and show its thread, so that nothing in between is lost.

        Returns the page's title, or None when the person went elsewhere meanwhile.
        """
        self._visits += 1
        visit = self._visits
        self._leave()
        if conversation_id is None:
            self._enter(ThreadSnapshot(), show)
            return APP_TITLE
        chats = self._app.chats
        self._conversation_id = conversation_id
        self._early = []
        self._unwatch = chats.watch(conversation_id, self._on_event)
        try:
            thread = await chats.thread(conversation_id)
            view = ThreadSnapshot(thread, waiting=chats.waiting(conversation_id))
        except UnknownConversation as error:
            view = ThreadSnapshot(problem=error.message)
        if visit != self._visits:
            return None
        self._enter(view, show)
        return f"{view.thread.conversation.title} · {APP_TITLE}" if view.thread else APP_TITLE

    def _leave(self) -> None:
        self._unwatch()
        self._unwatch = _nothing
        self._conversation_id = None
        self._early = None

    def _enter(self, view: ThreadSnapshot, show: Callable[[ThreadSnapshot], None]) -> None:
        early = self._early or []
        if view.thread is None:
            self._leave()
            messages: tuple[ChatMessage, ...] = ()
        else:
            self._early = None
            self._conversation_id = view.thread.conversation.id
            messages = view.thread.messages
        show(view)
        self.side.show_current(self._conversation_id)
        is_answering = any(message.state == "streaming" for message in messages)
        self.composer.show(self._conversation_id, is_answering=is_answering)
        self.top_bar.show_usage(next((m.usage.total_tokens for m in reversed(messages) if m.usage), 0))
        for event in early:
            self._on_event(event)

    def _on_event(self, event: ChatEvent) -> None:
        if self._early is not None:
            self._early.append(event)
            return
        if isinstance(event, ThreadReplaced):
            background_tasks.create(self.open(self._conversation_id, address=False))
            return
        self.thread.take(event)
        if isinstance(event, MessageAdded | ReplyEnded):
            self.composer.show(self._conversation_id, is_answering=event.message.state == "streaming")
            if event.message.usage:
                self.top_bar.show_usage(event.message.usage.total_tokens)

    async def _send(self, text: str) -> None:
        """Send to the open conversation; in a new chat, make one and stay in it if the message was taken."""
        ahead = self._reader.take(self._conversation_id) if self._reader is not None else None
        if self._conversation_id is not None:
            await self._app.chats.send(self._conversation_id, text, owner=self._owner, read_ahead=ahead)
            return
        conversation = await self._app.chats.create()
        try:
            await self._app.chats.send(conversation.id, text, owner=self._owner, read_ahead=ahead)
        except GlasshouseError:
            await self._app.chats.delete(conversation.id)
            raise
        await self.open(conversation.id)

    # --- what people do ------------------------------------------------------------------------------------------

    async def _on_send(self, event: GenericEventArguments) -> None:
        attempt = int(event.args["attempt"])
        try:
            await self._send(str(event.args["text"]))
        except GlasshouseError as error:
            self.composer.refused(attempt, error.message)
        else:
            self.composer.sent(attempt)

    async def _on_draft(self, event: GenericEventArguments) -> None:
        if self._reader is not None:
            self._reader.read(event.args["conversation"], str(event.args["text"]))

    @_guarded
    async def _on_prepare(self, event: GenericEventArguments) -> None:
        """A text too long for the socket needs a conversation before it can be posted."""
        attempt, size = int(event.args["attempt"]), int(event.args["bytes"])
        if size > MAX_MESSAGE_BYTES:
            self.composer.refused(attempt, MessageTooLarge(size, MAX_MESSAGE_BYTES).message)
            return
        conversation = await self._app.chats.create()
        await self.open(conversation.id)
        self.composer.prepared(attempt, conversation.id)

    @_guarded
    async def _on_prompt(self, event: GenericEventArguments) -> None:
        await self._send(str(event.args))

    @_guarded
    async def _on_stop(self, _: GenericEventArguments) -> None:
        if self._conversation_id is not None:
            await self._app.chats.stop(self._conversation_id)

    @_guarded
    async def _on_regenerate(self, _: GenericEventArguments) -> None:
        if self._conversation_id is not None:
            await self._app.chats.regenerate(self._conversation_id, owner=self._owner)

    @_guarded
    async def _on_continue(self, _: GenericEventArguments) -> None:
        if self._conversation_id is not None:
            await self._app.chats.continue_reply(self._conversation_id, owner=self._owner)

    @_guarded
    async def _on_resync(self, _: GenericEventArguments) -> None:
        await self.open(self._conversation_id, address=False)

    @_guarded
    async def _on_start(self, _: GenericEventArguments) -> None:
        if self._default is not None:
            await self._app.models.load(self._default.id)

    @_guarded
    async def _on_open(self, event: GenericEventArguments) -> None:
        await self.open(str(event.args))

    @_guarded
    async def _on_new(self, _: GenericEventArguments) -> None:
        await self.open(None)

    @_guarded
    async def _on_navigate(self, event: GenericEventArguments) -> None:
        """Back and forward: the browser has changed the address already."""
        _, _, conversation_id = str(event.args).partition("/c/")
        await self.open(conversation_id or None, address=False)

    @_guarded
    async def _on_rename(self, event: GenericEventArguments) -> None:
        await self._app.chats.rename(str(event.args["id"]), str(event.args["title"]))

    @_guarded
    async def _on_remove(self, event: GenericEventArguments) -> None:
        conversation_id = str(event.args)
        if conversation_id == self._conversation_id:
            await self.open(None)
        await self._app.chats.delete(conversation_id)

    # --- what happens elsewhere ----------------------------------------------------------------------------------

    def _list_soon(self) -> None:
        background_tasks.create_lazy(self._list(), name=f"list chats for {self.shell.client.id}")

    async def _list(self) -> None:
        self.side.show(await self._app.chats.list())

    def _show_status(self, status: ModelStatus) -> None:
        model = status.model or self._default
        self.top_bar.show_status(status)
        self.thread.show_model(status, self._default)
        sees = status.info.sees if status.state == "ready" and status.info is not None else None
        self.composer.show_model(model.name if model else "", sees=sees)

    def _on_status(self, status: ModelStatus) -> None:
        self._show_status(status)
        if status.model is None:  # what was loaded until now is what the next message starts
            self._find_default_soon()

    def _on_catalog(self, _: None) -> None:
        self._find_default_soon()

    def _find_default_soon(self) -> asyncio.Task[None]:
        return background_tasks.create(self._find_default())

    async def _find_default(self) -> None:
        """Find the model that a first message would start."""
        try:
            self._default = await self._app.models.default()
        except GlasshouseError:
            self._default = None
        self._show_status(self._app.models.status)


def _nothing() -> None:
    """Nothing is watched."""
