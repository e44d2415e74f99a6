"""What models of each family say when they call tools, read whole, character by character and in any other pieces."""

from __future__ import annotations

import random
import time

import pytest

from tests.engine.calling import TOOLS, Calls, read
from webui.engine.answer_reader import AnswerReader
from webui.engine.tool_calls import families
from webui.engine.tool_calls.formats import ToolFormat
from webui.types import ToolCallDelta, ToolChoice

BERN: Calls = [("get_weather", {"city": "Bern", "days": 2})]
BOTH: Calls = [*BERN, ("find_train", {"to": 'Zürich "HB" <x>', "stops": ["Olten", "Aarau"]})]
WEATHER = '{"city": "Bern", "days": 2}'
TRAIN = r'{"to": "Zürich \"HB\" <x>", "stops": ["Olten", "Aarau"]}'
NS = "]<]minimax[>["
PYTHON = """get_weather(city="Bern", days=2), find_train(to='Zürich "HB" <x>', stops=["Olten", "Aarau"])"""

SAID: list[tuple[ToolFormat, str, str, Calls]] = [
    (families.HERMES, f'<tool_call>\n{{"name": "get_weather", "arguments": {WEATHER}}}\n</tool_call>', "", BERN),
    (
        families.HERMES,
        f'Let me look.\n\n<tool_call>\n{{"name": "get_weather", "arguments": {WEATHER}}}\n</tool_call>\n'
        f'<tool_call>{{"arguments": {TRAIN}, "name": "find_train"}}</tool_call>\n',
        "Let me look.",
        BOTH,
    ),
    (
        families.QWEN_CODER,
        "I look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nBern\n</parameter>\n<parameter=days>\n2\n"
        "</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=find_train>\n<parameter=to>\n"
        'Zürich "HB" <x>\n</parameter>\n<parameter=stops>\n["Olten", "Aarau"]\n</parameter>\n</function>\n</tool_call>',
        "I look.",
        BOTH,
    ),
    (
        families.SEED,
        "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Bern</parameter>\n<parameter=days>2</parameter>\n"
        "</function>\n</seed:tool_call>",
        "",
        BERN,
    ),
    (
        families.GLM,
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n<arg_key>days</arg_key>\n"
        "<arg_value>2</arg_value>\n</tool_call>",
        "",
        BERN,
    ),
    (
        families.MINIMAX,
        '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Bern</parameter>\n'
        '<parameter name="days">2</parameter>\n</invoke>\n</minimax:tool_call>',
        "",
        BERN,
    ),
    (
        families.DSML,
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n'
        '<｜DSML｜parameter name="city" string="true">Bern</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        "</｜DSML｜function_calls>",
        "",
        BERN,
    ),
    (families.LLAMA, f'{{"name": "get_weather", "parameters": {WEATHER}}}', "", BERN),
    (
        families.LLAMA,
        f'<|python_tag|>{{"type": "function", "name": "get_weather", "parameters": {WEATHER}}}; '
        f'{{"name": "find_train", "parameters": {TRAIN}}}',
        "",
        BOTH,
    ),
    (families.LLAMA, f'[{{"name": "get_weather", "parameters": {WEATHER}}}]', "", BERN),
    (families.LLAMA, f"[{PYTHON}]", "", BOTH),
    (families.LLAMA, f"<function=get_weather>{WEATHER}</function>", "", BERN),
    (
        families.MISTRAL,
        f'[TOOL_CALLS] [{{"name": "get_weather", "arguments": {WEATHER}, "id": "abcdef123"}}, '
        f'{{"name": "find_train", "arguments": {TRAIN}}}]',
        "",
        BOTH,
    ),
    (families.MISTRAL_ARGS, f"[TOOL_CALLS]get_weather[ARGS]{WEATHER}[TOOL_CALLS]find_train[ARGS]{TRAIN}", "", BOTH),
    (families.MISTRAL_ARGS, f"Now.[TOOL_CALLS]get_weather[CALL_ID]abcdef123[ARGS]{WEATHER}", "Now.", BERN),
    (families.GEMMA, f"```tool_code\n[{PYTHON}]\n```", "", BOTH),
    (families.GEMMA, '```tool_code\nprint(get_weather(city="Bern", days=2))\n```\n', "", BERN),
    (families.GEMMA, f'Sure:\n```json\n{{"name": "get_weather", "parameters": {WEATHER}}}\n```', "Sure:", BERN),
    (families.GEMMA_4, '<|tool_call>call:get_weather{city:<|"|>Bern<|"|>,days:2}<tool_call|>', "", BERN),
    (
        families.DEEPSEEK_R1,
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{WEATHER}\n```"
        f"<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>find_train\n```json\n{TRAIN}\n```"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "",
        BOTH,
    ),
    (
        families.DEEPSEEK,
        f"I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{WEATHER}<｜tool▁call▁end｜>"
        f"<｜tool▁call▁begin｜>find_train<｜tool▁sep｜>{TRAIN}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "I look.",
        BOTH,
    ),
    (
        families.KIMI,
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        f"{WEATHER}<|tool_call_end|><|tool_calls_section_end|>",
        "",
        BERN,
    ),
    (
        families.HARMONY,
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary "
        f"to=functions.get_weather <|constrain|>json<|message|>{WEATHER}<|call|><|start|>assistant "
        f"to=functions.find_train<|channel|>commentary json<|message|>{TRAIN}",
        "I look.",
        BOTH,
    ),
    (
        families.KIMI_3,
        "<|open|>response<|sep|>I look.<|close|>response<|sep|><|open|>tools<|sep|>"
        '<|open|>call tool="get_weather" index="1"<|sep|><|open|>argument key="city" type="string"<|sep|>Bern'
        '<|close|>argument<|sep|><|open|>argument key="days" type="number"<|sep|>2<|close|>argument<|sep|>'
        "<|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|><|end_of_msg|>",
        "I look.",
        BERN,
    ),
    (
        families.MINIMAX_3,
        f'I look.{NS}<tool_call>\n{NS}<invoke name="get_weather">{NS}<city>Bern{NS}</city>{NS}<days>2{NS}</days>'
        f'{NS}</invoke>\n{NS}<invoke name="find_train">{NS}<to>Zürich "HB" <x>{NS}</to>{NS}<stops>{NS}<item>Olten'
        f"{NS}</item>{NS}<item>Aarau{NS}</item>{NS}</stops>{NS}</invoke>\n{NS}</tool_call>",
        "I look.",
        BOTH,
    ),
    (
        families.HUNYUAN_3,
        "<tool_calls:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n<arg_key:opensource>city"
        "</arg_key:opensource>\n<arg_value:opensource>Bern</arg_value:opensource>\n<arg_key:opensource>days"
        "</arg_key:opensource>\n<arg_value:opensource>2</arg_value:opensource>\n</tool_call:opensource>\n"
        "</tool_calls:opensource>",
        "",
        BERN,
    ),
    (
        families.MINICPM,
        '<function name="get_weather"><param name="city"><![CDATA[Bern]]></param><param name="days">2</param>'
        "</function>\n"
        '<function name="find_train"><param name="to"><![CDATA[Zürich "HB" <x>]]></param>'
        "<param name=\"stops\">['Olten', 'Aarau']</param></function>",
        "",
        BOTH,
    ),
    (families.FUNCTIONARY_32, f"all\nI look.>>>get_weather\n{WEATHER}>>>find_train\n{TRAIN}", "I look.", BOTH),
    (families.FUNCTIONARY_32, f"get_weather\n{WEATHER}", "", BERN),
    (families.OLMO, f"<function_calls>\n{PYTHON.replace(', find', chr(10) + 'find')}\n</function_calls>", "", BOTH),
    (families.PHI, f' functools[{{"name": "get_weather", "arguments": {WEATHER}}}]', "", BERN),
    (families.PHI_MINI, f'<|tool_call|>[{{"name": "get_weather", "arguments": {WEATHER}}}]<|/tool_call|>', "", BERN),
    (
        families.GRANITE,
        f'<|tool_call|>[{{"name": "get_weather", "arguments": {WEATHER}}}, '
        f'{{"name": "find_train", "arguments": {TRAIN}}}]',
        "",
        BOTH,
    ),
    (
        families.COMMAND_R7B,
        f'<|START_ACTION|>[\n    {{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {WEATHER}}},\n'
        f'    {{"tool_call_id": "1", "tool_name": "find_train", "parameters": {TRAIN}}}\n]<|END_ACTION|>',
        "",
        BOTH,
    ),
    (
        families.COMMAND_R,
        f'Action: ```json\n[{{"tool_name": "get_weather", "parameters": {WEATHER}}}]\n```',
        "",
        BERN,
    ),
    (families.NEMOTRON, f'<TOOLCALL>[{{"name": "get_weather", "arguments": {WEATHER}}}]</TOOLCALL>', "", BERN),
    (families.TOOL_CALLS, f'<tool_calls>[{{"name": "get_weather", "arguments": {WEATHER}}}]</tool_calls>', "", BERN),
    (families.APERTUS, f'<|tools_prefix|>[{{"get_weather": {WEATHER}}}, {{"find_train": {TRAIN}}}]<|tools_suffix|>',
     "", BOTH),
    (families.GIGACHAT, f'<|function_call|>{{"name": "get_weather", "arguments": {WEATHER}}}', "", BERN),
    (
        families.SOLAR,
        f"<|tool_calls|><|tool_call:begin|>a1<|tool_call:name|>get_weather<|tool_call:args|>{WEATHER}<|tool_call:end|>"
        "<|calls|>",
        "",
        BERN,
    ),
    (families.LFM2, f"<|tool_call_start|>[{PYTHON}]<|tool_call_end|>", "", BOTH),
    (families.GENERIC,
     f'```json\n{{"tool_calls": [{{"function": {{"name": "get_weather", "arguments": {WEATHER}}}}}]}}\n```', "", BERN),
    (families.GENERIC, '{"name": "get_weather", "arguments": "{\\"city\\": \\"Bern\\", \\"days\\": 2}"}', "", BERN),
]  # fmt: skip


@pytest.mark.parametrize(("form", "text", "said", "calls"), SAID, ids=lambda value: getattr(value, "name", ""))
def test_calls_are_read_however_they_arrive(form: ToolFormat, text: str, said: str, calls: Calls) -> None:
    for size in (1, 2, 3, 5, 8, 13, len(text)):
        heard = read(form, text, size)
        assert heard.calls == calls
        assert heard.said == said, "no mark is ever seen"
        assert not heard.notes


@pytest.mark.parametrize(("form", "text", "said", "calls"), SAID, ids=lambda value: getattr(value, "name", ""))
def test_cut_in_two_anywhere_it_is_the_same(form: ToolFormat, text: str, said: str, calls: Calls) -> None:
    for at in range(len(text)):
        reader = AnswerReader(None, form, TOOLS)
        deltas = [*reader.feed(text[:at]), *reader.feed(text[at:]), *reader.finish(is_cut=False)]
        pieces = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
        assert [piece.name for piece in pieces if piece.name] == [name for name, _ in calls]
        assert "".join(delta.text for delta in deltas if not isinstance(delta, ToolCallDelta)) == said


def test_arguments_stream_while_they_are_written() -> None:
    reader = AnswerReader(None, families.HERMES, TOOLS)
    (begun,) = list(reader.feed('<tool_call>{"name": "get_weather", '))
    assert isinstance(begun, ToolCallDelta)
    assert (begun.name, begun.arguments) == ("get_weather", "")
    more = [*reader.feed('"arguments": {"city": "a very '), *reader.feed("long te")]
    assert "".join(delta.arguments for delta in more if isinstance(delta, ToolCallDelta)) == '{"city":"a very long te'


@pytest.mark.parametrize("form", [families.HERMES, families.QWEN_CODER, families.MISTRAL, families.GENERIC,
                                  families.LLAMA, families.HARMONY, families.DEEPSEEK, families.GLM,
                                  families.GEMMA_4])  # fmt: skip
@pytest.mark.parametrize(
    "text",
    [
        "The weather is fine.",
        "  indented\n\ntext ",
        "a < b <tool and [TOOL <| ok",
        '{"answer": 42, "name": "Bern"}',
        '{"name": "Ada", "age": 36}',
        "[1, 2, 3] are numbers; [note] too",
        "```python\nget_weather\n```",
        "[",
    ],
)
def test_what_is_no_call_stays_text(form: ToolFormat, text: str) -> None:
    for size in (1, 4, 100):
        heard = read(form, text, size)
        assert heard.calls == []
        assert heard.said == (text.lstrip() if form.is_harmony else text)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("<tool_call>{'name': 'get_weather', 'arguments': {'city': 'Bern', 'days': 2}}</tool_call>", BERN),
        ('<tool_call>{"name": "get_weather", "arguments": {"city": "Bern", "days": 2}</tool_call>', BERN),
        ('<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern", "days": 2', BERN),
        ('<tool_call>{"name": "Functions.get_weather", "parameters": {"city": "Bern", "days": 2,}}</tool_call>', BERN),
        ('<tool_call>{"name": "get_weather"}</tool_call>', [("get_weather", {})]),
        ('<tool_call>{"name": "get_weather", "arguments": null}</tool_call>', [("get_weather", {})]),
        ('<tool_call>{"name": "no_such_tool", "arguments": {"a": 1}}</tool_call>', [("no_such_tool", {"a": 1})]),
    ],
)
def test_malformed_calls_are_mended(text: str, calls: Calls) -> None:
    for size in (1, 7, 200):
        heard = read(families.HERMES, text, size)
        assert (heard.calls, heard.said) == (calls, "")


def test_a_mended_call_is_told() -> None:
    (note,) = read(families.HERMES, "<tool_call>{'name': 'get_weather', 'arguments': {}}</tool_call>").notes
    assert "mended" in note


def test_what_cannot_be_read_is_not_lost() -> None:
    for size in (1, 100):
        heard = read(families.HERMES, "<tool_call>get the weather, please</tool_call> Thanks.", size)
        assert heard.calls == []
        assert heard.said == "<tool_call>get the weather, please</tool_call> Thanks."
        assert "could not be read" in heard.notes[0]


def test_a_call_behind_one_that_cannot_be_read_is_read() -> None:
    text = f'<tool_call>oops <tool_call>{{"name": "get_weather", "arguments": {WEATHER}}}</tool_call>'
    for size in (1, 100):
        heard = read(families.HERMES, text, size)
        assert (heard.said, heard.calls) == ("<tool_call>oops", BERN)


def test_a_call_that_max_tokens_cuts_is_not_closed() -> None:
    text = '<tool_call>{"name": "get_weather", "arguments": {"city": "Be'
    assert read(families.HERMES, text, is_cut=True).calls == [("get_weather", '{"city":"Be')]


def test_one_call_is_enough_where_calls_may_not_be_parallel() -> None:
    form, text, _, calls = SAID[1]
    for size in (1, 1000):
        heard = read(form, text, size, choice=ToolChoice(is_parallel=False))
        assert heard.calls == calls[:1]
    reader = AnswerReader(None, form, TOOLS, ToolChoice(is_parallel=False))
    list(reader.feed(text))
    assert reader.has_ended, "and nothing more has to be written"


def test_thinking_comes_first_and_may_speak_of_calls() -> None:
    text = '<think>I could <tool_call>.</think>\n<tool_call>{"name": "get_weather", "arguments": {}}</tool_call>'
    for size in (1, 3, 200):
        heard = read(families.HERMES, text, size)
        assert (heard.thought, heard.said, heard.calls) == ("I could <tool_call>.", "", [("get_weather", {})])


def test_harmony_thinks_speaks_and_calls_in_channels() -> None:
    text = (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello.<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.get_weather<|message|>{}<|call|>"
    )
    for size in (1, 3, 300):
        heard = read(families.HARMONY, text, size)
        assert (heard.thought, heard.said, heard.calls) == ("Hm.", "Hello.", [("get_weather", {})])


def test_random_mixtures_never_depend_on_the_pieces() -> None:
    """Marks, JSON and words in any order: many answers of somebody who has lost their mind."""
    dice = random.Random(5)
    forms = [form for form, *_ in SAID]
    words = [" ", "\n", "Hello", '"', "}", '{"name": "get_weather", "arguments": {', '"city": "Bern"', "}}", "[", "]",
             "get_weather", "(", ")", "{", "=", "```", "<", ">", "name", ":", ",",
             "</tool_call>", "<tool_call>"]  # fmt: skip
    for _ in range(800):
        form = dice.choice(forms)
        marks = [*form.opens, *words, "<parameter=city>", "</parameter>", "</function>", "<arg_key>", "<|message|>"]
        text = "".join(dice.choice(marks) for _ in range(dice.randint(1, 14)))
        whole = read(form, text, len(text))
        for size in (1, 2, dice.randint(3, 9)):
            assert read(form, text, size) == whole, (form.name, text, size)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (families.HERMES, '<tool_call>{"name": "get_weather", "arguments": {"a": ' + "[" * 5000),
        (families.HERMES, '<tool_call>{"name": "get_weather", "id": ' + "1" * 5000 + "}</tool_call>"),
        (families.HERMES, '<tool_call>{"name": "get_weather", "arguments": 1e999}</tool_call>'),
        (
            families.QWEN_CODER,
            "<tool_call><function=get_weather><parameter=days>" + "[" * 5000 + "</parameter></function>",
        ),
        (families.QWEN_CODER, "<tool_call><function=get_weather><parameter=days>NaN</parameter></function>"),
        (families.LLAMA, "[get_weather(city=" + "(" * 5000 + ")]"),
        (families.LLAMA, "[get_weather(city='\\d', days=" + "-" * 5000 + "1)]"),
        (families.LLAMA, "[get_weather(" + "a." * 5000 + "b())]"),
        (families.DEEPSEEK, "<｜tool▁call▁begin｜>get_weather" + " " * 250 + "!{}"),
        (families.GEMMA_4, "<|tool_call>call:get_weather{a:" + "{b:" * 5000 + "<tool_call|>"),
    ],
)
def test_what_a_hostile_model_writes_does_no_harm(form: ToolFormat, text: str) -> None:
    began = time.perf_counter()
    assert read(form, text, 1000) == read(form, text, 7)
    assert time.perf_counter() - began < 10, "and nobody waits for long"
