"""The client that every contestant is measured with: one question over HTTP, its stream read with a clock beside it.

It shares the cores with the server it measures, so it is small: a socket of its own for each question, chunks taken
apart by hand, one `json.loads` an event. Tokens are counted by the server's own `usage`, never by events.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, str]


class AskFailed(Exception):
    """A server said no, or its stream broke. `status` is that of HTTP; 200 when the headers were fine."""

    def __init__(self, reason: str, status: int = 200) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Answer:
    """What one question brought. Times are seconds of one monotonic clock."""

    asked_at: float
    text: str = ""
    moments: list[float] = field(default_factory=list)  #: when each piece of text came
    finish_reason: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    @property
    def first_token_seconds(self) -> float:
        """From the question to the first piece of text."""
        return self.moments[0] - self.asked_at

    @property
    def tokens_per_second(self) -> float:
        """Decoding speed: the tokens after the first by the time between the first and the last."""
        seconds = self.moments[-1] - self.moments[0]
        return (self.completion_tokens - 1) / seconds if seconds > 0 else 0.0


def aggregate_tokens_per_second(answers: list[Answer]) -> float:
    """All tokens of several people by the time from the first token of anybody to the last of anybody."""
    begun = min(answer.moments[0] for answer in answers)
    ended = max(answer.moments[-1] for answer in answers)
    return sum(answer.completion_tokens for answer in answers) / (ended - begun)


def longest_gap(answer: Answer, since: float, until: float) -> float:
    """The longest time without a piece of text between two moments, also when it began before or still lasts."""
    before = max((moment for moment in answer.moments if moment <= since), default=since)
    inside = [moment for moment in answer.moments if since < moment < until]
    after = min((moment for moment in answer.moments if moment >= until), default=until)
    stations = [before, *inside, after]
    return max(later - earlier for earlier, later in itertools.pairwise(stations))


@dataclass(frozen=True)
class Client:
    """Asks the server at a port of loopback. `extra` goes into every body: its way to ignore the end token."""

    port: int
    model: str
    extra: dict[str, Any] = field(default_factory=dict)

    async def ask(
        self, messages: list[Message], max_tokens: int, *, on_text: Callable[[Answer], None] | None = None
    ) -> Answer:
        """Greedy, streamed. `on_text` is called after each piece of text. Cancelling hangs up. Raises AskFailed."""
        body = {
            "model": self.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.extra,
        }
        answer = Answer(asked_at=time.monotonic())
        async for event in self._events(body):
            if "error" in event:
                raise AskFailed(json.dumps(event["error"]))
            if _take(answer, event) and on_text is not None:
                on_text(answer)
        if not answer.moments:
            raise AskFailed("the answer has no text")
        if not answer.completion_tokens:  # this server tells no usage in a stream
            if answer.finish_reason != "length":
                raise AskFailed("neither usage nor finish_reason “length”: nobody knows how many tokens these are")
            answer.completion_tokens = max_tokens
        return answer

    async def _events(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        except OSError as error:
            raise AskFailed(f"nobody answers: {error}") from error
        try:
            data = json.dumps(body).encode()
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            writer.write(head.encode() + data)
            await writer.drain()
            status, headers = await _read_head(reader)
            if status != 200:
                body_text = (await reader.read(2000)).decode(errors="replace")
                raise AskFailed(f"status {status}: {body_text}", status)
            async for line in _lines(reader, is_chunked=b"chunked" in headers):
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    yield json.loads(line[6:])
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise AskFailed(f"the connection broke: {error!r}") from error
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def _take(answer: Answer, event: dict[str, Any]) -> bool:
    """Enter one chunk into the answer; whether it brought text."""
    if usage := event.get("usage"):
        answer.prompt_tokens = usage["prompt_tokens"]
        answer.completion_tokens = usage["completion_tokens"]
        answer.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    if not event.get("choices"):
        return False
    choice = event["choices"][0]
    answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
    text = choice["delta"].get("content") or ""
    if text:
        answer.moments.append(time.monotonic())
        answer.text += text
    return bool(text)


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head.lower()


async def _lines(reader: asyncio.StreamReader, *, is_chunked: bool) -> AsyncIterator[bytes]:
    """The lines of a body; those of an HTTP chunk need not end where the chunk does."""
    rest = b""
    async for piece in _chunks(reader) if is_chunked else _pieces(reader):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r")


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await reader.read(65536):
        yield piece
