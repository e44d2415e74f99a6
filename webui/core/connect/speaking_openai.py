"""Asks as programs do that speak OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from webui.core.connect.asking import (
    MAX_TOKENS,
    MAX_TOOL_TOKENS,
    QUESTION,
    TOOL_NAME,
    TOOL_QUESTION,
    TOOL_SCHEMA,
    TOOL_WORDS,
    Answer,
    Asking,
    read_event,
)

_PATH = "/v1/chat/completions"
_TOOL = {"type": "function", "function": {"name": TOOL_NAME, "description": TOOL_WORDS, "parameters": TOOL_SCHEMA}}


class OpenAiAsking(Asking):
    async def chat(self) -> Answer:
        return _read_answer(await self._post(_PATH, self._body(QUESTION)))

    async def stream(self) -> Answer:
        answer = Answer()
        body = self._body(QUESTION) | {"stream": True, "stream_options": {"include_usage": True}}
        is_done = False
        async for line in self._lines(_PATH, body, answer):
            is_done = is_done or line == "data: [DONE]"
            if (chunk := read_event(line)) is None:
                continue
            for choice in chunk["choices"]:
                delta = choice["delta"]
                self._add(answer, delta.get("content") or delta.get("reasoning_content") or "")
            _read_usage(answer, chunk.get("usage"))
        if not is_done:
            raise ValueError("the stream did not end with [DONE]")
        return answer

    async def offer_tool(self) -> Answer:
        forced = {"tools": [_TOOL], "tool_choice": "required", "parallel_tool_calls": False}
        body = self._body(TOOL_QUESTION) | forced | {"max_tokens": MAX_TOOL_TOKENS}
        return _read_answer(await self._post(_PATH, body))

    def _body(self, question: str) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
        }


def _read_answer(body: dict[str, Any]) -> Answer:
    message = body["choices"][0]["message"]
    answer = Answer(text=message["content"] or "")
    _read_usage(answer, body["usage"])
    for call in message.get("tool_calls") or []:
        answer.tool = call["function"]["name"]
        answer.tool_arguments = call["function"]["arguments"]
    return answer


def _read_usage(answer: Answer, usage: dict[str, Any] | None) -> None:
    if usage is not None:
        answer.prompt_tokens, answer.completion_tokens = usage["prompt_tokens"], usage["completion_tokens"]
