"""Messages to the text that the model was trained on, through the chat template that its GGUF carries.

What people write never becomes a control token. Before rendering, every control token's text inside a message is
broken by a character that occurs nowhere else; the template carries it along, whatever it trims or splits; afterwards
the text is cut there, and the pieces are tokenized apart, so that no control token can form across the cut. A message
without such text (nearly all) is tokenized exactly as llama.cpp would.

Templates differ in what they take. When one refuses a system message or two messages of the same role in a row, or
drops a message silently, the next shape of the same conversation is tried. It does not know tokens, only their texts.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from webui.engine.reasoning import ThinkMarks, closes_thoughts, find_open_marks
from webui.engine.template_sandbox import Template, TemplateOverrun
from webui.engine.template_tools import Guard, ToolTemplating, guarded, split_calls
from webui.engine.thinking import AS_IT_IS, ThinkingTemplate, Told, Values, with_word
from webui.engine.tool_calls.families import find_format
from webui.engine.tool_calls.formats import ToolFormat
from webui.engine.vision import split_at_images
from webui.errors import InvalidRequest, TemplateFailed
from webui.types import Image, Message, Thinking, Tool

logger = logging.getLogger(__name__)

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\n' }}"
)
_UNASKED = Thinking()
_NOTHING: Values = MappingProxyType({})
_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered conversation: texts to tokenize one by one, with images where they stand, and whether thinking is open
    at its end."""

    pieces: tuple[str | Image, ...]
    opened: ThinkMarks | None
    told: Told = AS_IT_IS  #: what the template was told of thinking


