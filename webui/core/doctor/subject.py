"""The model under examination: its file, its running engine, and how it is asked.

Everything that is asked leaves no trace in the engine's caches and ends when its time is up, however slow the model is.
It does not judge answers.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

from webui.core.doctor.engine import DoctorEngine
from webui.core.doctor.limits import Budget
from webui.core.doctor.quiet import Quiet
from webui.engine.protocol import Render, Rendered, Score, Scored, Tokenize, Tokenized, TokenizedText
from webui.library.gguf import GgufHeader
from webui.types import (
    EngineInfo,
    Finished,
    GenerationRequest,
    Message,
    ModelFile,
    Priority,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
    TokenLogprobs,
)

_OWNER = "doctor"
_MOST_SECONDS = 15.0  #: of one answer
EMPTY_THOUGHT = "<think>\n\n</think>\n\n"  #: how a model that may think is kept from it (Qwen3's convention)
CLOSED_THOUGHT = "\n"  #: behind thinking that the template has opened: any answer that has begun closes it


class OutOfTime(Exception):
    """The time for checks is used up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote. `logprobs` are there when the sampling asked for them."""

    text: str
    thought: str
    logprobs: tuple[float, ...]
    end: Finished

    @property
    def is_cut(self) -> bool:
        """Whether it would have gone on."""
        return self.end.reason != "stop"


@dataclass(slots=True)
class Subject:
    """One examination's view of a model."""

    model: ModelFile
    header: GgufHeader
    info: EngineInfo
    engine: DoctorEngine
    budget: Budget
    quiet: Quiet
    load_seconds: float = 0.0
    knows_tools: bool = False  #: its template shows tools to the model, as far as it was looked at
    thinks: bool = False  #: it was seen to think, or its template has a place for it
    no_thought: str = ""  #: what an answer must begin with so that it does not

    async def ask(self, *messages: Message, sampling: SamplingParams) -> Answer:
        """An answer within the time for checks. Raises OutOfTime, or what the engine fails with."""
        seconds = min(self.budget.left_for_checks, _MOST_SECONDS)
        if seconds <= 0:
            raise OutOfTime
        return await self.quiet.undisturbed(
            lambda: ask(self.engine, messages, sampling, seconds=seconds, continuation=self.no_thought)
        )

    async def tokenize(self, *texts: str) -> tuple[TokenizedText, ...]:
        found = await self.engine.probe(Tokenize(texts=texts))
        assert isinstance(found, Tokenized)  # noqa: S101 - the protocol's promise
        return found.texts

    async def render(self, messages: str, tools: str = "", *, add_generation_prompt: bool = True) -> Rendered:
        asked = Render(messages=messages, tools=tools, add_generation_prompt=add_generation_prompt)
        found = await self.engine.probe(asked)
        assert isinstance(found, Rendered)  # noqa: S101 - the protocol's promise
        return found

    async def score(self, text: str) -> Scored:
        return await self.quiet.undisturbed(lambda: score(self.engine, text))


async def score(engine: DoctorEngine, text: str) -> Scored:
    found = await engine.probe(Score(text=text))
    assert isinstance(found, Scored)  # noqa: S101 - the protocol's promise
    return found


async def ask(
    engine: DoctorEngine,
    messages: tuple[Message, ...],
    sampling: SamplingParams,
    *,
    seconds: float,
    continuation: str = "",
) -> Answer:
    """One answer, cut short after so many seconds. Raises what the engine fails with."""
    request = GenerationRequest(
        messages=messages,
        sampling=sampling,
        owner=_OWNER,
        priority=Priority.BACKGROUND,
        continuation=continuation,
        is_side_job=True,
    )
    stop = asyncio.Event()
    timer = asyncio.get_running_loop().call_later(seconds, stop.set)
    text, thought, logprobs = [], [], []
    end: Finished | None = None
    try:
        async with aclosing(engine.generate(request, stop=stop)) as events:
            async for event in events:
                match event:
                    case TextDelta():
                        text.append(event.text)
                    case ReasoningDelta():
                        thought.append(event.text)
                    case TokenLogprobs():
                        logprobs.append(event.chosen.logprob)
                    case Finished():
                        end = event
    finally:
        timer.cancel()
    assert end is not None  # noqa: S101 - every request ends with Finished or raises
    return Answer("".join(text), "".join(thought), tuple(logprobs), end)


def person(text: str) -> Message:
    return Message(role="user", content=text)
