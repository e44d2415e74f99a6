"""What a request can ask of the loop beside an answer: read ahead, pause, go on, fit into the context."""

from __future__ import annotations

import itertools

from msgspec import structs

from tests.engine.fake_runner import FakeRunner
from tests.engine.script import OPTIONS, Script, answer_alone, ask, play
from webui.engine.boot import run_loop
from webui.engine.chunk import Chunk
from webui.engine.protocol import Cancel, Forget, Generate, Happened, Load, Loaded, Pause, Prefill, Report, Resume
from webui.errors import ContextTooLong, InvalidRequest
from webui.types import (
    ContextTrimmed,
    Finished,
    GenerationRequest,
    Message,
    OverflowPolicy,
    SamplingParams,
    TextDelta,
)

LONG_DRAFT = "I wonder what you think of " + "this and that, " * 10


def draft(request_id: int, text: str) -> Prefill:
    return Prefill(request_id=request_id, request=ask(0, text).request)


def chat(request_id: int, *contents: str, overflow: OverflowPolicy, max_tokens: int = 5, system: str = "") -> Generate:
    """A conversation of questions and answers by turns."""
    roles = ("user", "assistant")
    messages = tuple(Message(role=roles[index % 2], content=text) for index, text in enumerate(contents))  # type: ignore[arg-type]
    if system:
        messages = (Message(role="system", content=system), *messages)
    sampling = SamplingParams(max_tokens=max_tokens)
    return Generate(
        request_id=request_id, request=GenerationRequest(messages=messages, sampling=sampling, overflow=overflow)
    )


def test_a_template_that_a_person_wrote_takes_the_place_of_the_models_own() -> None:
    script = Script(ask(1, "Hello"))
    play(script, structs.replace(OPTIONS, chat_template="[{{ messages[0].content }}]"))
    assert script.end(1).usage.prompt_tokens == len("[Hello]")
    (loaded,) = (report for report in script.reports if isinstance(report, Loaded))
    assert loaded.info.has_chat_template


# --- reading ahead ---------------------------------------------------------------------------------------------------


def test_a_message_that_was_read_while_it_was_typed_is_answered_almost_at_once() -> None:
    script = Script(draft(1, LONG_DRAFT), ask(2, LONG_DRAFT + "and of us?"), one_at_a_time=True)
    play(script)
    ahead, sent = script.end(1), script.end(2)
    assert ahead.usage.completion_tokens == 0
    assert sent.usage.cached_tokens == ahead.usage.prompt_tokens
    assert sent.usage.prompt_tokens - sent.usage.cached_tokens < 60
    assert script.text(2) == answer_alone(LONG_DRAFT + "and of us?", 5)


def test_the_last_word_of_a_draft_is_not_read_for_it_may_go_on() -> None:
    script = Script(draft(1, "Tell me about the Alham"), ask(2, "Tell me about the Alhambra"), one_at_a_time=True)
    play(script)
    read_ahead = len("<|im_start|>user\nTell me about the")
    assert script.end(1).usage.prompt_tokens == read_ahead
    assert script.end(2).usage.cached_tokens == read_ahead


def test_a_draft_that_changed_is_cancelled_and_the_new_one_goes_on_from_what_is_the_same() -> None:
    first, second = draft(1, LONG_DRAFT), draft(2, LONG_DRAFT[:60] + "something else entirely, is it not")
    script = Script(first, Cancel(request_id=1), second)
    script.on_report = lambda _report: None
    play(script)
    assert script.end(1).reason == "cancelled"
    assert script.end(2).reason == "stop"


def test_a_draft_needs_words_of_a_person() -> None:
    script = Script(Prefill(request_id=1, request=GenerationRequest(messages=())), draft(2, "  "))
    play(script)
    assert isinstance(script.failure(1).error, InvalidRequest)
    assert isinstance(script.failure(2).error, InvalidRequest)


# --- pausing ---------------------------------------------------------------------------------------------------------


def test_a_paused_answer_says_nothing_until_it_goes_on() -> None:
    script = Script(ask(1, max_tokens=20), ask(2, "Hello", max_tokens=40))
    said_by_then: list[str] = []

    def steer(report: Report) -> None:
        if not isinstance(report, Happened) or not isinstance(report.event, TextDelta | Finished):
            return
        if report.request_id == 1 and len(script.text(1)) == 3:
            script.commands.append(Pause(request_id=1))
        if report.request_id == 2 and isinstance(report.event, Finished):
            said_by_then.append(script.text(1))
            script.commands.append(Resume(request_id=1))

    script.on_report = steer
    play(script)
    assert len(said_by_then[0]) <= 4
    assert script.text(1) == answer_alone("Hi", 20)


