"""What a request says of sampling and of its answer's form, and how log-probabilities are told."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pydantic
import pytest

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.openai.reply import Completion
from webui.api.openai.request import ChatRequest
from webui.types import (
    AlternativeToken,
    Finished,
    GenerationEvent,
    Grammar,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
    Timings,
    TokenLogprobs,
    Usage,
)

HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def request(**given: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": HELLO} | given)


def sampling_of(**given: Any) -> SamplingParams:
    asked = request(**given)
    asked.refuse_unsupported()
    return asked.to_generation("").sampling


# --- requests --------------------------------------------------------------------------------------------------------


def test_every_sampler_can_be_asked_for() -> None:
    given: dict[str, Any] = {
        "repeat_last_n": 64, "typical_p": 0.9, "top_n_sigma": 1.5, "dry_multiplier": 0.8, "dry_base": 1.5,
        "dry_allowed_length": 3, "dry_penalty_last_n": 128, "xtc_probability": 0.5, "xtc_threshold": 0.2,
        "mirostat": 2, "mirostat_tau": 4.0, "mirostat_eta": 0.2, "dynatemp_range": 0.3, "dynatemp_exponent": 1.2,
        "ignore_eos": True,
    }  # fmt: skip
    sampling = sampling_of(**given, dry_sequence_breakers=["\n"], logit_bias={"5": -100, "7": 2.5})
    assert sampling == SamplingParams(**given, dry_sequence_breakers=("\n",), logit_bias=((5, -100.0), (7, 2.5)))


@pytest.mark.parametrize(
    ("given", "grammar"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, Grammar(kind="json_object")),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": SCHEMA},
                }
            },
            Grammar(kind="json_schema", source=json.dumps(SCHEMA)),
        ),
        ({"grammar": 'root ::= "a"'}, Grammar(kind="gbnf", source='root ::= "a"')),
        ({"grammar": ""}, None),
    ],
)
def test_a_form_becomes_a_grammar(given: dict[str, Any], grammar: Grammar | None) -> None:
    assert sampling_of(**given).grammar == grammar


def test_the_order_of_properties_is_kept() -> None:
    schema: dict[str, Any] = {"properties": {"z": {}, "a": {}}}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    grammar = sampling_of(response_format=form).grammar
    assert grammar is not None
    assert list(json.loads(grammar.source)["properties"]) == ["z", "a"]


@pytest.mark.parametrize(
    ("given", "num_top"),
    [
        ({"logprobs": True, "top_logprobs": 3}, 3),
        ({"logprobs": True}, 0),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({}, None),
    ],
)
def test_logprobs_are_counted(given: dict[str, Any], num_top: int | None) -> None:
    assert sampling_of(**given).logprobs == num_top


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_object", "json_schema": {"schema": SCHEMA}}}, "response_format"),
        ({"response_format": {"type": "json_object"}, "grammar": 'root ::= "a"'}, "grammar"),
    ],
)
def test_what_does_not_fit_together_is_named(given: dict[str, Any], param: str) -> None:
    with pytest.raises(ParameterError) as refusal:
        sampling_of(**given)
    assert refusal.value.details["param"] == param


@pytest.mark.parametrize(
    "given",
    [
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_object", "strength": 3}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA, "lenient": True}}},
        {"logit_bias": {"hello": 1}},
        {"logit_bias": {"-1": 1}},
        {"logit_bias": {str(10**30): 1}},
        {"top_logprobs": 21},
        {"mirostat": 3},
        {"dry_allowed_length": 10**30},
    ],
)
def test_what_cannot_be_read_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        request(**given)


def test_what_is_not_known_is_still_refused() -> None:
    with pytest.raises(UnsupportedParameter):
        request(guided_json={}).refuse_unsupported()


# --- replies ---------------------------------------------------------------------------------------------------------


def odds(text: bytes, logprob: float = -0.5) -> TokenLogprobs:
    token = AlternativeToken(token=text, logprob=logprob)
    return TokenLogprobs(chosen=token, top=(token, AlternativeToken(token=b"x", logprob=-math.inf)))


FINISHED = Finished(
    reason="stop",
    usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=3),
    timings=Timings(queued_seconds=0, first_token_seconds=0, total_seconds=0, tokens_per_second=0),
)
EVENTS: list[GenerationEvent] = [
    ReasoningDelta(text="Hm."),
    odds(b"\xe2\x82"),  # a character of two tokens: the text comes with the second
    odds(b"\xac", -0.25),
    TextDelta(text="€"),
    odds(b" 5"),
    TextDelta(text=" 5"),
    odds(b"!"),
    FINISHED,
]


async def stream(events: list[GenerationEvent]) -> AsyncIterator[tuple[int, GenerationEvent]]:
    for event in events:
        yield 0, event


async def test_a_whole_answer_tells_every_token() -> None:
    reply = await Completion("m").collect(stream(EVENTS))
    content = reply["choices"][0]["logprobs"]["content"]
    assert [entry["bytes"] for entry in content] == [[0xE2, 0x82], [0xAC], [0x20, 0x35], [0x21]]
    assert [entry["logprob"] for entry in content] == [-0.5, -0.25, -0.5, -0.5]
    assert content[2] == {
        "token": " 5",
        "logprob": -0.5,
        "bytes": [0x20, 0x35],
        "top_logprobs": [
            {"token": " 5", "logprob": -0.5, "bytes": [0x20, 0x35]},
            {"token": "x", "logprob": -9999.0, "bytes": [0x78]},
        ],
    }
    json.dumps(reply, allow_nan=False)


async def test_without_asking_there_are_none() -> None:
    reply = await Completion("m").collect(stream([TextDelta(text="€"), FINISHED]))
    assert reply["choices"][0]["logprobs"] is None


def test_in_a_stream_they_come_with_their_text() -> None:
    completion = Completion("m")
    chunks = [completion.first_chunk(), *(completion.event_chunk(0, event) for event in EVENTS)]
    choices = [chunk["choices"][0] for chunk in chunks if chunk is not None]
    told = [
        (
            choice["delta"].get("content"),
            [entry["bytes"] for entry in (choice["logprobs"] or {"content": []})["content"]],
        )
        for choice in choices
    ]
    assert told == [
        ("", []),
        (None, []),
        ("€", [[0xE2, 0x82], [0xAC]]),
        (" 5", [[0x20, 0x35]]),
        (None, [[0x21]]),  # the rest goes with the end
    ]
