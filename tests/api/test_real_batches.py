"""A batch with the official client, a real server and the starter model: a kill in the middle costs nothing."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
from openai.types import Batch

from tests.conftest import ServerStarter
from tests.support.server import RunningServer

NUM_LINES = 8


def line(number: int) -> str:
    body = {"messages": [{"role": "user", "content": f"Say {number}."}], "max_tokens": 4, "seed": 1}
    return json.dumps({"custom_id": f"id-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})


def connect(server: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="none")


def wait_until(client: openai.OpenAI, batch: Batch, is_so: Callable[[Batch], bool]) -> Batch:
    deadline = time.monotonic() + 60
    while not is_so(now := client.batches.retrieve(batch.id)):
        assert time.monotonic() < deadline, now
        assert now.status in {"validating", "in_progress", "finalizing"}, now
        time.sleep(0.02)
    return now


def num_completed(batch: Batch) -> int:
    return batch.request_counts.completed if batch.request_counts is not None else 0


def test_a_killed_server_finishes_a_batch_when_it_is_back(start_server: ServerStarter, tmp_path: Path) -> None:
    server = start_server(folder=tmp_path / "house")
    with connect(server) as client:
        content = "\n".join(map(line, range(NUM_LINES))).encode()
        sent = client.files.create(file=("night.jsonl", content), purpose="batch")
        batch = client.batches.create(input_file_id=sent.id, endpoint="/v1/chat/completions", completion_window="24h")
        wait_until(client, batch, lambda now: num_completed(now) >= 2)
        server.stop(signal.SIGKILL)
    with connect(start_server(folder=tmp_path / "house")) as client:
        batch = wait_until(client, batch, lambda now: now.status == "completed")
        assert batch.output_file_id is not None and batch.error_file_id is None
        lines = client.files.content(batch.output_file_id).text.splitlines()
    records: list[dict[str, Any]] = [json.loads(each) for each in lines]
    assert sorted(each["custom_id"] for each in records) == sorted(f"id-{number}" for number in range(NUM_LINES))
    answers = [each["response"]["body"] for each in records]
    assert all(each["choices"][0]["message"]["content"] for each in answers)
    assert batch.usage is not None
    assert batch.usage.output_tokens == sum(each["usage"]["completion_tokens"] for each in answers)
