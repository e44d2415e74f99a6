"""Chats with images: what is answered has the odds that llama.cpp's own helper finds for the same prompt.

A house of chats, some with images, in two slots: images come first and in the middle, once and twice, beside others who
write; chats go on, share an image, and come back after a restart. Where rows of an image are in the memory, they must
not be computed again, and a single other pixel must never find them.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from llama_cpp import mtmd_cpp

from tests.engine.seeing import Reference, picture
from tests.engine.test_llama_memory import LAYOUTS, NOISE
from tests.engine.test_other_memories import LETTERS, House, words
from tests.engine.tiny_models import write_tiny_model
from tests.engine.tiny_projectors import NUM_ROWS, write_tiny_projector
from webui.engine.chat_format import ChatFormat
from webui.engine.loop import EngineLoop
from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Command, Generate, Load
from webui.errors import ImagesNotSupported
from webui.types import (
    EngineOptions,
    GenerationRequest,
    Image,
    KvLayout,
    Message,
    Role,
    SamplingParams,
    TokenLogprobs,
)

#: models and their projectors: rows computed like text, in both directions, and standing in two dimensions
KINDS = {"llama": "mlp", "gemma3": "gemma3", "qwen2vl": "qwen2vl_merger", "qwen35": "qwen2vl_merger"}
ANSWER = 6
CAT, DOG = picture(1), picture(2, form="JPEG")
_SILENCE = llama_cpp.llama_log_callback(lambda *_arguments: None)  # must outlive every call from C

Models = dict[str, tuple[Path, Path]]
Start = Callable[[], LlamaRunner]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    return {
        model: (write_tiny_model(folder, model), write_tiny_projector(folder, kind)) for model, kind in KINDS.items()
    }


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    llama_cpp.llama_log_set(_SILENCE, ctypes.c_void_p(0))
    mtmd_cpp.mtmd_helper_log_set(_SILENCE, ctypes.c_void_p(0))
    yield
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))


@pytest.fixture
def start(models: Models, kind: str, layout: KvLayout, tmp_path: Path) -> Start:
    model, projector = models[kind]
    options = EngineOptions(
        context_tokens=1024,
        kv_tokens=2048,
        num_slots=2,
        batch_tokens=48 if kind == "llama" else 18,  # fewer than an image's rows: it is computed in several steps
        kv_layout=layout,
        parked_bytes=50_000_000,
        state_dir=str(tmp_path / "states"),
        state_bytes=50_000_000,
        mmproj_path=str(projector),
    )

    def load() -> LlamaRunner:
        runner = load_model(Load(model_path=str(model), options=options), lambda _fraction: None)
        llama_cpp.llama_log_set(_SILENCE, ctypes.c_void_p(0))
        mtmd_cpp.mtmd_helper_log_set(_SILENCE, ctypes.c_void_p(0))
        return runner

    return load


def ask(runner: LlamaRunner, request_id: int, conversation: str, *turns: str | Message) -> Generate:
    roles: tuple[Role, ...] = ("user", "assistant") * len(turns)
    messages = tuple(
        Message(role=role, content=turn) if isinstance(turn, str) else turn
        for role, turn in zip(roles, turns, strict=False)
    )
    bias = tuple((token, 100.0) for token in runner.vocabulary.tokenize([LETTERS.decode()]))
    sampling = SamplingParams(temperature=0, max_tokens=ANSWER, logprobs=1, logit_bias=bias)
    request = GenerationRequest(messages=messages, sampling=sampling, conversation=conversation, owner=conversation)
    return Generate(request_id=request_id, request=request)


def show(text: str, *images: tuple[bytes, int]) -> Message:
    return Message(role="user", content=text, images=tuple(Image(data=data, at=at) for data, at in images))


def worst_gap(house: House, runner: LlamaRunner, reference: Reference) -> float:
    gaps = []
    for request_id, command in house.asked.items():
        chat_format = ChatFormat(None, bos="", eos="", control_texts=runner.vocabulary.control_texts)
        logits, num_tokens, place = reference.read(chat_format.render(command.request.messages).pieces)
        assert house.end(request_id).usage.prompt_tokens == num_tokens
        for event in house.events(request_id):
            if isinstance(event, TokenLogprobs):
                (token,) = runner.vocabulary.tokenize([event.chosen.token.decode()])
                odds = logits.astype(np.float64)
                logprob = odds[token] - odds.max() - np.log(np.exp(odds - odds.max()).sum())
                gaps.append(abs(logprob - event.chosen.logprob))
                logits = reference.go_on(token, place)
                place += 1
    assert len(gaps) == ANSWER * len(house.asked), "every token was told"
    return float(max(gaps))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_house_full_of_chats_with_images(start: Start, models: Models, kind: str) -> None:
    runner = start()
    assert runner.info.sees
    what, other, story = words(120), words(60), words(300)
    is_cat = show(what, (CAT, 0))
    both = show(what, (CAT, 20), (DOG, 50))

    def scenario(house: House) -> Iterator[list[Command]]:
        yield [ask(runner, 1, "a", is_cat)]
        yield [ask(runner, 2, "b", story), ask(runner, 3, "c", both)]
        yield [ask(runner, 4, "a", is_cat, house.text(1), "and now?")]
        yield [ask(runner, 5, "d", is_cat), ask(runner, 6, "e", show(what, (DOG, 0)))]
        yield [ask(runner, 7, "c", both, house.text(3), show(other, (CAT, 60)))]
        yield [ask(runner, 8, "f", show(what, (picture(3), 0))), ask(runner, 9, "b", story, house.text(2), is_cat)]

    house = House(scenario)
    EngineLoop(house, runner, time.monotonic).run()
    reference = Reference(*models[kind])
    assert worst_gap(house, runner, reference) < 2 * NOISE
    reference.close()

    usage = {request_id: house.end(request_id).usage for request_id in house.asked}
    before_image = len("<|im_start|>user\n") - len("<|im_start|>") + 1
    assert usage[4].cached_tokens >= usage[1].prompt_tokens - 1, "goes on behind the image"
    assert usage[7].cached_tokens >= usage[3].prompt_tokens - 1, "goes on behind both images"
    assert usage[5].cached_tokens >= before_image + NUM_ROWS[KINDS[kind]], "somebody else's image is shared"
    for stranger in (6, 8):
        most = before_image + len("<|vision_start|>")  # with what marks an image for some models
        assert usage[stranger].cached_tokens <= most, "another image is another prompt"


@pytest.mark.parametrize("layout", ["separate"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_comes_back_after_a_restart(start: Start, models: Models, kind: str) -> None:
    is_cat = show(words(120), (CAT, 0))
    first = start()
    before = House(lambda _house: iter([[ask(first, 1, "a1", is_cat)], [ask(first, 2, "b2", words(200))]]))
    EngineLoop(before, first, time.monotonic).run()
    second = start()
    after = House(lambda _house: iter([[ask(second, 3, "a1", is_cat, before.text(1), "and then")]]))
    EngineLoop(after, second, time.monotonic).run()
    reference = Reference(*models[kind])
    assert worst_gap(after, second, reference) < 2 * NOISE
    reference.close()
    assert after.end(3).usage.cached_tokens >= before.end(1).usage.prompt_tokens - 1


@pytest.mark.parametrize("layout", ["separate"])
@pytest.mark.parametrize("kind", ["llama"])
def test_a_damaged_image_is_refused_and_others_are_answered(start: Start) -> None:
    runner = start()
    broken = ask(runner, 1, "a", show("What is it?", (CAT[:200], 0)))
    house = House(lambda _house: iter([[broken, ask(runner, 2, "b", show("And this?", (CAT, 0)))]]))
    EngineLoop(house, runner, time.monotonic).run()
    assert "damaged" in str(house.failure(1).error)
    assert house.end(2).reason == "length"


def test_a_model_without_a_projector_says_so(models: Models) -> None:
    options = EngineOptions(context_tokens=512, kv_tokens=512, num_slots=1)
    runner = load_model(Load(model_path=str(models["llama"][0]), options=options), lambda _fraction: None)
    assert not runner.info.sees
    house = House(lambda _house: iter([[ask(runner, 1, "a", show("What is it?", (CAT, 0)))]]))
    EngineLoop(house, runner, time.monotonic).run()
    error = house.failure(1).error
    assert isinstance(error, ImagesNotSupported)
    assert "mmproj" in str(error)


@pytest.mark.parametrize(
    ("kind", "width", "says"), [("mlp", 32, "log says why"), ("idefics3", 64, "vocabulary lacks the marks")]
)
def test_a_model_whose_projector_is_another_models_answers_texts(
    tmp_path: Path, kind: str, width: int, says: str
) -> None:
    model = write_tiny_model(tmp_path, "llama")
    projector = write_tiny_projector(tmp_path, kind, width=width)
    options = EngineOptions(context_tokens=512, kv_tokens=512, num_slots=1, mmproj_path=str(projector))
    runner = load_model(Load(model_path=str(model), options=options), lambda _fraction: None)
    seeing, reading = ask(runner, 1, "a", show("What is it?", (CAT, 0))), ask(runner, 2, "a", "Hello")
    house = House(lambda _house: iter([[seeing, reading]]))
    EngineLoop(house, runner, time.monotonic).run()
    assert says in str(house.failure(1).error)
    assert house.end(2).reason == "length"
