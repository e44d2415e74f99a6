"""Asks as programs do that speak to Ollama: lines of JSON, and no way to insist on a tool."""

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
    Refused,
)

_PATH = "/api/chat"
_TOOL = {"type": "function", "function": {"name": TOOL_NAME, "description": TOOL_WORDS, "parameters": TOOL_SCHEMA}}


class OllamaAsking(Asking):
    async def list_models(self) -> list[str]:
        """Names without “:latest”, which is the same model."""
        await self._get("/api/version")
        listed = (await self._get("/api/tags"))["models"]
        shown = await self._post("/api/show", {"model": self.model})
        if not shown["capabilities"]:
            raise ValueError("the model has no capabilities")
        return [str(each["model"]).removesuffix(":latest") for each in listed]

    async def chat(self) -> Answer:
        return _read_answer(await self._post(_PATH, self._body(QUESTION) | {"stream": False}))

    async def stream(self) -> Answer:
        answer = Answer()
        is_done = False
        async for line in self._lines(_PATH, self._body(QUESTION), answer):
            record = json.loads(line)
            if "error" in record:
                raise Refused(500, line.encode())
            self._add(answer, record["message"]["content"] or record["message"].get("thinking") or "")
            if record["done"]:
                is_done = True
                answer.prompt_tokens, answer.completion_tokens = record["prompt_eval_count"], record["eval_count"]
        if not is_done:
            raise ValueError("the stream did not end with done")
        return answer

    async def offer_tool(self) -> Answer:
        body = self._body(TOOL_QUESTION, MAX_TOOL_TOKENS) | {"tools": [_TOOL], "stream": False}
        return _read_answer(await self._post(_PATH, body))

    def _body(self, question: str, max_tokens: int = MAX_TOKENS) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "options": {"temperature": 0, "num_predict": max_tokens},
        }


def _read_answer(body: dict[str, Any]) -> Answer:
    message = body["message"]
    answer = Answer(
        text=message["content"], prompt_tokens=body["prompt_eval_count"], completion_tokens=body["eval_count"]
    )
    for call in message.get("tool_calls") or []:
        function = call["function"]
        answer.tool, answer.tool_arguments = function["name"], json.dumps(function["arguments"], ensure_ascii=False)
    return answer