class ChatFormat:
    """The chat format of one model."""

    def __init__(self, source: str | None, *, bos: str, eos: str, control_texts: Iterable[str]) -> None:
        """A missing or broken template is replaced by ChatML; `has_template` says so."""
        self.has_template = False
        self._template = Template(CHATML)
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._control_texts = frozenset(text for text in control_texts if len(text) > 1)
        self._control_lengths = sorted({len(text) for text in self._control_texts})
        firsts = "".join(sorted({text[0] for text in self._control_texts}))
        self._control_first = re.compile(f"[{re.escape(firsts)}]") if firsts else None
        if source:
            try:
                self._template = Template(source)
                self.has_template = True
            except TemplateFailed as error:
                logger.warning("The model's chat template is replaced by ChatML: %s", error)
        used = source if self.has_template else None
        self._form = find_format(used)
        self._tools = ToolTemplating(used, self._form, self._render_some_shape)
        self.thinking = ThinkingTemplate(used, lambda messages, values: self._render_some_shape(messages, None, values))

    @property
    def tool_format(self) -> ToolFormat:
        """How the model writes tool calls; looking costs some renderings, once."""
        return self._tools.form

    @property
    def answer_format(self) -> ToolFormat:
        """How it writes anything else: what it does about tools is of no interest."""
        return self._form

    def render(
        self,
        messages: tuple[Message, ...],
        continuation: str = "",
        tools: tuple[Tool, ...] = (),
        *,
        thinking: Thinking = _UNASKED,
        values: str = "{}",
        opens_thoughts: bool = False,
    ) -> Prompt:
        """The prompt that makes the model answer, or go on behind `continuation`; it may call `tools`. `values`: a JSON
        object of further variables for the template. `opens_thoughts`: where thinking is asked for, it begins in the
        prompt, so that the model cannot leave it out.

        Raises TemplateFailed (with its reason), CannotThink or InvalidRequest.
        """
        own = _read_values(values)
        mark, frame = _unused_characters(messages, continuation, tools, json.dumps(own, ensure_ascii=False))
        messages, images = _framed(messages, frame)
        told = self.thinking.tell(thinking)
        variables = {**told.values, **guarded(own, lambda text: self._break(text, mark))}
        text = self._render_with_tools(messages, tools, lambda text: self._break(text, mark), variables, told.word)
        opened = find_open_marks(text)
        if continuation:
            text += f"\n{opened.close}\n\n" if opened else ""
            text, opened = text + self._break(continuation, mark), None
        elif told.is_off:
            text, opened = text + self._closed_thoughts(text, opened), None
        elif opens_thoughts and opened is None and (marks := self.thinking.marks) is not None:
            text, opened = f"{text}{marks.open}\n", marks
        return Prompt(_cut(text, mark, frame, images), opened, told)

    def render_draft(self, messages: tuple[Message, ...], thinking: Thinking = _UNASKED) -> Prompt:
        """The beginning of the prompt that is certain while the last message, not blank, is still being written.

        It ends before that message's last word, which may go on and then be other tokens. Raises as `render` does.
        """
        mark, frame = _unused_characters(messages)
        messages, images = _framed(messages, frame)
        prepared, _ = self._tools.prepare(messages, (), lambda text: self._break(text, mark))
        draft = str(prepared[-1]["content"]).strip()
        told = self.thinking.tell(thinking)
        text = self._render_some_shape(with_word(prepared, told.word), None, told.values)
        start = text.rfind(draft)
        if start < 0:
            raise TemplateFailed("it does not repeat what was written.")
        words = draft.rpartition(draft.split()[-1])[0]
        return Prompt(_cut(text[: start + len(words.rstrip())], mark, frame, images), None)

    def render_raw(
        self,
        messages: list[dict[str, Any]] | None,
        tools: list[dict[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> str:
        """What the template itself makes of this, in no other shape and with nothing broken. Raises TemplateFailed."""
        return self._template.render(
            messages=messages or [],
            add_generation_prompt=add_generation_prompt,
            tools=tools,
            documents=None,
            **self._tokens,
        )

    def _closed_thoughts(self, text: str, opened: ThinkMarks | None) -> str:
        """What ends thinking before it begins, where the template does not do that itself."""
        if opened is not None:
            return f"\n{opened.close}\n\n"
        marks = self.thinking.marks
        if marks is None or self.thinking.support.can_switch or closes_thoughts(text):
            return ""
        if self._form.is_harmony:
            return f"{marks.open}<|end|><|start|>assistant"
        return f"{marks.open}\n\n{marks.close}\n\n"

    def _render_with_tools(
        self, messages: tuple[Message, ...], tools: tuple[Tool, ...], guard: Guard, values: Values, word: str
    ) -> str:
        """Some templates refuse tools that lack a description, or look at tools wherever there are calls. `word`: at
        the end of the system prompt."""
        prepared, listed = self._tools.prepare(messages, tools, guard)
        try:
            return self._render_some_shape(with_word(prepared, word), listed, values)
        except TemplateOverrun:
            raise
        except TemplateFailed:
            if listed is None and not any(message.tool_calls for message in messages):
                raise
            if listed is not None:
                prepared, _ = self._tools.prepare(messages, tools, guard, in_words=True)
            return self._render_some_shape(with_word(prepared, word), [], values)

    def _render_some_shape(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None, values: Values = _NOTHING
    ) -> str:
        """The first shape that the template takes whole; failing that, the first that it takes at all."""
        taken: list[str] = []
        refusals: list[TemplateFailed] = []
        for shape in _SHAPES:
            try:
                text = self._template.render(
                    **{
                        "documents": None,
                        **self._tokens,
                        **values,
                        "messages": shape(messages),
                        "add_generation_prompt": True,
                        "tools": tools,
                    }
                )
            except TemplateOverrun:
                raise
            except TemplateFailed as error:
                refusals.append(error)
                continue
            if _has_all(text, messages):
                return text
            taken.append(text)
        if taken:
            return taken[0]
        raise refusals[0]

    def _break(self, content: str, mark: str) -> str:
        """`content` with `mark` behind the first character of every control text in it, overlapping ones too."""
        if self._control_first is None:
            return content
        found = (match.start() for match in self._control_first.finditer(content))
        positions = [start + 1 for start in found if self._is_control_at(content, start)]
        starts, ends = [0, *positions], [*positions, len(content)]
        return mark.join(content[start:end] for start, end in zip(starts, ends, strict=True))

    def _is_control_at(self, content: str, start: int) -> bool:
        """A look into a set for each length: some vocabularies have thousands of control texts, few lengths."""
        return any(content[start : start + length] in self._control_texts for length in self._control_lengths)


def _read_values(source: str) -> dict[str, Any]:
    """The variables of a request. Raises InvalidRequest."""
    try:
        values = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The variables for the chat template are no JSON.") from error
    if not isinstance(values, dict):
        raise InvalidRequest("The variables for the chat template must be an object.")
    for name in values:
        if not name.isidentifier() or name == "self":
            raise InvalidRequest("A variable for the chat template has a name that no variable can have.")
    return values


def _unused_characters(
    messages: tuple[Message, ...], continuation: str = "", tools: tuple[Tool, ...] = (), values: str = ""
) -> tuple[str, str]:
    """Two that nobody has written: one to cut at, one to frame the numbers of images."""
    used = {*continuation, *values}
    for message in messages:
        used.update(message.content, message.reasoning, message.name, message.tool_call_id)
    for tool in tools:
        used.update(tool.name, tool.description, tool.parameters)
    for call in (call for message in messages for call in message.tool_calls):
        used.update(call.name, call.arguments, call.id)
    free = (character for code in itertools.chain(*_PRIVATE_USE) if (character := chr(code)) not in used)
    cut, frame = next(free, None), next(free, None)
    if cut is None or frame is None:
        raise InvalidRequest("The message uses every private character of Unicode, and two are needed. Leave two out.")
    return cut, frame


def _framed(messages: tuple[Message, ...], frame: str) -> tuple[tuple[Message, ...], list[Image]]:
    """Messages whose images are numbers in frames, in their text, which the template carries along."""
    images: list[Image] = []
    framed = []
    for message in messages:
        if not message.images:
            framed.append(message)
            continue
        text = ""
        for piece in split_at_images(message.content, message.images):
            if isinstance(piece, str):
                text += piece
            else:
                text += f"{frame}{len(images)}{frame}"
                images.append(piece)
        framed.append(msgspec.structs.replace(message, content=text, images=()))
    return tuple(framed), images


def _cut(text: str, mark: str, frame: str, images: list[Image]) -> tuple[str | Image, ...]:
    """The text in pieces, with images in place of their numbers."""
    pieces: list[str | Image] = []
    for index, part in enumerate(re.split(f"{frame}([0-9]+){frame}", text) if images else [text]):
        if index % 2:
            pieces.append(images[int(part)])
        else:
            pieces += part.split(mark)
    return tuple(pieces)


def _has_all(text: str, messages: list[dict[str, Any]]) -> bool:
    """Whether what the system and the last person said came through; templates may drop old thoughts, not those."""
    needed = [message["content"] for message in messages if message["role"] == "system"]
    needed += [message["content"] for message in messages if message["role"] == "user"][-1:]
    needed += [message["content"] for message in messages if message["role"] == "tool"]
    return all(content.strip() in text or json.dumps(content, ensure_ascii=False) in text for content in needed)


# --- shapes of one conversation, tried in this order ------------------------------------------------------------------

Shape = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def _as_it_is(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return messages


def _system_in_user(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """System messages go in front of the first thing that the person said."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    others = [dict(message) for message in messages if message["role"] != "system"]
    first = next((message for message in others if message["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *others] if system else others
    first["content"] = f"{system}\n\n{first['content']}" if system else first["content"]
    return others


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Roles alternate, beginning with the person's: neighbours of the same role become one message."""
    merged: list[dict[str, Any]] = []
    for message in _system_in_user(messages):
        is_same = bool(merged) and merged[-1]["role"] == message["role"] and message["role"] != "tool"
        if is_same and not merged[-1].get("tool_calls") and not message.get("tool_calls"):
            merged[-1]["content"] += "\n\n" + message["content"]
        elif merged or message["role"] == "user":
            merged.append(dict(message))
    return merged


def _in_parts(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Content as a list of parts, which templates of models that also see take instead of a string."""
    return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]


def _one_call_each(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several calls of one message, each with its result behind it."""
    return split_calls(messages)


_SHAPES: tuple[Shape, ...] = (_as_it_is, _in_parts, _one_call_each, _system_in_user, _merged)
