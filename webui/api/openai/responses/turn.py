"""One response on its way: what was said before is found, the model asked, the answer told and kept.

What is stored is stored before the last event goes out, so that whoever reads that event can go on from it at once. It
does not know over which connection it is told.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from webui.api.answers import Asking, Events
from webui.api.errors import ParameterError
from webui.api.openai.respond import waiting_for
from webui.api.openai.responses.items import to_items
from webui.api.openai.responses.output import Event
from webui.api.openai.responses.reply import Reply
from webui.api.openai.responses.requests import CountRequest, Prompt, ResponseRequest
from webui.api.sse import comment, event_frame
from webui.core.application import Application
from webui.errors import GlasshouseError
from webui.store.responses import Item, ResponseStore, StoredResponse
from webui.types import PromptProgress, Queued

Waiting = Queued | PromptProgress

_NUM_REMEMBERED = 16
_log = logging.getLogger(__name__)


class Memory:
    """The last conversations of one connection that are not to be stored, by their last response."""

    def __init__(self) -> None:
        self._conversations: OrderedDict[str, list[Item]] = OrderedDict()

    def find(self, response_id: str) -> list[Item] | None:
        return self._conversations.get(response_id)

    def keep(self, response_id: str, items: list[Item]) -> None:
        self._conversations[response_id] = items
        while len(self._conversations) > _NUM_REMEMBERED:
            self._conversations.popitem(last=False)


class Turn:
    """One request for a response. Raises ParameterError for what is wrong with it."""

    def __init__(
        self,
        body: ResponseRequest,
        owner: str,
        *,
        history: Sequence[Item],
        items: Sequence[Item],
        previous_id: str | None,
        store: ResponseStore,
        memory: Memory | None = None,
        is_silent: bool = False,
    ) -> None:
        """`items` are kept with it, `history` is what it finds at `previous_id`. `memory`: where it is remembered when
        it is not to be stored."""
        self.body = body
        self.items = items
        self.prompt = Prompt(body, [*history, *items])
        self.asking = Asking(self.prompt, owner)
        self.reply = Reply(body.told(), body.model or "default", is_silent=is_silent)
        self._owner = owner
        self._history = history
        self._previous_id = previous_id
        self._store = store
        self._memory = memory

    @property
    def stored(self) -> StoredResponse:
        """As it is by now."""
        reply = self.reply
        return StoredResponse(
            id=reply.id,
            owner=self._owner,
            status=reply.status,
            body=reply.body,
            output=tuple(reply.output),
            previous_id=self._previous_id,
            created_at=reply.created_at,
        )

    async def keep(self) -> None:
        """Keep how it ended."""
        if self.body.background:
            await self._store.finish(self.stored)
        elif self.body.is_stored:
            await self._store.add(self.stored, self.items)
        elif self._memory is not None:
            self._memory.keep(self.reply.id, [*self._history, *self.items, *self.reply.output])

    async def tell(self, events: Events) -> AsyncGenerator[Event | Waiting, None]:
        """The stream's events; what one waits for comes in between. Raises what goes wrong."""
        reply = self.reply
        async with aclosing(events):
            async for event in events:
                self._note_answering()
                if not reply.has_begun:
                    for told in reply.begin(is_queued=isinstance(event, Queued)):
                        yield told
                if isinstance(event, Queued | PromptProgress):
                    yield event
                for told in reply.take(event):
                    if reply.has_ended:
                        await self.keep()
                    yield told

    async def tell_failures(self, events: Events) -> AsyncGenerator[Event | Waiting, None]:
        """The same; what goes wrong once it has begun is the last event."""
        try:
            async with aclosing(self.tell(events)) as told:
                async for event in told:
                    yield event
        except GlasshouseError as error:
            if not self.reply.has_begun:
                raise
            last = self.reply.fail(error)
            try:
                await self.keep()
            except GlasshouseError as failure:
                _log.warning("A failed response could not be kept: %s", failure.message)
            yield last

    def _note_answering(self) -> None:
        """Who answers is known with the first event."""
        self.reply.model = self.asking.model
        self.reply.note(temperature=self.prompt.sampling.temperature, top_p=self.prompt.sampling.top_p)


async def prepare(
    body: ResponseRequest,
    owner: str,
    application: Application,
    memory: Memory | None = None,
    *,
    is_silent: bool = False,
) -> Turn:
    """Raises ParameterError for a bad request, UnknownPrevious or ResponseUnfinished for a bad beginning."""
    body.refuse_unsupported()
    store, previous_id = application.responses.store, body.previous_response_id
    items = await find_items(body, owner, store)
    remembered = memory.find(previous_id) if memory is not None and previous_id is not None else None
    history = await find_history(body, owner, store) if remembered is None else remembered
    if remembered is not None and body.is_stored:  # nothing stored hangs on what is not
        items, history, previous_id = [*remembered, *items], [], None
    return Turn(
        body, owner, history=history, items=items, previous_id=previous_id, store=store, memory=memory,
        is_silent=is_silent,
    )  # fmt: skip


async def find_items(body: CountRequest, owner: str, store: ResponseStore) -> list[Item]:
    """The request's own items; those that it only refers to are looked up. Raises ParameterError."""
    items = to_items(body.given_input)
    wanted = [item["id"] for item in items if item["type"] == "item_reference"]
    found = await store.find_items(wanted, owner)
    for item_id in wanted:
        if item_id not in found:
            raise ParameterError("input", f"Item with id '{item_id[:100]}' not found. Send the item itself.")
    return [found.get(item["id"], item) if item["type"] == "item_reference" else item for item in items]


async def find_history(body: CountRequest, owner: str, store: ResponseStore) -> list[Item]:
    """Everything that was said up to the stored response that this one goes on from."""
    previous_id = body.previous_response_id
    return [] if previous_id is None else await store.history(previous_id, owner)


async def frames(told: AsyncGenerator[Event | Waiting, None]) -> AsyncGenerator[bytes, None]:
    """As server-sent events."""
    async with aclosing(told):
        async for event in told:
            yield comment(waiting_for(event)) if isinstance(event, Queued | PromptProgress) else event_frame(event)
