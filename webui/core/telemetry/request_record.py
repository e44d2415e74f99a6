"""What is known of one request and of the answers in it: filled in as things happen, told when they are over.

`current_request` leads from anywhere in the work on a request to its record. It knows no wire, no meter and no format,
and it keeps nothing of what was asked or answered. Moments are seconds of `time.perf_counter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from webui.types import FinishReason, SamplingParams, Timings, Usage

Operation = Literal["chat", "text_completion", "embeddings", "rerank"]
CacheOutcome = Literal["hit", "miss"]

_MOST_ANSWERS = 100  # that are told of with their request: a socket may ask for any number


@dataclass(frozen=True, slots=True)
class Route:
    """One of the server's own routes; never what a client wrote into a path, of which there is no end."""

    dialect: str  #: "openai", "ollama", …
    template: str  #: such as "/v1/models/{model}"


@dataclass(slots=True)
class AnswerRecord:
    """One answer of a model: written by a chat model, or vectors or scores."""

    asked_at: float
    dialect: str
    model: str = ""  #: its id, once it is loaded
    operation: Operation = "chat"
    sampling: SamplingParams | None = None
    begun_at: float | None = None  #: when the model was there and was asked
    first_at: float | None = None  #: when the first piece of the answer came
    ended_at: float | None = None
    usage: Usage | None = None
    timings: Timings | None = None  #: as the engine saw it
    reason: FinishReason | Literal["failed"] | None = None
    error: str = ""  #: `code` of the error that ended it
    cache: CacheOutcome | None = None  #: None: the response cache was not asked


@dataclass(slots=True)
class RequestRecord:
    """One HTTP request, or one socket of a program. `find_route` is asked late: the router runs after this was made."""

    id: str
    method: str
    find_route: Callable[[], Route]
    traceparent: str = ""  #: W3C's headers, as the client sent them
    tracestate: str = ""
    started_at: float = field(default_factory=time.perf_counter)
    ended_at: float | None = None
    owner: str = ""
    status: int = 0  #: 0: no response has begun
    error: str = ""  #: `code` of the error that was answered
    answers: list[AnswerRecord] = field(default_factory=list)

    @property
    def route(self) -> Route:
        return self.find_route()

    @property
    def seconds(self) -> float:
        return (self.ended_at or time.perf_counter()) - self.started_at

    @property
    def error_code(self) -> str:
        """Of the request, else of an answer that failed after the response had begun."""
        return self.error or next((answer.error for answer in self.answers if answer.error), "")

    @property
    def cache(self) -> CacheOutcome | None:
        """ "hit" when every answer that asked the response cache was there."""
        outcomes = {answer.cache for answer in self.answers if answer.cache is not None}
        return None if not outcomes else "miss" if "miss" in outcomes else "hit"

    def add(self, answer: AnswerRecord) -> None:
        if len(self.answers) < _MOST_ANSWERS:
            self.answers.append(answer)


current_request: ContextVar[RequestRecord | None] = ContextVar("current_request", default=None)


def find_current() -> RequestRecord | None:
    """The request that this is work for. What goes on in the background after its end is nobody's."""
    record = current_request.get()
    return None if record is None or record.ended_at is not None else record
