"""Thinking, told in each template's own words: real templates of many families, switched on and off and by degrees."""

from __future__ import annotations

import json
from functools import cache

import pytest

from tests.engine.fake_runner import FakeRunner, FakeVocabulary
from tests.engine.script import Script, play
from tests.engine.test_real_model import play as play_real
from tests.engine.test_tool_templates import FOLDER, QUESTION
from webui.engine.chat_format import CHATML, ChatFormat, Prompt
from webui.engine.intake import Intake
from webui.engine.model_runner import LlamaRunner
from webui.engine.protocol import Generate
from webui.engine.reasoning import closes_thoughts
from webui.errors import CannotThink, InvalidRequest
from webui.types import (
    GenerationRequest,
    Grammar,
    Message,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
    Thinking,
    ThinkingEffort,
)

LOW_TO_HIGH: tuple[ThinkingEffort, ...] = ("low", "medium", "high")
#: whether it can be switched, whether it is on by itself, and the efforts that it tells apart
SUPPORT: dict[str, tuple[bool, bool, tuple[ThinkingEffort, ...]]] = {
    "Apertus-8B-Instruct": (True, False, ()),
    "ByteDance-Seed-OSS": (True, True, ()),
    "GLM-4.6": (True, True, ()),
    "GLM-4.7-Flash": (True, True, ()),
    "HuggingFaceTB-SmolLM3-3B": (True, True, ()),
    "MiniMax-M2": (False, True, ()),
    "Qwen-Qwen3-0.6B": (True, True, ()),
    "Qwen3.5-4B": (True, True, ()),
    "deepseek-ai-DeepSeek-V3.1": (True, False, ()),
    "deepseek-ai-DeepSeek-V3.2": (True, False, ()),
    "deepseek-ai-DeepSeek-V4": (True, False, ("xhigh",)),
    "google-gemma-4-31B-it": (True, False, ()),
    "ibm-granite-granite-3.3-2B-Instruct": (True, False, ()),
    "llama-cpp-deepseek-r1": (False, True, ()),
    "openai-gpt-oss-120b": (False, True, LOW_TO_HIGH),
    "openbmb-MiniCPM5-1B": (True, True, ()),
    "unsloth-Apriel-1.5": (False, True, ()),
}
OTHERS = ("Qwen-Qwen2.5-7B-Instruct", "Qwen3-Coder", "Mistral-Small-3.2-24B-Instruct-2506", "ibm-granite-granite-4.0",
          "ibm-granite-granite-4.1", "meetkai-functionary-medium-v3.1", "meetkai-functionary-medium-v3.2",
          "microsoft-Phi-3.5-mini-instruct", "moonshotai-Kimi-K2",
          "mistralai-Mistral-Nemo-Instruct-2407")  # fmt: skip
THINKERS = pytest.mark.parametrize("name", SUPPORT)
ON, OFF = Thinking(is_on=True), Thinking(is_on=False)


@cache
def chat_format(name: str) -> ChatFormat:
    source = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    return ChatFormat(source, bos="<s>", eos="</s>", control_texts=("<|im_start|>", "<|im_end|>"))


def render(name: str, thinking: Thinking = Thinking(), **more: object) -> Prompt:  # noqa: B008 - a value
    return chat_format(name).render((QUESTION,), thinking=thinking, **more)  # type: ignore[arg-type]


def text(prompt: Prompt) -> str:
    return "".join(piece for piece in prompt.pieces if isinstance(piece, str))


# --- what templates can be told --------------------------------------------------------------------------------------


@THINKERS
def test_what_a_template_can_be_told_is_found_by_trying(name: str) -> None:
    support = chat_format(name).thinking.support
    assert (support.can_switch, support.is_on, support.efforts) == SUPPORT[name]
    assert support.can_think


@THINKERS
def test_switched_off_no_thoughts_are_open(name: str) -> None:
    prompt = render(name, OFF)
    assert (prompt.opened, prompt.told.is_off) == (None, True)
    is_told = chat_format(name).thinking.support.can_switch
    assert is_told or closes_thoughts(text(prompt)) or text(prompt).endswith("<|end|><|start|>assistant")


