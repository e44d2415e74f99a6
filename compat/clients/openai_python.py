"""The official client of OpenAI's API for Python."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import demo
import openai
import pydantic
from demo import Demo, expect

ours = Demo("openai")
client = openai.OpenAI(base_url=f"{demo.URL}/v1", api_key="none", max_retries=0)
question: Any = [{"role": "user", "content": demo.QUESTION}]
story: Any = [{"role": "user", "content": demo.STORY}]
weather: Any = {
    "type": "function",
    "function": {"name": demo.WEATHER, "description": demo.WEATHER_ABOUT, "parameters": demo.WEATHER_SCHEMA},
}


class Bird(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    can_fly: bool
    legs: int = pydantic.Field(ge=0, le=2)


@ours.check("list")
def list_models() -> None:
    assert demo.MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(demo.MODEL).id == demo.MODEL


@ours.check("chat")
def chat() -> None:
    reply = client.chat.completions.create(model=demo.MODEL, messages=question, max_completion_tokens=20)
    assert reply.choices[0].message.content
    assert reply.usage and 0 < reply.usage.completion_tokens <= 20


@ours.check("stream")
def stream() -> None:
    chunks = list(
        client.chat.completions.create(
            model=demo.MODEL, messages=story, max_completion_tokens=20, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 3
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 20


@ours.check("tools")
def tools() -> None:
    messages: Any = [{"role": "user", "content": demo.WEATHER_QUESTION}]
    reply = client.chat.completions.create(
        model=demo.MODEL, messages=messages, tools=[weather], tool_choice="required", parallel_tool_calls=False,
        max_completion_tokens=100,
    )  # fmt: skip
    assert reply.choices[0].finish_reason == "tool_calls", reply.choices[0].finish_reason
    [call, *_] = reply.choices[0].message.tool_calls or []
    assert call.type == "function"
    demo.check_weather_call(call.function.name, call.function.arguments)
    messages += [
        reply.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": demo.WEATHER_RESULT},
    ]
    told = client.chat.completions.create(
        model=demo.MODEL, messages=messages, tools=[weather], tool_choice="none", max_completion_tokens=20
    )
    assert told.choices[0].message.content


@ours.check("schema")
def schema() -> None:
    for seed in range(demo.NUM_SCHEMA_RUNS):
        reply = client.chat.completions.parse(
            model=demo.MODEL, messages=[{"role": "user", "content": demo.BIRD_QUESTION}], response_format=Bird,
            temperature=1, seed=seed,
        )  # fmt: skip
        bird = reply.choices[0].message.parsed
        assert bird is not None
        demo.check_bird(bird.model_dump())


@ours.check("embeddings")
def embeddings() -> None:
    reply = client.embeddings.create(model=demo.EMBEDDING_MODEL, input=["a red fox", "the blue sea"])
    demo.check_vectors([each.embedding for each in reply.data])


@ours.check("cancel")
def cancel() -> str:
    stream = client.chat.completions.create(model=demo.MODEL, messages=story, stream=True)
    for number, _ in enumerate(stream):
        if number == 5:
            break
    demo.check_busy()
    stream.close()
    return demo.wait_for_free_slot()


@ours.check("key")
def key() -> None:
    for given in ("wrong", demo.KEY):
        locked = openai.OpenAI(base_url=f"{demo.LOCKED_URL}/v1", api_key=given, max_retries=0)
        if given == demo.KEY:
            assert list(locked.models.list())
        else:
            with expect(openai.AuthenticationError):
                locked.chat.completions.create(model=demo.MODEL, messages=question)


@ours.check("too long")
def too_long() -> None:
    with expect(openai.BadRequestError, "context_length_exceeded"):
        client.chat.completions.create(model=demo.MODEL, messages=[{"role": "user", "content": demo.TOO_LONG}])


@ours.check("no model")
def no_model() -> None:
    with expect(openai.NotFoundError, "model_not_found"):
        client.chat.completions.create(model=demo.NO_MODEL, messages=question)


@ours.check("responses")
def responses() -> None:
    first = client.responses.create(model=demo.MODEL, input=demo.QUESTION, max_output_tokens=20)
    assert first.output_text and first.usage
    assert client.responses.retrieve(first.id).id == first.id
    with client.responses.stream(
        model=demo.MODEL, input="And three more.", previous_response_id=first.id, max_output_tokens=20
    ) as events:
        kinds = [event.type for event in events]
        assert kinds[0] == "response.created" and "response.output_text.delta" in kinds, kinds
        assert events.get_final_response().output_text
    parsed = client.responses.parse(model=demo.MODEL, input=demo.BIRD_QUESTION, text_format=Bird)
    assert parsed.output_parsed is not None


@ours.check("batches")
def batches() -> None:
    body = {"model": demo.MODEL, "messages": question, "max_completion_tokens": 5}
    lines = [
        {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body} for number in range(3)
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    asked = client.files.create(file=("asked.jsonl", io.BytesIO(text.encode())), purpose="batch")
    batch = client.batches.create(input_file_id=asked.id, endpoint="/v1/chat/completions", completion_window="24h")
    deadline = time.monotonic() + 60
    while batch.status not in {"completed", "failed", "expired", "cancelled"}:
        assert time.monotonic() < deadline, batch.status
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed" and batch.output_file_id, batch
    answers = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert {answer["custom_id"] for answer in answers} == {"0", "1", "2"}
    assert all(answer["response"]["status_code"] == 200 for answer in answers)


ours.run()
