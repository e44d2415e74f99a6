"""The whole engine over every kind of memory: chats that come and go say what they would say alone.

A house of three chats in two slots: the slots change hands, states are parked and come back, a question is asked
again, goes on, is edited, and is answered three times at once. Each generated token comes with the model's own odds for
it; they must be those of a context in which that prompt and nothing else was ever read. Where a memory could be used
again, it must have been.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp
import numpy as np
import pytest

from tests.engine.prompt_text import texts
from tests.engine.script import Script
from tests.engine.test_llama_memory import LAYOUTS, NOISE, Bench
from tests.engine.tiny_models import ATTENTION, KINDS, write_tiny_model
from webui.engine.chat_format import ChatFormat
from webui.engine.loop import EngineLoop
from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Command, Generate, Load, Shutdown
from webui.types import EngineOptions, GenerationRequest, KvLayout, Message, Role, SamplingParams, TokenLogprobs

LETTERS = b"abcdefghijklmnopqrstuvwxyz"
ANSWER = 10  #: tokens of each answer
_random = np.random.default_rng(11)
_SILENCE = llama_cpp.llama_log_callback(lambda *_arguments: None)  # must outlive every call from C


def words(length: int) -> str:
    return "".join(chr(letter) for letter in _random.choice(list(LETTERS), length))


QUESTION, EARLIER, LATER, POPULAR = words(500), words(300), words(420), words(450)


class House(Script):
    """Asks what `scenario` yields, step by step, each when the engine is idle again."""

    def __init__(self, scenario: Callable[[House], Iterator[list[Command]]]) -> None:
        super().__init__()
        self.asked: dict[int, Generate] = {}
        self._steps = scenario(self)

    def receive(self, timeout: float | None) -> Command | None:
        if not self.commands and timeout != 0:
            self.commands.extend(next(self._steps, [Shutdown()]))
        command = self.commands.popleft() if self.commands else None
        if isinstance(command, Generate):
            self.asked[command.request_id] = command
        return command


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: write_tiny_model(folder, kind) for kind in KINDS}


Start = Callable[[], LlamaRunner]


@pytest.fixture
def start(models: dict[str, Path], kind: str, layout: KvLayout, tmp_path: Path) -> Iterator[Start]:
    """Load the model; states are parked in RAM and written to disk."""
    options = EngineOptions(
        context_tokens=1024,
        kv_tokens=2048,
        num_slots=2,
        batch_tokens=64,
        kv_layout=layout,
        parked_bytes=50_000_000,
        state_dir=str(tmp_path / "states"),
        state_bytes=50_000_000,
    )

    def load() -> LlamaRunner:
        runner = load_model(Load(model_path=str(models[kind]), options=options), lambda _fraction: None)
        llama_cpp.llama_log_set(_SILENCE, ctypes.c_void_p(0))
        return runner

    yield load
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))


def ask(runner: LlamaRunner, request_id: int, conversation: str, *texts: str) -> Generate:
    """`texts` are the turns of a chat, the person's first. Only letters are answered: they are tokens of their own."""
    roles: tuple[Role, ...] = ("user", "assistant") * len(texts)
    messages = tuple(Message(role=role, content=text) for role, text in zip(roles, texts, strict=False))
    bias = tuple((token, 100.0) for token in runner.vocabulary.tokenize([LETTERS.decode()]))
    sampling = SamplingParams(temperature=0, max_tokens=ANSWER, logprobs=1, logit_bias=bias)
    request = GenerationRequest(messages=messages, sampling=sampling, conversation=conversation, owner=conversation)
    return Generate(request_id=request_id, request=request)


def prompt_of(runner: LlamaRunner, request: GenerationRequest) -> list[int]:
    vocabulary = runner.vocabulary
    chat_format = ChatFormat(None, bos="", eos="", control_texts=vocabulary.control_texts)
    return vocabulary.tokenize(texts(chat_format.render(request.messages)))


def worst_gap(house: House, runner: LlamaRunner, alone: Bench) -> float:
    """How far the odds that were told lie from those of a context that reads one prompt at a time."""
    gaps = []
    for request_id, command in house.asked.items():
        tokens, num_read = prompt_of(runner, command.request), 0
        alone.memory.clear(0)
        for event in house.events(request_id):
            if isinstance(event, TokenLogprobs):
                logits = alone.read(0, tokens, num_read).astype(np.float64)
                (token,) = runner.vocabulary.tokenize([event.chosen.token.decode()])
                logprob = logits[token] - logits.max() - np.log(np.exp(logits - logits.max()).sum())
                gaps.append(abs(logprob - event.chosen.logprob))
                num_read = len(tokens)
                tokens.append(token)
    assert len(gaps) == ANSWER * len(house.asked), "every token was told"
    return float(max(gaps))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_house_full_of_chats(start: Start, models: dict[str, Path], kind: str) -> None:
    runner = start()

    def scenario(house: House) -> Iterator[list[Command]]:
        yield [ask(runner, 1, "a1", QUESTION)]
        yield [ask(runner, 2, "b2", EARLIER), ask(runner, 3, "c3", LATER)]  # the first chat's slot is needed
        yield [ask(runner, 4, "a1", QUESTION)]
        yield [ask(runner, 5, "a1", QUESTION, house.text(4), "and then")]
        yield [ask(runner, 6, "a1", QUESTION[:-9] + "otherwise")]
        yield [ask(runner, 7 + number, "d4", POPULAR) for number in range(3)]
        yield [ask(runner, 10, "b2", EARLIER, house.text(2), "go on")]

    house = House(scenario)
    EngineLoop(house, runner, time.monotonic).run()
    alone = Bench(models[kind], "separate", num_slots=1, context_tokens=1024)
    assert worst_gap(house, runner, alone) < 2 * NOISE
    alone.close()

    usage = {request_id: house.end(request_id).usage for request_id in house.asked}
    assert usage[1].cached_tokens == 0
    assert usage[4].cached_tokens == usage[4].prompt_tokens - 1, "asked again"
    assert usage[5].cached_tokens >= usage[4].prompt_tokens - 1, "goes on"
    assert usage[10].cached_tokens >= usage[2].prompt_tokens - 1, "goes on after a long time"
    if kind in ATTENTION:
        assert usage[6].cached_tokens >= len(QUESTION) - 9, "what comes before the edit is kept"
    again = sorted(usage[request_id].cached_tokens for request_id in (7, 8, 9))
    assert again[1:] == [usage[7].prompt_tokens - 1] * 2, "read once, answered three times"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_chat_goes_on_after_a_restart(start: Start, models: dict[str, Path], kind: str) -> None:
    first = start()
    before = House(lambda _house: iter([[ask(first, 1, "a1", QUESTION)], [ask(first, 2, "b2", EARLIER)]]))
    EngineLoop(before, first, time.monotonic).run()
    second = start()
    after = House(lambda _house: iter([[ask(second, 3, "a1", QUESTION, before.text(1), "and then")]]))
    EngineLoop(after, second, time.monotonic).run()
    alone = Bench(models[kind], "separate", num_slots=1, context_tokens=1024)
    assert worst_gap(after, second, alone) < 2 * NOISE
    alone.close()
    assert after.end(3).usage.cached_tokens >= before.end(1).usage.prompt_tokens - 1