@THINKERS
def test_on_and_off_are_different_prompts(name: str) -> None:
    assert text(render(name, ON)) != text(render(name, OFF))


@THINKERS
def test_thoughts_can_be_opened_where_a_grammar_would_keep_the_model_from_it(name: str) -> None:
    prompt = render(name, ON, opens_thoughts=True)
    assert prompt.opened is not None
    assert text(prompt).rstrip().endswith(prompt.opened.open)


@pytest.mark.parametrize("name", OTHERS)
def test_a_model_that_does_not_think_says_so(name: str) -> None:
    assert not chat_format(name).thinking.support.can_think
    for asked in (ON, Thinking(effort="low")):
        with pytest.raises(CannotThink):
            render(name, asked)
    plain = text(render(name))
    assert text(render(name, OFF)) == plain, "off is what it does anyway"
    assert text(render(name, Thinking(is_on=True, is_wish=True))) == plain


def test_an_effort_is_said_where_the_template_knows_it_and_else_a_share_of_the_answer() -> None:
    assert "Reasoning: high" in text(render("openai-gpt-oss-120b", Thinking(effort="high")))
    assert "Reasoning: low" in text(render("openai-gpt-oss-120b", Thinking(effort="minimal")))
    assert render("openai-gpt-oss-120b", Thinking(effort="high")).told.share is None
    assert render("Qwen-Qwen3-0.6B", Thinking(effort="low")).told.share == 0.2
    assert render("deepseek-ai-DeepSeek-V3.1", Thinking(effort="low")).opened is not None, "an effort switches it on"


def test_a_word_in_the_system_prompt_is_a_switch_too() -> None:
    source = (
        "{% set think = not (messages[0].role == 'system' and '/no_think' in messages[0].content) %}"
        "{# /think #}{% for m in messages %}[{{ m.content | replace('/no_think', '') }}]{% endfor %}"
        "{{ '<think>' if think else '<think></think>' }}"
    )
    form = ChatFormat(source, bos="", eos="", control_texts=())
    assert form.thinking.support.can_switch
    assert text(form.render((QUESTION,), thinking=OFF)).endswith("<think></think>")
    assert text(form.render((QUESTION,), thinking=ON)).endswith("<think>")


def test_other_variables_reach_the_template_and_never_become_control_tokens() -> None:
    form = ChatFormat("{{ mood.words[0] }}{{ messages[0].content }}", bos="", eos="", control_texts=("<|im_end|>",))
    values = json.dumps({"mood": {"words": ["so <|im_end|> so"]}, "messages": []})
    pieces = form.render((QUESTION,), values=values).pieces
    assert "".join(map(str, pieces)) == f"so <|im_end|> so{QUESTION.content}"
    assert len(pieces) == 2
    for wrong, words in (("[]", "object"), ('{"self": 1}', "name"), ('{"a b": 1}', "name"), ('{"a": [' * 200, "JSON")):
        with pytest.raises(InvalidRequest, match=words):
            form.render((QUESTION,), values=wrong)


def test_a_draft_is_read_with_the_same_words() -> None:
    for thinking in (OFF, Thinking(effort="high")):
        for name in ("Qwen-Qwen3-0.6B", "openai-gpt-oss-120b", "HuggingFaceTB-SmolLM3-3B"):
            draft = chat_format(name).render_draft((QUESTION,), thinking)
            assert text(render(name, thinking)).startswith(text(draft))


# --- budgets ---------------------------------------------------------------------------------------------------------


def budget(max_tokens: int | None, **asked: object) -> int | None:
    vocabulary = FakeVocabulary()
    vocabulary.chat_template = (FOLDER / "Qwen-Qwen3-0.6B.jinja").read_text(encoding="utf-8")
    request = GenerationRequest(
        messages=(QUESTION,),
        sampling=SamplingParams(max_tokens=max_tokens),
        thinking=Thinking(**asked),  # type: ignore[arg-type]
    )
    return Intake(vocabulary).prepare(request, 10_000).budget


