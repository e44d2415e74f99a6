"""Asks as programs do that speak Anthropic's Messages API."""

from __future__ import annotations

import json
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

_PATH = "/v1/messages"
_VERSION = {"anthropic-version": "2023-06-01"}
_TOOL = {"name": TOOL_NAME, "description": TOOL_WORDS, "input_schema": TOOL_SCHEMA}


class AnthropicAsking(Asking):
    def headers_with(self, key: str) -> dict[str, str]:
        return {"x-api-key": key, **_VERSION}

    async def chat(self) -> Answer:
        return _read_answer(await self._post(_PATH, self._body(QUESTION)))

    async def stream(self) -> Answer:
        answer = Answer()
        is_done = False
        async for line in self._lines(_PATH, self._body(QUESTION) | {"stream": True}, answer):
            if (event := read_event(line)) is None:
                continue
            match event["type"]:
                case "message_start":
                    answer.prompt_tokens = _count_read(event["message"]["usage"])
                case "content_block_delta":
                    self._add(answer, event["delta"].get("text") or event["delta"].get("thinking") or "")
                case "message_delta":
                    answer.completion_tokens = event["usage"]["output_tokens"]
                    if "input_tokens" in event["usage"]:
                        answer.prompt_tokens = _count_read(event["usage"])
                case "message_stop":
                    is_done = True
        if not is_done:
            raise ValueError("the stream did not end with message_stop")
        return answer

    async def offer_tool(self) -> Answer:
        forced = {"type": "any", "disable_parallel_tool_use": True}
        body = self._body(TOOL_QUESTION) | {"tools": [_TOOL], "tool_choice": forced}
        return _read_answer(await self._post(_PATH, body | {"max_tokens": MAX_TOOL_TOKENS}))

    def _body(self, question: str) -> dict[str, Any]:
        return {
            "model": self.model,
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
            "messages": [{"role": "user", "content": question}],
        }


def _read_answer(body: dict[str, Any]) -> Answer:
    usage = body["usage"]
    answer = Answer(prompt_tokens=_count_read(usage), completion_tokens=usage["output_tokens"])
    for block in body["content"]:
        if block["type"] == "text":
            answer.text += block["text"]
        elif block["type"] == "tool_use":
            answer.tool, answer.tool_arguments = block["name"], json.dumps(block["input"], ensure_ascii=False)
    return answer


def _count_read(usage: dict[str, Any]) -> int:
    """Anthropic counts what was read before apart from the rest."""
    known = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    return int(usage["input_tokens"]) + int(known)
