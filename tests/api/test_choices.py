"""Several answers to one question: each its own choice, the prompt counted once, all of them ended together."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from tests.api.test_openai import URL, ask, read_frames
from webui.api.choices import Events, merge, vary
from webui.errors import EngineDied
from webui.types import GenerationRequest, Message, SamplingParams, TextDelta

WORDS = "word0 word1 word2 word3 "
REQUEST = GenerationRequest(messages=(Message(role="user", content="Hi"),), sampling=SamplingParams(seed=7))


async def test_each_choice_is_a_whole_answer_and_the_prompt_counts_once(client: httpx.AsyncClient) -> None:
    reply = (await client.post(URL, json=ask("hi", n=3))).json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert [choice["message"]["content"] for choice in reply["choices"]] == [WORDS] * 3
    usage = reply["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 12, 19)


async def test_streamed_choices_come_mixed_and_each_is_told_by_its_index(client: httpx.AsyncClient) -> None:
    body = ask("hi", n=2, stream=True, stream_options={"include_usage": True})
    response = await client.post(URL, json=body)
    *chunks, usage = read_frames(response.text)
    texts = ["", ""]
    ends: list[Any] = []
    for chunk in chunks:
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice["delta"].get("content") or ""
        if choice["finish_reason"]:
            ends.append((choice["index"], choice["finish_reason"]))
    assert texts == [WORDS, WORDS]
    assert sorted(ends) == [(0, "stop"), (1, "stop")]
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 8)
    assert response.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("n", [0, 9])
async def test_there_are_one_to_eight_choices(client: httpx.AsyncClient, n: int) -> None:
    response = await client.post(URL, json=ask("hi", n=n))
    assert (response.status_code, response.json()["error"]["param"]) == (400, "n")


def test_a_seed_counts_up_so_that_the_choices_differ() -> None:
    assert [each.sampling.seed for each in vary(REQUEST, 3)] == [7, 8, 9]
    unseeded = GenerationRequest(messages=REQUEST.messages)
    assert vary(unseeded, 2) == [unseeded, unseeded]


class Answers:
    """Endless answers that note when they are closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    async def talk(self, name: str) -> Events:
        try:
            while True:
                yield TextDelta(text=name)
                await asyncio.sleep(0)
        finally:
            self.closed.append(name)

    async def die(self) -> Events:
        yield TextDelta(text="a last word")
        raise EngineDied("killed")


async def test_closing_ends_every_answer() -> None:
    answers = Answers()
    async with aclosing(merge([answers.talk("a"), answers.talk("b")])) as events:
        heard = [(await anext(events))[0] for _ in range(6)]
    assert set(heard) == {0, 1}
    assert sorted(answers.closed) == ["a", "b"]


async def test_an_answer_that_fails_ends_the_others() -> None:
    answers = Answers()
    with pytest.raises(EngineDied):
        async for _ in merge([answers.talk("a"), answers.die(), answers.talk("b")]):
            pass
    assert sorted(answers.closed) == ["a", "b"]