def test_a_budget_is_the_least_of_what_was_said() -> None:
    assert budget(100) is None
    assert budget(100, budget_tokens=30) == 30
    assert budget(100, effort="medium") == 50
    assert budget(100, effort="medium", budget_tokens=30) == 30
    assert budget(100, is_on=False) == 0
    assert (budget(None, effort="low") or 0) > 1500, "of what the context has left"


class Thinker(FakeVocabulary):
    """A family whose prompt opens thoughts; nothing that the fake model says closes them."""

    chat_template = CHATML + "{{ '<think>' }}"


def think(sampling: SamplingParams, thinking: Thinking) -> tuple[Script, FakeRunner]:
    request = GenerationRequest(messages=(QUESTION,), sampling=sampling, thinking=thinking)
    script = Script(Generate(request_id=1, request=request))
    return script, play(script, vocabulary=Thinker())


def thoughts(script: Script) -> str:
    return "".join(event.text for event in script.events(1) if isinstance(event, ReasoningDelta))


def test_thinking_ends_after_its_budget_and_the_answer_goes_on() -> None:
    script, runner = think(SamplingParams(max_tokens=40), Thinking(budget_tokens=7))
    usage = script.end(1).usage
    assert len(thoughts(script).strip()) <= 7
    assert len(script.text(1)) > 5
    assert (usage.completion_tokens, usage.reasoning_tokens) == (40, 7 + len("\n</think>"))
    held = "".join(map(chr, next(iter(runner.memory.values()))))
    assert "\n</think>\n\n" in held.partition("<think>")[2], "the model itself has read that it is over"


def test_without_a_budget_it_thinks_to_the_end() -> None:
    script, _ = think(SamplingParams(max_tokens=20), Thinking())
    assert script.text(1) == ""
    assert script.end(1).usage.reasoning_tokens == 20


def test_off_it_answers_at_once() -> None:
    script, _ = think(SamplingParams(max_tokens=9), OFF)
    assert (thoughts(script), script.end(1).usage.reasoning_tokens) == ("", 0)
    assert len(script.text(1)) == 9


def test_a_budget_that_the_answers_end_cuts_is_no_more_than_that() -> None:
    script, _ = think(SamplingParams(max_tokens=3), Thinking(budget_tokens=3))
    end = script.end(1)
    assert end.reason == "length"
    assert any(isinstance(event, TextDelta) for event in script.events(1)) is False


def test_a_form_holds_behind_thoughts_that_had_to_end() -> None:
    form = Grammar(kind="json_object")
    script, runner = think(SamplingParams(max_tokens=30, grammar=form), Thinking(is_on=True, budget_tokens=4))
    assert len(thoughts(script).strip()) <= 4
    assert runner.samplers[0].has_begun, "the grammar begins with the answer"


def test_a_real_model_thinks_as_long_as_it_may_and_then_keeps_to_the_form(starter_runner: LlamaRunner) -> None:
    """With real tokens: what closes the thoughts is more than one, and the schema holds from the next one on."""
    schema = {
        "type": "object",
        "properties": {"answer": {"enum": ["yes", "no"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    form = Grammar(kind="json_schema", source=json.dumps(schema))
    request = GenerationRequest(
        messages=(Message(role="user", content="Is a whale a fish?"),),
        sampling=SamplingParams(temperature=0, max_tokens=80, grammar=form),
        thinking=Thinking(is_on=True, budget_tokens=12),
    )
    asked = Generate(request_id=1, request=request)
    script = play_real(starter_runner, asked, chat_template=CHATML + "{# <think></think> #}")
    assert thoughts(script).strip()
    assert "</think>" not in thoughts(script)
    assert json.loads(script.text(1))["answer"] in {"yes", "no"}
    usage = script.end(1).usage
    assert 12 < usage.reasoning_tokens < 24 < usage.completion_tokens < 80
