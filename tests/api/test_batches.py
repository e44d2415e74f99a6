"""`/v1/batches` with the official client, over a fake engine."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import httpx
import openai
import pytest
from openai.types import Batch

from tests.api.test_files import official
from tests.api.test_openai import STARTER
from tests.core.waiting import until_async
from webui.core.application import Application
from webui.types import Priority

__all__ = ["official"]

CHAT: Final = "/v1/chat/completions"


def line(name: str, url: str = CHAT, **body: Any) -> str:
    return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": body})


def ask(name: str, text: str, **more: Any) -> str:
    return line(name, messages=[{"role": "user", "content": text}], **more)


async def run(official: openai.AsyncOpenAI, *lines: str, endpoint: Any = CHAT) -> Batch:
    sent = await official.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    batch = await official.batches.create(
        input_file_id=sent.id, endpoint=endpoint, completion_window="24h", metadata={"night": "first"}
    )
    assert batch.status == "validating"
    async with asyncio.timeout(5):
        while batch.status in {"validating", "in_progress", "finalizing"}:
            await asyncio.sleep(0.005)
            batch = await official.batches.retrieve(batch.id)
    return batch


async def read(official: openai.AsyncOpenAI, file_id: str | None) -> dict[str, dict[str, Any]]:
    assert file_id is not None
    records = [json.loads(each) for each in (await official.files.content(file_id)).text.splitlines()]
    return {each["custom_id"]: each["response"] for each in records}


async def test_the_official_client_has_a_night_of_questions_answered(
    official: openai.AsyncOpenAI, application: Application
) -> None:
    batch = await run(official, ask("a", "hi", max_tokens=2), ask("b", "hi", temperature=9), ask("c", "too long"))
    assert (batch.status, batch.metadata) == ("completed", {"night": "first"})
    assert batch.request_counts is not None and batch.usage is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (3, 1, 2)
    assert (batch.usage.input_tokens, batch.usage.output_tokens, batch.usage.total_tokens) == (7, 2, 9)
    answer = (await read(official, batch.output_file_id))["a"]
    assert answer["status_code"] == 200
    assert (answer["body"]["object"], answer["body"]["model"]) == ("chat.completion", STARTER)
    assert answer["body"]["choices"][0]["message"]["content"] == "word0 word1 "
    errors = await read(official, batch.error_file_id)
    assert (errors["b"]["status_code"], errors["b"]["body"]["error"]["param"]) == (400, "temperature")
    assert errors["c"]["body"]["error"]["code"] == "context_length_exceeded"
    (engine,) = [live.engine for live in application.models.pool.alive]
    assert {(each.priority, each.is_side_job) for each in engine.asked} == {(Priority.IDLE, True)}  # type: ignore[union-attr]


async def test_texts_go_on_in_a_batch_too(official: openai.AsyncOpenAI) -> None:
    url = "/v1/completions"
    lines = [
        line("a", url, prompt=["x", "y"], max_tokens=1),
        line("b", url, prompt="x", stream=True),
        line("c", url, prompt="x", colour="red"),
    ]
    batch = await run(official, *lines, endpoint=url)
    answer = (await read(official, batch.output_file_id))["a"]
    assert [choice["text"] for choice in answer["body"]["choices"]] == ["word0 ", "word0 "]
    errors = await read(official, batch.error_file_id)
    assert [errors[name]["body"]["error"]["param"] for name in "bc"] == ["stream", "colour"]


async def test_responses_are_made_in_a_batch_too(official: openai.AsyncOpenAI) -> None:
    url = "/v1/responses"
    lines = [line("a", url, input="hi"), line("b", url, input="hi", background=True), line("c", url, input=[])]
    batch = await run(official, *lines, endpoint=url)
    answer = (await read(official, batch.output_file_id))["a"]["body"]
    assert (answer["object"], answer["status"]) == ("response", "completed")
    assert answer["output"][0]["content"][0]["text"] == "word0 word1 word2 word3 "
    assert batch.usage is not None and batch.usage.output_tokens == 4
    errors = await read(official, batch.error_file_id)
    assert [errors[name]["body"]["error"]["param"] for name in "bc"] == ["background", "input"]


async def test_bad_lines_fail_a_batch_with_their_numbers(official: openai.AsyncOpenAI) -> None:
    batch = await run(official, ask("a", "hi"), "no json", ask("a", "hi"))
    assert batch.status == "failed" and batch.errors is not None and batch.errors.data is not None
    assert [(each.line, each.code) for each in batch.errors.data] == [
        (2, "invalid_json_line"), (3, "duplicate_custom_id"),
    ]  # fmt: skip
    assert batch.output_file_id is None


async def test_batches_are_listed_and_cancelled(official: openai.AsyncOpenAI) -> None:
    sent = await official.files.create(file=("in.jsonl", ask("a", "long").encode()), purpose="batch")
    batches = [
        await official.batches.create(input_file_id=sent.id, endpoint=CHAT, completion_window="24h") for _ in range(3)
    ]
    assert [each.id async for each in official.batches.list(limit=2)] == [each.id for each in reversed(batches)]
    with pytest.raises(openai.ConflictError, match="still reads"):
        await official.files.delete(sent.id)
    for batch in batches:
        assert (await official.batches.cancel(batch.id)).status == "cancelling"

    async def are_cancelled() -> bool:
        return {each.status async for each in official.batches.list()} == {"cancelled"}

    await until_async(are_cancelled)
    with pytest.raises(openai.ConflictError, match="is over"):
        await official.batches.cancel(batches[0].id)
    assert (await official.files.delete(sent.id)).deleted


async def test_what_cannot_be_a_batch_is_refused(client: httpx.AsyncClient) -> None:
    good = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}
    for changes, status, param in (
        ({"endpoint": "/v1/moderations"}, 400, "endpoint"),
        ({"completion_window": "1y"}, 400, "completion_window"),
        ({"colour": "red"}, 400, "colour"),
        ({"metadata": {"k": "v" * 600}}, 400, "metadata.k"),
        ({}, 404, None),
    ):
        reply = await client.post("/v1/batches", json=good | changes)
        assert (reply.status_code, reply.json()["error"]["param"]) == (status, param), reply.text
    assert (await client.get("/v1/batches/batch_x")).json()["error"]["code"] == "unknown_batch"
