"""The intake: from a request's messages to the tokens that the model reads.

Renders the chat template, tokenizes, and applies the context policy of the request. It does not know when or whether
the tokens are computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from webui.engine.chat_format import ChatFormat, Prompt
from webui.engine.context_policy import RESERVED_SHARE, drop_oldest
from webui.engine.gap import read_gap
from webui.engine.image_span import ImageSpan
from webui.engine.radix_tree import common_prefix
from webui.engine.reasoning import ThinkMarks
from webui.engine.runner import Vision, Vocabulary
from webui.engine.thinking import Told
from webui.engine.tool_calls.families import GENERIC
from webui.engine.tool_calls.forced import describe
from webui.engine.tool_calls.formats import ToolFormat
from webui.engine.vision import NoVision, check_images, lay_out, split_at_images
from webui.errors import ContextTooLong, InvalidRequest
from webui.types import GenerationRequest, Image, Message, SamplingParams, Thinking, Tool


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read for a request."""

    tokens: list[int]
    opened: ThinkMarks | None  #: thinking that the prompt has opened already
    num_dropped: int = 0  #: messages that were left out because the context is full
    form: ToolFormat = GENERIC  #: how the model writes its answer, tool calls above all
    budget: int | None = None  #: the most tokens of thoughts
    images: tuple[ImageSpan, ...] = ()  #: where in the tokens images stand


