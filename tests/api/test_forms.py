"""The form of an answer, asked for in every dialect of a real server: valid each time, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from tests.support.server import RunningServer

STARTER = "SmolLM2-135M-Instruct.Q4_1"
MESSAGES = [{"role": "user", "content": "Write some JSON."}]
ACCEPTED: list[dict[str, Any]] = [
    {"type": "boolean"},
    {"enum": ["red", 7, None, {"a": [1]}]},
    {"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"},
    {"type": "string", "format": "date"},
    {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 2, "maxItems": 3},
    {
        "$defs": {
            "leaf": {
                "type": "object",
                "properties": {"n": {"const": 1}},
                "required": ["n"],
                "additionalProperties": False,
            }
        },
        "type": "object",
        "properties": {"left": {"$ref": "#/$defs/leaf"}, "right": {"$ref": "#/$defs/leaf"}},
        "required": ["left", "right"],
        "additionalProperties": False,
    },
]
REFUSED: list[dict[str, Any]] = [
    {"not": {"type": "string"}},
    {"type": "array", "uniqueItems": True},
    {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}},
    {"$ref": "https://example.com/schema.json"},
    {"type": "strnig"},
]


def in_every_dialect(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    openai = {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}
    chat = {"model": STARTER, "messages": MESSAGES}
    length: dict[str, Any] = {"max_tokens": 300, "temperature": 0}
    yield "/v1/chat/completions", chat | {"response_format": openai} | length
    config = {"format": {"type": "json_schema", "schema": schema}}
    yield "/v1/messages", chat | {"output_config": config} | length
    options = {"num_predict": 300, "temperature": 0}
    yield "/api/chat", chat | {"format": schema, "stream": False, "options": options}
    yield "/completion", {"prompt": "JSON: ", "json_schema": schema, "n_predict": 300, "temperature": 0}


def text_of(path: str, answer: dict[str, Any]) -> str:
    match path:
        case "/v1/chat/completions":
            return str(answer["choices"][0]["message"]["content"])
        case "/v1/messages":
            return str(answer["content"][0]["text"])
        case "/api/chat":
            return str(answer["message"]["content"])
        case _:
            return str(answer["content"])


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.parametrize("schema", ACCEPTED, ids=lambda schema: json.dumps(schema)[:40])
def test_an_answer_has_the_form_that_was_asked_for(client: httpx.Client, schema: dict[str, Any]) -> None:
    for path, body in in_every_dialect(schema):
        response = client.post(path, json=body)
        assert response.status_code == 200, (path, response.text)
        jsonschema.validate(
            json.loads(text_of(path, response.json())), schema, format_checker=jsonschema.FormatChecker()
        )


@pytest.mark.parametrize("schema", REFUSED, ids=lambda schema: json.dumps(schema)[:40])
def test_a_form_that_cannot_be_had_is_refused_and_never_passed_over(
    client: httpx.Client, schema: dict[str, Any]
) -> None:
    for path, body in in_every_dialect(schema):
        response = client.post(path, json=body)
        assert response.status_code == 400, (path, response.text)
