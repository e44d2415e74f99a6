"""Thinking in every dialect's words: what reaches the engine, what is refused, and how much of an answer it was."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.api.test_ollama import asked_of
from tests.api.test_openai import STARTER, read_frames
from webui.api.anthropic.requests import MessagesRequest
from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.ollama.requests import ChatRequest as OllamaRequest
from webui.api.ollama.requests import GenerateRequest
from webui.api.openai.request import ChatRequest
from webui.core.application import Application
from webui.types import GenerationRequest, Thinking

MESSAGES = [{"role": "user", "content": "Why?"}]
OFF = Thinking(is_on=False)


def openai(**more: Any) -> GenerationRequest:
    return ChatRequest.model_validate({"messages": MESSAGES, **more}).to_generation("")


def anthropic(**more: Any) -> Thinking:
    body = {"model": "m", "max_tokens": 4096, "messages": MESSAGES, **more}
    return MessagesRequest.model_validate(body).to_generation("").thinking


@pytest.mark.parametrize(
    ("body", "thinking"),
    [
        ({}, Thinking()),
        ({"reasoning_effort": "none"}, OFF),
        ({"reasoning_effort": "minimal"}, Thinking(is_on=True, effort="minimal")),
        ({"reasoning_effort": "max"}, Thinking(is_on=True, effort="xhigh")),
        ({"reasoning": "on"}, Thinking(is_on=True)),
        ({"reasoning": {"effort": "low", "max_tokens": 50}}, Thinking(is_on=True, effort="low", budget_tokens=50)),
        ({"enable_thinking": True}, Thinking(is_on=True, is_wish=True)),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, Thinking(is_on=True, budget_tokens=9, is_wish=True)),
        ({"thinking": {"type": "disabled"}}, OFF),
        ({"thinking_budget_tokens": 64}, Thinking(budget_tokens=64, is_wish=True)),
        ({"chat_template_kwargs": {"enable_thinking": False}}, Thinking(is_on=False, is_wish=True)),
        (
            {"chat_template_kwargs": {"reasoning_effort": "high", "thinking_budget": 8}},
            Thinking(is_on=True, effort="high", budget_tokens=8, is_wish=True),
        ),
    ],
)
def test_what_openais_programs_say_reaches_the_engine(body: dict[str, Any], thinking: Thinking) -> None:
    assert openai(**body).thinking == thinking


def test_other_variables_go_to_the_template_as_they_are() -> None:
    kwargs = {"enable_thinking": True, "custom": {"a": [1]}, "reasoning_effort": "of a kind of its own"}
    asked = openai(chat_template_kwargs=kwargs)
    assert json.loads(asked.template_values) == {"custom": {"a": [1]}, "reasoning_effort": "of a kind of its own"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": True}}, "reasoning_effort"),
        ({"enable_thinking": False, "reasoning": "low"}, "reasoning_effort"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"thinking": {"type": "enabled", "display": "omitted"}}, "thinking.display"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ParameterError) as refusal:
        openai(**body)
    assert refusal.value.details["param"] == param


@pytest.mark.parametrize(
    ("think", "thinking"),
    [(None, Thinking()), ("", Thinking()), (True, Thinking(is_on=True)), (False, OFF), ("low", Thinking(effort="low"))],
)
def test_what_ollamas_programs_say_reaches_the_engine(think: object, thinking: Thinking) -> None:
    body = {"model": "m", "messages": MESSAGES, "think": think}
    assert OllamaRequest.model_validate(body).to_generation("").thinking == thinking
    prompt = {"model": "m", "prompt": "Why?", "think": think}
    assert GenerateRequest.model_validate(prompt).to_generation("").thinking == thinking


def test_a_raw_prompt_cannot_be_told_to_think() -> None:
    body = GenerateRequest.model_validate({"model": "m", "prompt": "Why?", "think": True, "raw": True})
    with pytest.raises(UnsupportedParameter, match="raw"):
        body.to_generation("")


def test_what_anthropics_programs_say_reaches_the_engine() -> None:
    assert anthropic() == Thinking()
    assert anthropic(thinking={"type": "disabled"}) == OFF
    enabled = {"type": "enabled", "budget_tokens": 1024}
    assert anthropic(thinking=enabled) == Thinking(is_on=True, budget_tokens=1024, is_wish=True)
    adaptive = anthropic(thinking={"type": "adaptive"}, output_config={"effort": "max"})
    assert adaptive == Thinking(is_on=True, effort="xhigh", is_wish=True)
    assert anthropic(output_config={"effort": "low"}) == Thinking(), "an effort switches nothing on"
    with pytest.raises(ParameterError, match="greater"):
        anthropic(thinking=enabled, max_tokens=1024)


async def test_a_model_that_does_not_think_says_so_in_each_dialect(client: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "cannot think"}]
    told = (await client.post("/api/chat", json={"model": STARTER, "messages": messages, "think": True})).json()
    assert "does not support thinking" in told["error"]
    body = {"messages": messages, "reasoning_effort": "low", "stream": True}
    response = await client.post("/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "cannot_think")


async def test_the_usage_tells_how_much_was_thought(client: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "think"}]
    whole = (await client.post("/v1/chat/completions", json={"messages": messages})).json()
    assert whole["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    body = {"messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    streamed = read_frames((await client.post("/v1/chat/completions", json=body)).text)
    assert streamed[-1]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    body = {"model": STARTER, "max_tokens": 100, "messages": messages}
    assert (await client.post("/v1/messages", json=body)).json()["usage"]["output_tokens_details"] == {
        "thinking_tokens": 2
    }


async def test_thoughts_that_nobody_wants_are_not_told(client: httpx.AsyncClient, application: Application) -> None:
    thinking = {"type": "adaptive", "display": "omitted"}
    body = {"model": STARTER, "max_tokens": 100, "messages": [{"role": "user", "content": "think"}]}
    reply = (await client.post("/v1/messages", json={**body, "thinking": thinking})).json()
    assert reply["content"][0] == {"type": "thinking", "thinking": "", "signature": ""}
    assert asked_of(application).thinking.is_on
    events = read_frames((await client.post("/v1/messages", json={**body, "thinking": thinking, "stream": True})).text)
    assert "hm" not in json.dumps(events)
