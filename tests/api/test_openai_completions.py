"""OpenAI's older dialect over a fake engine: text that goes on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.test_ollama import asked_of
from tests.api.test_openai import STARTER, read_frames
from webui.core.application import Application

URL = "/v1/completions"


def ask(prompt: Any, **more: Any) -> dict[str, Any]:
    return {"model": STARTER, "prompt": prompt, **more}


async def test_a_text_goes_on(client: httpx.AsyncClient, application: Application) -> None:
    reply = (await client.post(URL, json=ask("Once "))).json()
    assert (reply["object"], reply["model"]) == ("text_completion", STARTER)
    assert reply["choices"] == [
        {"index": 0, "text": "word0 word1 word2 word3 ", "logprobs": None, "finish_reason": "stop"}
    ]
    assert reply["usage"]["total_tokens"] == 11
    asked = asked_of(application)
    assert (asked.prompt, asked.messages, asked.sampling.max_tokens) == ("Once ", (), 16)


async def test_several_prompts_with_several_choices_each(client: httpx.AsyncClient, application: Application) -> None:
    reply = (await client.post(URL, json=ask(["One ", "Two "], n=2, echo=True, max_tokens=1, seed=5))).json()
    texts = [choice["text"] for choice in reply["choices"]]
    assert texts == ["One word0 ", "One word0 ", "Two word0 ", "Two word0 "]
    assert (reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"]) == (14, 4)
    live = application.models.pool.get(STARTER)
    assert sorted(each.sampling.seed for each in live.engine.asked) == [5, 5, 6, 6]  # type: ignore[union-attr]
    assert (await client.post(URL, json=ask(["One ", [1, 2, 3]]))).status_code == 200
    assert {each.prompt for each in live.engine.asked[-2:]} == {"One ", (1, 2, 3)}  # type: ignore[union-attr]


async def test_a_stream_is_the_same_in_pieces(client: httpx.AsyncClient) -> None:
    options = {"stream": True, "echo": True, "max_tokens": 2, "stream_options": {"include_usage": True}}
    response = await client.post(URL, json=ask("Once ", **options))
    *chunks, end, usage = read_frames(response.text)
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["Once ", "word0 ", "word1 "]
    assert end["choices"][0]["finish_reason"] == "length"
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 2)
    assert response.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (ask("x", best_of=3), "best_of"),
        (ask([[1]], suffix="end"), "suffix"),
        (ask([[1]], echo=True), "echo"),
        (ask([]), "prompt"),
        (ask({"a": 1}), "prompt"),
        (ask("x", logprobs=99), "top_logprobs"),
    ],
)
async def test_what_cannot_be_done_is_said(client: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    response = await client.post(URL, json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
