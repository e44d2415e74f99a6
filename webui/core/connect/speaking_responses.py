"""Asks as programs do that speak OpenAI's Responses API."""

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

_PATH = "/v1/responses"
_TOOL = {"type": "function", "name": TOOL_NAME, "description": TOOL_WORDS, "parameters": TOOL_SCHEMA, "strict": True}


class ResponsesAsking(Asking):
    async def chat(self) -> Answer:
        return _read_answer(await self._post(_PATH, self._body(QUESTION)))

    async def stream(self) -> Answer:
        answer = Answer()
        completed: dict[str, Any] | None = None
        async for line in self._lines(_PATH, self._body(QUESTION) | {"stream": True}, answer):
            if (event := read_event(line)) is None:
                continue
            if event["type"] in {"response.output_text.delta", "response.reasoning_text.delta"}:
                self._add(answer, event["delta"])
            elif event["type"] in {"response.completed", "response.incomplete"}:
                completed = event["response"]
        if completed is None:
            raise ValueError("the stream did not end with response.completed")
        whole = _read_answer(completed)
        answer.prompt_tokens, answer.completion_tokens = whole.prompt_tokens, whole.completion_tokens
        return answer

    async def offer_tool(self) -> Answer:
        forced = {"tools": [_TOOL], "tool_choice": "required", "parallel_tool_calls": False}
        body = self._body(TOOL_QUESTION) | forced | {"max_output_tokens": MAX_TOOL_TOKENS}
        return _read_answer(await self._post(_PATH, body))

    def _body(self, question: str) -> dict[str, Any]:
        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]}
        return {
            "model": self.model,
            "input": [message],
            "max_output_tokens": MAX_TOKENS,
            "temperature": 0,
            "store": False,
        }


def _read_answer(body: dict[str, Any]) -> Answer:
    answer = Answer(prompt_tokens=body["usage"]["input_tokens"], completion_tokens=body["usage"]["output_tokens"])
    for item in body["output"]:
        if item["type"] == "message":
            answer.text += "".join(part.get("text", "") for part in item["content"])
        elif item["type"] == "function_call":
            answer.tool, answer.tool_arguments = item["name"], item["arguments"]
    return answer
