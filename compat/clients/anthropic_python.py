"""The official client of Anthropic's API for Python."""

from __future__ import annotations

from typing import Any

import anthropic
import demo
import pydantic
from demo import Demo, NotThere, expect

ours = Demo("anthropic")
client = anthropic.Anthropic(base_url=demo.URL, api_key="none", max_retries=0)
question: Any = [{"role": "user", "content": demo.QUESTION}]
story: Any = [{"role": "user", "content": demo.STORY}]
weather: Any = {"name": demo.WEATHER, "description": demo.WEATHER_ABOUT, "input_schema": demo.WEATHER_SCHEMA}


class Bird(pydantic.BaseModel):
    """The client takes lengths and ranges out of the schema that it sends, and checks them itself."""

    name: str
    can_fly: bool
    legs: int


@ours.check("list")
def list_models() -> None:
    assert demo.MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(demo.MODEL).type == "model"


@ours.check("chat")
def chat() -> None:
    reply = client.messages.create(model=demo.MODEL, messages=question, max_tokens=20)
    assert reply.content[0].type == "text" and reply.content[0].text
    assert reply.usage.input_tokens + (reply.usage.cache_read_input_tokens or 0) > 5
    counted = client.messages.count_tokens(model=demo.MODEL, messages=question)
    assert counted.input_tokens == reply.usage.input_tokens + (reply.usage.cache_read_input_tokens or 0)


@ours.check("stream")
def stream() -> None:
    with client.messages.stream(model=demo.MODEL, messages=story, max_tokens=20) as events:
        pieces = list(events.text_stream)
        whole = events.get_final_message()
    assert len(pieces) > 3
    assert (whole.usage.output_tokens, whole.stop_reason) == (20, "max_tokens")


@ours.check("tools")
def tools() -> None:
    messages: Any = [{"role": "user", "content": demo.WEATHER_QUESTION}]
    with client.messages.stream(
        model=demo.MODEL, messages=messages, tools=[weather], max_tokens=100,
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    ) as events:  # fmt: skip
        reply = events.get_final_message()
    assert reply.stop_reason == "tool_use", reply.stop_reason
    [call, *_] = [block for block in reply.content if block.type == "tool_use"]
    demo.check_weather_call(call.name, call.input)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": demo.WEATHER_RESULT}
    messages += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    told = client.messages.create(
        model=demo.MODEL, messages=messages, tools=[weather], tool_choice={"type": "none"}, max_tokens=20
    )
    assert told.content and told.stop_reason in {"end_turn", "max_tokens"}


@ours.check("schema")
def schema() -> None:
    for _ in range(demo.NUM_SCHEMA_RUNS):
        written = client.messages.create(
            model=demo.MODEL, messages=[{"role": "user", "content": demo.BIRD_QUESTION}], max_tokens=200,
            output_config={"format": {"type": "json_schema", "schema": demo.BIRD_SCHEMA}},
        )  # fmt: skip
        [block] = written.content
        assert block.type == "text"
        demo.check_bird(pydantic.TypeAdapter(dict[str, Any]).validate_json(block.text))
    parsed = client.messages.parse(
        model=demo.MODEL,
        messages=[{"role": "user", "content": demo.BIRD_QUESTION}],
        max_tokens=2000,
        output_format=Bird,
    )
    assert isinstance(parsed.parsed_output, Bird)


@ours.check("embeddings")
def embeddings() -> None:
    raise NotThere("Anthropic's API has no embeddings")


@ours.check("cancel")
def cancel() -> str:
    with client.messages.stream(model=demo.MODEL, messages=story, max_tokens=4000) as events:
        for number, _ in enumerate(events.text_stream):
            if number == 5:
                break
        demo.check_busy()
    return demo.wait_for_free_slot()


@ours.check("key")
def key() -> None:
    with expect(anthropic.AuthenticationError, "authentication_error"):
        locked("wrong").messages.create(model=demo.MODEL, messages=question, max_tokens=5)
    assert list(locked(demo.KEY).models.list())


def locked(api_key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=demo.LOCKED_URL, api_key=api_key, max_retries=0)


@ours.check("too long")
def too_long() -> None:
    long: Any = [{"role": "user", "content": demo.TOO_LONG}]
    with expect(anthropic.BadRequestError, "prompt is too long"):
        client.messages.create(model=demo.MODEL, messages=long, max_tokens=5)


@ours.check("no model")
def no_model() -> None:
    with expect(anthropic.NotFoundError, "not_found_error"):
        client.messages.create(model=demo.NO_MODEL, messages=question, max_tokens=5)


@ours.check("responses")
def responses() -> None:
    raise NotThere("OpenAI's alone")


@ours.check("batches")
def batches() -> None:
    raise NotThere("Anthropic's message batches are another API, which is not here")


ours.run()
