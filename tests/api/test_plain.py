"""The plainest routes: bodies as short as curl likes them, over a fake engine."""

from __future__ import annotations

from typing import Any

import httpx

from tests.api.test_openai import STARTER, read_frames
from webui.core.application import Application


async def last_asked(application: Application) -> Any:
    engine: Any = await application.models.ensure_loaded()
    return engine.asked[-1]


async def test_a_prompt_goes_on(client: httpx.AsyncClient, application: Application) -> None:
    """As `curl -d '{…}'` sends it: without a word about JSON."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await client.post("/generate", content='{"prompt": "Once upon "}', headers=form)
    answer = reply.json()
    assert (answer["text"], answer["finish_reason"], answer["model"]) == ("word0 word1 word2 word3 ", "stop", STARTER)
    assert answer["usage"]["completion_tokens"] == 4
    request = await last_asked(application)
    assert (request.prompt, request.sampling.max_tokens) == ("Once upon ", 256)
    await client.post("/generate", json={"prompt": "x", "min_p": 0.2, "xtc_probability": 0.5, "max_tokens": -1})
    sampling = (await last_asked(application)).sampling
    assert (sampling.min_p, sampling.xtc_probability, sampling.max_tokens) == (0.2, 0.5, None)


async def test_a_question_is_answered(client: httpx.AsyncClient, application: Application) -> None:
    reply = await client.post("/chat", json={"prompt": "think", "system": "Be brief.", "temperature": 0})
    assert (reply.json()["text"], reply.json()["reasoning"]) == ("word0 word1 word2 word3 ", "hm")
    request = await last_asked(application)
    assert [(each.role, each.content) for each in request.messages] == [("system", "Be brief."), ("user", "think")]
    before = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}]
    await client.post("/chat", json={"messages": before, "prompt": "And you?"})
    assert [each.content for each in (await last_asked(application)).messages] == ["hi", "Hello.", "And you?"]
    call = (await client.post("/chat", json={"prompt": "call"})).json()
    assert call["tool_calls"] == [{"id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}'}]


async def test_streams_are_events(client: httpx.AsyncClient) -> None:
    for path, body in (("/generate/stream", {"prompt": "x", "echo": True}), ("/chat/stream", {"prompt": "think"})):
        reply = await client.post(path, json=body)
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.text.endswith("data: [DONE]\n\n")
        *pieces, last = read_frames(reply.text)
        assert "".join(each.get("text", "") for each in pieces).removeprefix("x") == "word0 word1 word2 word3 "
        assert (last["text"], last["finish_reason"], last["usage"]["completion_tokens"]) == ("", "stop", 4)
        assert {"reasoning": "hm"} in pieces or path == "/generate/stream"


async def test_several_prompts_are_answered_in_their_order(client: httpx.AsyncClient) -> None:
    reply = await client.post("/generate/batch", json={"prompts": ["a", "b", "c"], "echo": True, "max_tokens": 1})
    assert [each["text"] for each in reply.json()["answers"]] == ["aword0 ", "bword0 ", "cword0 "]
    assert reply.json()["model"] == STARTER


async def test_what_is_wrong_is_said_in_a_sentence(client: httpx.AsyncClient) -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("/generate", {}, "prompt"),
        ("/generate", {"prompt": ["a", "b"]}, "prompt"),
        ("/generate", {"prompt": "x", "n": 2}, "n"),
        ("/generate", {"prompt": "x", "colour": "red"}, "colour"),
        ("/generate", {"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ("/generate/batch", {"prompt": "x"}, "prompts"),
        ("/generate/batch", {"prompts": ["x"], "stream": True}, "stream"),
        ("/chat", {}, "body"),
        ("/chat", {"system": "Be brief."}, "body"),
        ("/chat", {"prompt": "x", "n": 2}, "n"),
    ]
    for path, body, param in wrong:
        reply = await client.post(path, json=body)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), (path, body, reply.text)


async def test_info_tells_what_answers_here(client: httpx.AsyncClient) -> None:
    before = (await client.get("/info")).json()
    assert (before["name"], before["state"], before["model"], before["models"]) == (
        "glasshouse", "stopped", None, [STARTER],
    )  # fmt: skip
    await client.post("/load_model", json={"model": STARTER, "ctx": 1024})
    now = (await client.get("/info")).json()
    assert (now["state"], now["model"]["id"], now["model"]["context_tokens"]) == ("ready", STARTER, 1024)
