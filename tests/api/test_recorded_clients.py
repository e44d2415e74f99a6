"""Programs that cannot be run here, an editor's window among them, say their lines: what they send, from their sources,
and what they must find in the answers to go on.

Zed: `crates/ollama/src/ollama.rs`. Copilot in VS Code: `ollamaProvider.ts` and `openAIEndpoint.ts` of its `byok`.
"""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.api.test_openai import STARTER, read_frames

ZED_TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Reads a file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}


def zed_chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Zed leaves nothing out: what it has no value for is null."""
    options: dict[str, Any] = {"num_ctx": 8192, "num_predict": None, "stop": [], "temperature": 1.0, "top_p": None}
    body = {"model": STARTER, "messages": messages, "stream": True, "keep_alive": -1, "options": options}
    return body | {"tools": [], "think": None} | more


# --- Zed -----------------------------------------------------------------------------------------------------------


async def test_zed_finds_the_models(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/api/tags", headers={"accept": "application/json"})).json()
    for model in listed["models"]:
        assert isinstance(model["size"], int)
        assert all(isinstance(model[name], str) for name in ("name", "modified_at", "digest"))
        details = model["details"]
        texts = ("format", "family", "parameter_size", "quantization_level")
        assert all(isinstance(details[name], str) for name in texts)
        assert details["families"] is None or all(isinstance(each, str) for each in details["families"])
    shown = (await client.post("/api/show", json={"model": listed["models"][0]["name"]})).json()
    assert "completion" in shown["capabilities"]


async def test_zed_reads_a_streamed_answer(client: httpx.AsyncClient) -> None:
    system = {"role": "system", "content": "You help in an editor."}
    response = await client.post("/api/chat", json=zed_chat(system, {"role": "user", "content": "hi"}))
    lines = [json.loads(line) for line in response.text.splitlines()]
    for line in lines:
        assert isinstance(line["model"], str) and isinstance(line["created_at"], str) and isinstance(line["done"], bool)
        assert line["message"]["role"] == "assistant" and isinstance(line["message"]["content"], str)
    assert (lines[-1]["done"], lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (True, 7, 4)


async def test_zed_calls_a_tool_and_sends_what_came_of_it(client: httpx.AsyncClient) -> None:
    user = {"role": "user", "content": "call"}
    response = await client.post("/api/chat", json=zed_chat(user, tools=[ZED_TOOL]))
    lines = [json.loads(line) for line in response.text.splitlines()]
    [call] = [call for line in lines for call in line["message"].get("tool_calls") or []]
    assert call["function"]["name"] and isinstance(call["function"]["arguments"], dict)

    called = {"function": {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}}
    answer = {"role": "assistant", "content": "", "tool_calls": [called], "thinking": None}
    result = {"role": "tool", "tool_name": call["function"]["name"], "content": "fn main() {}"}
    again = {"role": "user", "content": "go on"}
    told = await client.post("/api/chat", json=zed_chat(user, answer, result, again, tools=[ZED_TOOL]))
    assert json.loads(told.text.splitlines()[-1])["done"] is True


# --- Copilot in VS Code --------------------------------------------------------------------------------------------


async def test_copilot_takes_the_server_for_new_enough(client: httpx.AsyncClient) -> None:
    version = (await client.get("/api/version")).json()["version"]
    assert [int(part) for part in version.split(".")] >= [0, 6, 4]


async def test_copilot_learns_what_a_model_can_do_and_how_much_it_reads(client: httpx.AsyncClient) -> None:
    """It fills the context that it is told of to the brim."""
    for model in (await client.get("/api/tags")).json()["models"]:
        shown = (await client.post("/api/show", json={"model": model["model"]})).json()
        info = shown["model_info"]
        assert info["general.basename"]
        context = info[f"{info['general.architecture']}.context_length"]
        assert isinstance(context, int) and context > 0
        assert isinstance(shown["capabilities"], list)


async def test_copilot_chats_with_tools(client: httpx.AsyncClient) -> None:
    nothing = {"type": "object", "properties": {}}
    tool = {"name": "get_errors", "description": "Tells the errors in a file", "parameters": nothing}
    called = {"id": "call_1", "type": "function", "function": {"name": "get_errors", "arguments": "{}"}}
    body = {
        "messages": [
            {"role": "system", "content": "You are an expert AI programming assistant."},
            {"role": "user", "content": [{"type": "text", "text": "call"}]},
            {"role": "assistant", "content": "", "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "No errors found"}]},
            {"role": "user", "content": "call"},
        ],
        "model": STARTER,
        "temperature": 0.1,
        "top_p": 1,
        "n": 1,
        "stream": True,
        "tools": [{"type": "function", "function": tool}],
        "stream_options": {"include_usage": True},
    }
    headers = {"authorization": "Bearer unused", "x-initiator": "user", "openai-intent": "conversation-panel"}
    response = await client.post("/v1/chat/completions", json=body, headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.rstrip().endswith("data: [DONE]")
    *chunks, usage = read_frames(response.text)
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls") or []]
    assert calls[0]["id"] and calls[0]["function"]["name"] == "weather"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"city": "Oslo"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "tool_calls"
    assert usage["choices"] == [] and usage["usage"]["prompt_tokens"] == 7
