"""Calls that must come: whoever writes by the grammar writes a valid call that the family's reader reads."""

from __future__ import annotations

import json
import random

import jsonschema
import pytest

from tests.engine.calling import SCHEMAS, TOOLS, read
from webui.engine.grammar import GrammarCompiler, GrammarState, GrammarVocabulary
from webui.engine.tool_calls import families
from webui.engine.tool_calls.forced import describe
from webui.engine.tool_calls.formats import ToolFormat
from webui.errors import InvalidRequest
from webui.types import GenerationRequest, Grammar, Message, SamplingParams, Tool, ToolChoice

END = 256
LIKELY = frozenset(b'"}],:019aeln{[')
CONTROLS = ["[TOOL_CALLS]", "[ARGS]", "<|channel|>", "<|message|>", "<|constrain|>", "<|call|>", "<|start|>",
            "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
            "<｜tool▁calls▁end｜>",
            "<|tool_call|>", "<|START_ACTION|>", "<|END_ACTION|>"]  # fmt: skip
ALL = [value for value in vars(families).values() if isinstance(value, ToolFormat)]
FORMS = pytest.mark.parametrize("form", ALL, ids=lambda form: form.name)
REQUIRED = ToolChoice(mode="required")


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    """A vocabulary of bytes and of control tokens, which only marks are made of."""
    pieces = [bytes([byte]) for byte in range(256)] + [b""] * (1 + len(CONTROLS))
    controls = {text: END + 1 + index for index, text in enumerate(CONTROLS)}
    return GrammarCompiler(GrammarVocabulary(pieces, (END,), lambda text: list(text.encode()), controls))


def begin(
    compiler: GrammarCompiler,
    form: ToolFormat,
    choice: ToolChoice,
    *,
    tools: tuple[Tool, ...] = TOOLS,
    grammar: Grammar | None = None,
) -> GrammarState:
    request = GenerationRequest(
        messages=(Message(role="user", content="Hi"),),
        sampling=SamplingParams(grammar=grammar),
        tools=tools,
        tool_choice=choice,
    )
    described = describe(request, form)
    assert described is not None
    return compiler.compile(described)


def babble(state: GrammarState, dice: random.Random) -> str:
    """An answer of somebody who knows nothing but the grammar."""
    written = bytearray()
    for _ in range(5000):
        allowed = state.allowed().tolist()
        if END in allowed and (len(allowed) == 1 or dice.random() < 0.3):
            return written.decode()
        likely = [token for token in allowed if token in LIKELY or token > END]
        token = dice.choice(likely if likely and dice.random() < 0.95 else [each for each in allowed if each != END])
        state.accept(token)
        written += bytes([token]) if token < END else CONTROLS[token - END - 1].encode()
    raise AssertionError("the answer has no end")


@FORMS
def test_a_required_call_is_valid_and_is_read(compiler: GrammarCompiler, form: ToolFormat) -> None:
    dice = random.Random(7)
    for _ in range(3):
        said = babble(begin(compiler, form, REQUIRED), dice)
        heard = read(form, said, dice.choice([1, 3, 1000]))
        assert (heard.said, heard.notes) == ("", ())
        assert heard.calls
        for name, arguments in heard.calls:
            jsonschema.validate(arguments, SCHEMAS[name])


@FORMS
def test_a_named_tool_is_the_one_that_is_called(compiler: GrammarCompiler, form: ToolFormat) -> None:
    choice = ToolChoice(mode="required", name="find_train", is_parallel=False)
    heard = read(form, babble(begin(compiler, form, choice), random.Random(3)))
    assert [name for name, _ in heard.calls] == ["find_train"]


def test_several_calls_come_only_where_they_may(compiler: GrammarCompiler) -> None:
    def counts(choice: ToolChoice) -> set[int]:
        dice = random.Random(1)
        said = [babble(begin(compiler, families.HERMES, choice), dice) for _ in range(12)]
        return {len(read(families.HERMES, text, 1000).calls) for text in said}

    assert max(counts(REQUIRED)) > 1
    assert counts(ToolChoice(mode="required", is_parallel=False)) == {1}


def test_a_forced_answer_ends_where_it_begins_to_repeat_a_call() -> None:
    def call(city: str) -> str:
        return f'<tool_call>{{"name": "get_weather", "arguments": {{"city": "{city}"}}}}</tool_call>'

    said = call("Bern") + call("Basel") + call("Bern") + call("Bonn")
    cities = [arguments["city"] for _, arguments in read(families.HERMES, said, choice=REQUIRED).calls]
    assert cities == ["Bern", "Basel"], "and not a character of the third was told"
    assert "repeat" in read(families.HERMES, said, choice=REQUIRED).notes[-1]
    assert len(read(families.HERMES, said).calls) == 4, "a model that calls by itself may have its reasons"
    open_end = call("Bern") + call("Bernina").removesuffix("</tool_call>")
    assert len(read(families.HERMES, open_end, choice=REQUIRED).calls) == 2


def test_a_forced_call_invents_no_keys(compiler: GrammarCompiler) -> None:
    """A small model would go on with them until it is cut; what a schema combines or names as free stays so."""
    place = {"type": "object", "properties": {"x": {"type": "integer", "maximum": 9}}, "required": ["x"]}
    schema = {"type": "object", "properties": {"at": place, "free": {"type": "object", "additionalProperties": True}}}
    tools = (Tool(name="f", parameters=json.dumps({**schema, "required": ["at"]})),)
    dice, names = random.Random(5), set[str]()
    for _ in range(10):
        said = babble(begin(compiler, families.MISTRAL_ARGS, REQUIRED, tools=tools), dice)
        for call in said.split("[TOOL_CALLS]f[ARGS]")[1:]:
            arguments = json.loads(call)
            names |= arguments.keys()
            assert arguments["at"].keys() == {"x"}
    assert names <= {"at", "free"}


def test_with_an_answer_in_json_there_is_either_a_call_or_the_answer(compiler: GrammarCompiler) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    grammar = Grammar(kind="json_schema", source=json.dumps(schema))
    dice, kinds = random.Random(2), set[str]()
    for _ in range(20):
        heard = read(
            families.HERMES, babble(begin(compiler, families.HERMES, ToolChoice(), grammar=grammar), dice), 1000
        )
        kinds.add("call" if heard.calls else "answer")
        if not heard.calls:
            jsonschema.validate(json.loads(heard.said), schema)
    assert kinds == {"call", "answer"}


def test_without_need_there_is_no_grammar() -> None:
    request = GenerationRequest(messages=(Message(role="user", content="Hi"),), tools=TOOLS)
    assert describe(request, families.HERMES) is None


@pytest.mark.parametrize(
    ("tools", "choice", "grammar", "words"),
    [
        (TOOLS, ToolChoice(mode="required", name="fly"), None, "no such tool"),
        (TOOLS, ToolChoice(), Grammar(kind="regex", source="a+"), "do not go together"),
        ((Tool(name="f", parameters='{"type": "object", "not": {}}'),), REQUIRED, None, "cannot be honoured"),
        ((Tool(name="f", parameters='{"nullable": true}'),), REQUIRED, None, "tool “f”"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    compiler: GrammarCompiler, tools: tuple[Tool, ...], choice: ToolChoice, grammar: Grammar | None, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        begin(compiler, families.HERMES, choice, tools=tools, grammar=grammar)
