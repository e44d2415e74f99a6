"""Lines of the log: text for people, one JSON object for programs, and what they never hold."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from webui.core.line_tail import LineTail
from webui.core.request_id import RequestIdFilter, in_request
from webui.core.telemetry.access_log import log_request
from webui.core.telemetry.log_format import LogFormat, create_formatter
from webui.core.telemetry.request_record import AnswerRecord, RequestRecord, Route, current_request
from webui.core.telemetry.telemetry import Telemetry
from webui.types import GenerationRequest, Priority, TextDelta, Usage


@contextmanager
def lines_of(name: str, log_format: LogFormat) -> Iterator[list[str]]:
    """What a logger writes inside the block."""
    logger, stream = logging.getLogger(name), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(create_formatter(log_format))
    handler.addFilter(RequestIdFilter())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # pytest's own handler cannot write half a character
    lines: list[str] = []
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = True
        lines += stream.getvalue().splitlines()


def record_of(route: str = "/v1/chat/completions", dialect: str = "openai", **more: Any) -> RequestRecord:
    record = RequestRecord("req_1", "POST", lambda: Route(dialect, route), owner="key_1", status=200, **more)
    record.ended_at = record.started_at + 1.25
    return record


def test_a_json_line_says_where_when_and_for_whom() -> None:
    record = RequestRecord("req_7", "POST", lambda: Route("openai", "/v1/x"), owner="this machine")
    with lines_of("webui.test", "json") as lines, in_request("req_7"):
        token = current_request.set(record)
        logging.getLogger("webui.test").warning("%d bytes\nof “nothing” \ud800", 5)
        current_request.reset(token)
    [line] = [json.loads(each) for each in lines]
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "webui.test",
        "message": "5 bytes\nof “nothing” \ud800",
        "request_id": "req_7",
        "owner": "this machine",
    }


def test_a_traceback_stays_in_its_line() -> None:
    with lines_of("webui.test", "json") as lines:
        try:
            raise ValueError("no")
        except ValueError:
            logging.getLogger("webui.test").exception("It failed")
    [line] = [json.loads(each) for each in lines]
    assert line["message"] == "It failed"
    assert line["traceback"].endswith("ValueError: no")
    assert "request_id" not in line


def test_a_text_line_shows_the_request_it_belongs_to() -> None:
    with lines_of("webui.test", "text") as lines:
        logging.getLogger("webui.test").info("before")
        with in_request("req_7"):
            logging.getLogger("webui.test").info("inside")
    assert lines[0].endswith("INFO    webui.test: before")
    assert lines[1].endswith("INFO    webui.test: [req_7] inside")


def test_a_request_of_a_program_is_one_line() -> None:
    record = record_of()
    answer = AnswerRecord(asked_at=record.started_at + 0.1, dialect="openai", model="tiny", reason="stop")
    answer.first_at = record.started_at + 0.5
    answer.usage = Usage(prompt_tokens=7, cached_tokens=3, completion_tokens=4)
    record.add(answer)
    with lines_of("webui.access", "json") as lines:
        log_request(record)
    [line] = [json.loads(each) for each in lines]
    line.pop("time")
    assert line == {
        "level": "info",
        "logger": "webui.access",
        "message": "POST /v1/chat/completions 200 in 1.250 s, tiny: 7 + 4 tokens (key_1)",
        "request_id": "req_1",
        "owner": "key_1",
        "method": "POST",
        "route": "/v1/chat/completions",
        "dialect": "openai",
        "status": 200,
        "duration": 1.25,
        "model": "tiny",
        "prompt_tokens": 7,
        "cached_tokens": 3,
        "completion_tokens": 4,
        "first_token": 0.5,
    }


@pytest.mark.parametrize(
    ("route", "dialect"), [("/health/live", "glasshouse"), ("/metrics", "glasshouse"), ("(page)", "page")]
)
def test_probes_scrapes_and_pages_are_not_told(route: str, dialect: str) -> None:
    with lines_of("webui.access", "json") as lines:
        log_request(record_of(route, dialect))
    assert lines == []


def test_measuring_costs_less_than_20_microseconds_a_piece() -> None:
    """Processor time, so that a busy machine does not count."""
    num_pieces, piece = 20_000, TextDelta(text="word ")
    with Telemetry().watch_answer() as watch:
        watch.begin("tiny", GenerationRequest(messages=(), priority=Priority.API))
        started_at = time.process_time()
        for _ in range(num_pieces):
            watch.take(piece)
        seconds = time.process_time() - started_at
    assert seconds / num_pieces < 20e-6


async def test_what_a_child_warns_of_is_a_warning_here() -> None:
    stream, tail = asyncio.StreamReader(), LineTail(logging.getLogger("webui.core.engine_client"))
    stream.feed_data(
        b"llama_model_load: loading\nWARNING webui.engine.state_files: A state is damaged\nERROR other: no\n"
    )
    stream.feed_eof()
    with lines_of("webui", "json") as lines:
        await tail.drain(stream)
    [line] = [json.loads(each) for each in lines]
    assert (line["level"], line["logger"]) == ("warning", "webui.engine.state_files")
    assert line["message"] == "A state is damaged"
    assert len(tail.lines) == 3