class Intake:
    """Prepares requests for one model."""

    def __init__(self, vocabulary: Vocabulary, chat_template: str | None = None, vision: Vision | None = None) -> None:
        """`chat_template`: in place of the model's own; `vision`: through what it sees."""
        self._vocabulary = vocabulary
        self._vision = vision or NoVision()
        self._format = ChatFormat(
            chat_template or vocabulary.chat_template,
            bos=vocabulary.bos_text,
            eos=vocabulary.eos_text,
            control_texts=vocabulary.control_texts,
        )

    @property
    def chat_format(self) -> ChatFormat:
        return self._format

    @property
    def has_template(self) -> bool:
        """False: the model carries none (or a broken one), and ChatML stands in."""
        return self._format.has_template

    def prepare(self, request: GenerationRequest, max_tokens: int) -> Reading:
        """The prompt of an answer, with `max_tokens` of context. Raises InvalidRequest, TemplateFailed, ContextTooLong
        (not for every prompt that is too long: the scheduler has the last word)."""
        if request.gap is not None:
            tokens, num_dropped = read_gap(request.gap, self._vocabulary, max_tokens)
            return Reading(tokens, None, num_dropped)
        check_images(request)
        if request.prompt is not None:
            tokens, images = self._read_raw(request.prompt, request.prompt_images, max_tokens)
            return Reading(tokens, None, images=images)
        if not request.messages:
            raise InvalidRequest("There is no message to answer.")
        messages = request.messages
        if request.overflow == "drop_oldest":
            reading = self._read_if_fits(request, messages, max_tokens)
            if reading is not None:
                return reading
            messages = self._drop_oldest(request, max_tokens)
        return self._read(request, messages, max_tokens)

    def prepare_draft(self, request: GenerationRequest, max_tokens: int) -> Reading:
        """The beginning of the prompt that stays the same however the last message goes on. Raises as `prepare`."""
        last = request.messages[-1] if request.messages else None
        if last is None or last.role != "user" or not last.content.strip():
            raise InvalidRequest("There is no draft to read.")
        check_images(request)
        messages = request.messages
        if request.overflow == "drop_oldest" and self._read_if_fits(request, messages, max_tokens) is None:
            messages = self._drop_oldest(request, max_tokens)
        tokens, images = self._tokenize(self._format.render_draft(messages, request.thinking), max_tokens)
        return Reading(tokens, None, images=images)

    def sampling_of(self, request: GenerationRequest) -> SamplingParams:
        """How the answer's tokens are chosen: calls that must come have a grammar. Raises InvalidRequest."""
        grammar = request.sampling.grammar
        if request.tools:
            grammar = describe(request, self._format.tool_format)
        return msgspec.structs.replace(request.sampling, grammar=grammar)

    def sampling_of_call(self, request: GenerationRequest) -> SamplingParams:
        """As the answer's, held to a call of one of the tools. Raises InvalidRequest."""
        choice = msgspec.structs.replace(request.tool_choice, mode="required")
        return self.sampling_of(msgspec.structs.replace(request, tool_choice=choice))

    def count_system_tokens(self, request: GenerationRequest, tokens: list[int]) -> int:
        """How many of the prompt's first tokens are the system prompt (and the template's own beginning)."""
        system = tuple(message for message in request.messages if message.role == "system")
        other = self._format.render(
            (*system, Message(role="user", content="?")),
            tools=_offered(request),
            thinking=request.thinking,
            values=request.template_values,
        )
        return common_prefix(tokens, lay_out(other.pieces, self._vocabulary, self._vision, len(tokens))[0])

    def _drop_oldest(self, request: GenerationRequest, max_tokens: int) -> tuple[Message, ...]:
        def fits(messages: tuple[Message, ...]) -> bool:
            return self._read_if_fits(request, messages, max_tokens) is not None

        return drop_oldest(request.messages, fits, max_tokens)

    def _read_if_fits(
        self, request: GenerationRequest, messages: tuple[Message, ...], max_tokens: int
    ) -> Reading | None:
        """The prompt with these messages; None when too little room would be left for the answer."""
        reserved = max_tokens // RESERVED_SHARE
        if request.sampling.max_tokens is not None:
            reserved = min(reserved, request.sampling.max_tokens)
        try:
            reading = self._read(request, messages, max_tokens)
        except ContextTooLong:
            return None
        return reading if len(reading.tokens) <= max_tokens - reserved else None

    def _read(self, request: GenerationRequest, messages: tuple[Message, ...], max_tokens: int) -> Reading:
        tools = _offered(request)
        prompt = self._format.render(
            messages,
            request.continuation,
            tools,
            thinking=request.thinking,
            values=request.template_values,
            opens_thoughts=_has_form(request) and _wants_thoughts(request.thinking),
        )
        form = self._format.tool_format if tools else self._format.answer_format
        tokens, images = self._tokenize(prompt, max_tokens)
        budget = _budget(request, prompt.told, max_tokens - len(tokens))
        return Reading(tokens, prompt.opened, len(request.messages) - len(messages), form, budget, images)

    def _read_raw(
        self, prompt: str | tuple[int, ...], images: tuple[Image, ...], max_tokens: int
    ) -> tuple[list[int], tuple[ImageSpan, ...]]:
        spans: tuple[ImageSpan, ...] = ()
        if isinstance(prompt, str):
            tokens, spans = self._tokenize(Prompt(split_at_images(prompt, images), None), max_tokens)
        else:
            check_tokens(prompt, self._vocabulary.num_tokens)
            tokens = list(prompt)
        if not tokens:
            raise InvalidRequest("The prompt is empty.")
        return tokens, spans

    def _tokenize(self, prompt: Prompt, max_tokens: int) -> tuple[list[int], tuple[ImageSpan, ...]]:
        if len(prompt.pieces) > max_tokens:  # tokenizing that many would keep everybody waiting
            raise ContextTooLong(len(prompt.pieces), max_tokens)
        return lay_out(prompt.pieces, self._vocabulary, self._vision, max_tokens)


def _offered(request: GenerationRequest) -> tuple[Tool, ...]:
    """The tools that the model is told of."""
    return request.tools if request.tool_choice.mode != "none" else ()


def _has_form(request: GenerationRequest) -> bool:
    """Whether a grammar holds from the first token of the answer on, so that the model itself cannot begin to think."""
    return request.sampling.grammar is not None or (bool(request.tools) and request.tool_choice.is_forced)


def _wants_thoughts(thinking: Thinking) -> bool:
    return thinking.is_on or (thinking.is_on is None and thinking.effort is not None)


def _budget(request: GenerationRequest, told: Told, room: int) -> int | None:
    """The most tokens of thoughts; `room` is what the context has left."""
    if told.is_off:
        return 0
    budgets = [] if request.thinking.budget_tokens is None else [request.thinking.budget_tokens]
    if told.share is not None:
        most = request.sampling.max_tokens
        budgets.append(max(1, int(told.share * (room if most is None else min(most, room)))))
    return min(budgets, default=None)


def check_tokens(tokens: tuple[int, ...], num_tokens: int) -> None:
    """Raises InvalidRequest for an id that a vocabulary of this size does not have."""
    for token in tokens:
        if not 0 <= token < num_tokens:
            raise InvalidRequest(f"There is no token {token}. This model's tokens are 0 to {num_tokens - 1}.")
