"""The official clients of Anthropic's and Ollama's APIs against a real server with the starter model.

OpenAI's are in `test_real_server`. `compat/run` asks many more, each in an environment of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import pytest

from tests.support.server import RunningServer

STARTER = "SmolLM2-135M-Instruct.Q4_1"
QUESTION: Any = [{"role": "user", "content": "Name three birds."}]
TOO_LONG: Any = [{"role": "user", "content": "word " * 40_000}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture
def claude(server: RunningServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def llama(server: RunningServer) -> Iterator[ollama.Client]:
    client = ollama.Client(host=server.base_url)
    yield client
    client.close()  # type: ignore[no-untyped-call]  # so it is there


def test_anthropics_client_streams_a_message(claude: anthropic.Anthropic) -> None:
    assert STARTER in [model.id for model in claude.models.list()]
    with claude.messages.stream(model=STARTER, messages=QUESTION, max_tokens=12) as events:
        text = "".join(events.text_stream)
        message = events.get_final_message()
    [block] = message.content
    assert block.type == "text" and block.text == text
    assert message.usage.output_tokens <= 12
    counted = claude.messages.count_tokens(model=STARTER, messages=QUESTION).input_tokens
    assert counted == message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)


def test_anthropics_client_gets_a_call_and_a_form(claude: anthropic.Anthropic) -> None:
    tool: Any = {"name": "get_weather", "description": "Tells the weather", "input_schema": CITY}
    choice: Any = {"type": "any", "disable_parallel_tool_use": True}
    reply = claude.messages.create(model=STARTER, messages=QUESTION, max_tokens=100, tools=[tool], tool_choice=choice)
    [call] = [block for block in reply.content if block.type == "tool_use"]
    assert (reply.stop_reason, set(call.input)) == ("tool_use", {"city"})
    form: Any = {"format": {"type": "json_schema", "schema": CITY}}
    written = claude.messages.create(model=STARTER, messages=QUESTION, max_tokens=100, output_config=form)
    assert written.content[0].type == "text" and set(json.loads(written.content[0].text)) == {"city"}


def test_anthropics_client_raises_its_own_errors(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        claude.messages.create(model="claude-9", messages=QUESTION, max_tokens=5)
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 8192 maximum"):
        claude.messages.create(model=STARTER, messages=TOO_LONG, max_tokens=5)


def test_ollamas_client_chats(llama: ollama.Client) -> None:
    assert STARTER in [model.model for model in llama.list().models]
    assert "completion" in (llama.show(STARTER).capabilities or [])
    *pieces, last = llama.chat(STARTER, QUESTION, stream=True, options={"num_predict": 12, "temperature": 0})
    assert "".join(piece.message.content or "" for piece in pieces)
    assert last.done and last.eval_count == 12
    written = llama.chat(STARTER, QUESTION, format=CITY, options={"num_predict": 100})
    assert set(json.loads(written.message.content or "")) == {"city"}


def test_ollamas_client_raises_its_own_errors(llama: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as missing:
        llama.chat("no-such-model", QUESTION)
    assert (missing.value.status_code, "no-such-model" in missing.value.error) == (404, True)
    with pytest.raises(ollama.ResponseError) as too_long:
        llama.chat(STARTER, TOO_LONG)
    assert too_long.value.status_code == 400
