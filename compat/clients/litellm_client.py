"""LiteLLM, which translates OpenAI's words for others: `litellm_client.py openai|anthropic|ollama_chat|lm_studio`."""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}  # it asks nobody else

import demo
import litellm
from demo import Demo, NotThere, expect

ours = Demo("litellm")
provider = sys.argv[1]
base = {"openai": "/v1", "lm_studio": "/v1"}.get(provider, "")
question: Any = [{"role": "user", "content": demo.QUESTION}]
story: Any = [{"role": "user", "content": demo.STORY}]
weather: Any = {
    "type": "function",
    "function": {"name": demo.WEATHER, "description": demo.WEATHER_ABOUT, "parameters": demo.WEATHER_SCHEMA},
}


def ask(messages: Any = question, *, model: str = demo.MODEL, **more: Any) -> Any:
    given: dict[str, Any] = {"api_base": demo.URL + base, "api_key": "none", "max_retries": 0, "max_tokens": 20}
    return litellm.completion(model=f"{provider}/{model}", messages=messages, **(given | more))


@ours.check("list")
def list_models() -> None:
    if provider == "lm_studio":
        raise NotThere("LiteLLM lists no models of LM Studio's")
    found = litellm.get_valid_models(
        check_provider_endpoint=True, custom_llm_provider=provider, api_base=demo.URL + base, api_key="none"
    )
    assert any(demo.MODEL in name for name in found), found


@ours.check("chat")
def chat() -> None:
    reply = ask()
    assert reply.choices[0].message.content
    assert 0 < reply.usage.completion_tokens <= 20


@ours.check("stream")
def stream() -> None:
    chunks = list(ask(story, stream=True, stream_options={"include_usage": True}))
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3
    told = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    assert told[-1].completion_tokens == 20, told


@ours.check("tools")
def tools() -> None:
    """For Ollama it cannot demand a call: the model makes it by itself, as it has seen it done."""
    messages: Any = [message for city in demo.WEATHER_BEFORE for message in called_before(city)]
    messages.append({"role": "user", "content": demo.WEATHER_QUESTION})
    demand: dict[str, Any] = {} if provider == "ollama_chat" else {"tool_choice": "required"}
    reply = ask(messages, tools=[weather], max_tokens=100, temperature=0, **demand)
    assert reply.choices[0].message.tool_calls, reply.choices[0].message
    [call, *_] = reply.choices[0].message.tool_calls
    demo.check_weather_call(call.function.name, call.function.arguments)
    messages += [reply.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": demo.WEATHER_RESULT}]
    assert ask(messages, tools=[weather]).choices[0].message


def called_before(city: str) -> list[Any]:
    told = demo.WEATHER_BEFORE[city]
    function = {"name": demo.WEATHER, "arguments": json.dumps({"city": city})}
    return [
        {"role": "user", "content": f"What is the weather in {city}?"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": city, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": city, "content": told},
        {"role": "assistant", "content": told},
    ]


@ours.check("schema")
def schema() -> None:
    asked: Any = [{"role": "user", "content": demo.BIRD_QUESTION}]
    form = {"type": "json_schema", "json_schema": {"name": "bird", "schema": demo.BIRD_SCHEMA, "strict": True}}
    for _ in range(demo.NUM_SCHEMA_RUNS):
        reply = ask(asked, response_format=form, max_tokens=200, temperature=1)
        demo.check_bird(json.loads(reply.choices[0].message.content))


@ours.check("embeddings")
def embeddings() -> None:
    if provider == "anthropic":
        raise NotThere("Anthropic's API has no embeddings")
    kind = "ollama" if provider == "ollama_chat" else provider
    reply = litellm.embedding(
        model=f"{kind}/{demo.EMBEDDING_MODEL}", input=["a red fox", "the blue sea"], api_base=demo.URL + base,
        api_key="none",
    )  # fmt: skip
    demo.check_vectors([each["embedding"] for each in reply.data])


@ours.check("cancel")
def cancel() -> str:
    stream = ask(story, stream=True, max_tokens=4000)
    for number, _ in enumerate(stream):
        if number == 5:
            break
    demo.check_busy()
    del stream  # whoever has heard enough lets it go; some of LiteLLM's streams cannot be closed
    gc.collect()
    return demo.wait_for_free_slot()


@ours.check("key")
def key() -> None:
    with expect(litellm.AuthenticationError):
        ask(api_base=demo.LOCKED_URL + base, api_key="wrong")
    assert ask(api_base=demo.LOCKED_URL + base, api_key=demo.KEY, max_tokens=2).choices


@ours.check("too long")
def too_long() -> None:
    # For Ollama LiteLLM has no class of its own for this, only the one above it.
    kind = litellm.BadRequestError if provider == "ollama_chat" else litellm.ContextWindowExceededError
    with expect(kind, "8,192"):
        ask([{"role": "user", "content": demo.TOO_LONG}])


@ours.check("no model")
def no_model() -> None:
    with expect(litellm.NotFoundError, demo.NO_MODEL):
        ask(model=demo.NO_MODEL)


@ours.check("responses")
def responses() -> None:
    if provider != "openai":
        raise NotThere("OpenAI's alone")
    reply = litellm.responses(
        model=f"openai/{demo.MODEL}",
        input=demo.QUESTION,
        max_output_tokens=20,
        api_base=demo.URL + base,
        api_key="none",
    )
    assert reply.output_text


@ours.check("batches")
def batches() -> None:
    if provider != "openai":
        raise NotThere("OpenAI's alone")
    line = {
        "custom_id": "1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": demo.MODEL, "messages": question, "max_tokens": 5},
    }
    reach: Any = {"api_base": demo.URL + base, "api_key": "none", "custom_llm_provider": "openai"}
    asked = litellm.create_file(file=("asked.jsonl", json.dumps(line).encode()), purpose="batch", **reach)
    batch = litellm.create_batch(
        completion_window="24h", endpoint="/v1/chat/completions", input_file_id=asked.id, **reach
    )
    assert litellm.retrieve_batch(batch_id=batch.id, **reach).id == batch.id


ours.run()
