"""A call that cannot be read is asked for again: nothing of it was said, and what comes in its place is valid."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.engine.calling import TOOLS
from tests.engine.fake_runner import END, FakeRunner, FakeSampler, FakeVocabulary
from tests.engine.script import Clock, Script
from webui.engine.answer_reader import AnswerReader
from webui.engine.boot import run_loop
from webui.engine.protocol import Generate, Load
from webui.engine.runner import Sampled, Sampler
from webui.engine.tool_calls import families
from webui.engine.tool_calls.reader import CallReader
from webui.errors import InvalidRequest
from webui.types import (
    EngineOptions,
    GenerationEvent,
    GenerationRequest,
    Message,
    SamplingParams,
    TextDelta,
    ToolCallDelta,
    ToolChoice,
)

OPTIONS = EngineOptions(context_tokens=2000, kv_tokens=4000, num_slots=2, batch_tokens=64)
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}{{ tools | tojson }}{# <tool_call> #}|"
BROKEN = "<tool_call>get_weather: in Bern, please</tool_call>"
VALID = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call>'


class Writer(FakeRunner):
    """Says what it was told to; held to a grammar of calls, it says a valid one."""

    def __init__(self, said: str, again: str = VALID, *, can_trim: bool = True, refuses: bool = False) -> None:
        super().__init__(OPTIONS, can_trim=can_trim)
        self.vocabulary = FakeVocabulary()
        self.vocabulary.chat_template = TEMPLATE
        self._plans = {True: again, False: said}
        self._forced: set[int] = set()
        self._refuses = refuses
        self._places: dict[int, int] = {}

    def create_sampler(self, sampling: SamplingParams) -> FakeSampler:
        if sampling.grammar is not None and self._refuses:
            raise InvalidRequest("The form of the tool calls cannot be honoured.")
        sampler = super().create_sampler(sampling)
        if sampling.grammar is not None:
            self._forced.add(id(sampler))
        return sampler

    def sample(self, row: int, sampler: Sampler) -> Sampled:
        place = self._places.get(id(sampler), 0)
        self._places[id(sampler)] = place + 1
        plan = self._plans[id(sampler) in self._forced]
        return Sampled(ord(plan[place]) if place < len(plan) else END)


def answer(runner: Writer, *, max_tokens: int = 300, logprobs: int | None = None) -> Script:
    request = GenerationRequest(
        messages=(Message(role="user", content="Hi"),),
        sampling=SamplingParams(max_tokens=max_tokens, logprobs=logprobs),
        tools=TOOLS[:1],
        tool_choice=ToolChoice(),
    )
    script = Script(Load(model_path="fake.gguf", options=runner.options), Generate(request_id=1, request=request))
    assert run_loop(script, lambda _load, _progress: runner, Clock())
    assert all(sampler.is_closed for sampler in runner.samplers)
    return script


def calls(events: Sequence[GenerationEvent]) -> list[str]:
    found: list[str] = []
    for event in events:
        if isinstance(event, ToolCallDelta):
            found += [event.name] if event.name else []
            found[-1] += event.arguments
    return found


@pytest.mark.parametrize("before", ["", "I look.\n"])
@pytest.mark.parametrize("can_trim", [True, False])
def test_a_call_that_cannot_be_read_is_written_again(before: str, can_trim: bool) -> None:
    runner = Writer(before + BROKEN, can_trim=can_trim)
    script = answer(runner)
    assert script.text(1) == before.strip(), "not a character of the broken call was said"
    assert calls(script.events(1)) == ['get_weather{"city":"Bern"}']
    assert script.end(1).reason == "tool_calls"
    assert "asked again" in script.end(1).notes[0]
    held = "".join(map(chr, next(iter(runner.memory.values()))))
    assert held.endswith(f"|{before}{VALID}"), "and the model remembers only the call that was read"


def test_it_is_asked_once() -> None:
    script = answer(Writer(BROKEN, again=BROKEN))
    assert script.text(1) == BROKEN
    assert len(script.end(1).notes) == 2


def test_a_call_that_the_model_leaves_off_is_asked_again_too() -> None:
    script = answer(Writer('So: <tool_call>{"title": "get_weather"'))
    assert (script.text(1), calls(script.events(1))) == ("So:", ['get_weather{"city":"Bern"}'])


def test_calls_before_it_stay() -> None:
    script = answer(Writer(VALID.replace("Bern", "Olten") + "\n" + BROKEN))
    assert calls(script.events(1)) == ['get_weather{"city":"Olten"}', 'get_weather{"city":"Bern"}']


@pytest.mark.parametrize("said", ["The tag <tool_call> begins a call.", "A fence:\n```json\n{}\n```"])
def test_what_is_only_about_calls_is_text(said: str) -> None:
    script = answer(Writer(said))
    assert (script.text(1), calls(script.events(1))) == (said, [])


def test_where_the_tools_cannot_be_held_to_it_stands_in_the_text() -> None:
    script = answer(Writer(f"{BROKEN} So much for that.", refuses=True))
    assert script.text(1) == f"{BROKEN} So much for that."
    assert "stands in the text" in script.end(1).notes[0]


def test_what_is_cut_is_not_asked_again() -> None:
    script = answer(Writer(BROKEN), max_tokens=14)
    assert (script.text(1), script.end(1).reason) == (BROKEN[:14], "length")


def test_where_every_token_is_told_nothing_is_taken_back() -> None:
    assert answer(Writer(BROKEN), logprobs=0).text(1) == BROKEN


def test_no_text_is_held_back_for_long() -> None:
    said = "<tool_call> " + "is a tag that some models write. " * 20
    events = answer(Writer(said), max_tokens=len(said)).events(1)
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(texts).strip() == said.strip()
    assert len(texts[0]) < 300


def test_a_model_whose_prompt_begins_its_calls_goes_on_behind_that_beginning() -> None:
    """Functionary: `>>>` ends every prompt, and stands before every call."""
    reader = CallReader(families.FUNCTIONARY_32, TOOLS, can_ask_again=True)
    said = list(reader.feed("all\nI look.>>>get_weather in Bern\n"))
    assert (said, reader.is_broken, reader.num_lost) == (
        [TextDelta(text="I look.")],
        True,
        len("get_weather in Bern\n"),
    )
    reader.ask_again()
    events = [*reader.feed('get_weather\n{"city": "Bern"}'), *reader.finish(is_cut=False)]
    assert calls(events) == ['get_weather{"city":"Bern"}']


@pytest.mark.parametrize("before", ["", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"])
def test_channels_are_gone_back_to_as_well(before: str) -> None:
    header = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
    reader = AnswerReader(None, families.HARMONY, TOOLS, can_ask_again=True)
    first = [delta for character in f"{before}{header}in Bern<|call|>" for delta in reader.feed(character)]
    assert reader.num_lost == len(f"{header}in Bern<|call|>")
    assert calls(first) == [], "not even its name was told"
    reader.ask_again()
    again = [*reader.feed(f'{header}{{"city": "Bern"}}'), *reader.finish(is_cut=False)]
    assert calls(again) == ['get_weather{"city":"Bern"}']
    assert (reader.num_calls, len(reader.notes)) == (1, 1)


def test_a_call_without_arguments_is_none_that_is_broken() -> None:
    reader = AnswerReader(None, families.HARMONY, TOOLS, can_ask_again=True)
    events = [*reader.feed("<|channel|>commentary to=functions.get_weather<|message|><|call|>")]
    assert (calls(events), reader.num_lost) == (["get_weather{}"], 0)
