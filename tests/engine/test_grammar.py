"""A grammar over a vocabulary of bytes: what may be written, what is refused before the first token, and how fast."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import jsonschema
import pytest

from webui.engine.grammar import MAX_SOURCE, GrammarCompiler, GrammarState, GrammarVocabulary
from webui.errors import InvalidRequest
from webui.types import Grammar, GrammarKind

END = 256
SILENT = 257  #: a control token


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    pieces = [bytes([byte]) for byte in range(256)] + [b"", b""]
    return GrammarCompiler(GrammarVocabulary(pieces, (END,), lambda text: list(text.encode())))


def begin(compiler: GrammarCompiler, kind: GrammarKind, source: object = "") -> GrammarState:
    text = source if isinstance(source, str) else json.dumps(source)
    return compiler.compile(Grammar(kind=kind, source=text))


def can_say(state: GrammarState, text: str) -> bool:
    """Whether `text` is a whole answer."""
    for byte in text.encode():
        if byte not in state.allowed():
            return False
        state.accept(byte)
    return END in state.allowed()


def babble(state: GrammarState, dice: random.Random) -> str | None:
    """An answer of somebody who knows nothing but the grammar; None when it does not come to an end."""
    written = bytearray()
    while len(written) < 600:
        allowed = state.allowed().tolist()
        if END in allowed and (len(allowed) == 1 or dice.random() < 0.5):
            return written.decode()
        likely = [byte for byte in allowed if byte in b'"}],:019aeln{['] if dice.random() < 0.9 else []
        byte = dice.choice(likely or [byte for byte in allowed if byte != END])
        state.accept(byte)
        written.append(byte)
    return None


# --- the forms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "source", "good", "bad"),
    [
        ("choice", ["yes", "no", "ni", "ü/\n\""], ["yes", "no", "ni", "ü/\n\""], ["ye", "n", "", "yesno"]),
        ("regex", r"[A-Z]{2}-\d+", ["AB-1", "ZZ-99"], ["A-1", "AB-", "AB-1x"]),
        ("regex", "^(red|green)$", ["red"], ["re", "redgreen"]),
        ("json_object", "", ['{"a": [1, null, {}]}', "{}"], ["[]", "1", "{", " {}", "{a: 1}"]),
        ("gbnf", 'root ::= "a" ("bc" | "b" "d")+', ["abc", "abd", "abcbd"], ["a", "ab", "bc"]),
        ("json_schema", {"type": "integer", "minimum": 3, "maximum": 12}, ["3", "12"], ["2", "13", "3.5", '"3"']),
        ("json_schema", {"enum": ["a", 1, None]}, ['"a"', "1", "null"], ['"b"', "2"]),
        ("json_schema", {"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2023-02-29"', '"2024-13-01"']),
        ("json_schema", {"type": "string", "format": "date"}, ['"0001-01-01"'], ['"0000-01-01"', '"0000-02-29"']),
        ("json_schema", {"type": "string", "format": "time"}, ['"23:59:59Z"'], ['"23:59:60Z"', '"24:00:00Z"']),
        ("json_schema", {"type": "string", "pattern": r"^\S+$"}, ['"ab"'], ['"a b"', '"\ufeff"']),
        ("json_schema", {"title": "T", "x-order": 1, "deprecated": True, "type": "null"}, ["null"], ["1"]),
        ("json_schema", {"properties": {"deprecated": {"type": "null"}}}, ['{"deprecated": null}'],
         ['{"deprecated": 1}']),
        ("json_schema", True, ["1", "{}", "[]"], [""]),
    ],
)  # fmt: skip
def test_a_form_takes_what_has_it_and_nothing_else(
    compiler: GrammarCompiler, kind: GrammarKind, source: object, good: list[str], bad: list[str]
) -> None:
    for text in good:
        assert can_say(begin(compiler, kind, source), text), text
    for text in bad:
        assert not can_say(begin(compiler, kind, source), text), text


def test_a_finished_form_leaves_only_the_end(compiler: GrammarCompiler) -> None:
    state = begin(compiler, "choice", ["a"])
    assert state.allowed().tolist() == [ord("a")]
    state.accept(ord("a"))
    assert state.allowed().tolist() == [END]


def test_a_control_token_is_never_part_of_a_text(compiler: GrammarCompiler) -> None:
    assert SILENT not in begin(compiler, "regex", ".*").allowed()


def test_blanks_between_values_come_to_an_end(compiler: GrammarCompiler) -> None:
    state = begin(compiler, "json_object")
    for byte in b"{\n" + b" " * 40:
        state.accept(byte)
    assert ord(" ") not in state.allowed()


def test_two_answers_of_one_form_are_written_apart(compiler: GrammarCompiler) -> None:
    first, second = begin(compiler, "choice", ["ab", "cd"]), begin(compiler, "choice", ["ab", "cd"])
    first.accept(ord("a"))
    assert first.allowed().tolist() == [ord("b")]
    assert second.allowed().tolist() == [ord("a"), ord("c")]


# --- whatever is written is valid ------------------------------------------------------------------------------------

ADDRESS = {"type": "object", "properties": {"street": {"type": "string"}, "zip": {"pattern": "^[0-9]{5}$"}}}
SCHEMAS: list[Any] = [
    {"type": "object"},
    {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 5}, "minItems": 2},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string", "minLength": 2}},
     "required": ["b"], "additionalProperties": False},
    {"type": "object", "properties": {"id": {"format": "uuid", "type": "string"}}, "required": ["id", "other"]},
    {"anyOf": [{"type": "null"}, {"type": "array", "prefixItems": [{"const": "x"}, {"type": "boolean"}],
                                  "items": False, "minItems": 2}]},
    {"$defs": {"node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"},
                                                                           {"type": "null"}]}},
                        "required": ["next"], "additionalProperties": False}}, "$ref": "#/$defs/node"},
    {"allOf": [ADDRESS, {"required": ["zip"]}, {"additionalProperties": {"type": "boolean"}}]},
    {"oneOf": [{"properties": {"kind": {"const": "cat"}, "lives": {"maximum": 9, "type": "integer"}},
                "required": ["kind", "lives"], "type": "object"},
               {"properties": {"kind": {"const": "dog"}}, "required": ["kind"], "type": "object"}]},
    {"type": "object", "patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": False,
     "minProperties": 1, "maxProperties": 3},
    {"type": ["string", "null"], "format": "date-time"},
    {"type": "object", "minProperties": 2, "required": ["a", "b"]},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:40])
def test_babble_within_a_schema_is_valid(compiler: GrammarCompiler, schema: Any) -> None:
    dice = random.Random(json.dumps(schema))
    answers = [text for _ in range(25) if (text := babble(begin(compiler, "json_schema", schema), dice)) is not None]
    assert len(answers) > 5
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for text in answers:
        checker.validate(json.loads(text))


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "object", "requird": ["a"]}, "unknown keyword “requird”"),
        ({"properties": {"a": {"nullable": True}}}, "unknown keyword “nullable”"),
        ({"x-guidance": {"lenient": True}, "not": {}}, "unknown keyword “x-guidance”"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "null"}}, "not"),
        ({"if": {}, "then": {}}, "if"),
        ({"contains": {"const": 1}}, "contains"),
        ({"dependentRequired": {"a": ["b"]}}, "dependentRequired"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"propertyNames": {"maxLength": 3}}, "propertyNames"),
        ({"minProperties": 2}, "name that many properties"),
        ({"format": "regex"}, "Unknown format: regex"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, "oneOf constraints are not supported"),
        ({"pattern": "^(?=a)"}, "look-around"),
        ({"type": "strin"}, "Invalid type: strin"),
        ({"$ref": "#/$defs/gone"}, "“#/$defs/gone” does not lead to a schema"),
        ({"$ref": "#/examples/0", "examples": [{"type": "null"}]}, "does not lead to a schema"),
        ({"$ref": "https://example.org/s.json"}, "https://example.org/s.json"),
        ({"minimum": 5, "maximum": 4, "type": "integer"}, "minimum (5) is greater than maximum (4)"),
        ({"required": ["a"], "properties": {"a": False}, "type": "object"}, "'a' is unsatisfiable"),
        (False, "schema is false"),
        ([], "A JSON schema is an object"),
        ({"items": 5}, "something that is no schema"),
        ("{", "not valid JSON"),
        ('{"const": NaN}', "cannot be honoured"),
        ('{"const": "\\ud800"}', "cannot be honoured"),
        ("\ud800", "not valid Unicode"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_honoured_is_refused_with_the_reason(
    compiler: GrammarCompiler, schema: object, reason: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        begin(compiler, "json_schema", schema)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "source", "reason"),
    [
        ("regex", "(", "The regular expression cannot be honoured"),
        ("regex", r"(a)\1", "backreferences are not supported"),
        ("regex", "a" * (MAX_SOURCE + 1), "longer than 65,536 characters"),
        ("choice", "[]", "1 to 1,000 choices, not 0"),
        ("choice", '["a", ""]', "none of them empty"),
        ("choice", '{"a": 1}', "must be a list of texts"),
        ("choice", "yes", "not valid JSON"),
    ],
)
def test_other_forms_are_refused_in_words(
    compiler: GrammarCompiler, kind: GrammarKind, source: str, reason: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        begin(compiler, kind, source)
    assert reason in str(refusal.value)


def test_a_model_without_an_end_cannot_keep_to_a_form() -> None:
    with pytest.raises(InvalidRequest, match="no token that ends an answer"):
        GrammarCompiler(GrammarVocabulary([b"a"], (), lambda _text: []))


# --- hostile forms ---------------------------------------------------------------------------------------------------


def doubled(levels: int) -> dict[str, Any]:
    """Schemas whose intersections double with each level."""
    pairs = [{"anyOf": [{"required": [f"a{n}"]}, {"required": [f"b{n}"]}], "type": "object"} for n in range(levels)]
    return {"allOf": pairs}


def nested(levels: int) -> str:
    return '{"items":' * levels + "{}" + "}" * levels


HOSTILE: list[tuple[GrammarKind, object]] = [
    ("regex", "(a?){1000}a{1000}"),
    ("regex", "((([a-z]{1,100}){1,100}){1,100}){1,100}"),
    ("regex", "a{1000000}"),
    ("regex", "(a|b)*a(a|b){30}"),
    ("regex", "(" * 20000 + ")" * 20000),
    ("json_schema", doubled(30)),
    ("json_schema", nested(3000)),
    ("json_schema", "[" * 50000),
    ("json_schema", {"properties": {f"p{number}": {} for number in range(1000)}}),
    ("json_schema", {"properties": {f"p{number}": {} for number in range(4000)}}),
    ("json_schema", {"allOf": [{"type": "integer", "multipleOf": prime} for prime in (9973, 9967, 9949)]}),
    ("json_schema", {"type": "array", "minItems": 10**9}),
    ("gbnf", "root ::= " + '"a"? ' * 3900),
    ("gbnf", "root ::= " + '("a"? | "b")* ' * 1400),
    ("gbnf", "root ::= " + '"a"? ' * 5000),
    ("gbnf", "root ::= " + "(" * 5000),
    ("gbnf", "root ::= " + '("a"{2000}){2000}'),
    ("gbnf", "root ::= root root | root"),
]


@pytest.mark.parametrize(("kind", "source"), HOSTILE, ids=lambda value: str(value)[:30])
def test_a_hostile_form_is_settled_quickly(compiler: GrammarCompiler, kind: GrammarKind, source: object) -> None:
    """Taken or refused, at once and token by token: nobody else waits for it."""
    dice = random.Random(1)
    started_at = time.process_time()
    try:
        state = begin(compiler, kind, source)
        for _ in range(20):
            state.accept(dice.choice(state.allowed().tolist()))
    except InvalidRequest as refusal:
        assert len(str(refusal)) < 500
    assert time.process_time() - started_at < 2.0
