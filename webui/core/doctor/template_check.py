"""What the model's chat template makes of conversations: does everything that is said arrive, once, in order?

It tries the template as it is; where Glasshouse bridges a gap (it merges a system prompt into the first message when
the template takes none), the words say so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from webui.core.doctor.subject import CLOSED_THOUGHT, EMPTY_THOUGHT, Subject
from webui.core.doctor.words import join_words
from webui.engine.protocol import Rendered
from webui.types import Check, CheckState, Figure

TITLE = "Chat template"
TOOL = {
    "type": "function",
    "function": {
        "name": "find_train",
        "description": "Find the next train",
        "parameters": {
            "type": "object",
            "properties": {"station": {"type": "string", "description": "Where to board"}},
            "required": ["station"],
        },
    },
}
_CALL = {"id": "call12345", "type": "function", "function": {"name": "find_train", "arguments": {"station": "Bergen"}}}
_PEOPLE = [
    {"role": "user", "content": "First question"},
    {"role": "assistant", "content": "First answer"},
    {"role": "user", "content": "Second question"},
]
_SYSTEM = {"role": "system", "content": "Always be brief"}
_WITH_RESULT = [
    {"role": "user", "content": "When does the train leave?"},
    {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "call12345", "name": "find_train", "content": "The train leaves at 12:34"},
]
_THINKING = ("<think>", "enable_thinking", "[THINK]", "◁think▷", "<|channel|>", "reasoning_content", "<thinking>")
_OPENED = ("<think>", "[THINK]", "◁think▷", "<|channel|>analysis<|message|>", "<thinking>")


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look at the template showed."""

    words: str
    state: CheckState = "ok"


async def check_template(subject: Subject) -> Check:
    """Sets what was found of tools and thinking on the subject."""
    talk = await _render(subject, _PEOPLE)
    if talk.text is None:
        words = f"The chat template refuses a plain conversation: {talk.refusal} Choose another one for it."
        return Check(name="template", title=TITLE, state="fail", words=words)
    found = [
        _own_template(subject),
        _order(talk.text),
        await _system(subject),
        await _generation_prompt(subject, talk.text),
        _beginning(talk),
        await _tools(subject),
        _thinking(subject, talk.text),
    ]
    states: list[CheckState] = [each.state for each in found]
    return Check(
        name="template",
        title=TITLE,
        state="fail" if "fail" in states else "warn" if "warn" in states else "ok",
        words=" ".join(each.words for each in found if each.words),
        figures=(Figure(label="tokens around a message", value=await _count_overhead(subject), unit="tokens"),),
    )


async def _render(
    subject: Subject, messages: Sequence[object], tools: Sequence[object] = (), *, add_generation_prompt: bool = True
) -> Rendered:
    return await subject.render(
        json.dumps(messages),
        json.dumps(tools) if tools else "",
        add_generation_prompt=add_generation_prompt,
    )


def _own_template(subject: Subject) -> _Found:
    if subject.info.has_chat_template:
        return _Found("")
    return _Found("The file has no usable chat template, and ChatML stands in: answers may be worse for it.", "warn")


def _order(text: str) -> _Found:
    places = [text.find(message["content"]) for message in _PEOPLE]
    if -1 in places:
        return _Found("The template drops messages of a conversation.", "fail")
    if places != sorted(places):
        return _Found("The template turns the order of messages around.", "fail")
    return _Found("Both roles arrive in order.")


async def _system(subject: Subject) -> _Found:
    rendered = await _render(subject, [_SYSTEM, *_PEOPLE])
    if rendered.text is None:
        return _Found("It takes no system prompt, so Glasshouse puts it in front of the first message.")
    if _SYSTEM["content"] not in rendered.text:
        return _Found("It drops the system prompt silently, so Glasshouse puts it in front of the first message.")
    return _Found("The system prompt is kept.")


async def _generation_prompt(subject: Subject, asked: str) -> _Found:
    silent = await _render(subject, _PEOPLE, add_generation_prompt=False)
    if silent.text == asked:
        return _Found("It does not say when it is the model's turn: the model may go on with the question.", "warn")
    return _Found("")


def _beginning(rendered: Rendered) -> _Found:
    if rendered.num_bos > 1:
        return _Found(f"Prompts begin {rendered.num_bos} times (BOS): answers may be worse for it.", "warn")
    return _Found("")


async def _tools(subject: Subject) -> _Found:
    name = TOOL["function"]["name"]  # type: ignore[index]
    offered = await _render(subject, _PEOPLE, [TOOL])
    subject.knows_tools = offered.text is not None and name in offered.text
    if not subject.knows_tools:
        return _Found("It does not know tools.")
    answered = await _render(subject, _WITH_RESULT, [TOOL])
    missing = []
    if answered.text is None or name not in answered.text.replace(offered.text or "", ""):
        missing.append("calls")
    if answered.text is None or "12:34" not in answered.text:
        missing.append("results")
    if missing:
        return _Found(f"It shows tools to the model, but not their {join_words(missing)}.", "warn")
    return _Found("It shows tools, calls and results to the model.")


def _thinking(subject: Subject, prompt: str) -> _Found:
    if any(prompt.rstrip().endswith(mark) for mark in _OPENED):
        subject.thinks, subject.no_thought = True, CLOSED_THOUGHT
        return _Found("It makes the model think before it answers.")
    template = subject.header.chat_template or ""
    if any(mark in template for mark in _THINKING):
        subject.thinks = True
        subject.no_thought = EMPTY_THOUGHT if EMPTY_THOUGHT.split()[0] in template else ""
        return _Found("It has a place for thoughts.")
    return _Found("")


async def _count_overhead(subject: Subject) -> int:
    """Tokens that a message of one word costs beyond the word, the usual system prompt of the template included."""
    one = await _render(subject, [{"role": "user", "content": "Hello"}])
    (word,) = await subject.tokenize("Hello")
    return max(0, one.num_tokens - word.num_tokens)
