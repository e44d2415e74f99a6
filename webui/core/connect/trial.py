"""Makes the requests that a program of a dialect makes, against a server, and tells each step in plain words.

The dialects are in modules of their own; here is the order of the steps, and what is said when one fails. It does not
know whether the server is asked over a socket or inside of this process.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import httpx

from webui.core.connect.asking import Answer, Asking, Refused
from webui.core.connect.clients import Client, Dialect, Use
from webui.core.connect.place import Place
from webui.core.connect.speaking_anthropic import AnthropicAsking
from webui.core.connect.speaking_ollama import OllamaAsking
from webui.core.connect.speaking_openai import OpenAiAsking
from webui.core.connect.speaking_responses import ResponsesAsking
from webui.core.wire import Wire

UNKNOWN_ADDRESS = "192.0.2.1"  #: one of those that are kept for documentation: nobody has it

StepState = Literal["ok", "note", "failed", "skipped"]

TITLES: dict[Use, str] = {
    "list": "Lists the models",
    "chat": "Asks a question",
    "stream": "Streams an answer",
    "tools": "Offers a tool",
}
_DIALECTS: dict[Dialect, type[Asking]] = {
    "openai": OpenAiAsking,
    "responses": ResponsesAsking,
    "anthropic": AnthropicAsking,
    "ollama": OllamaAsking,
}


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one step. `note`: it works, with something to know."""

    use: Use
    title: str
    state: StepState
    words: str
    seconds: float = 0.0


async def try_here(
    client: Client, wire: Wire, place: Place, *, key: str = "", address: str = ""
) -> AsyncGenerator[Step, None]:
    """As `try_client`, inside of this server. Without a key it speaks for this machine; with one it is taken for a
    program that comes from `address` and shows this key."""
    http = (
        wire.client_from(place.base_url, address if place.is_loopback else _elsewhere(address))
        if key
        else wire.client()
    )
    async with http, aclosing(try_client(client, http, model=place.model, key=key or place.key)) as steps:
        async for step in steps:
            yield step


async def try_client(client: Client, http: httpx.AsyncClient, *, model: str, key: str) -> AsyncGenerator[Step, None]:
    """The steps that this program needs, one after the other; when one fails, the rest is not tried."""
    asking = _DIALECTS[client.speaks](http, model=model, key=key if client.sends_key else "")
    has_failed = False
    for use in client.uses:
        if has_failed:
            yield Step(use, TITLES[use], "skipped", "Not tried, because a step before it failed.")
            continue
        begun = time.monotonic()
        try:
            state, words = await _try(asking, use)
        except Refused as error:
            state, words = "failed", error.words
        except httpx.HTTPError as error:
            state, words = "failed", f"The server could not be asked: {error or type(error).__name__}."
        except (KeyError, IndexError, TypeError, ValueError) as error:
            state, words = "failed", f"The answer has not the shape that this program expects ({error!r})."
        has_failed = state == "failed"
        yield Step(use, TITLES[use], state, words, time.monotonic() - begun)


async def _try(asking: Asking, use: Use) -> tuple[StepState, str]:
    match use:
        case "list":
            names = await asking.list_models()
            if asking.model not in {*names, "default"}:
                return "failed", f"“{asking.model}” is not among the {len(names)} models that are listed."
            return "ok", f"{_count(len(names), 'model')} listed, “{asking.model}” among them."
        case "chat":
            answer = await asking.chat()
            return "ok", f"It answered: {_quoted(answer)} ({_usage(answer)})."
        case "stream":
            answer = await asking.stream()
            if answer.num_pieces < 1:
                return "failed", "The stream ended without a word."
            return "ok", (
                f"It answered in {_count(answer.num_pieces, 'piece')}, the first after "
                f"{answer.first_seconds:.2f} s: {_quoted(answer)} ({_usage(answer)})."
            )
        case "tools":
            return _told_tools(await asking.offer_tool())


def _elsewhere(address: str) -> str:
    """An address that is not this machine's, for a test that is begun on it."""
    return UNKNOWN_ADDRESS if address.startswith(("127.", "::1")) or not address else address


def _told_tools(answer: Answer) -> tuple[StepState, str]:
    if answer.tool is None:
        return "note", "It took the tool and answered in words: this model does not call tools by itself."
    try:
        is_object = isinstance(json.loads(answer.tool_arguments), dict)
    except ValueError:
        is_object = False
    if not is_object:
        return "failed", f"It called {answer.tool}, but its arguments are no JSON: {answer.tool_arguments[:60]}"
    return "ok", f"It called {answer.tool} with {answer.tool_arguments[:80]}."


def _quoted(answer: Answer) -> str:
    text = " ".join(answer.text.split())
    return f"“{text[:50]}{'…' if len(text) > 50 else ''}”" if text else "nothing yet, but thoughts"


def _usage(answer: Answer) -> str:
    if answer.prompt_tokens is None or answer.completion_tokens is None:
        return "without usage"
    return f"{answer.prompt_tokens} tokens read, {answer.completion_tokens} written"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
