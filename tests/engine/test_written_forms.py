"""A bad model at a high temperature, and every answer has its form: the grammar does the work."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from tests.engine.test_real_model import ask, play
from tests.engine.writing import is_finished, prompt_tokens, text_of, tokens_of, write
from webui.engine.model_runner import LlamaRunner
from webui.types import Grammar

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "mood": {"enum": ["happy", "sad", None]},
        "since": {"type": "string", "format": "date"},
    },
    "required": ["name", "age", "mood", "since"],
    "additionalProperties": False,
}
SCHEMAS: list[Any] = [
    PERSON,
    {"type": "array", "items": {"type": "string", "pattern": "^[A-Z][a-z]{1,9}$"}, "minItems": 2, "maxItems": 4},
    {"type": "array", "prefixItems": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"type": "boolean"}],
     "items": False, "minItems": 2},
    {"anyOf": [{"type": "object", "properties": {"<|im_end|>": {"const": "\n\"</s>"}},
                "required": ["<|im_end|>"], "additionalProperties": False}, {"const": 7}]},
    {"$defs": {"leaf": {"enum": ["é😀", "10.0.0.1"]}}, "type": "object",
     "properties": {"日本語": {"$ref": "#/$defs/leaf"}, "b": {"maxLength": 3, "type": "string"}},
     "required": ["日本語", "b"], "additionalProperties": False},
]  # fmt: skip
ASK = "Tell me about somebody you know."


def json_schema(schema: object) -> Grammar:
    return Grammar(kind="json_schema", source=json.dumps(schema))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:40])
@pytest.mark.parametrize("sampling", [{"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}, {"mirostat": 2}])
def test_an_answer_is_valid_whatever_the_model_thinks(
    starter_runner: LlamaRunner, schema: Any, sampling: dict[str, Any]
) -> None:
    for seed in (1, 2):
        written = write(starter_runner, ASK, max_tokens=200, grammar=json_schema(schema), seed=seed, **sampling)
        assert is_finished(starter_runner, written), "the form is complete, so the answer ends"
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(
            json.loads(text_of(starter_runner, written))
        )


@pytest.mark.parametrize(
    ("grammar", "pattern"),
    [
        (Grammar(kind="regex", source=r"[a-z]{3,8} [0-9]{2}"), r"[a-z]{3,8} [0-9]{2}"),
        (Grammar(kind="choice", source='["a lighthouse", "a light", "the sea"]'), r"a light(house)?|the sea"),
        (Grammar(kind="gbnf", source='root ::= ("ha" " "){2,3} [!?]'), r"(ha ){2,3}[!?]"),
    ],
)
def test_other_forms_are_kept_as_well(starter_runner: LlamaRunner, grammar: Grammar, pattern: str) -> None:
    written = write(starter_runner, ASK, max_tokens=60, grammar=grammar, temperature=1.5, min_p=0.0, seed=3)
    assert is_finished(starter_runner, written)
    assert re.fullmatch(pattern, text_of(starter_runner, written))


def test_a_form_that_grows_too_complex_ends_its_answer_and_nobody_elses(starter_runner: LlamaRunner) -> None:
    """It compiles; what it means is too much only after some tokens."""
    form = Grammar(kind="regex", source="([a-z]{1,1000}){1000}")
    script = play(
        starter_runner, ask(1, ASK, grammar=form, temperature=1.0, max_tokens=400, seed=1), ask(2, ASK), ask(3, ASK)
    )
    failure = script.failure(1)
    assert "The regular expression cannot be honoured" in str(failure.error)
    assert script.text(2) == script.text(3) != ""


def test_the_model_still_chooses_within_the_form(starter_runner: LlamaRunner) -> None:
    grammar = Grammar(kind="choice", source='["Paris", "Xylophone"]')
    question = "What is the capital of France?"
    assert text_of(starter_runner, write(starter_runner, question, grammar=grammar, temperature=0.0)) == "Paris"


def test_penalties_see_what_was_written_in_a_form(starter_runner: LlamaRunner) -> None:
    form = Grammar(kind="regex", source="[0-9]{8}")
    monotonous = text_of(starter_runner, write(starter_runner, ASK, grammar=form, temperature=0.0))
    varied = text_of(starter_runner, write(starter_runner, ASK, grammar=form, temperature=0.0, frequency_penalty=10.0))
    assert len(set(varied)) > len(set(monotonous)) + 2


def test_a_form_does_not_spoil_the_logits_of_others(starter_runner: LlamaRunner) -> None:
    plain = write(starter_runner, ASK, temperature=0.0, logprobs=3)
    write(starter_runner, ASK, temperature=0.0, grammar=json_schema(PERSON))
    assert write(starter_runner, ASK, temperature=0.0, logprobs=3) == plain


def test_thinking_is_free_and_does_not_end_the_answer(starter_runner: LlamaRunner) -> None:
    """As many tokens as a whole answer would have: without a form the model would have ended there."""
    question = "Answer with one word: what is the capital of France?"
    free = write(starter_runner, question, temperature=0.0, max_tokens=60)
    assert is_finished(starter_runner, free)
    thought = len(free) + 3
    grammar = Grammar(kind="choice", source='["done"]')
    written = write(starter_runner, question, temperature=0.0, max_tokens=90, grammar=grammar, thinks_for=thought)
    assert tokens_of(written)[: len(free) - 1] == tokens_of(free)[:-1]
    assert text_of(starter_runner, written[thought:]) == "done"
    assert is_finished(starter_runner, written)


def test_what_is_forced_is_written_in_the_models_own_tokens(starter_runner: LlamaRunner) -> None:
    text = "The capital of Liechtenstein"
    written = write(starter_runner, ASK, grammar=Grammar(kind="choice", source=json.dumps([text])), temperature=1.0)
    assert tokens_of(written)[:-1] == starter_runner.vocabulary.tokenize([text])
    assert len(prompt_tokens(starter_runner, text)) > len(written)
