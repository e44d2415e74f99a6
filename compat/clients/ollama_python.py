"""Ollama's client for Python."""

from __future__ import annotations

import json
from typing import Any

import demo
import ollama
from demo import Demo, NotThere, expect

ours = Demo("ollama")
client = ollama.Client(host=demo.URL)
question = [{"role": "user", "content": demo.QUESTION}]
story = [{"role": "user", "content": demo.STORY}]
weather = {
    "type": "function",
    "function": {"name": demo.WEATHER, "description": demo.WEATHER_ABOUT, "parameters": demo.WEATHER_SCHEMA},
}


@ours.check("list")
def list_models() -> None:
    assert demo.MODEL in [model.model for model in client.list().models]
    assert "completion" in (client.show(demo.MODEL).capabilities or [])


@ours.check("chat")
def chat() -> None:
    reply = client.chat(demo.MODEL, question, options={"num_predict": 20})
    assert reply.message.content
    assert reply.eval_count and 0 < reply.eval_count <= 20
    assert demo.MODEL in [model.model for model in client.ps().models]
    assert client.generate(demo.MODEL, demo.QUESTION, options={"num_predict": 5}).response


@ours.check("stream")
def stream() -> None:
    pieces = list(client.chat(demo.MODEL, story, stream=True, options={"num_predict": 20}))
    assert len([piece for piece in pieces if piece.message.content]) > 3
    assert (pieces[-1].done, pieces[-1].eval_count) == (True, 20)


@ours.check("tools")
def tools() -> None:
    """This client cannot demand a call: the model makes it by itself, as it has seen it done."""
    messages: list[Any] = [message for city in demo.WEATHER_BEFORE for message in called_before(city)]
    messages.append({"role": "user", "content": demo.WEATHER_QUESTION})
    reply = client.chat(demo.MODEL, messages, tools=[weather], options={"temperature": 0, "num_predict": 100})
    assert reply.message.tool_calls, reply.message.content
    call = reply.message.tool_calls[0]
    demo.check_weather_call(call.function.name, call.function.arguments)
    messages += [reply.message, {"role": "tool", "tool_name": call.function.name, "content": demo.WEATHER_RESULT}]
    assert client.chat(demo.MODEL, messages, options={"num_predict": 20}).message.content


def called_before(city: str) -> list[Any]:
    told = demo.WEATHER_BEFORE[city]
    call = {"function": {"name": demo.WEATHER, "arguments": {"city": city}}}
    return [
        {"role": "user", "content": f"What is the weather in {city}?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_name": demo.WEATHER, "content": told},
        {"role": "assistant", "content": told},
    ]


@ours.check("schema")
def schema() -> None:
    asked = [{"role": "user", "content": demo.BIRD_QUESTION}]
    for seed in range(demo.NUM_SCHEMA_RUNS):
        reply = client.chat(demo.MODEL, asked, format=demo.BIRD_SCHEMA, options={"seed": seed, "temperature": 1})
        demo.check_bird(json.loads(reply.message.content or ""))


@ours.check("embeddings")
def embeddings() -> None:
    reply = client.embed(demo.EMBEDDING_MODEL, ["a red fox", "the blue sea"])
    demo.check_vectors([list(vector) for vector in reply.embeddings])


@ours.check("cancel")
def cancel() -> str:
    pieces = client.chat(demo.MODEL, story, stream=True)
    for number, _ in enumerate(pieces):
        if number == 5:
            break
    demo.check_busy()
    pieces.close()  # type: ignore[attr-defined]  # a generator; leaving it closes the connection
    return demo.wait_for_free_slot()


@ours.check("key")
def key() -> None:
    with expect(ollama.ResponseError, "status code: 401"):
        locked("wrong").chat(demo.MODEL, question)
    assert locked(demo.KEY).list().models


def locked(api_key: str) -> ollama.Client:
    return ollama.Client(host=demo.LOCKED_URL, headers={"authorization": f"Bearer {api_key}"})


@ours.check("too long")
def too_long() -> None:
    with expect(ollama.ResponseError, "status code: 400", "tokens"):
        client.chat(demo.MODEL, [{"role": "user", "content": demo.TOO_LONG}])


@ours.check("no model")
def no_model() -> None:
    with expect(ollama.ResponseError, "status code: 404", demo.NO_MODEL):
        client.chat(demo.NO_MODEL, question)


@ours.check("responses")
def responses() -> None:
    raise NotThere("OpenAI's alone")


@ours.check("batches")
def batches() -> None:
    raise NotThere("OpenAI's alone")


ours.run()
