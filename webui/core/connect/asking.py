"""What the four ways to ask have in common: the question, a small answer, an HTTP client, and refusals as words."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx

QUESTION = "Say hello in five words."
TOOL_QUESTION = "What is the weather in Bern? Use the tool."
USER_AGENT = "glasshouse-connect"
MAX_TOKENS = 24  #: enough to see that it works
MAX_TOOL_TOKENS = 96
TOOL_NAME = "get_weather"
TOOL_WORDS = "The weather in a city"
TOOL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 40}},
    "required": ["city"],
    "additionalProperties": False,
}
_HINTS = {
    401: " Check the key.",
    403: " Check the key, and whether it may do this.",
    404: " Check the address: with or without /v1 at its end makes a difference.",
    421: " The name in the address is not known to the server: see “allowed hosts” in docs/sharing.md.",
}


@dataclass(slots=True)
class Answer:
    """What was understood of an answer, as a client of the dialect understands it."""

    text: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    num_pieces: int = 0
    first_seconds: float = 0.0
    tool: str | None = None
    tool_arguments: str = ""


class Refused(Exception):
    """The server said no; `words` is its sentence, with its status."""

    def __init__(self, status: int, body: bytes) -> None:
        self.words = f"The server said no ({status}): {_sentence(body)}{_HINTS.get(status, '')}"
        super().__init__(self.words)


class Asking(ABC):
    """One client of one server. An empty `key` is not sent. Raises Refused, httpx's errors, and the errors of reading
    what has another shape."""

    def __init__(self, http: httpx.AsyncClient, *, model: str, key: str) -> None:
        self.model = model
        self._http = http
        headers = {"User-Agent": USER_AGENT} | (self.headers_with(key) if key else {})
        # As most programs send what is beyond ASCII.
        self._headers = [(name.encode(), value.encode("utf-8", "replace")) for name, value in headers.items()]

    def headers_with(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    async def list_models(self) -> list[str]:
        return [str(each["id"]) for each in (await self._get("/v1/models"))["data"]]

    @abstractmethod
    async def chat(self) -> Answer: ...

    @abstractmethod
    async def stream(self) -> Answer: ...

    @abstractmethod
    async def offer_tool(self) -> Answer: ...

    async def _get(self, path: str) -> Any:
        return _read(await self._http.get(path, headers=self._headers))

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        return _read(await self._http.post(path, headers=self._headers, json=body))

    async def _lines(self, path: str, body: dict[str, Any], answer: Answer) -> AsyncGenerator[str, None]:
        """The lines of a stream; the clock of `answer` runs from here."""
        self._begun = time.monotonic()
        async with self._http.stream("POST", path, headers=self._headers, json=body) as response:
            if not response.is_success:
                raise Refused(response.status_code, await response.aread())
            async for line in response.aiter_lines():
                if line.strip():
                    yield line

    def _add(self, answer: Answer, text: str) -> None:
        """A piece of a streamed answer; an empty one is none."""
        if not text:
            return
        if answer.num_pieces == 0:
            answer.first_seconds = time.monotonic() - self._begun
        answer.num_pieces += 1
        answer.text += text


def read_event(line: str) -> Any:
    """What a line of server-sent events says; None for what is no data."""
    data = line.removeprefix("data: ")
    if data in {line, "[DONE]"}:
        return None
    event = json.loads(data)
    if event.get("error"):
        raise Refused(500, data.encode())
    return event


def _read(response: httpx.Response) -> Any:
    if not response.is_success:
        raise Refused(response.status_code, response.content)
    return response.json()


def _sentence(body: bytes) -> str:
    """The sentence in an error of any dialect."""
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return "and not in Glasshouse’s words."
