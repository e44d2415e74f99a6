"""One answer to one request, for the dialects that ask for one at a time: asked for, begun, collected.

A request belongs to its connection. The first event is awaited before the headers go out, so that what is wrong with a
request is its status code and not a broken stream. It knows no dialect.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from fastapi import Request

from webui.api.choices import Change, as_it_is
from webui.api.dependencies import get_stopping
from webui.api.gathered import Gathered
from webui.api.hangup import run_while_connected
from webui.core.alive import Answering
from webui.core.application import Application
from webui.store.model_values import ModelDefaults
from webui.types import GenerationEvent, GenerationRequest, LoraAdapter

Events = AsyncGenerator[GenerationEvent, None]


class Askable(Protocol):
    """A request's body in any dialect."""

    @property
    def model_name(self) -> str | None:
        """None: whatever is loaded or chosen."""

    def to_generation(
        self, owner: str, adapters: tuple[LoraAdapter, ...] = (), defaults: ModelDefaults | None = None
    ) -> GenerationRequest: ...


class Asking:
    """A request on its way to whoever answers it; what is wrong with it shows before a model is loaded for it."""

    def __init__(self, body: Askable, owner: str) -> None:
        self.asked_at = time.monotonic()
        self.loaded_at = self.asked_at  #: when the model was there
        self.model = ""  #: who answers, once the first event has come
        self._body = body
        self._owner = owner
        body.to_generation(owner)

    def ask(self, application: Application, keep_alive: float | None = None, change: Change = as_it_is) -> Events:
        """The answer's events, for whoever belongs to no HTTP request."""

        def build(answering: Answering) -> GenerationRequest:
            return change(self._build(answering))

        return application.models.generate(build, model=self._body.model_name, keep_alive=keep_alive)

    async def begin(self, request: Request, application: Application, keep_alive: float | None = None) -> Events:
        """The answer's events, the first of which has come. Raises what is wrong, ClientGone or ServerStopping."""
        events = self.ask(application, keep_alive)
        first = await run_while_connected(request.receive, get_stopping(request), anext(events))
        return _chain(first, events)

    async def collect(self, request: Request, application: Application, keep_alive: float | None = None) -> Gathered:
        """The whole answer; it stops when the client hangs up."""
        events = self.ask(application, keep_alive)
        return await run_while_connected(request.receive, get_stopping(request), _gather(events))

    async def count(self, request: Request, application: Application) -> int:
        """How long the prompt is, in tokens."""
        work = application.models.count_tokens(self._build, model=self._body.model_name)
        return await run_while_connected(request.receive, get_stopping(request), work)

    def _build(self, answering: Answering) -> GenerationRequest:
        self.loaded_at = time.monotonic()
        self.model = answering.name
        return self._body.to_generation(self._owner, answering.adapters, answering.defaults)


async def _gather(events: Events) -> Gathered:
    gathered = Gathered()
    async with aclosing(events):
        async for event in events:
            gathered.take(event)
    return gathered


async def _chain(first: GenerationEvent, rest: Events) -> Events:
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event
