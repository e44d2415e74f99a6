"""One API request as the inspector keeps it: what came, what the model saw and said, what went back.

Everything grows up to a limit and says how much was left out. It knows no HTTP framework and no dialect: whoever
carries the request tells it what goes by, and `observed` tells it what the engine does for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from webui.core.body_facts import BodyFacts, read_facts
from webui.engine.protocol import Finding, ShownPrompt, ShowPrompt
from webui.errors import GlasshouseError
from webui.types import (
    ContextTrimmed,
    Finished,
    GenerationEvent,
    GenerationRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)

MAX_BODY_BYTES = 2**20  #: of a request, and of what goes back
MAX_TEXT_CHARACTERS = 2**19  #: of a prompt, and of an answer
MAX_ANSWERS = 64  #: that one request may have asked for
_PIECE_COST = 120  #: bytes of memory that a piece takes beside its text

_current: ContextVar[Exchange | None] = ContextVar("the API request that is inspected", default=None)


class Prober(Protocol):
    """The part of an engine that tells what a model would read."""

    async def probe(self, asked: ShowPrompt) -> Finding: ...


@dataclass(slots=True, eq=False)
class Kept:
    """Bytes as they went by: (seconds since the request came, data) for each piece."""

    limit: int = MAX_BODY_BYTES
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    cost: int = 0  #: bytes of memory
    num_left_out: int = 0

    def add(self, data: bytes, seconds: float) -> None:
        room = max(0, self.limit - self.cost - _PIECE_COST)
        if data[:room]:
            self.pieces.append((seconds, data[:room]))
            self.cost += len(data[:room]) + _PIECE_COST
        self.num_left_out += max(0, len(data) - room)

    @property
    def data(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)


@dataclass(slots=True, eq=False)
class Words:
    """A text that grows by pieces."""

    pieces: list[str] = field(default_factory=list)
    num_characters: int = 0
    num_left_out: int = 0

    def add(self, text: str) -> None:
        part = text[: max(0, MAX_TEXT_CHARACTERS - self.num_characters)]
        self.pieces.append(part)
        self.num_characters += len(part)
        self.num_left_out += len(text) - len(part)

    def __str__(self) -> str:
        self.pieces = ["".join(self.pieces)]
        return self.pieces[0]


@dataclass(slots=True, eq=False)
class SeenCall:
    """A tool call as far as it came."""

    name: str
    arguments: Words = field(default_factory=Words)


@dataclass(slots=True, eq=False)
class SeenAnswer:
    """What one answer's model read and said; a request may have several."""

    model: str
    prompt: Words | None = None  #: None until the engine has shown it
    prompt_tokens: int = 0
    prompt_problem: str = ""
    text: Words = field(default_factory=Words)
    reasoning: Words = field(default_factory=Words)
    calls: list[SeenCall] = field(default_factory=list)
    num_dropped_messages: int = 0
    num_dropped_tokens: int = 0
    end: Finished | None = None
    error: str = ""

    def take(self, event: GenerationEvent) -> bool:
        """Whether the event says something to a reader."""
        match event:
            case TextDelta(text=text):
                self.text.add(text)
            case ReasoningDelta(text=text):
                self.reasoning.add(text)
            case ToolCallDelta(index=index):
                if index == len(self.calls):
                    self.calls.append(SeenCall(event.name))
                self.calls[index].arguments.add(event.arguments)
            case ContextTrimmed():
                self.num_dropped_messages += event.num_messages
                self.num_dropped_tokens += event.num_tokens
            case Finished():
                self.end = event
        return isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta)

    @property
    def cost(self) -> int:
        """Bytes of memory, roughly: most of what is said is one byte a character."""
        texts = [self.text, self.reasoning, *(call.arguments for call in self.calls), *filter(None, [self.prompt])]
        return sum(each.num_characters for each in texts)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request when it has just come. `headers` are without secrets."""

    method: str
    path: str
    query: str
    dialect: str
    headers: tuple[tuple[str, str], ...] = ()
    address: str = ""  #: of the client

    def header(self, name: str) -> str:
        return next((value for known, value in self.headers if known == name), "")


class Exchange:
    """One request from its arrival to its end. `start(work)` runs something in the background, `changed(self)` is
    called whenever there is news."""

    def __init__(
        self,
        number: int,
        arrived: Arrived,
        *,
        replay_of: int | None,
        start: Callable[[Coroutine[Any, Any, None]], object],
        changed: Callable[[Exchange], None],
    ) -> None:
        self.id = number
        self.arrived = arrived
        self.replay_of = replay_of
        self.came_at = time.time()
        self.key_name = ""
        self.request = Kept()
        self.status: int | None = None
        self.response_headers: tuple[tuple[str, str], ...] = ()
        self.response = Kept()
        self.answers: list[SeenAnswer] = []
        self.first_seconds: float | None = None  #: until the first word of an answer
        self.total_seconds: float | None = None  #: None while it runs
        self.facts = BodyFacts()  #: once it has ended, where no answer of a model tells them
        self.is_cut = False  #: the client hung up before its answer was complete
        self._began = time.monotonic()
        self._start = start
        self._changed = changed

    @property
    def is_running(self) -> bool:
        return self.total_seconds is None

    @property
    def cost(self) -> int:
        return self.request.cost + self.response.cost + sum(answer.cost for answer in self.answers)

    # --- what whoever carries it tells ------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        self.request.add(data, self._now())
        self._changed(self)

    def answer(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        self.status = status
        self.response_headers = headers
        self._changed(self)

    def send(self, data: bytes) -> None:
        self.response.add(data, self._now())
        self._changed(self)

    def finish(self) -> None:
        self.total_seconds = self._now()
        if not self.answers or (self.status or 0) >= 400:
            self.facts = read_facts(self.request.data, self.response.data)
        self._changed(self)

    @contextmanager
    def current(self) -> Iterator[None]:
        """What engines do inside of this block, and in the tasks that are begun in it, is done for this request."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    # --- what the engine does for it ---------------------------------------------------------------------------------

    def begin(self, request: GenerationRequest, model: str, engine: Prober) -> SeenAnswer:
        answer = SeenAnswer(model)
        self.answers.append(answer)
        self._start(self._show_prompt(answer, request, engine))
        return answer

    def take(self, answer: SeenAnswer, event: GenerationEvent) -> None:
        if answer.take(event) and self.first_seconds is None:
            self.first_seconds = self._now()
        self._changed(self)

    async def _show_prompt(self, answer: SeenAnswer, request: GenerationRequest, engine: Prober) -> None:
        try:
            found = await engine.probe(ShowPrompt(request=request))
        except GlasshouseError as error:
            answer.prompt_problem = error.message
        else:
            if isinstance(found, ShownPrompt):
                answer.prompt = Words()
                answer.prompt.add(found.text)
                answer.prompt_tokens = found.num_tokens
        self._changed(self)

    def _now(self) -> float:
        return time.monotonic() - self._began


@contextmanager
def observed(request: GenerationRequest, model: str, engine: Prober) -> Iterator[Callable[[GenerationEvent], None]]:
    """Gives what to tell an answer's events to. Nothing happens unless the request that it is for is inspected."""
    exchange = _current.get()
    if exchange is None or not exchange.is_running or len(exchange.answers) >= MAX_ANSWERS:
        yield _ignore
        return
    answer = exchange.begin(request, model, engine)
    try:
        yield lambda event: exchange.take(answer, event)
    except GlasshouseError as error:
        answer.error = error.message
        raise


def _ignore(_: GenerationEvent) -> None:
    """Nobody inspects."""