# --- going on behind given words -------------------------------------------------------------------------------------


def test_an_answer_goes_on_behind_the_words_it_begins_with() -> None:
    whole = answer_alone("Hi", 10)
    request = structs.replace(ask(0).request, continuation=whole[:4])
    script = Script(Generate(request_id=1, request=request))
    play(script)
    assert whole[4:9] == script.text(1)


# --- the context is full ---------------------------------------------------------------------------------------------

TURNS = [f"turn {index} ".ljust(60, ".") for index in range(9)]


def test_by_default_a_conversation_that_is_too_long_is_an_error_with_both_numbers() -> None:
    script = Script(chat(1, *TURNS, overflow="error"))
    play(script)
    error = script.failure(1).error
    assert isinstance(error, ContextTooLong)
    assert error.details["context_tokens"] == OPTIONS.context_tokens


def test_the_oldest_turns_are_left_out_and_that_is_told() -> None:
    script = Script(chat(1, *TURNS, overflow="drop_oldest", system="Be kind."))
    seen: list[str] = []
    play(script, step=lambda chunks: seen.append("".join(map(chr, chunks[0].sequence.tokens))))
    (trimmed,) = (event for event in script.events(1) if isinstance(event, ContextTrimmed))
    assert trimmed.num_messages > 0
    assert trimmed.num_messages % 2 == 0, "a question goes with its answer"
    assert "Be kind." in seen[0]
    assert "turn 0" not in seen[0]
    assert TURNS[-1] in seen[0]
    assert script.end(1).reason == "length"


def test_a_conversation_that_fits_is_not_touched() -> None:
    script = Script(chat(1, "Hi", overflow="drop_oldest"))
    play(script)
    assert not [event for event in script.events(1) if isinstance(event, ContextTrimmed)]


def test_an_answer_without_end_forgets_its_beginning_but_not_the_system_prompt() -> None:
    script = Script(chat(1, "Go on", overflow="shift", max_tokens=900, system="Be kind."))
    seen: list[str] = []

    def look(chunks: list[Chunk]) -> None:
        seen.append("".join(map(chr, chunks[0].sequence.tokens)))

    play(script, step=look)
    end = script.end(1)
    assert (end.reason, end.usage.completion_tokens) == ("length", 900)
    assert len([event for event in script.events(1) if isinstance(event, ContextTrimmed) and event.num_tokens]) > 1
    assert all(text.startswith("<|im_start|>system\nBe kind.") for text in seen)
    assert max(map(len, seen)) <= OPTIONS.context_tokens


def test_a_memory_that_cannot_forget_ends_the_answer_where_the_context_ends() -> None:
    script = Script(chat(1, "Go on", overflow="shift", max_tokens=900))
    play(script, can_shift=False)
    assert script.end(1).reason == "length"
    assert script.end(1).usage.completion_tokens < 900


# --- a step is short, a conversation can be forgotten ----------------------------------------------------------------


def test_a_long_prompt_is_read_in_steps_that_leave_room_for_others() -> None:
    runner = FakeRunner(structs.replace(OPTIONS, batch_tokens=256))
    sizes: list[int] = []
    runner.step = lambda chunks: sizes.append(sum(chunk.count for chunk in chunks))
    script = Script(ask(1, "x" * 300))
    script.commands.appendleft(Load(model_path="fake.gguf", options=runner.options))
    seconds = itertools.count()  # every look at the clock is a second later: a slow machine
    assert run_loop(script, lambda _load, _progress: runner, lambda: float(next(seconds)))
    assert max(sizes) == 128, "a second's worth, though the batch would hold twice as many"


def test_a_forgotten_conversation_is_read_anew() -> None:
    request = structs.replace(ask(0, LONG_DRAFT).request, conversation="c")
    script = Script(
        Generate(request_id=1, request=request),
        Forget(conversation="c"),
        Generate(request_id=2, request=request),
        one_at_a_time=True,
    )
    play(script)
    assert script.end(2).usage.cached_tokens == 0
