"""The loop with a model that costs nothing: every request ends exactly once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.engine.fake_runner import LETTERS, FakeRunner, FakeVocabulary
from tests.engine.script import OPTIONS, Clock, Script, answer_alone, ask, play
from webui.engine.boot import run_loop
from webui.engine.chunk import Chunk
from webui.engine.protocol import (
    Cancel,
    Command,
    Generate,
    Happened,
    Load,
    Loaded,
    LoadFailed,
    LoadProgress,
    LoadReport,
    Report,
)
from webui.engine.waiting import MAX_WAITING
from webui.errors import ContextTooLong, EngineBusy, InvalidRequest, OutOfMemory
from webui.types import (
    GenerationRequest,
    Message,
    PromptProgress,
    Queued,
    SamplingParams,
    TextDelta,
)

# --- answers ---------------------------------------------------------------------------------------------------------


def test_an_answer_from_first_event_to_last() -> None:
    script = Script(ask(1, "Hello"))
    play(script)
    assert script.text(1) == answer_alone("Hello", 5)
    assert isinstance(script.events(1)[0], PromptProgress)
    end = script.end(1)
    assert end is script.events(1)[-1]
    assert (end.reason, end.usage.completion_tokens) == ("length", 5)
    assert end.timings.total_seconds >= end.timings.first_token_seconds >= end.timings.queued_seconds > 0
    assert end.timings.tokens_per_second > 0


def test_two_answers_are_written_side_by_side() -> None:
    script = Script(ask(1, "One", max_tokens=20), ask(2, "Two", max_tokens=20))
    play(script)
    order = [report.request_id for report in script.reports if isinstance(report, Happened)]
    assert order.index(2) < len(order) - 1 - order[::-1].index(1), "the second speaks before the first has ended"
    assert script.text(1) == answer_alone("One", 20)
    assert script.text(2) == answer_alone("Two", 20)


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it() -> None:
    whole = answer_alone("Hello", 50)
    script = Script(ask(1, "Hello", max_tokens=50, stop=(whole[10:13],)))
    play(script)
    assert script.text(1) == whole[: whole.index(whole[10:13])]
    assert script.end(1).reason == "stop"


def test_an_answer_that_fills_the_context_ends_with_length() -> None:
    script = Script(ask(1, max_tokens=None))
    play(script)
    usage = script.end(1).usage
    assert script.end(1).reason == "length"
    assert usage.total_tokens == OPTIONS.context_tokens


def test_those_who_wait_hear_their_place_and_move_up() -> None:
    script = Script(*(ask(number, f"{number} is mine") for number in range(5)))
    play(script)
    queued = [event for event in script.events(4) if isinstance(event, Queued)]
    assert [event.position for event in queued] == [3, 2, 1]
    assert queued[0].seconds is None, "nobody has finished yet, so nobody knows"
    assert queued[-1].seconds is not None
    assert all(script.end(number).reason == "length" for number in range(5))


def test_reading_a_long_prompt_tells_how_far_it_is() -> None:
    script = Script(ask(1, "x" * 200))
    play(script)
    total = len("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n") + 200
    dones = [event.done for event in script.events(1) if isinstance(event, PromptProgress)]
    assert dones == [64, 128, 192, total]


# --- leaving ---------------------------------------------------------------------------------------------------------


def test_a_cancelled_request_is_gone_before_the_next_step() -> None:
    script = Script(ask(1, max_tokens=100))
    steps_after: list[Sequence[Chunk]] = []
    cancelled = False

    def cancel_at_first_word(report: Report) -> None:
        nonlocal cancelled
        if isinstance(report, Happened) and isinstance(report.event, TextDelta) and not cancelled:
            cancelled = True
            script.commands.append(Cancel(request_id=1))

    script.on_report = cancel_at_first_word
    play(script, step=lambda chunks: steps_after.append(chunks) if cancelled else None)
    assert script.end(1).reason == "cancelled"
    assert script.end(1).usage.completion_tokens == 1
    assert not steps_after


def test_cancelling_one_who_waits_and_one_who_is_gone() -> None:
    script = Script(ask(1), ask(2), ask(3), Cancel(request_id=3), Cancel(request_id=3), Cancel(request_id=99))
    play(script)
    assert script.end(3).reason == "cancelled"
    assert script.end(3).usage.completion_tokens == 0
    assert script.end(1).reason == script.end(2).reason == "length"


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers() -> None:
    script = Script(ask(1, "x" * 1000))
    play(script)
    error = script.failure(1).error
    assert isinstance(error, ContextTooLong)
    assert error.details["context_tokens"] == 400
    assert "1,0" in str(error)


def test_more_than_the_queue_holds_is_refused_with_a_time() -> None:
    script = Script(*(ask(number) for number in range(MAX_WAITING + 1)))
    play(script)
    error = script.failure(MAX_WAITING).error
    assert isinstance(error, EngineBusy)
    assert float(error.details["retry_after"] or 0) >= 1
    assert all(script.end(number) for number in range(MAX_WAITING))


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParams(temperature=float("nan")),
        SamplingParams(temperature=-1),
        SamplingParams(top_p=float("inf")),
        SamplingParams(top_p=1.5),
        SamplingParams(min_p=-0.1),
        SamplingParams(top_k=-1),
        SamplingParams(repeat_penalty=0),
        SamplingParams(frequency_penalty=float("-inf")),
        SamplingParams(max_tokens=0),
        SamplingParams(stop=("x",) * 100),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_name(sampling: SamplingParams) -> None:
    request = GenerationRequest(messages=(Message(role="user", content="Hi"),), sampling=sampling)
    script = Script(Generate(request_id=1, request=request), ask(2))
    play(script)
    error = script.failure(1).error
    assert isinstance(error, InvalidRequest)
    assert any(name in str(error) for name in SamplingParams.__struct_fields__)
    assert script.end(2).reason == "length", "the others do not notice"


def test_a_conversation_without_a_message_is_refused() -> None:
    script = Script(Generate(request_id=1, request=GenerationRequest(messages=())))
    play(script)
    assert isinstance(script.failure(1).error, InvalidRequest)


def test_a_request_that_breaks_the_tokenizer_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def tokenize(_self: FakeVocabulary, pieces: Sequence[str]) -> list[int]:
        text = "".join(pieces)
        if "strange" in text:
            raise StopIteration
        return list(map(ord, text))

    monkeypatch.setattr(FakeVocabulary, "tokenize", tokenize)
    script = Script(ask(1, "strange"), ask(2))
    play(script)
    assert isinstance(script.failure(1).error, InvalidRequest)
    assert script.end(2).reason == "length"


def test_too_many_control_texts_are_refused_before_they_are_tokenized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeVocabulary, "tokenize", lambda _self, _pieces: pytest.fail("tokenized"))
    script = Script(ask(1, "<|im_end|>" * 500))
    play(script)
    assert isinstance(script.failure(1).error, ContextTooLong)


# --- a memory smaller than promised ----------------------------------------------------------------------------------


def test_when_llama_cpp_finds_no_room_the_youngest_waits_and_both_finish() -> None:
    script = Script(ask(1, "One", max_tokens=40), ask(2, "Two", max_tokens=40))
    play(script, num_cells=150)
    assert script.text(1) == answer_alone("One", 40)
    assert script.text(2) == answer_alone("Two", 40)
    assert script.end(2).usage.completion_tokens == 40


def test_when_there_is_no_room_even_for_one_it_is_told_so() -> None:
    script = Script(ask(1, "x" * 200))
    play(script, num_cells=100)
    assert isinstance(script.failure(1).error, ContextTooLong)


# --- the engine as a whole -------------------------------------------------------------------------------------------


def test_loading_reports_progress_from_nothing_to_everything() -> None:
    script = Script(Load(model_path="fake.gguf", options=OPTIONS))

    def load(_load: Load, on_progress: Callable[[float], None]) -> FakeRunner:
        for number in range(1001):
            on_progress(number / 1000)
        return FakeRunner(OPTIONS)

    run_loop(script, load, Clock())
    fractions = [report.fraction for report in script.reports if isinstance(report, LoadProgress)]
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert fractions == sorted(fractions)
    assert len(fractions) <= 102
    assert isinstance(script.reports[len(fractions)], Loaded)


def test_a_model_that_does_not_load_says_why() -> None:
    script = Script(Load(model_path="big.gguf", options=OPTIONS))

    def load(_load: Load, _progress: Callable[[float], None]) -> FakeRunner:
        raise OutOfMemory("Big")

    assert not run_loop(script, load, Clock())
    (report,) = script.reports
    assert isinstance(report, LoadFailed)
    assert isinstance(report.error, OutOfMemory)


def test_the_load_is_reported_once_a_second_at_most_and_tells_the_truth_at_the_end() -> None:
    script = Script(*(ask(number, max_tokens=200) for number in range(6)))
    clock = Clock()
    runner = FakeRunner(OPTIONS)
    script.commands.appendleft(Load(model_path="fake.gguf", options=OPTIONS))
    real_receive = script.receive

    def receive(timeout: float | None) -> Command | None:
        if timeout and not script.commands:  # idle, but a report is due: let the time pass
            clock.now += timeout
            return None
        return real_receive(timeout)

    script.receive = receive  # type: ignore[method-assign]
    run_loop(script, lambda _load, _progress: runner, clock)
    loads = [report.load for report in script.reports if isinstance(report, LoadReport)]
    assert 2 <= len(loads) <= clock.now + 1
    assert max(load.num_running for load in loads) == 2
    assert max(load.tokens_per_second for load in loads) > 0
    assert (loads[-1].num_running, loads[-1].num_waiting, loads[-1].tokens_per_second) == (0, 0, 0)
    assert loads[-1].kv_used > 0, "finished conversations stay resident"


def test_the_fake_model_speaks_letters() -> None:
    assert set(answer_alone("anything", 100)) <= set(LETTERS)
