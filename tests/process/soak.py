"""A house full of people who behave as people do: they chat, leave in mid-sentence, flood, and ask for too much.

Each person is a task that picks its next act at random. Whatever they do, every request must be answered (to its end,
or with an error that the engine means), the engine must be idle when they have gone, and its memory must not grow.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from webui.core.engine_client import EngineClient
from webui.errors import ContextTooLong, EngineBusy
from webui.types import (
    EngineLoad,
    EngineOptions,
    Finished,
    GenerationEvent,
    GenerationRequest,
    Message,
    ModelFile,
    Priority,
    SamplingParams,
    TextDelta,
)

SAMPLE_SECONDS = 0.25
PATIENCE_SECONDS = 120.0  #: nobody waits longer for all that one act asked for, also in a full house
WORDS = (
    "the",
    "lamp",
    "stands",
    "near",
    "a",
    "window",
    "and",
    "somebody",
    "comes",
    "home",
    "to",
    "read",
    "until",
    "nine",
)
SYSTEM = Message(role="system", content="You are the voice of a small house: " + " ".join(3 * WORDS))

Events = AsyncGenerator[GenerationEvent, None]


@dataclass
class Report:
    """What a soak has seen. `rss` are the engine's resident bytes without the states that it parks on purpose, a sample
    every `SAMPLE_SECONDS`."""

    acts: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    rss: list[int] = field(default_factory=list)
    load: EngineLoad = field(default_factory=EngineLoad)

    def take(self, load: EngineLoad) -> None:
        self.load = load

    def growth(self) -> int:
        """Bytes by which the engine has grown since it was warm: the least of the last fifth over that of the middle.

        The least, because states come and go, on their way to a slot or to disk; what leaks stays.
        """
        fifth = max(1, len(self.rss) // 5)
        return min(self.rss[-fifth:]) - min(self.rss[2 * fifth : 3 * fifth])


class House:
    """An engine and those who live with it; `open_house` makes one."""

    def __init__(self, client: EngineClient, options: EngineOptions, report: Report, seed: int) -> None:
        self.report = report
        self._client = client
        self._options = options
        self._seed = seed

    async def live(self, seconds: float, *, num_people: int = 6, patience: float = PATIENCE_SECONDS) -> None:
        """Let everybody do as they like for so long; then they finish what they began."""
        until = time.monotonic() + seconds
        watching = asyncio.create_task(self._watch_memory())
        try:
            async with asyncio.TaskGroup() as people:
                for number in range(num_people):
                    name = f"person {number}"
                    person = _Person(name, self._client, self._options, self.report, f"{self._seed} {name}")
                    people.create_task(person.live(until, patience))
        finally:
            watching.cancel()

    async def _watch_memory(self) -> None:
        while True:
            self.report.rss.append(self._client.memory_bytes - self.report.load.parked_bytes)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def wait_until_idle(self, seconds: float = 10) -> None:
        """Until the engine says that it does nothing. Its last word may be a second old."""
        until = time.monotonic() + seconds
        while (load := self.report.load).num_running or load.num_waiting or load.tokens_per_second:
            assert time.monotonic() < until, f"everybody has gone, and the engine is still at it: {load}"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_house(model: Path, options: EngineOptions, *, seed: int) -> AsyncIterator[House]:
    """A house over a real engine process, which must end only when it is told to."""
    report, exits = Report(), list[object]()
    client = EngineClient(on_engine_load=report.take, on_exit=exits.append)
    await client.start(ModelFile(id="soak", name="Soak", path=model, size_bytes=1, source="local"), options)
    try:
        yield House(client, options, report, seed)
    finally:
        await client.stop()
    assert exits == [None], f"the engine ended by itself: {exits}"


class _Person:
    """One person: a conversation that grows, and habits."""

    def __init__(self, name: str, client: EngineClient, options: EngineOptions, report: Report, seed: str) -> None:
        self._name = name
        self._client = client
        self._options = options
        self._report = report
        self._random = random.Random(seed)
        self._thread: list[Message] = [SYSTEM]
        self._turn = 0

    async def live(self, until: float, patience: float) -> None:
        habits: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._chat, 6),
            (self._leave, 4),
            (self._press_stop, 3),
            (self._regenerate, 2),
            (self._ask_several, 2),
            (self._want_a_title, 2),
            (self._type_slowly, 2),
            (self._delete_the_chat, 1),
            (self._flood, 1),
            (self._ask_too_much, 1),
        ]
        acts, weights = zip(*habits, strict=True)
        while time.monotonic() < until:
            (act,) = self._random.choices(acts, weights)
            self._report.acts[act.__name__.strip("_")] += 1
            async with asyncio.timeout(patience):
                await act()

    # --- habits ----------------------------------------------------------------------------------------------------

    async def _chat(self) -> None:
        """One turn more; a conversation that has grown long is left for a new one."""
        if sum(len(message.content) for message in self._thread) > self._options.context_tokens:
            self._begin_chat()
        self._thread.append(self._say(self._random.randint(3, 60)))
        text = await self._read(self._ask(self._thread))
        if text:
            self._thread.append(Message(role="assistant", content=text))
        else:
            self._thread.pop()

    async def _leave(self) -> None:
        """Hang up after a few events, sometimes before the first."""
        async with aclosing(self._ask([SYSTEM, self._say(60)], max_tokens=None)) as events:
            for _ in range(self._random.randint(0, 8)):
                try:
                    await anext(events)
                except EngineBusy:
                    return
        self._report.ends["hung up"] += 1

    async def _press_stop(self) -> None:
        stop = asyncio.Event()
        events = self._ask([SYSTEM, self._say(30)], max_tokens=None, stop=stop)
        asyncio.get_running_loop().call_later(self._random.uniform(0, 2), stop.set)
        await self._read(events)

    async def _regenerate(self) -> None:
        if len(self._thread) > 2:
            del self._thread[-1]
            text = await self._read(self._ask(self._thread))
            self._thread.append(Message(role="assistant", content=text or "Never mind."))

    async def _ask_several(self) -> None:
        """Four answers to one question, at once."""
        messages = [SYSTEM, self._say(80)]
        await asyncio.gather(*[self._read(self._ask(messages, temperature=1.0)) for _ in range(4)])

    async def _want_a_title(self) -> None:
        """A side job over the conversation, in the background."""
        instruction = Message(role="user", content="Give this chat a title.")
        await self._read(self._ask([*self._thread, instruction], priority=Priority.BACKGROUND, is_side_job=True))

    async def _type_slowly(self) -> None:
        """A draft is read ahead; each time it grows, the reading of the former one is given up."""
        words: list[str] = []
        for _ in range(self._random.randint(1, 4)):
            words += self._random.choices(WORDS, k=10)
            draft = Message(role="user", content=" ".join(words))
            pause = self._random.choice([0.05, 0.5])
            async with aclosing(self._client.prefill(self._request([*self._thread, draft]))) as events:
                try:
                    async with asyncio.timeout(pause):
                        async for event in events:
                            if isinstance(event, Finished):
                                self._report.ends["read ahead"] += 1
                except TimeoutError:
                    self._report.ends["typed on"] += 1

    async def _delete_the_chat(self) -> None:
        self._client.forget(self._conversation)
        self._begin_chat()

    async def _flood(self) -> None:
        """As a broken script does: more at once than the queue takes. Some are turned away, all are answered."""
        prompts = [[self._say(3)] for _ in range(self._random.randint(10, 75))]
        answers = [self._read(self._ask(prompt, max_tokens=1, priority=Priority.API)) for prompt in prompts]
        await asyncio.gather(*answers)

    async def _ask_too_much(self) -> None:
        try:
            text = await self._read(self._ask([self._say(4 * self._options.context_tokens)]))
        except ContextTooLong:
            self._report.ends["too long"] += 1
        else:
            assert not text, "a prompt of four contexts was answered"  # without a text: the queue was full

    # --- asking ----------------------------------------------------------------------------------------------------

    @property
    def _conversation(self) -> str:
        return f"{self._name} chat {self._turn}"

    def _begin_chat(self) -> None:
        self._thread = [SYSTEM]
        self._turn += 1

    def _say(self, num_words: int) -> Message:
        return Message(role="user", content=" ".join(self._random.choices(WORDS, k=num_words)))

    def _ask(
        self,
        messages: list[Message],
        *,
        max_tokens: int | None = 24,
        temperature: float = 0.7,
        priority: Priority = Priority.INTERACTIVE,
        is_side_job: bool = False,
        stop: asyncio.Event | None = None,
    ) -> Events:
        request = msgspec.structs.replace(
            self._request(messages),
            sampling=SamplingParams(temperature=temperature, max_tokens=max_tokens),
            priority=priority,
            is_side_job=is_side_job,
        )
        return self._client.generate(request, stop=stop)

    def _request(self, messages: list[Message]) -> GenerationRequest:
        return GenerationRequest(messages=tuple(messages), owner=self._name, conversation=self._conversation)

    async def _read(self, events: Events) -> str:
        """The whole text. Exactly one Finished, and it is the last; being turned away is an answer, too."""
        text, ends = "", 0
        try:
            async with aclosing(events):
                async for event in events:
                    assert not ends, "something came behind Finished"
                    if isinstance(event, TextDelta):
                        text += event.text
                    elif isinstance(event, Finished):
                        ends += 1
                        self._report.ends[event.reason] += 1
        except EngineBusy:
            self._report.ends["busy"] += 1
            return ""
        assert ends == 1, "an answer ended without a word"
        return text
